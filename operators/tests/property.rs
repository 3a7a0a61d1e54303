//! `ohlcv` against the naive model: whatever the ticks, their order, the epochs and the workers.

use dataflows::moment::Moment;
use proptest::prelude::*;
use proto::candle::Candle;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::{KEY_GROUPS, SeriesTable, worker_of};
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::naive::{Naive, NaiveCandle};
use crate::support::{Bench, Output, stamp};

const SECOND: i64 = 1_000_000_000;
const SERIES: [(&str, &str); 5] = [("a", "X"), ("a", "Y"), ("b", "X"), ("b", "Z"), ("c", "W")];
/// A quiet Wednesday, a Friday's close with a clock change before Monday, a day before a holiday.
const STARTS: [&str; 3] = ["2024-05-15T11:58:00", "2024-03-08T21:50:00", "2023-12-22T15:00:00"];
const FRAMES: [&[&str]; 4] = [
    &["1m", "5m", "15m", "1h", "4h", "1d"],
    &["1s", "1m", "1d", "1w"],
    &["2m", "3m", "7m", "6m", "5h", "1w"],
    &["1d"],
];

/// A tick in the making: series, step in time, how far behind, price, ask, sequence, size.
type Draft = (usize, u32, u32, i64, i64, u64, Option<i64>);

#[derive(Debug, Clone)]
struct Case {
    ticks: Vec<Tick>,
    /// How many ticks each epoch has, and how far the wall clock moves with it, in ms.
    epochs: Vec<(usize, i64)>,
    frames: usize,
    lateness: i64,
    revise_within: i64,
    has_wall_clock: bool,
    is_flat: bool,
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    // Steps in ms: mostly small, some over minutes, a few over hours.
    let step = prop_oneof![12 => 0..900_u32, 3 => 0..90_000_u32, 1 => 0..20_000_000_u32];
    let behind = prop_oneof![8 => Just(0_u32), 3 => 0..5_000_u32, 1 => 0..400_000_u32];
    let ask = prop_oneof![3 => 1..50_i64, 1 => Just(0_i64)];
    let size = prop::option::of(0..1_000_i64);
    let draft = (0..SERIES.len(), step, behind, -3..40_i64, ask, 0..3_u64, size);
    prop::collection::vec(draft, 1..250)
}

fn cases() -> impl Strategy<Value = Case> {
    let epochs = prop::collection::vec((0..40_usize, 0..60_000_i64), 1..40);
    let settings = (0..STARTS.len(), 0..FRAMES.len(), 0..4_i64, any::<bool>(), any::<bool>());
    (drafts(), epochs, settings).prop_map(|(drafts, epochs, settings)| {
        let (start, frames, lateness, is_long, has_wall_clock) = settings;
        let table = table();
        let mut time: i64 = STARTS[start].parse::<EventTime>().unwrap().ns();
        let mut ticks: Vec<Tick> = Vec::new();
        for (series, step, behind, bid, ask, sequence, size) in drafts {
            time += i64::from(step) * 1_000_000;
            let (source, instrument) = SERIES[series];
            let bid = bid.max(0);
            ticks.push(Tick {
                series: table.find(source, instrument).unwrap(),
                time: EventTime::from_ns(time - i64::from(behind) * 1_000_000),
                sequence,
                bid: Price::from_units(bid),
                ask: Price::from_units(if ask == 0 { 0 } else { bid + ask }),
                volume: Quantity::from_units(size.unwrap_or(0)),
                flags: if size.is_some() { Tick::HAS_VOLUME } else { 0 },
                ..Tick::default()
            });
        }
        stamp(&table, &mut Vec::new(), &mut ticks);
        let revise_within = if is_long { 3_600 * SECOND } else { 30 * SECOND };
        let lateness = lateness * SECOND;
        let is_flat = false;
        Case { ticks, epochs, frames, lateness, revise_within, has_wall_clock, is_flat }
    })
}

fn table() -> SeriesTable {
    let table = SeriesTable::new();
    for (source, instrument) in SERIES {
        table.intern(source, instrument).unwrap();
    }
    table
}

fn config(case: &Case) -> Value {
    json!({
        "timeframes": FRAMES[case.frames],
        "lateness": format!("{}s", case.lateness / SECOND),
        "revise_within": format!("{}s", case.revise_within / SECOND),
        "idle": "5s",
        "gaps": if case.is_flat { "flat" } else { "none" },
    })
}

