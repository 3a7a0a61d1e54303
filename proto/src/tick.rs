//! A tick: one quote or trade of one series, as the hot paths carry it.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::series::SeriesId;

/// One quote or trade. Plain and `Copy`, one cache line: batches of it are what the graph moves.
///
/// A price that the tick does not carry is zero (no venue quotes zero, and MetaTrader itself sends
/// `last = 0` for "none"); a size that it does not carry is absent from `flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Tick {
    /// When it happened at the venue.
    pub time: EventTime,
    /// Orders ticks of one series and one time; from the source, else the order of arrival.
    pub sequence: u64,
    /// Best bid, or zero.
    pub bid: Price,
    /// Best ask, or zero.
    pub ask: Price,
    /// Price of the last trade, or zero.
    pub last: Price,
    /// Size of the trade (or of the quote where a venue has no trades); see [`Tick::HAS_VOLUME`].
    pub volume: Quantity,
    /// How far the tick's feed had come when it arrived: the greatest event time of that feed
    /// among the ticks *before* this one, in the order of the source. Set by the engine (hop
    /// Stamp), so that being late is a property of the input and not of batches or workers.
    pub watermark: EventTime,
    /// Which series it belongs to.
    pub series: SeriesId,
    /// The `HAS_…` and `IS_…` bits below.
    pub flags: u32,
}

impl Tick {
    /// `volume` was given.
    pub const HAS_VOLUME: u32 = 1;
    /// `sequence` was given by the source: the tick has an identity, and a second one with the
    /// same (series, time, sequence) is the same tick.
    pub const HAS_SEQUENCE: u32 = 2;
    /// The transport marked it as delivered before.
    pub const IS_REDELIVERED: u32 = 4;

    /// Tells whether all of `bits` are set.
    pub const fn has(&self, bits: u32) -> bool {
        self.flags & bits == bits
    }
}

impl Default for Tick {
    fn default() -> Self {
        Self {
            time: EventTime::default(),
            sequence: 0,
            bid: Price::ZERO,
            ask: Price::ZERO,
            last: Price::ZERO,
            volume: Quantity::ZERO,
            watermark: EventTime::MIN,
            series: SeriesId::default(),
            flags: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tick;

    #[test]
    fn a_tick_is_one_cache_line() {
        assert_eq!(size_of::<Tick>(), 64);
    }
}
