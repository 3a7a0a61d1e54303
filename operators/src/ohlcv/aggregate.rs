//! Aggregates: what a window knows of its ticks. A commutative monoid, so that windows can be
//! folded from ticks in any order, and longer windows from shorter ones.

use proto::candle::Ohlc;
use proto::decimal::{Price, Quantity, UNITS_MAX};
use proto::event_time::EventTime;
use serde::{Deserialize, Serialize};

/// What a candle takes from one tick; prices and sizes in their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, and in which order among ticks of that time.
    pub key: (i64, u64),
    /// Price of the basis.
    pub price: i64,
    /// The ask beside it; 0: none.
    pub ask: i64,
    /// Size; 0 without one.
    pub volume: i64,
    /// Whether the size was given.
    pub has_volume: bool,
}

/// OHLC of one price, with what decides the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    first: (i64, u64),
    last: (i64, u64),
}

impl Track {
    /// Nothing yet: neutral for [`Track::add`] and [`Track::merge`].
    const EMPTY: Self = Self {
        open: 0,
        high: i64::MIN,
        low: i64::MAX,
        close: 0,
        first: (i64::MAX, u64::MAX),
        last: (i64::MIN, 0),
    };

    /// Of equal keys the one that arrived first stays first, the one that arrived last becomes
    /// last.
    #[inline]
    fn add(&mut self, key: (i64, u64), price: i64) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        if key >= self.last {
            self.last = key;
            self.close = price;
        }
        if key < self.first {
            self.first = key;
            self.open = price;
        }
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        if other.last >= self.last {
            self.last = other.last;
            self.close = other.close;
        }
        if other.first < self.first {
            self.first = other.first;
            self.open = other.open;
        }
    }

    fn is_empty(&self) -> bool {
        self.high == i64::MIN
    }

    fn ohlc(&self) -> Ohlc {
        if self.is_empty() {
            return Ohlc::default();
        }
        Ohlc {
            open: Price::from_units(self.open),
            high: Price::from_units(self.high),
            low: Price::from_units(self.low),
            close: Price::from_units(self.close),
        }
    }
}

/// An [`Aggregate`] without what it knows of the ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    price: Track,
    ticks: u64,
    volume: i64,
}

/// What a window knows of its ticks.
///
/// Where ticks carry no ask, `ask` stays [`Track::EMPTY`] and its cache line is never touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Aggregate {
    price: Track,
    ticks: u64,
    volume: i64,
    has_volume: bool,
    has_ask: bool,
    ask: Track,
}

impl Aggregate {
    /// No ticks.
    pub const EMPTY: Self = Self {
        price: Track::EMPTY,
        ticks: 0,
        volume: 0,
        has_volume: false,
        has_ask: false,
        ask: Track::EMPTY,
    };

    /// Makes it [`Aggregate::EMPTY`].
    #[inline]
    pub fn clear(&mut self) {
        self.price = Track::EMPTY;
        (self.ticks, self.volume, self.has_volume) = (0, 0, false);
        if self.has_ask {
            (self.has_ask, self.ask) = (false, Track::EMPTY);
        }
    }

    /// Takes over what another one knows.
    #[inline]
    pub fn copy_from(&mut self, other: &Self) {
        self.price = other.price;
        (self.ticks, self.volume, self.has_volume) = (other.ticks, other.volume, other.has_volume);
        if self.has_ask || other.has_ask {
            (self.has_ask, self.ask) = (other.has_ask, other.ask);
        }
    }

    /// Puts one together from its parts.
    pub(super) fn from_parts(part: &Part, has_volume: bool, ask: Option<&Track>) -> Self {
        Self {
            price: part.price,
            ticks: part.ticks,
            volume: part.volume,
            has_volume,
            has_ask: ask.is_some(),
            ask: ask.copied().unwrap_or(Track::EMPTY),
        }
    }

    /// Everything but the ask and [`Aggregate::has_volume`], by itself.
    #[inline]
    pub(super) const fn part(&self) -> Part {
        Part { price: self.price, ticks: self.ticks, volume: self.volume }
    }

    /// Tells whether any tick had a size.
    #[inline]
    pub(super) const fn has_volume(&self) -> bool {
        self.has_volume
    }

    /// What is known of the ask.
    #[inline]
    pub(super) fn ask_track(&self) -> Option<&Track> {
        self.has_ask.then_some(&self.ask)
    }

    /// Adds a tick. Gives false, with nothing changed, where eighteen digits do not hold the
    /// volume.
    #[inline]
    #[must_use]
    pub fn add(&mut self, sample: &Sample) -> bool {
        if sample.has_volume {
            match self.volume.checked_add(sample.volume) {
                Some(sum) if sum.unsigned_abs() <= UNITS_MAX.unsigned_abs() => self.volume = sum,
                _ => return false,
            }
            self.has_volume = true;
        }
        self.ticks += 1;
        self.price.add(sample.key, sample.price);
        if sample.ask != 0 {
            self.has_ask = true;
            self.ask.add(sample.key, sample.ask);
        }
        true
    }

    /// Tells whether eighteen digits hold the volume with that of a tick added.
    pub fn has_room(&self, sample: &Sample) -> bool {
        let sum = self.volume.checked_add(sample.volume);
        !sample.has_volume || sum.is_some_and(|sum| sum.unsigned_abs() <= UNITS_MAX.unsigned_abs())
    }

    /// Adds a tick to a window above the one that accepted it: the volume stops at the greatest
    /// that eighteen digits hold, and false says that it did.
    #[must_use]
    pub fn absorb(&mut self, sample: &Sample) -> bool {
        if self.add(sample) {
            return true;
        }
        self.volume = UNITS_MAX;
        let _is_added = self.add(&Sample { volume: 0, ..*sample });
        false
    }

    /// Merges the ticks of another window. Gives false where eighteen digits do not hold the
    /// volume, which then stops at the greatest that they hold.
    #[inline]
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        self.price.merge(&other.price);
        if other.has_ask {
            self.has_ask = true;
            self.ask.merge(&other.ask);
        }
        self.ticks += other.ticks;
        self.has_volume |= other.has_volume;
        let sum = self.volume.saturating_add(other.volume);
        self.volume = sum.clamp(-UNITS_MAX, UNITS_MAX);
        self.volume == sum
    }

    /// Tells whether there is no tick.
    pub const fn is_empty(&self) -> bool {
        self.ticks == 0
    }

    /// How many ticks there are.
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// OHLC of the basis.
    pub fn price(&self) -> Ohlc {
        self.price.ohlc()
    }

    /// OHLC of the ask, if there is one.
    pub fn ask(&self) -> Option<Ohlc> {
        self.has_ask.then(|| self.ask.ohlc())
    }

    /// The last price, in units.
    pub const fn close(&self) -> i64 {
        self.price.close
    }

    /// The last ask, in units; 0 where there is none.
    pub fn ask_close(&self) -> i64 {
        if self.has_ask { self.ask.close } else { 0 }
    }

    /// The sum of the sizes, if any was given.
    pub fn volume(&self) -> Option<Quantity> {
        self.has_volume.then(|| Quantity::from_units(self.volume))
    }

    /// Time and sequence of the first tick.
    pub const fn first(&self) -> (EventTime, u64) {
        (EventTime::from_ns(self.price.first.0), self.price.first.1)
    }

    /// Time and sequence of the last tick.
    pub const fn last(&self) -> (EventTime, u64) {
        (EventTime::from_ns(self.price.last.0), self.price.last.1)
    }
}
