//! A tick as it travels between processes: by name, where the hot [`Tick`] has a number.
//!
//! [`TickRef`] borrows its texts from the message, so that a tick is decoded without allocating;
//! [`TickMessage`] owns them.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::envelope::{Envelope, check_message_id};
use crate::event_time::EventTime;
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range, ensure_size};
use crate::series::{NameError, Series, SeriesId, SeriesTable};
use crate::tick::Tick;

/// One quote or trade of an instrument, by name. At least one price is there, and none is zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickMessage {
    /// Source, sequence, time, trace, id.
    pub envelope: Envelope,
    /// What is traded: `EURUSD`.
    pub instrument: String,
    /// Best bid.
    #[serde(default, with = "crate::exact::maybe")]
    pub bid: Option<Price>,
    /// Best ask.
    #[serde(default, with = "crate::exact::maybe")]
    pub ask: Option<Price>,
    /// Price of the last trade.
    #[serde(default, with = "crate::exact::maybe")]
    pub last: Option<Price>,
    /// Size of the trade, or of the quote where a venue has no trades.
    #[serde(default, with = "crate::exact::maybe")]
    pub volume: Option<Quantity>,
}

/// A decoded tick whose texts are still those of the message.
///
/// Numbers are checked; `source` and `instrument` are checked by [`SeriesTable::intern`], which
/// meets every pair only once, or by [`TickRef::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickRef<'a> {
    /// Where it comes from.
    pub source: &'a str,
    /// What is traded.
    pub instrument: &'a str,
    /// When it happened.
    pub time: EventTime,
    /// Orders ticks of one time.
    pub sequence: Option<u64>,
    /// Best bid; zero for none, as in [`Tick`].
    pub bid: Price,
    /// Best ask; zero for none.
    pub ask: Price,
    /// Price of the last trade; zero for none.
    pub last: Price,
    /// Size.
    pub volume: Option<Quantity>,
    /// The trace, not yet parsed; empty for none.
    pub traceparent: &'a str,
    /// Identity; empty for none.
    pub message_id: &'a str,
}

fn some(price: Price) -> Option<Price> {
    (price != Price::ZERO).then_some(price)
}

impl TickRef<'_> {
    /// Checks what decoding checks: every number, and that there is a price.
    pub(crate) fn check_numbers(&self) -> Result<(), RecordError> {
        for (price, field) in [(self.bid, "bid"), (self.ask, "ask"), (self.last, "last")] {
            ensure_range(price.units(), field)?;
        }
        ensure_size(self.volume.unwrap_or_default().units(), "volume")?;
        let priced = [self.bid, self.ask, self.last].iter().any(|price| *price != Price::ZERO);
        ensure(priced, "bid", "must be there, or `ask`, or `last`")
    }

    /// Checks the names and the message id as well.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RecordError> {
        self.check_numbers()?;
        ensure_name(self.source, "source")?;
        ensure_name(self.instrument, "instrument")?;
        if self.message_id.is_empty() { Ok(()) } else { check_message_id(self.message_id) }
    }

    /// Makes the hot tick of `series`; trace and message id stay behind.
    pub fn tick(&self, series: SeriesId) -> Tick {
        let mut flags = 0;
        if self.volume.is_some() {
            flags |= Tick::HAS_VOLUME;
        }
        if self.sequence.is_some() {
            flags |= Tick::HAS_SEQUENCE;
        }
        Tick {
            time: self.time,
            sequence: self.sequence.unwrap_or(0),
            bid: self.bid,
            ask: self.ask,
            last: self.last,
            volume: self.volume.unwrap_or_default(),
            watermark: EventTime::MIN,
            series,
            flags,
        }
    }

    /// Makes the hot tick, with the number that `table` has or gives for its names.
    ///
    /// # Errors
    /// When a name is not allowed.
    pub fn intern(&self, table: &SeriesTable) -> Result<Tick, NameError> {
        table.intern(self.source, self.instrument).map(|series| self.tick(series))
    }

    /// Takes copies of the texts. An invalid trace is dropped.
    pub fn to_message(&self) -> TickMessage {
        TickMessage {
            envelope: Envelope {
                source: self.source.to_owned(),
                sequence: self.sequence,
                time: self.time,
                traceparent: self.traceparent.parse().ok(),
                message_id: (!self.message_id.is_empty()).then(|| self.message_id.to_owned()),
            },
            instrument: self.instrument.to_owned(),
            bid: some(self.bid),
            ask: some(self.ask),
            last: some(self.last),
            volume: self.volume,
        }
    }
}

