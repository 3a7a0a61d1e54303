//! A run from source to sink: nothing lost, nothing twice, the same with any number of workers, and a
//! clean end whatever fails.

use std::sync::atomic::Ordering;

use dataflows::component::sink::Ending;
use dataflows::fault::Fault;
use dataflows::job::plan::ClockSource;
use proto::event_time::EventTime;
use serde_json::json;

use crate::fakes::{BASE, Rig};

/// Rows without the epochs, sorted by series and sequence.
fn canonical(rows: &[(u64, String, u64, i64)]) -> Vec<(String, u64, i64)> {
    let mut rows: Vec<_> = rows.iter().map(|(_, n, s, v)| (n.clone(), *s, *v)).collect();
    rows.sort();
    rows
}

#[test]
fn every_tick_arrives_once_whatever_the_workers_and_batches() {
    let run = |workers, batch, epoch| {
        let mut rig = Rig::new(json!({ "count": 1_000, "series": 23, "batch": batch }));
        rig.run.workers = workers;
        rig.run.epoch_records_max = epoch;
        let (outcome, memory) = rig.run();
        assert!(outcome.unwrap().complete);
        assert_eq!(memory.endings, [Ending::Complete]);
        canonical(&memory.rows)
    };
    let expected = run(1, 10, 7);
    assert_eq!(expected.len(), 1_000);
    for (workers, batch, epoch) in [(1, 1_000, 1), (2, 10, 7), (4, 3, 1), (4, 100, 10_000)] {
        assert_eq!(run(workers, batch, epoch), expected, "{workers} workers, batches of {batch}");
    }
}

#[test]
fn with_one_set_of_epochs_any_number_of_workers_gives_the_same_epochs() {
    let run = |workers| {
        let mut rig = Rig::new(json!({ "count": 500, "series": 9 }));
        rig.run.workers = workers;
        let (_, memory) = rig.run();
        let mut rows = memory.rows;
        rows.sort();
        (rows, memory.moments)
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_event_clock_is_the_least_time_that_all_sources_have_reached() {
    let mut rig = Rig::new(json!({ "count": 40, "batch": 4 }));
    rig.sources.push(json!({ "count": 20, "batch": 3 }));
    let (_, memory) = rig.run();
    let clocks: Vec<EventTime> = memory.moments.iter().map(|m| m.clock).collect();
    assert!(clocks.is_sorted());
    let last = memory.moments.last().unwrap();
    assert!(last.is_last);
    assert_eq!(last.clock, EventTime::from_ns(BASE + 39));
    assert_eq!(memory.moments.iter().filter(|m| m.is_last).count(), 1);
    assert_eq!(memory.rows.len(), 60);
}

#[test]
fn with_the_wall_clock_everything_arrives_too() {
    let mut rig = Rig::new(json!({ "count": 300, "batch": 1 }));
    rig.run.clock = ClockSource::Wall;
    rig.run.workers = 2;
    let (outcome, memory) = rig.run();
    assert!(outcome.unwrap().complete);
    assert_eq!(memory.rows.len(), 300);
    assert!(memory.moments.last().unwrap().is_last);
}

#[test]
fn a_live_epoch_closes_at_its_age_even_if_more_is_there() {
    let mut rig = Rig::new(json!({ "count": 50, "batch": 1 }));
    rig.run.clock = ClockSource::Wall;
    rig.run.epoch_every = std::time::Duration::ZERO;
    rig.run.epoch_records_max = 1_000;
    let (outcome, memory) = rig.run();
    assert!(outcome.unwrap().complete);
    assert_eq!(memory.rows.len(), 50);
    let mut epochs: Vec<u64> = memory.rows.iter().map(|row| row.0).collect();
    epochs.dedup();
    assert_eq!(epochs.len(), 50, "one batch an epoch");
}

#[test]
fn a_failing_source_ends_the_run_and_tells_the_sink() {
    let (outcome, memory) = Rig::new(json!({ "count": 100, "fail_at": 50 })).run();
    assert!(matches!(outcome, Err(Fault::Stop { place, .. }) if place == "ticks.csv:7"));
    assert_eq!(memory.endings, [Ending::Failed]);
}

#[test]
fn a_failing_sink_ends_the_run_without_leaving_anyone_waiting() {
    let mut rig = Rig::new(json!({ "count": 100_000, "batch": 1 }));
    rig.run.epoch_records_max = 1;
    rig.run.workers = 2;
    rig.sink = json!({ "fail_at": 3 });
    let (outcome, memory) = rig.run();
    assert!(matches!(outcome, Err(Fault::Stop { place, .. }) if place == "fake.db"));
    assert_eq!(memory.endings, [Ending::Failed]);
    assert!(memory.moments.iter().all(|m| m.epoch < 3));
}

#[test]
fn a_panic_on_one_worker_of_four_becomes_a_fault() {
    let mut rig = Rig::new(json!({ "count": 10_000, "series": 23 }));
    rig.operator = json!({ "panic_at": 500 });
    rig.run.workers = 4;
    let (outcome, memory) = rig.run();
    assert!(matches!(outcome, Err(Fault::Defect { message, .. }) if message == "planted panic"));
    assert_eq!(memory.endings, [Ending::Failed]);
}

#[test]
fn a_stop_ends_in_good_order_and_closes_nothing_that_is_not_whole() {
    let rig = Rig::new(json!({ "count": u64::MAX, "batch": 1 }));
    let stop = rig.stop.clone();
    let run = std::thread::spawn(move || rig.run());
    stop.store(true, Ordering::Relaxed);
    let (outcome, memory) = run.join().unwrap();
    assert!(!outcome.unwrap().complete);
    assert_eq!(memory.endings, [Ending::Interrupted]);
    assert!(memory.moments.iter().all(|m| !m.is_last));
}
