//! What `throttle` promises.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::candle::{Candle, Reason};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::tick::Tick;
use serde_json::json;

use crate::small::last::{candle, candles, ticks};
use crate::small::rig::{self, Sample, Shape, Step, by_epoch, cut, cuts, seconds, shapes};

/// Epochs with their clocks, in tenths of a second.
fn steps<T: Clone>(epochs: &[(i64, &[T])]) -> Vec<Step<T>> {
    let clock = |tenths: i64| EventTime::from_ns(tenths * 100_000_000);
    let step = |(tenths, rows): &(i64, &[T])| Step {
        rows: rows.to_vec(),
        clock: clock(*tenths),
        is_last: false,
    };
    epochs.iter().map(step).collect()
}

fn tick(at: i64) -> Tick {
    Tick { time: seconds(at), ..Tick::default() }
}

#[test]
fn the_first_goes_out_at_once_the_newest_after_the_interval_even_if_nothing_else_comes() {
    let steps = steps(&[
        (10, &[tick(1)]),
        (15, &[tick(2), tick(3)]),
        (19, &[]),
        (20, &[]),
        (29, &[tick(4)]),
        (45, &[tick(5)]),
        (50, &[]),
    ]);
    let results = rig::run("throttle", &json!({"every": "1s"}), &steps, &(Shape::PLAIN)());
    let sent = by_epoch::<Tick>(&results, 0);
    let wanted = [vec![tick(1)], vec![], vec![], vec![tick(3)], vec![], vec![tick(5)], vec![]];
    assert_eq!(sent, wanted);
    assert_eq!(by_epoch::<Tick>(&results, 1).concat(), [tick(2), tick(4)]);
}

#[test]
fn what_is_older_than_what_was_sent_or_waits_is_skipped() {
    let steps = steps(&[(10, &[tick(5)]), (11, &[tick(4), tick(7), tick(6)]), (30, &[])]);
    let results = rig::run("throttle", &json!({}), &steps, &(Shape::PLAIN)());
    assert_eq!(by_epoch::<Tick>(&results, 0), [vec![tick(5)], vec![], vec![tick(7)]]);
    assert_eq!(by_epoch::<Tick>(&results, 1).concat(), [tick(4), tick(6)]);
}

#[test]
fn at_the_end_of_input_all_that_waits_goes_out() {
    let mut steps = steps(&[(10, &[tick(1)]), (11, &[tick(2)])]);
    steps[1].is_last = true;
    let results = rig::run("throttle", &json!({"every": "1h"}), &steps, &(Shape::PLAIN)());
    assert_eq!(by_epoch::<Tick>(&results, 0).concat(), [tick(1), tick(2)]);
}

#[test]
fn the_close_of_a_candle_goes_out_when_the_next_one_starts() {
    let at = |start, ticks, reason| Candle { ticks, ..candle(0, "1m", start, 0, reason) };
    let opens = [at(0, 1, Reason::Open), at(0, 2, Reason::Open)];
    let closed = at(0, 3, Reason::Closed);
    let next = [at(60, 4, Reason::Open), at(60, 5, Reason::Open)];
    let late = Candle { revision: 1, ..at(0, 6, Reason::Late) };
    let steps = steps(&[
        (10, &opens[..1]),
        (11, &opens[1..]),
        (12, &[closed, next[0]]),
        (13, &next[1..]),
        (20, &[late]),
    ]);
    let results = rig::run("throttle", &json!({}), &steps, &(Shape::PLAIN)());
    let wanted = [vec![opens[0]], vec![], vec![closed], vec![], vec![next[1]]];
    assert_eq!(by_epoch::<Candle>(&results, 0), wanted);
    assert_eq!(by_epoch::<Candle>(&results, 1).concat(), [opens[1], next[0], late]);
}

#[test]
fn an_interval_of_nothing_is_a_mistake() {
    let check = |config| rig::definition("throttle").check(&config);
    assert_eq!(check(json!({"every": "0s"}))[0].0, "every");
    assert_eq!(check(json!({"every": "250ms"})), []);
}

/// The key of a record and where it stands: (series, timeframe), (time, number, settled).
type Place = ((SeriesId, u32), (EventTime, u64, bool));

