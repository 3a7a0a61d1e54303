//! Depth and candle on the wire.

use crate::candle::{Basis, Candle, Ohlc, Reason};
use crate::candle_message::CandleMessage;
use crate::decimal::{Price, Quantity};
use crate::depth::{Depth, Level};
use crate::envelope::Envelope;
use crate::event_time::EventTime;
use crate::protobuf::{Wire, meta};
use crate::record::RecordError;
use crate::series::SeriesId;
use crate::timeframe::Timeframe;
use crate::wire;

fn levels_to_wire(levels: &[Level]) -> Vec<wire::Level> {
    levels
        .iter()
        .map(|level| wire::Level { price: level.price.units(), quantity: level.quantity.units() })
        .collect()
}

fn levels_from_wire(levels: &[wire::Level]) -> Vec<Level> {
    levels
        .iter()
        .map(|level| Level {
            price: Price::from_units(level.price),
            quantity: Quantity::from_units(level.quantity),
        })
        .collect()
}

impl Wire for Depth {
    type Message = wire::Depth;

    fn to_wire(&self) -> wire::Depth {
        wire::Depth {
            meta: meta::to_wire(&self.envelope),
            instrument: self.instrument.clone(),
            bids: levels_to_wire(&self.bids),
            asks: levels_to_wire(&self.asks),
        }
    }

    fn from_wire(message: wire::Depth) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: meta::from_wire(message.meta)?,
            instrument: message.instrument,
            bids: levels_from_wire(&message.bids),
            asks: levels_from_wire(&message.asks),
        })
    }
}

fn ohlc_to_wire(ohlc: &Ohlc) -> wire::Ohlc {
    wire::Ohlc {
        open: ohlc.open.units(),
        high: ohlc.high.units(),
        low: ohlc.low.units(),
        close: ohlc.close.units(),
    }
}

fn ohlc_from_wire(ohlc: &wire::Ohlc) -> Ohlc {
    Ohlc {
        open: Price::from_units(ohlc.open),
        high: Price::from_units(ohlc.high),
        low: Price::from_units(ohlc.low),
        close: Price::from_units(ohlc.close),
    }
}

fn basis_from_wire(number: i32) -> Result<Basis, RecordError> {
    match wire::Basis::try_from(number) {
        Ok(wire::Basis::Bid) => Ok(Basis::Bid),
        Ok(wire::Basis::Ask) => Ok(Basis::Ask),
        Ok(wire::Basis::Mid) => Ok(Basis::Mid),
        Ok(wire::Basis::Last) => Ok(Basis::Last),
        Ok(wire::Basis::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "basis", number })
        }
    }
}

fn reason_from_wire(number: i32) -> Result<Reason, RecordError> {
    match wire::CandleReason::try_from(number) {
        Ok(wire::CandleReason::Closed) => Ok(Reason::Closed),
        Ok(wire::CandleReason::Late) => Ok(Reason::Late),
        Ok(wire::CandleReason::Backfill) => Ok(Reason::Backfill),
        Ok(wire::CandleReason::Open) => Ok(Reason::Open),
        Ok(wire::CandleReason::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "reason", number })
        }
    }
}

const fn basis_to_wire(basis: Basis) -> wire::Basis {
    match basis {
        Basis::Bid => wire::Basis::Bid,
        Basis::Ask => wire::Basis::Ask,
        Basis::Mid => wire::Basis::Mid,
        Basis::Last => wire::Basis::Last,
    }
}

const fn reason_to_wire(reason: Reason) -> wire::CandleReason {
    match reason {
        Reason::Closed => wire::CandleReason::Closed,
        Reason::Late => wire::CandleReason::Late,
        Reason::Backfill => wire::CandleReason::Backfill,
        Reason::Open => wire::CandleReason::Open,
    }
}

fn flags_from_wire(message: &wire::Candle) -> u16 {
    [
        (message.volume.is_some(), Candle::HAS_VOLUME),
        (message.ask.is_some(), Candle::HAS_ASK),
        (message.partial_start, Candle::PARTIAL_START),
        (message.partial_end, Candle::PARTIAL_END),
        (message.gap, Candle::GAP),
        (message.synthetic, Candle::SYNTHETIC),
    ]
    .into_iter()
    .fold(0, |flags, (is, bit)| if is { flags | bit } else { flags })
}

impl Wire for CandleMessage {
    type Message = wire::Candle;

    fn to_wire(&self) -> wire::Candle {
        let candle = &self.candle;
        let envelope = Envelope {
            traceparent: self.traceparent,
            ..Envelope::new(&*self.source, candle.start)
        };
        wire::Candle {
            meta: meta::to_wire(&envelope),
            instrument: self.instrument.clone(),
            timeframe_seconds: candle.timeframe.seconds(),
            end_ns: Some(candle.end.ns()),
            trading_date: candle.trading_date,
            price: Some(ohlc_to_wire(&candle.price)),
            ask: candle.has(Candle::HAS_ASK).then(|| ohlc_to_wire(&candle.ask)),
            volume: candle.has(Candle::HAS_VOLUME).then_some(candle.volume.units()),
            ticks: candle.ticks,
            first_time_ns: candle.first_time.ns(),
            last_time_ns: candle.last_time.ns(),
            first_sequence: candle.first_sequence,
            last_sequence: candle.last_sequence,
            revision: candle.revision,
            basis: basis_to_wire(candle.basis) as i32,
            reason: reason_to_wire(candle.reason) as i32,
            partial_start: candle.has(Candle::PARTIAL_START),
            partial_end: candle.has(Candle::PARTIAL_END),
            gap: candle.has(Candle::GAP),
            synthetic: candle.has(Candle::SYNTHETIC),
        }
    }

    fn from_wire(message: wire::Candle) -> Result<Self, RecordError> {
        let flags = flags_from_wire(&message);
        let envelope = meta::from_wire(message.meta)?;
        let candle = Candle {
            series: SeriesId::default(),
            timeframe: Timeframe::from_seconds(message.timeframe_seconds).ok_or(
                RecordError::invalid("timeframe_seconds", "must be 1 to 86400, or 604800"),
            )?,
            start: envelope.time,
            end: message.end_ns.map(EventTime::from_ns).ok_or(RecordError::Missing("end_ns"))?,
            trading_date: message.trading_date,
            price: message
                .price
                .as_ref()
                .map(ohlc_from_wire)
                .ok_or(RecordError::Missing("price"))?,
            ask: message.ask.as_ref().map(ohlc_from_wire).unwrap_or_default(),
            volume: Quantity::from_units(message.volume.unwrap_or(0)),
            ticks: message.ticks,
            first_time: EventTime::from_ns(message.first_time_ns),
            last_time: EventTime::from_ns(message.last_time_ns),
            first_sequence: message.first_sequence,
            last_sequence: message.last_sequence,
            revision: message.revision,
            flags,
            basis: basis_from_wire(message.basis)?,
            reason: reason_from_wire(message.reason)?,
        };
        Ok(Self {
            source: envelope.source,
            instrument: message.instrument,
            candle,
            traceparent: envelope.traceparent,
        })
    }
}
