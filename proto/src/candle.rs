//! A candle: what one series did in one window of one timeframe.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::series::SeriesId;
use crate::timeframe::Timeframe;

/// Open, high, low and close of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ohlc {
    /// First price of the window.
    pub open: Price,
    /// Greatest.
    pub high: Price,
    /// Least.
    pub low: Price,
    /// Last.
    pub close: Price,
}

/// Which price of a tick a candle is made of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The bid, as MetaTrader draws it; the ask is stored beside it where ticks carry one.
    #[default]
    Bid,
    /// The ask.
    Ask,
    /// Half of bid plus ask, kept exact: a price has enough digits for the half.
    Mid,
    /// The last trade.
    Last,
}

impl Basis {
    /// The word in job files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Mid => "mid",
            Self::Last => "last",
        }
    }
}

/// Why a candle was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It closed: revision 0.
    #[default]
    Closed,
    /// A tick came after it had closed.
    Late,
    /// A backfill replaced it.
    Backfill,
    /// Not closed yet: the `open` port's running value.
    Open,
}

impl Reason {
    /// The word in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Late => "late",
            Self::Backfill => "backfill",
            Self::Open => "open",
        }
    }
}

/// One candle. Its identity is (series, timeframe, start); the greatest `revision` is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// Which series it belongs to.
    pub series: SeriesId,
    /// How long its window nominally is.
    pub timeframe: Timeframe,
    /// Start of the window, part of it.
    pub start: EventTime,
    /// End of the window, no longer part of it; earlier than `start + timeframe` where the
    /// trading day ends first.
    pub end: EventTime,
    /// The civil date on which the trading day ends, in days since 1970-01-01.
    pub trading_date: i32,
    /// OHLC of the basis.
    pub price: Ohlc,
    /// OHLC of the ask where the basis is the bid and ticks carry one, else zeros;
    /// see [`Candle::HAS_ASK`].
    pub ask: Ohlc,
    /// Sum of the sizes of ticks that carried one; see [`Candle::HAS_VOLUME`].
    pub volume: Quantity,
    /// How many ticks it was made of.
    pub ticks: u64,
    /// Event time of the first tick.
    pub first_time: EventTime,
    /// Event time of the last tick.
    pub last_time: EventTime,
    /// Sequence of the first tick.
    pub first_sequence: u64,
    /// Sequence of the last tick.
    pub last_sequence: u64,
    /// 0 when it closed, then one more for every tick that came later.
    pub revision: u32,
    /// The bits below.
    pub flags: u16,
    /// What `price` is made of.
    pub basis: Basis,
    /// Why it was written.
    pub reason: Reason,
}

impl Candle {
    /// `volume` was given by at least one tick.
    pub const HAS_VOLUME: u16 = 1;
    /// `ask` is filled.
    pub const HAS_ASK: u16 = 2;
    /// The series' very first tick came within the window: what was before it is unknown.
    pub const PARTIAL_START: u16 = 4;
    /// The input ended before the window did.
    pub const PARTIAL_END: u16 = 8;
    /// The feed was silent for longer than the job's `gap_after` within the window.
    pub const GAP: u16 = 16;
    /// Made up by `gaps: flat`: no tick came, all four prices are the previous close.
    pub const SYNTHETIC: u16 = 32;

    /// Tells whether all of `bits` are set.
    pub const fn has(&self, bits: u16) -> bool {
        self.flags & bits == bits
    }
}

/// Names of the flag bits, in the order in which they are written.
pub const FLAG_NAMES: [(u16, &str); 4] = [
    (Candle::PARTIAL_START, "partial_start"),
    (Candle::PARTIAL_END, "partial_end"),
    (Candle::GAP, "gap"),
    (Candle::SYNTHETIC, "synthetic"),
];
