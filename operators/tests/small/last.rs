//! What `last` promises.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::tick::Tick;
use proto::timeframe::Timeframe;
use serde_json::json;

use crate::small::rig::{self, Shape, by_epoch, cut, cuts, every_second, seconds, shapes};

/// A candle of series `series` that starts `start` seconds after 1970.
pub(crate) fn candle(
    series: u32,
    frame: &str,
    start: i64,
    revision: u32,
    reason: Reason,
) -> Candle {
    let timeframe: Timeframe = frame.parse().unwrap();
    Candle {
        series: SeriesId(series),
        timeframe,
        start: seconds(start),
        end: seconds(start + i64::from(timeframe.seconds())),
        trading_date: 0,
        price: Ohlc::default(),
        ask: Ohlc::default(),
        volume: Quantity::ZERO,
        ticks: 1,
        first_time: seconds(start),
        last_time: seconds(start),
        first_sequence: 0,
        last_sequence: 0,
        revision,
        flags: 0,
        basis: Basis::Bid,
        reason,
    }
}

/// Candles of a few series, timeframes and windows; `ticks` numbers them.
pub(crate) fn candles() -> impl Strategy<Value = Vec<Candle>> {
    let row = (0..3_u32, 0..2_usize, 0..4_i64, 0..2_u32, 0..3_usize);
    proptest::collection::vec(row, 0..60).prop_map(|rows| {
        let candle = |(at, (series, frame, step, revision, reason)): (usize, _)| {
            let reason = [Reason::Open, Reason::Closed, Reason::Late][reason];
            let start = 60 * (step + at as i64 / 12);
            Candle {
                ticks: at as u64,
                ..candle(series, ["1m", "5m"][frame], start, revision, reason)
            }
        };
        rows.into_iter().enumerate().map(candle).collect()
    })
}

/// Ticks of a few series, mostly in order; `bid` numbers them.
pub(crate) fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let row = (0..3_u32, 0..8_i64, 0..2_u64);
    proptest::collection::vec(row, 0..60).prop_map(|rows| {
        let tick = |(at, (series, jitter, sequence)): (usize, (u32, i64, u64))| Tick {
            series: SeriesId(series),
            time: seconds(at as i64 / 2 + jitter),
            sequence,
            bid: Price::from_units(at as i64),
            ..Tick::default()
        };
        rows.into_iter().enumerate().map(tick).collect()
    })
}

fn tick(at: i64, sequence: u64) -> Tick {
    Tick { time: seconds(at), sequence, ..Tick::default() }
}

#[test]
fn an_epoch_tells_the_newest_tick_once_and_nothing_where_nothing_changed() {
    let steps = every_second([
        vec![tick(1, 1), tick(3, 1), tick(2, 9)],
        vec![],
        vec![tick(2, 1), tick(3, 1)],
        vec![tick(3, 2)],
    ]);
    let results = rig::run("last", &json!({}), &steps, &(Shape::PLAIN)());
    let wanted = [vec![tick(3, 1)], vec![], vec![], vec![tick(3, 2)]];
    assert_eq!(by_epoch::<Tick>(&results, 0), wanted);
}

#[test]
fn the_running_value_of_a_candle_gives_way_to_newer_ones_and_to_the_closed_one() {
    let at = |ticks, revision, reason| Candle { ticks, ..candle(0, "1m", 0, revision, reason) };
    let steps = every_second([
        vec![at(1, 0, Reason::Open)],
        vec![at(2, 0, Reason::Open)],
        vec![at(3, 0, Reason::Closed), at(2, 0, Reason::Open)],
        vec![at(4, 1, Reason::Late)],
    ]);
    let results = rig::run("last", &json!({}), &steps, &(Shape::PLAIN)());
    let told: Vec<u64> = by_epoch::<Candle>(&results, 0).concat().iter().map(|c| c.ticks).collect();
    assert_eq!(told, [1, 2, 3, 4]);
}

#[test]
fn each_timeframe_has_its_own_newest_candle() {
    let (minute, hour) =
        (candle(0, "1m", 60, 0, Reason::Closed), candle(0, "1h", 0, 0, Reason::Closed));
    let steps = every_second([vec![hour, minute]]);
    let results = rig::run("last", &json!({}), &steps, &(Shape::PLAIN)());
    assert_eq!(by_epoch::<Candle>(&results, 0), [[minute, hour]]);
}

proptest! {
    #[test]
    fn ticks_told_are_the_greatest_so_far_where_that_is_new(
        ticks in ticks(), cuts in cuts(), shape in shapes(),
    ) {
        let steps = every_second(cut(&ticks, &cuts));
        let results = rig::run("last", &json!({}), &steps, &shape);
        let mut newest: BTreeMap<SeriesId, Tick> = BTreeMap::new();
        for (step, found) in steps.iter().zip(by_epoch::<Tick>(&results, 0)) {
            let before = newest.clone();
            let order = |tick: &Tick| (tick.time, tick.sequence);
            for tick in &step.rows {
                let kept = newest.entry(tick.series).or_insert(*tick);
                *kept = if order(tick) > order(kept) { *tick } else { *kept };
            }
            let wanted: Vec<Tick> =
                newest.values().filter(|t| before.get(&t.series) != Some(t)).copied().collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn candles_told_are_the_greatest_so_far_where_that_is_new(
        candles in candles(), cuts in cuts(), shape in shapes(),
    ) {
        let steps = every_second(cut(&candles, &cuts));
        let results = rig::run("last", &json!({}), &steps, &shape);
        let mut newest: BTreeMap<(SeriesId, Timeframe), Candle> = BTreeMap::new();
        let order = |candle: &Candle| -> (EventTime, u32, bool, u64) {
            let is_settled = candle.reason != Reason::Open;
            // Running values of one revision: the last to come, by `ticks`; settled: the first.
            let at = if is_settled { u64::MAX - candle.ticks } else { candle.ticks };
            (candle.start, candle.revision, is_settled, at)
        };
        for (step, found) in steps.iter().zip(by_epoch::<Candle>(&results, 0)) {
            let before = newest.clone();
            for candle in &step.rows {
                let kept = newest.entry((candle.series, candle.timeframe)).or_insert(*candle);
                *kept = std::cmp::max_by_key(*candle, *kept, order);
            }
            let wanted: Vec<Candle> = newest.iter()
                .filter(|(key, candle)| before.get(key) != Some(candle))
                .map(|(_, candle)| *candle).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
