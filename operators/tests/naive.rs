//! A naive model of forex candles, written without looking at the operator: keeps every tick of
//! every window and folds them again and again, with calendar arithmetic of its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::America::New_York;
use proto::series::SeriesId;
use proto::tick::Tick;

/// What the model knows of a candle: everything that is promised not to depend on batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NaiveCandle {
    pub(crate) end: i64,
    pub(crate) trading_date: i32,
    pub(crate) bid: [i64; 4],
    pub(crate) ask: Option<[i64; 4]>,
    pub(crate) volume: Option<i64>,
    pub(crate) ticks: u64,
    pub(crate) first: (i64, u64),
    pub(crate) last: (i64, u64),
    pub(crate) revision: u32,
}

pub(crate) struct Naive {
    pub(crate) frames: Vec<i64>,
    pub(crate) lateness: i64,
    pub(crate) revise_within: i64,
    windows: BTreeMap<(SeriesId, i64, i64), (i64, i32, Vec<(Tick, bool)>)>,
    pub(crate) rejected: BTreeMap<&'static str, usize>,
}

impl Naive {
    pub(crate) fn new(frames: Vec<i64>, lateness: i64, revise_within: i64) -> Self {
        let (windows, rejected) = (BTreeMap::new(), BTreeMap::new());
        Self { frames, lateness, revise_within, windows, rejected }
    }

    /// Takes a tick. `clock` is the clock of the epoch before, less the idle time.
    pub(crate) fn take(&mut self, tick: Tick, clock: i64) {
        let come = tick.watermark.ns().max(clock);
        if tick.bid.units() == 0 {
            *self.rejected.entry("no_price").or_default() += 1;
            return;
        }
        let Some(_) = trading_day(tick.time.ns()) else {
            *self.rejected.entry("out_of_session").or_default() += 1;
            return;
        };
        let finest = *self.frames.iter().min().unwrap();
        let (_, end, _) = window(finest, tick.time.ns());
        if come >= end + self.lateness + self.revise_within {
            *self.rejected.entry("too_late").or_default() += 1;
            return;
        }
        for frame in &self.frames {
            let (start, end, date) = window(*frame, tick.time.ns());
            let is_late = come >= end + self.lateness;
            let key = (tick.series, *frame, start);
            let entry = self.windows.entry(key).or_insert((end, date, Vec::new()));
            entry.2.push((tick, is_late));
        }
    }

    pub(crate) fn candles(&self) -> BTreeMap<(SeriesId, i64, i64), NaiveCandle> {
        let fold = |(key, (end, date, ticks)): (&(SeriesId, i64, i64), &(i64, i32, Vec<_>))| {
            (*key, fold(*end, *date, ticks))
        };
        self.windows.iter().map(fold).collect()
    }
}

impl Naive {
    /// The in-session windows without a tick between two that have some: (key, previous close).
    pub(crate) fn empty(&self) -> BTreeMap<(SeriesId, i64, i64), i64> {
        let mut empty = BTreeMap::new();
        let mut last: Option<(SeriesId, i64, i64, i64)> = None;
        for ((series, frame, start), candle) in self.candles() {
            if let Some((before, same, mut at, close)) = last
                && (before, same) == (series, frame)
            {
                let mut gap = Vec::new();
                while at < start {
                    let Some(_) = trading_day(at) else {
                        at += 3_600_000_000_000; // closings are a whole number of hours
                        continue;
                    };
                    let (from, to, _) = window(frame, at);
                    if from < start {
                        gap.push((series, frame, from));
                    }
                    at = to;
                }
                if gap.len() <= 10_000 {
                    empty.extend(gap.into_iter().map(|key| (key, close)));
                }
            }
            last = Some((series, frame, candle.end, candle.bid[3]));
        }
        empty
    }
}

fn fold(end: i64, trading_date: i32, ticks: &[(Tick, bool)]) -> NaiveCandle {
    // A stable sort: of equal (time, sequence), first come first.
    let mut sorted: Vec<&Tick> = ticks.iter().map(|(tick, _)| tick).collect();
    sorted.sort_by_key(|tick| (tick.time, tick.sequence));
    let bids: Vec<i64> = sorted.iter().map(|tick| tick.bid.units()).collect();
    let asks: Vec<i64> = sorted.iter().map(|t| t.ask.units()).filter(|ask| *ask != 0).collect();
    let sizes: Vec<i64> =
        sorted.iter().filter(|t| t.has(Tick::HAS_VOLUME)).map(|t| t.volume.units()).collect();
    let key = |tick: &Tick| (tick.time.ns(), tick.sequence);
    NaiveCandle {
        end,
        trading_date,
        bid: ohlc(&bids).unwrap(),
        ask: ohlc(&asks),
        volume: (!sizes.is_empty()).then(|| sizes.iter().sum()),
        ticks: ticks.len() as u64,
        first: key(sorted[0]),
        last: key(sorted[sorted.len() - 1]),
        revision: ticks.iter().filter(|(_, is_late)| *is_late).count() as u32,
    }
}

fn ohlc(prices: &[i64]) -> Option<[i64; 4]> {
    let (first, last) = (*prices.first()?, *prices.last()?);
    Some([first, *prices.iter().max()?, *prices.iter().min()?, last])
}

/// Seven hours after New York's clock, the forex day is the civil day, Monday to Friday.
fn trading_day(ns: i64) -> Option<chrono::NaiveDate> {
    let local = DateTime::from_timestamp_nanos(ns).with_timezone(&New_York).naive_local();
    let shifted = local + TimeDelta::hours(7);
    let is_open = !matches!(shifted.weekday(), Weekday::Sat | Weekday::Sun);
    is_open.then(|| shifted.date())
}

fn five_in_the_afternoon(date: chrono::NaiveDate) -> i64 {
    let local = date.and_hms_opt(17, 0, 0).unwrap();
    let utc = New_York.from_local_datetime(&local).unwrap().with_timezone(&Utc);
    utc.timestamp_nanos_opt().unwrap()
}

/// Start, end and trading date of the window of `frame` nanoseconds that `ns` falls into.
fn window(frame: i64, ns: i64) -> (i64, i64, i32) {
    const DAY: i64 = 86_400_000_000_000;
    let date = trading_day(ns).unwrap();
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let number = |date: chrono::NaiveDate| (date - epoch).num_days() as i32;
    let before = |date: chrono::NaiveDate, days: u32| date - Days::new(u64::from(days));
    let (start, end) = (five_in_the_afternoon(before(date, 1)), five_in_the_afternoon(date));
    if frame == DAY {
        return (start, end, number(date));
    }
    if frame == 7 * DAY {
        let monday = before(date, date.weekday().num_days_from_monday());
        let start = five_in_the_afternoon(before(monday, 1));
        return (start, five_in_the_afternoon(monday + Days::new(4)), number(monday));
    }
    let mut from = start;
    while from + frame <= ns {
        from += frame;
    }
    (from, (from + frame).min(end), number(date))
}