/// The rules once more, over the whole history of each key on its own: what each epoch sends.
fn model<T: Sample + Copy>(
    steps: &[Step<T>],
    every: i64,
    has_windows: bool,
    place: impl Fn(&T) -> Place,
) -> Vec<Vec<T>> {
    let mut keys: BTreeMap<(SeriesId, u32), ()> = BTreeMap::new();
    for row in steps.iter().flat_map(|step| &step.rows) {
        keys.insert(place(row).0, ());
    }
    let mut sent = vec![Vec::new(); steps.len()];
    for key in keys.into_keys() {
        // All that was ever let in, in order, and how many of these are done with.
        let mut line: Vec<T> = Vec::new();
        let (mut done, mut last_at) = (0, None);
        for (step, sent) in steps.iter().zip(&mut sent) {
            for row in step.rows.iter().filter(|row| place(row).0 == key) {
                let (_, at) = place(row);
                if let Some(newest) = line.last().map(|row| place(row).1) {
                    if at < newest || (at == newest && at.2) {
                        continue;
                    }
                    if has_windows && at.0 > newest.0 && done < line.len() {
                        sent.push(*line.last().unwrap());
                        done = line.len();
                    }
                }
                line.push(*row);
            }
            let now = step.clock.ns();
            let is_due = last_at.is_none_or(|last| now - last >= every) || step.is_last;
            if is_due && done < line.len() {
                sent.push(*line.last().unwrap());
                (done, last_at) = (line.len(), Some(now));
            }
        }
    }
    sent
}

/// Steps whose clocks go on by these tenths of a second; the last one may be the end.
fn clocked<T: Clone>(epochs: Vec<Vec<T>>, pauses: &[i64], has_end: bool) -> Vec<Step<T>> {
    let mut clock = 0;
    let count = epochs.len();
    let step = |(at, rows): (usize, Vec<T>)| {
        clock += pauses.get(at).copied().unwrap_or(3) * 100_000_000;
        let is_last = has_end && at + 1 == count;
        Step { rows, clock: EventTime::from_ns(clock), is_last }
    };
    epochs.into_iter().enumerate().map(step).collect()
}

fn pauses() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(0..8_i64, 0..60)
}

/// Everything that came was sent, skipped or still waits, and nothing twice.
fn is_accounted_for<T: Sample + PartialEq>(
    steps: &[Step<T>],
    sent: &[Vec<T>],
    skipped: &[Vec<T>],
    has_end: bool,
) -> Result<(), TestCaseError> {
    let mut left: Vec<T> = steps.iter().flat_map(|step| step.rows.clone()).collect();
    for row in sent.iter().chain(skipped).flatten() {
        let at = left.iter().position(|other| other == row);
        prop_assert!(at.is_some(), "{row:?} never came");
        left.remove(at.unwrap());
    }
    prop_assert!(!has_end || left.is_empty(), "lost: {left:?}");
    Ok(())
}

proptest! {
    #[test]
    fn ticks_go_out_as_the_rules_say_and_none_is_lost(
        ticks in ticks(), cuts in cuts(), shape in shapes(), pauses in pauses(),
        has_end in any::<bool>(),
    ) {
        let steps = clocked(cut(&ticks, &cuts), &pauses, has_end);
        let results = rig::run("throttle", &json!({"every": "1s"}), &steps, &shape);
        let (sent, skipped) = (by_epoch::<Tick>(&results, 0), by_epoch::<Tick>(&results, 1));
        let place = |tick: &Tick| ((tick.series, 0), (tick.time, tick.sequence, true));
        prop_assert_eq!(&sent, &model(&steps, 1_000_000_000, false, place));
        is_accounted_for(&steps, &sent, &skipped, has_end)?;
    }

    #[test]
    fn candles_go_out_as_the_rules_say_and_none_is_lost(
        candles in candles(), cuts in cuts(), shape in shapes(), pauses in pauses(),
        has_end in any::<bool>(),
    ) {
        let steps = clocked(cut(&candles, &cuts), &pauses, has_end);
        let results = rig::run("throttle", &json!({"every": "1s"}), &steps, &shape);
        let (sent, skipped) = (by_epoch::<Candle>(&results, 0), by_epoch::<Candle>(&results, 1));
        let place = |candle: &Candle| {
            let is_settled = candle.reason != Reason::Open;
            let at = (candle.start, u64::from(candle.revision), is_settled);
            ((candle.series, candle.timeframe.seconds()), at)
        };
        prop_assert_eq!(&sent, &model(&steps, 1_000_000_000, true, place));
        is_accounted_for(&steps, &sent, &skipped, has_end)?;
    }
}