/// The epochs with their moments: the event clock is the least of all feeds, the wall clock runs
/// on its own.
fn epochs(case: &Case) -> Vec<(Vec<Tick>, Moment)> {
    let table = table();
    let mut watermarks = vec![EventTime::MIN; 3];
    let mut rest = case.ticks.as_slice();
    let mut wall = rest[0].time.ns();
    let mut epochs = Vec::new();
    let mut lengths = case.epochs.iter().cycle();
    let has_progress = case.epochs.iter().any(|(length, _)| *length > 0);
    while !rest.is_empty() {
        let (length, passed) = lengths.next().unwrap();
        let length = if has_progress { (*length).min(rest.len()) } else { rest.len() };
        let (ticks, behind) = rest.split_at(length);
        rest = behind;
        for tick in ticks {
            let feed = table.get(tick.series).unwrap().feed.index();
            watermarks[feed] = watermarks[feed].max(tick.time);
        }
        wall += passed * 1_000_000;
        let event = watermarks.iter().min().unwrap();
        let clock = if case.has_wall_clock { EventTime::from_ns(wall) } else { *event };
        let epoch = epochs.len() as u64 + 1;
        let moment =
            Moment { epoch, clock, watermarks: watermarks.clone(), is_last: rest.is_empty() };
        epochs.push((ticks.to_vec(), moment));
    }
    epochs
}

fn benches(case: &Case, workers: usize, table: &SeriesTable) -> Vec<Bench> {
    let used = || vec![true, false, true, true];
    (0..workers).map(|_| Bench::with(config(case), table.clone(), None, used())).collect()
}

/// Hands each worker's ticks to its machine, then the moment to all.
fn step(benches: &mut [Bench], table: &SeriesTable, ticks: &[Tick], moment: &Moment) {
    let workers = benches.len();
    for (number, bench) in benches.iter_mut().enumerate() {
        let is_own =
            |tick: &&Tick| worker_of(table.get(tick.series).unwrap().group, workers) == number;
        let own: Vec<Tick> = ticks.iter().filter(is_own).copied().collect();
        // Two batches: where one ends must not matter.
        let (left, right) = own.split_at(own.len() / 2);
        bench.apply(left);
        bench.apply(right);
        bench.seal_at(moment);
    }
}

fn joined(benches: Vec<Bench>) -> Output {
    let mut all = Output::default();
    for bench in benches {
        all.closed.extend(bench.output.closed);
        all.revised.extend(bench.output.revised);
        all.dead.extend(bench.output.dead);
    }
    all
}

fn as_naive(candle: &Candle) -> NaiveCandle {
    let ohlc = |ohlc: &proto::candle::Ohlc| {
        [ohlc.open.units(), ohlc.high.units(), ohlc.low.units(), ohlc.close.units()]
    };
    NaiveCandle {
        end: candle.end.ns(),
        trading_date: candle.trading_date,
        bid: ohlc(&candle.price),
        ask: candle.has(Candle::HAS_ASK).then(|| ohlc(&candle.ask)),
        volume: candle.has(Candle::HAS_VOLUME).then(|| candle.volume.units()),
        ticks: candle.ticks,
        first: (candle.first_time.ns(), candle.first_sequence),
        last: (candle.last_time.ns(), candle.last_sequence),
        revision: candle.revision,
    }
}

fn expected(case: &Case, epochs: &[(Vec<Tick>, Moment)]) -> Naive {
    let seconds = |word: &&str| word.parse::<proto::timeframe::Timeframe>().unwrap().ns();
    let frames = FRAMES[case.frames].iter().map(seconds).collect();
    let mut naive = Naive::new(frames, case.lateness, case.revise_within);
    let mut floor = i64::MIN;
    for (ticks, moment) in epochs {
        for tick in ticks {
            naive.take(*tick, floor);
        }
        floor = moment.clock.ns().saturating_sub(5 * SECOND);
    }
    naive
}

