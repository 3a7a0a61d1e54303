//! A recording that is killed, and gone on with.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::kills::Moments;
use crate::world::{ABORTED, KILLED, World, said};

/// Checkpoints as often as can be: a machine that is idle has read everything before the interval of
/// the other tests is over, and behind the last checkpoint there is nothing left to die at.
fn job() -> String {
    crate::world::job().replace("every: 50ms", "every: 1ms")
}

fn record(world: &World, point: Option<&str>, is_begun: bool) -> Output {
    let mut command = world.call(&["record", "job.yaml", "--recording", "tape"]);
    if is_begun {
        command.arg("--continue");
    }
    command.envs(point.map(|point| ("TAPEFLOW_CRASH", point)));
    command.output().unwrap()
}

/// Replays what was recorded and compares with what an undisturbed recording gave.
fn assert_same(world: &World, expected: &World, what: &str) {
    let expected = expected.path().join("results").display().to_string();
    let arguments = ["replay", "job.yaml", "--recording", "tape", "--expect", &expected];
    let output = world.call(&arguments).output().unwrap();
    assert!(output.status.success(), "{what}: {}", said(&output));
}

/// A recording that nobody disturbs, with its results.
fn undisturbed() -> World {
    let world = World::new(&job());
    let output = record(&world, None, false);
    assert!(output.status.success(), "{}", said(&output));
    let replay = ["replay", "job.yaml", "--recording", "tape", "--out", "results"];
    let output = world.call(&replay).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    world
}

#[test]
fn a_recording_that_was_killed_goes_on_to_the_same() {
    let expected = undisturbed();
    for points in [
        ["recovery.before_start", "recovery.before_begin"],
        ["journal.after_create", "journal.after_write"],
        ["journal.after_write:3", "journal.after_sync:3"],
        ["checkpoint.after_snapshot", "checkpoint.after_manifest"],
        ["checkpoint.before_record", "checkpoint.after_record"],
    ] {
        let world = World::new(&job());
        for (number, point) in points.iter().enumerate() {
            let output = record(&world, Some(point), number > 0);
            assert_eq!(output.status.signal(), Some(ABORTED), "{point}: {}", said(&output));
        }
        let output = record(&world, None, true);
        assert!(output.status.success(), "{points:?}: {}", said(&output));
        assert_same(&world, &expected, &format!("{points:?}"));
    }
    let mut moments = Moments::new(7);
    let world = World::new(&job());
    let mut kills = 0;
    for _ in 0..4 {
        let is_begun = world.path().join("tape/recording.json").exists();
        let mut command = world.call(&["record", "job.yaml", "--recording", "tape"]);
        command.args(is_begun.then_some("--continue"));
        let mut child = command.spawn().unwrap();
        // The fault itself, not a way to wait for something.
        std::thread::sleep(std::time::Duration::from_millis(moments.next(400)));
        child.kill().unwrap();
        kills += u32::from(child.wait().unwrap().signal() == Some(KILLED));
    }
    let is_begun = world.path().join("tape/recording.json").exists();
    let output = record(&world, None, is_begun);
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&world, &expected, &format!("killed {kills} times"));
}
