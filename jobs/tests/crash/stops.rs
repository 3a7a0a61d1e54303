//! Runs that are asked to stop, that are done already, or that begin afresh.

use std::process::Command;

use crate::fencing::until;
use crate::world::{World, job, reference, said};

#[test]
fn a_run_that_was_asked_to_stop_goes_on_to_the_same_end() {
    let mut stopped = 0;
    for delay in [0_u64, 50, 150, 300] {
        let world = World::new(&job());
        let mut child = world.start(2);
        // From here on it takes the signal for a wish.
        until(&mut child, || world.path().join("state/crash/journal").exists());
        // The moment of the signal, not a way to wait for something.
        std::thread::sleep(std::time::Duration::from_millis(delay));
        let id = child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(130) => stopped += 1,
            Some(0) => {}
            _ => panic!("{}: {}", output.status, said(&output)),
        }
        world.succeed(1, &[]);
        world.left().assert_is(reference(), &format!("stopped after {delay} ms"));
    }
    assert!(stopped > 0, "no run was stopped in the middle");
}

#[test]
fn a_run_that_is_done_has_nothing_new_and_writes_nothing_twice() {
    let world = World::new(&job());
    let epochs = world.succeed(1, &[])["epochs"].clone();
    for workers in [1, 4] {
        let summary = world.succeed(workers, &[]);
        assert_eq!(summary["epochs"], epochs, "no epoch is minted");
        assert_eq!(summary["resumed"]["checkpoint"], epochs);
        for table in summary["sinks"].as_array().unwrap().iter().take(3) {
            assert_eq!(table[1]["rows"], 0, "{summary}");
        }
        world.left().assert_is(reference(), "run again");
    }
    let output = world.run_and_tell(1).output().unwrap();
    assert!(said(&output).contains("nothing new since the job was run to its end before"));
}

#[test]
fn a_fresh_start_makes_the_same_again_wherever_it_is_killed() {
    let world = World::new(&job());
    assert!(world.crash(1, "table.after_commit", 9));
    for point in ["recovery.before_start", "recovery.after_restore"] {
        let mut command = world.run(2, &["--fresh"]);
        let output = command.env("TAPEFLOW_CRASH", point).output().unwrap();
        assert!(!output.status.success(), "{point} was not met");
    }
    // The tables hold rows of the life before, which a fresh one does not know of.
    std::fs::remove_dir_all(world.path().join("out")).unwrap();
    world.succeed(2, &[]);
    world.left().assert_is(reference(), "fresh");
}
