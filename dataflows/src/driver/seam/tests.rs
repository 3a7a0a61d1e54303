//! However a stream is cut into what the queue delivers and what only the archive has, every tick
//! is handed in as often as the stream had it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use proto::tick::Tick;

use super::{Saved, Seam};

const STRETCH: i64 = 10;
const BASE: i64 = 1_700_000_000_000_000_000;
const FEEDS: [&str; 2] = ["mt4", "ib"];

/// How far the stream moves on, the feed, how late the tick is, its price, whether it has a sequence.
type Step = (u8, u8, u8, u8, bool);

fn stream(series: &SeriesTable, steps: &[Step]) -> Vec<Tick> {
    let mut base = BASE;
    let tick = |(number, (on, feed, late, bid, is_numbered)): (usize, &Step)| {
        base += i64::from(*on);
        Tick {
            series: series.intern(FEEDS[usize::from(*feed) % 2], "EURUSD").unwrap(),
            time: EventTime::from_ns(base - i64::from(*late)),
            bid: Price::from_units(i64::from(*bid)),
            sequence: if *is_numbered { number as u64 } else { 0 },
            flags: if *is_numbered { Tick::HAS_SEQUENCE } else { 0 },
            ..Tick::default()
        }
    };
    steps.iter().enumerate().map(tick).collect()
}

type Content = (u32, i64, i64, u64);

fn count(counts: &mut BTreeMap<Content, i64>, tick: &Tick, by: i64) {
    let content = (tick.series.0, tick.time.ns(), tick.bid.units(), tick.sequence);
    *counts.entry(content).or_default() += by;
}

fn again(seam: &Seam, series: &SeriesTable) -> Seam {
    let saved = Saved::decode(&seam.encode()).unwrap();
    Seam::new(series.clone(), STRETCH, Some(saved))
}

fn clock() -> EventTime {
    EventTime::MAX
}

/// How much of the stream an archive must have before it is read: it is so far beyond the queue's
/// first ticks that nothing behind it has the time of a tick that is taken from it.
fn complete(stream: &[Tick], goes_on: usize, first: &[Option<i64>; 2]) -> usize {
    let most = first.iter().flatten().max().copied().unwrap_or(i64::MIN);
    let behind = |tick: &Tick| tick.time.ns() > most + 2 * STRETCH;
    let found = stream[goes_on..].iter().position(behind);
    found.map_or(stream.len(), |found| goes_on + found + 1)
}

/// What of the archive lies before `first`, the queue's first tick of each feed, or not far behind.
fn archive(stream: &[Tick], first: &[Option<i64>; 2]) -> Vec<Tick> {
    let mut ticks = stream.to_vec();
    ticks.retain(|tick| {
        first[tick.series.index()].is_none_or(|first| tick.time.ns() <= first + STRETCH)
    });
    ticks.sort_by_key(|tick| tick.time);
    ticks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_missing_and_nothing_twice(
        steps in prop::collection::vec((0..6_u8, 0..2_u8, 0..=10_u8, 0..2_u8, any::<bool>()), 1..200),
        holes in prop::collection::vec(
            (1..40_usize, 0..30_usize, 0..20_usize, prop::option::of(0..60_usize), 0..30_usize),
            1..4,
        ),
    ) {
        let series = SeriesTable::new();
        for feed in FEEDS {
            series.intern(feed, "EURUSD").unwrap();
        }
        let stream = stream(&series, &steps);
        let mut handed_in = BTreeMap::new();
        let mut seam = Seam::new(series.clone(), STRETCH, None);
        let take = |seam: &mut Seam, ticks: &[Tick], counts: &mut BTreeMap<Content, i64>| {
            let keep = seam.live(ticks, clock()).unwrap_or_else(|| vec![true; ticks.len()]);
            ticks.iter().zip(keep).filter(|(_, keep)| *keep).for_each(|(t, _)| count(counts, t, 1));
        };
        let mut at = 0;
        // The queue gives so many ticks and loses so many; the archive has so many more by then. The
        // job is killed when it has read so many of the archive's, and after so many of the queue's.
        for (live, lost, more, killed, then) in holes {
            let end = (at + live).min(stream.len());
            take(&mut seam, &stream[at..end], &mut handed_in);
            let goes_on = (end + lost).min(stream.len());
            let mut first = [None; 2];
            for tick in &stream[goes_on..] {
                first[tick.series.index()].get_or_insert(tick.time.ns());
            }
            let archived = (complete(&stream, goes_on, &first) + more).min(stream.len());
            let archive = archive(&stream[..archived], &first);
            for stop in killed.into_iter().chain([usize::MAX]) {
                seam.begin();
                let ticks = &archive[..stop.min(archive.len())];
                let keep = seam.archived(ticks, clock());
                let kept = ticks.iter().zip(keep).filter(|(_, keep)| *keep);
                kept.for_each(|(tick, _)| count(&mut handed_in, tick, 1));
                if stop != usize::MAX {
                    seam = again(&seam, &series);
                }
            }
            seam.end();
            let killed = (goes_on + then).min(stream.len());
            take(&mut seam, &stream[goes_on..killed], &mut handed_in);
            seam = again(&seam, &series);
            at = killed;
        }
        take(&mut seam, &stream[at..], &mut handed_in);
        let mut expected = BTreeMap::new();
        stream.iter().for_each(|tick| count(&mut expected, tick, 1));
        prop_assert_eq!(handed_in, expected);
    }
}

#[test]
fn of_equal_ticks_without_a_sequence_each_counts() {
    let series = SeriesTable::new();
    let same = stream(&series, &[(0, 0, 0, 1, false); 5]);
    let mut seam = Seam::new(series, STRETCH, None);
    assert_eq!(seam.live(&same[..2], clock()), None);
    seam.begin();
    assert_eq!(seam.archived(&same, clock()), [false, false, true, true, true]);
    seam.end();
    assert_eq!(seam.live(&same[3..], clock()), Some(vec![false, false]));
}

#[test]
fn a_tick_from_the_far_future_moves_nothing() {
    let series = SeriesTable::new();
    let mut ticks = stream(&series, &[(1, 0, 0, 1, true), (1, 0, 0, 1, true)]);
    ticks[1].time = EventTime::from_ns(BASE + 400 * super::AHEAD_MAX);
    let mut seam = Seam::new(series, STRETCH, None);
    assert_eq!(seam.live(&ticks, EventTime::from_ns(BASE)), None);
    assert_eq!(seam.feeds().values().copied().collect::<Vec<_>>(), [ticks[0].time]);
}
