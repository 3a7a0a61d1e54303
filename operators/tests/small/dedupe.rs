//! What `dedupe` promises.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proto::decimal::{Price, Quantity};
use proto::series::SeriesId;
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::small::rig::{self, Shape, all, cut, cuts, every_second, seconds, shapes};

fn tick(at: i64, sequence: u64, flags: u32) -> Tick {
    Tick { time: seconds(at), sequence, flags, bid: Price::from_units(7), ..Tick::default() }
}

/// Which of `ticks`, by place, are taken for duplicates.
fn duplicates(config: &Value, ticks: &[Tick]) -> Vec<usize> {
    // The ask tells where a tick stands and is not part of an identity with a sequence.
    let steps = every_second([ticks.to_vec()]);
    let results = rig::run("dedupe", config, &steps, &(Shape::PLAIN)());
    let mut left = all::<Tick>(&results, 0).into_iter().peekable();
    let dropped = all::<Tick>(&results, 1);
    let places: Vec<usize> =
        (0..ticks.len()).filter(|at| left.next_if(|next| *next == ticks[*at]).is_none()).collect();
    let at_places: Vec<Tick> = places.iter().map(|at| ticks[*at]).collect();
    assert_eq!(dropped, at_places);
    places
}

const NUMBERED: u32 = Tick::HAS_SEQUENCE;
const AGAIN: u32 = Tick::IS_REDELIVERED;

#[test]
fn a_second_tick_with_the_same_time_and_sequence_is_a_duplicate_whatever_it_says() {
    let other = Tick { bid: Price::from_units(9), ..tick(1, 1, NUMBERED) };
    let ticks = [
        tick(1, 1, NUMBERED),
        tick(1, 2, NUMBERED),
        other,
        tick(2, 1, NUMBERED),
        tick(2, 1, NUMBERED),
    ];
    assert_eq!(duplicates(&json!({}), &ticks), [2, 4]);
}

#[test]
fn the_same_numbers_in_another_series_are_another_tick() {
    let ticks = [tick(1, 1, NUMBERED), Tick { series: SeriesId(1), ..tick(1, 1, NUMBERED) }];
    assert_eq!(duplicates(&json!({}), &ticks), Vec::<usize>::new());
}

#[test]
fn equal_ticks_without_a_sequence_are_kept_unless_they_were_delivered_before() {
    // The engine numbers them as they arrive; that makes no identity.
    let ticks = [tick(1, 1, 0), tick(1, 2, 0), tick(1, 3, AGAIN), tick(2, 4, AGAIN)];
    assert_eq!(duplicates(&json!({}), &ticks), [2]);
    let sized = Tick { volume: Quantity::from_units(5), ..tick(1, 4, AGAIN | Tick::HAS_VOLUME) };
    assert_eq!(duplicates(&json!({}), &[tick(1, 1, 0), sized]), Vec::<usize>::new());
}

#[test]
fn a_tick_older_than_what_is_remembered_passes_unless_it_was_delivered_before() {
    let config = json!({"within": "10s"});
    let old = |flags| [tick(0, 1, NUMBERED), tick(11, 2, NUMBERED), tick(0, 1, NUMBERED | flags)];
    assert_eq!(duplicates(&config, &old(0)), Vec::<usize>::new());
    assert_eq!(duplicates(&config, &old(AGAIN)), [2]);
    let just = [tick(0, 1, NUMBERED), tick(10, 2, NUMBERED), tick(0, 1, NUMBERED)];
    assert_eq!(duplicates(&config, &just), [2]);
}

#[test]
fn a_busy_series_forgets_its_oldest_ticks_first() {
    let config = json!({"remembered_max": 2});
    let ticks = [1, 2, 3, 1, 2, 3].map(|sequence| tick(1, sequence, NUMBERED));
    assert_eq!(duplicates(&config, &ticks), [4, 5]);
    assert_eq!(rig::definition("dedupe").check(&json!({"remembered_max": 0})).len(), 1);
}

/// The rules once more: everything ever seen is kept, and asked whether it would be remembered.
fn model(ticks: &[Tick], within: i64, limit: usize) -> Vec<bool> {
    type Key = (i64, u64, [i64; 3], Option<i64>);
    let mut verdicts = Vec::new();
    for (at, tick) in ticks.iter().enumerate() {
        let is_numbered = |tick: &Tick| tick.has(NUMBERED);
        let key = |tick: &Tick| -> Key {
            if is_numbered(tick) {
                return (tick.time.ns(), tick.sequence, [0; 3], None);
            }
            let volume = tick.has(Tick::HAS_VOLUME).then_some(tick.volume.units());
            let prices = [tick.bid.units(), tick.ask.units(), tick.last.units()];
            (tick.time.ns(), 0, prices, volume)
        };
        let (mut newest, mut floor) = (i64::MIN, None);
        let mut seen: BTreeSet<Key> = BTreeSet::new();
        let mut verdict = true;
        for other in ticks[..=at].iter().filter(|other| other.series == tick.series) {
            newest = newest.max(other.time.ns());
            if is_numbered(other) != is_numbered(tick) {
                continue;
            }
            let horizon = newest.saturating_sub(within * 1_000_000_000);
            let key = key(other);
            let is_known = key.0 >= horizon && floor.is_none_or(|floor| key > floor);
            let is_again = other.has(AGAIN);
            verdict = match (is_known, seen.contains(&key)) {
                (false, _) => !is_again,
                (true, true) => !is_numbered(other) && !is_again,
                (true, false) => true,
            };
            if is_known {
                seen.insert(key);
            }
            while seen.iter().filter(|key| key.0 >= horizon).count() > limit {
                let first = *seen.iter().find(|key| key.0 >= horizon).unwrap();
                floor = floor.max(Some(first));
                seen.remove(&first);
            }
        }
        verdicts.push(verdict);
    }
    verdicts
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let row = (0..3_u32, 0..6_i64, 0..3_u64, 0..8_u32, 1..3_i64, any::<bool>());
    proptest::collection::vec(row, 0..60).prop_map(|rows| {
        let numbered = |(at, (series, jitter, sequence, flags, bid, has_jump))| {
            let base: usize = at;
            let jump = if has_jump { base as i64 / 2 } else { base as i64 / 8 };
            Tick {
                series: SeriesId(series),
                bid: Price::from_units(bid),
                volume: Quantity::from_units(1),
                ..tick(jump + jitter, sequence, flags)
            }
        };
        rows.into_iter().enumerate().map(numbered).collect()
    })
}

proptest! {
    #[test]
    fn every_tick_passes_or_not_as_the_rules_say_however_it_comes(
        ticks in ticks(), cuts in cuts(), shape in shapes(), within in 0..12_i64,
        limit in 1..20_usize,
    ) {
        let config = json!({"within": format!("{within}s"), "remembered_max": limit});
        let results = rig::run("dedupe", &config, &every_second(cut(&ticks, &cuts)), &shape);
        let verdicts = model(&ticks, within, limit);
        for (port, passes) in [(0, true), (1, false)] {
            let mut wanted: Vec<Tick> = ticks.iter().zip(&verdicts)
                .filter(|(_, verdict)| **verdict == passes).map(|(tick, _)| *tick).collect();
            wanted.sort_by_key(|tick| tick.series);
            prop_assert_eq!(all::<Tick>(&results, port), wanted);
        }
    }
}
