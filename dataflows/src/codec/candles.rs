//! Candles as groups of numbers, three for each.

use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::timeframe::Timeframe;

use super::pack::{GROUP, unzigzag, zigzag};
use super::read::Bad;

/// How many groups a candle takes.
pub(super) const GROUPS: usize = 3;

/// The memory that writing and reading share.
#[derive(Debug)]
pub(super) struct Candles {
    /// Per series, the last close.
    closes: Vec<i64>,
    series: u32,
    seconds: u32,
    start: i64,
    trading_date: i32,
    marks: u64,
}

/// Flags, basis and reason, which seldom change, as one number.
fn marks(candle: &Candle) -> u64 {
    let (basis, reason) = (candle.basis as u8, candle.reason as u8);
    u64::from(candle.flags) << 16 | u64::from(basis) << 8 | u64::from(reason)
}

fn of_marks(marks: u64) -> Result<(u16, Basis, Reason), Bad> {
    let flags = u16::try_from(marks >> 16).map_err(|_| "no such flags")?;
    let basis = match marks >> 8 & 0xff {
        0 => Basis::Bid,
        1 => Basis::Ask,
        2 => Basis::Mid,
        3 => Basis::Last,
        _ => return Err("no such basis"),
    };
    let reason = match marks & 0xff {
        0 => Reason::Closed,
        1 => Reason::Late,
        2 => Reason::Backfill,
        3 => Reason::Open,
        _ => return Err("no such reason"),
    };
    Ok((flags, basis, reason))
}

/// What the four prices of the ask are likely to be near.
const fn near(price: [i64; 4], flags: u16) -> [i64; 4] {
    if flags & Candle::HAS_ASK == 0 { [0; 4] } else { price }
}

const fn units(ohlc: &Ohlc) -> [i64; 4] {
    [ohlc.open.units(), ohlc.high.units(), ohlc.low.units(), ohlc.close.units()]
}

const fn of_units([open, high, low, close]: [i64; 4]) -> Ohlc {
    Ohlc {
        open: Price::from_units(open),
        high: Price::from_units(high),
        low: Price::from_units(low),
        close: Price::from_units(close),
    }
}

fn difference(value: i64, from: i64) -> u64 {
    zigzag(value.wrapping_sub(from))
}

fn sum(from: i64, difference: u64) -> i64 {
    from.wrapping_add(unzigzag(difference))
}

/// Where the window would end if nothing cut it short.
const fn nominal_end(start: i64, seconds: u32) -> i64 {
    start.wrapping_add(seconds as i64 * 1_000_000_000)
}

impl Candles {
    /// Begins, with so many series.
    pub(super) fn new(series: usize) -> Self {
        let closes = vec![0; series];
        Self { closes, series: 0, seconds: 0, start: 0, trading_date: 0, marks: 0 }
    }

    /// Gives the numbers of a candle, whose series has number `series` in the dictionary.
    pub(super) fn write(&mut self, candle: &Candle, series: u32) -> [[u64; GROUP]; GROUPS] {
        let close = self.closes.get(series as usize).copied().unwrap_or_default();
        let (seconds, start, marks) =
            (candle.timeframe.seconds(), candle.start.ns(), marks(candle));
        let [open, high, low, last] = units(&candle.price);
        let [near_open, near_high, near_low, near_close] =
            near([open, high, low, last], candle.flags);
        let [ask_open, ask_high, ask_low, ask_close] = units(&candle.ask);
        let groups = [
            [
                zigzag(i64::from(series) - i64::from(self.series)),
                u64::from(seconds ^ self.seconds),
                difference(start, self.start),
                difference(candle.end.ns(), nominal_end(start, seconds)),
                difference(i64::from(candle.trading_date), i64::from(self.trading_date)),
                marks ^ self.marks,
                u64::from(candle.revision),
                candle.ticks,
            ],
            [
                difference(open, close),
                difference(high, open),
                difference(low, open),
                difference(last, open),
                difference(ask_open, near_open),
                difference(ask_high, near_high),
                difference(ask_low, near_low),
                difference(ask_close, near_close),
            ],
            [
                zigzag(candle.volume.units()),
                difference(candle.first_time.ns(), start),
                difference(candle.last_time.ns(), candle.first_time.ns()),
                candle.first_sequence,
                candle.last_sequence.wrapping_sub(candle.first_sequence),
                0,
                0,
                0,
            ],
        ];
        if let Some(close) = self.closes.get_mut(series as usize) {
            *close = last;
        }
        (self.series, self.seconds, self.start) = (series, seconds, start);
        (self.trading_date, self.marks) = (candle.trading_date, marks);
        groups
    }

    /// Makes the candle of [`Candles::write`] again.
    pub(super) fn read(
        &mut self,
        [window, prices, rest]: [[u64; GROUP]; GROUPS],
        dictionary: &[SeriesId],
    ) -> Result<Candle, Bad> {
        let [series, seconds, start, end, date, marks, revision, ticks] = window;
        let index = usize::try_from(sum(i64::from(self.series), series));
        let index = index.map_err(|_| "no such series")?;
        let (Some(close), Some(id)) = (self.closes.get_mut(index), dictionary.get(index)) else {
            return Err("no such series");
        };
        let seconds = self.seconds ^ u32::try_from(seconds).map_err(|_| "no such timeframe")?;
        let start = sum(self.start, start);
        let date = sum(i64::from(self.trading_date), date);
        let marks = self.marks ^ marks;
        let (flags, basis, reason) = of_marks(marks)?;
        let [open, high, low, last, ask @ ..] = prices;
        let open = sum(*close, open);
        let price = [open, sum(open, high), sum(open, low), sum(open, last)];
        *close = price[3];
        let mut asks = near(price, flags);
        for (near, difference) in asks.iter_mut().zip(ask) {
            *near = sum(*near, difference);
        }
        let [volume, first_time, last_time, first_sequence, sequences, 0, 0, 0] = rest else {
            return Err("expected zeros behind a candle");
        };
        let first_time = sum(start, first_time);
        let candle = Candle {
            series: *id,
            timeframe: Timeframe::from_seconds(seconds).ok_or("no such timeframe")?,
            start: EventTime::from_ns(start),
            end: EventTime::from_ns(sum(nominal_end(start, seconds), end)),
            trading_date: i32::try_from(date).map_err(|_| "no such date")?,
            price: of_units(price),
            ask: of_units(asks),
            volume: Quantity::from_units(unzigzag(volume)),
            ticks,
            first_time: EventTime::from_ns(first_time),
            last_time: EventTime::from_ns(sum(first_time, last_time)),
            first_sequence,
            last_sequence: first_sequence.wrapping_add(sequences),
            revision: u32::try_from(revision).map_err(|_| "no such revision")?,
            flags,
            basis,
            reason,
        };
        (self.series, self.seconds, self.start) = (index as u32, seconds, start);
        (self.trading_date, self.marks) = (candle.trading_date, marks);
        Ok(candle)
    }
}
