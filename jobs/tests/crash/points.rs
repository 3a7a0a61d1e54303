//! The process dies at every named step, early and late, once and twice.

use dataflows::crash::POINTS;

use crate::world::{HAS_FILES, World, job, reference};

/// Points that this job cannot meet, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("source.before_ack", "a simulator is read again; only queues are told what is safe"),
    ("source.after_ack", "as before it"),
];

/// The points of sinks that this job meets only with [`HAS_FILES`].
fn is_of_files(point: &str) -> bool {
    !HAS_FILES && (point.starts_with("file.") || point.starts_with("archive."))
}

/// Points that a run meets once: when it starts, when it ends, or with its one segment of the
/// journal.
const ONCE: &[&str] = &[
    "recovery.before_start",
    "recovery.after_restore",
    "recovery.before_begin",
    "recovery.after_begin",
    "journal.before_create",
    "journal.after_create",
    "file.before_rename",
    SEGMENTS,
];

/// The point that a run meets only when an earlier one has left a segment.
const SEGMENTS: &str = "journal.before_forget";

fn die_and_recover(point: &str, count: u32) -> bool {
    let world = World::new(&job());
    let what = format!("{point}:{count}");
    if point == SEGMENTS {
        assert!(world.crash(1, "checkpoint.after_record", 1));
    }
    if !world.crash(1, point, count) {
        return false;
    }
    // The restart dies at the same point, if it comes so far.
    if count > 1 {
        world.crash(2, point, count);
    }
    world.succeed(4, &[]);
    world.left().assert_is(reference(), &what);
    true
}

fn try_points(points: &[&str]) {
    let mut not_met = Vec::new();
    for point in points.iter().filter(|point| !is_of_files(point)) {
        let is_met = die_and_recover(point, 1);
        let is_met_again = ONCE.contains(point) || die_and_recover(point, 3);
        if !(is_met && is_met_again) {
            not_met.push((*point, is_met));
        }
    }
    let expected: Vec<(&str, bool)> = ELSEWHERE.iter().map(|(point, _)| (*point, false)).collect();
    not_met.retain(|point| !expected.contains(point));
    assert!(not_met.is_empty(), "not met (whether at all): {not_met:?}");
}

fn of(rooms: &[&str]) -> Vec<&'static str> {
    let room = |point: &str| point.split('.').next().unwrap_or_default().to_owned();
    POINTS.iter().copied().filter(|point| rooms.contains(&room(point).as_str())).collect()
}

#[test]
fn whatever_step_of_the_journal_a_run_dies_at_nothing_is_lost_or_doubled() {
    try_points(&of(&["journal", "recovery"]));
}

#[test]
fn whatever_step_of_a_checkpoint_a_run_dies_at_nothing_is_lost_or_doubled() {
    try_points(&of(&["checkpoint", "sink"]));
}

#[test]
fn whatever_step_of_a_sink_a_run_dies_at_nothing_is_lost_or_doubled() {
    try_points(&of(&["table", "file", "archive"]));
}

#[test]
fn every_point_is_tried() {
    // A replay of dead letters is no run: `jobs/tests/amqp` kills it.
    let rooms =
        ["journal", "recovery", "checkpoint", "sink", "table", "file", "archive", "source", "dlq"];
    assert_eq!(of(&rooms).len(), POINTS.len(), "a room of points is missing in this list");
    for (point, _) in ELSEWHERE {
        assert!(POINTS.contains(point), "{point} is no point any more");
    }
}