fn compare(output: &Output, naive: &Naive) -> Result<(), TestCaseError> {
    let found: Vec<_> = output
        .table()
        .into_iter()
        .map(|((id, seconds, start), candle)| {
            ((id, i64::from(seconds) * SECOND, start), as_naive(&candle))
        })
        .collect();
    let expected: Vec<_> = naive.candles().into_iter().collect();
    for (found, expected) in found.iter().zip(&expected) {
        prop_assert_eq!(found, expected);
    }
    prop_assert_eq!(found.len(), expected.len());
    let mut rejected = std::collections::BTreeMap::new();
    for reason in output.reasons() {
        *rejected.entry(reason).or_insert(0) += 1;
    }
    prop_assert_eq!(&rejected, &naive.rejected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn candles_are_the_fold_of_their_ticks_whatever_the_epochs_and_workers(
        case in cases(), workers in prop::sample::select(vec![1_usize, 2, 4])
    ) {
        let epochs = epochs(&case);
        let naive = expected(&case, &epochs);
        let table = table();
        let mut benches = benches(&case, workers, &table);
        for (ticks, moment) in &epochs {
            step(&mut benches, &table, ticks, moment);
        }
        let output = joined(benches);
        compare(&output, &naive)?;
        let revisions = output.closed.iter().filter(|candle| candle.revision > 0);
        prop_assert_eq!(revisions.copied().collect::<Vec<_>>(), output.revised);
    }

    #[test]
    fn flat_candles_stand_in_every_empty_window_with_the_close_before_it(
        mut case in cases(), frames in prop::sample::select(vec![0_usize, 2, 3])
    ) {
        (case.is_flat, case.frames) = (true, frames);
        let epochs = epochs(&case);
        let naive = expected(&case, &epochs);
        let table = table();
        let mut benches = benches(&case, 2, &table);
        for (ticks, moment) in &epochs {
            step(&mut benches, &table, ticks, moment);
        }
        let output = joined(benches);
        let (flat, real): (Vec<_>, Vec<_>) =
            output.table().into_iter().partition(|(_, candle)| candle.has(Candle::SYNTHETIC));
        let key = |(id, seconds, start): (_, u32, _)| (id, i64::from(seconds) * SECOND, start);
        let found: Vec<_> = flat.iter().map(|(k, c)| (key(*k), c.price.close.units())).collect();
        let expected: Vec<_> = naive.empty().into_iter().collect();
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(found.len(), expected.len());
        // Real candles are what they are without, but for the number of the revision.
        let real: Vec<_> = real
            .into_iter()
            .map(|(k, c)| (key(k), NaiveCandle { revision: 0, ..as_naive(&c) }))
            .collect();
        let folded = naive.candles().into_iter();
        let folded: Vec<_> = folded.map(|(k, c)| (k, NaiveCandle { revision: 0, ..c })).collect();
        for (found, expected) in real.iter().zip(&folded) {
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(real.len(), folded.len());
    }

    #[test]
    fn a_run_goes_on_from_a_snapshot_as_if_nothing_had_happened(
        case in cases(), cut in 0.0..1.0_f64, before in 1..3_usize, after in 1..4_usize
    ) {
        let epochs = epochs(&case);
        let cut = (epochs.len() as f64 * cut) as usize;
        let old = table();
        let mut first = benches(&case, before, &old);
        for (ticks, moment) in epochs.iter().take(cut) {
            step(&mut first, &old, ticks, moment);
        }
        // Numbers of series may differ after a restart: the order in which they are met does.
        let new = SeriesTable::new();
        for (source, instrument) in [("c", "W"), ("b", "Z"), ("a", "X"), ("b", "X"), ("a", "Y")] {
            new.intern(source, instrument).unwrap();
        }
        let mut second = benches(&case, after, &new);
        for group in 0..KEY_GROUPS {
            let mut bytes = Vec::new();
            first[worker_of(group, before)].machine.snapshot(group, &mut bytes).unwrap();
            second[worker_of(group, after)].machine.restore(group, 1, &bytes).unwrap();
            let mut again = Vec::new();
            second[worker_of(group, after)].machine.snapshot(group, &mut again).unwrap();
            prop_assert!(bytes == again, "the state of group {} came back otherwise", group);
        }
        let done: Vec<usize> = first.iter().map(|bench| bench.output.closed.len()).collect();
        for (ticks, moment) in epochs.iter().skip(cut) {
            step(&mut first, &old, ticks, moment);
            let translate = |tick: &Tick| {
                let series = old.get(tick.series).unwrap();
                let series = new.find(&series.source, &series.instrument).unwrap();
                Tick { series, ..*tick }
            };
            let ticks: Vec<Tick> = ticks.iter().map(translate).collect();
            let mut translated = moment.clone();
            for id in 0..SERIES.len() {
                let series = old.get(proto::series::SeriesId(id as u32)).unwrap();
                let id = new.find(&series.source, &series.instrument).unwrap();
                translated.watermarks[new.get(id).unwrap().feed.index()] =
                    moment.watermark(series.feed);
            }
            step(&mut second, &new, &ticks, &translated);
        }
        let mut rest = Vec::new();
        for (bench, done) in first.iter().zip(done) {
            rest.extend(named(&bench.output.closed[done..], &old));
        }
        let mut restored = Vec::new();
        for bench in &second {
            restored.extend(named(&bench.output.closed, &new));
        }
        // Sorted by series alone: within a series the order must be the same, too.
        rest.sort_by(|left, right| left.0.cmp(&right.0));
        restored.sort_by(|left, right| left.0.cmp(&right.0));
        for (one, other) in rest.iter().zip(&restored) {
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(rest.len(), restored.len());
    }
}

fn named(candles: &[Candle], table: &SeriesTable) -> Vec<(String, Candle)> {
    let name = |candle: &Candle| {
        let series = table.get(candle.series).unwrap();
        let named = format!("{} {}", series.source, series.instrument);
        (named, Candle { series: proto::series::SeriesId(0), ..*candle })
    };
    candles.iter().map(name).collect()
}