impl TickMessage {
    /// Gives `tick` the names of its `series`. Watermark and redelivery stay behind: they belong
    /// to the run, not to the tick.
    pub fn new(series: &Series, tick: &Tick) -> Self {
        Self {
            envelope: Envelope {
                sequence: tick.has(Tick::HAS_SEQUENCE).then_some(tick.sequence),
                ..Envelope::new(&*series.source, tick.time)
            },
            instrument: series.instrument.as_ref().to_owned(),
            bid: some(tick.bid),
            ask: some(tick.ask),
            last: some(tick.last),
            volume: tick.has(Tick::HAS_VOLUME).then_some(tick.volume),
        }
    }

    /// Borrows it. `trace` holds the text of the trace, which [`TickRef`] can only borrow.
    pub fn borrow<'a>(&'a self, trace: &'a mut String) -> TickRef<'a> {
        trace.clear();
        if let Some(traceparent) = self.envelope.traceparent {
            *trace = traceparent.to_string();
        }
        TickRef {
            source: &self.envelope.source,
            instrument: &self.instrument,
            time: self.envelope.time,
            sequence: self.envelope.sequence,
            bid: self.bid.unwrap_or_default(),
            ask: self.ask.unwrap_or_default(),
            last: self.last.unwrap_or_default(),
            volume: self.volume,
            traceparent: trace,
            message_id: self.envelope.message_id.as_deref().unwrap_or(""),
        }
    }

    /// Makes the hot tick, with the number that `table` has or gives for its names.
    ///
    /// # Errors
    /// When a name is not allowed.
    pub fn intern(&self, table: &SeriesTable) -> Result<Tick, NameError> {
        self.borrow(&mut String::new()).intern(table)
    }
}

impl Record for TickMessage {
    const NAME: &'static str = "Tick";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        for (price, field) in [(self.bid, "bid"), (self.ask, "ask"), (self.last, "last")] {
            ensure(price != Some(Price::ZERO), field, "must not be zero; leave it out for none")?;
        }
        self.borrow(&mut String::new()).check()
    }
}

#[cfg(test)]
mod tests {
    use super::TickMessage;
    use crate::decimal::{Price, Quantity};
    use crate::event_time::EventTime;
    use crate::record::Record;
    use crate::series::SeriesTable;
    use crate::tick::Tick;

    #[test]
    fn a_tick_keeps_everything_but_what_belongs_to_the_run() {
        let table = SeriesTable::new();
        let series = table.intern("ib", "AAPL").unwrap();
        let tick = Tick {
            time: EventTime::from_ns(1_536_935_412_000_000_001),
            sequence: 7,
            last: "226.41".parse().unwrap(),
            volume: Quantity::ZERO,
            series,
            flags: Tick::HAS_SEQUENCE | Tick::HAS_VOLUME,
            ..Tick::default()
        };
        let message = TickMessage::new(&table.get(series).unwrap(), &tick);
        message.check().unwrap();
        assert_eq!((message.bid, message.volume), (None, Some(Quantity::ZERO)));
        assert_eq!(message.intern(&table).unwrap(), tick);
    }

    #[test]
    fn a_tick_without_any_price_is_refused() {
        let table = SeriesTable::new();
        let series = table.get(table.intern("mt4", "EURUSD").unwrap()).unwrap();
        let mut message = TickMessage::new(&series, &Tick::default());
        assert_eq!(message.check().unwrap_err().reason(), "invalid");
        message.bid = Some(Price::from_units(1));
        message.check().unwrap();
        message.ask = Some(Price::ZERO);
        assert_eq!(message.check().unwrap_err().reason(), "invalid");
    }
}
