//! A candle as it travels between processes: by name, where the hot [`Candle`] has a number.

use crate::candle::{Candle, Ohlc};
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range, ensure_size};
use crate::series::{NameError, Series, SeriesId, SeriesTable};
use crate::traceparent::Traceparent;

/// One candle of an instrument, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleMessage {
    /// Where its ticks come from.
    pub source: String,
    /// What is traded.
    pub instrument: String,
    /// The candle; its `series` means nothing here and is zero.
    pub candle: Candle,
    /// The trace.
    pub traceparent: Option<Traceparent>,
}

impl CandleMessage {
    /// Gives `candle` the names of its `series`.
    pub fn new(series: &Series, candle: &Candle) -> Self {
        Self {
            source: series.source.as_ref().to_owned(),
            instrument: series.instrument.as_ref().to_owned(),
            candle: Candle { series: SeriesId::default(), ..*candle },
            traceparent: None,
        }
    }

    /// Gives the candle, with the number that `table` has or gives for its names.
    ///
    /// # Errors
    /// When a name is not allowed.
    pub fn intern(&self, table: &SeriesTable) -> Result<Candle, NameError> {
        let series = table.intern(&self.source, &self.instrument)?;
        Ok(Candle { series, ..self.candle })
    }
}

fn check_ohlc(ohlc: &Ohlc, field: &'static str) -> Result<(), RecordError> {
    for price in [ohlc.open, ohlc.high, ohlc.low, ohlc.close] {
        ensure_range(price.units(), field)?;
        let within = ohlc.low <= price && price <= ohlc.high;
        ensure(within, field, "must have its open and close between low and high")?;
    }
    Ok(())
}

impl Record for CandleMessage {
    const NAME: &'static str = "Candle";

    fn check(&self) -> Result<(), RecordError> {
        let candle = &self.candle;
        ensure_name(&self.source, "source")?;
        ensure_name(&self.instrument, "instrument")?;
        ensure(candle.start < candle.end, "end", "must be later than the start")?;
        check_ohlc(&candle.price, "price")?;
        check_ohlc(&candle.ask, "ask")?;
        let has_ask = candle.has(Candle::HAS_ASK) || candle.ask == Ohlc::default();
        ensure(has_ask, "ask", "must be zero where the candle has none")?;
        ensure_size(candle.volume.units(), "volume")?;
        let has_volume = candle.has(Candle::HAS_VOLUME) || candle.volume.units() == 0;
        ensure(has_volume, "volume", "must be zero where the candle has none")
    }
}
