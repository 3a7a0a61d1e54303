//! Two processes on one job.

use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::world::{World, job, said};

/// A job that goes on for minutes, whose checkpoints two machines share.
fn endless(shared: &Path) -> String {
    let job = job().replace("    batch: 100\n", "    speed: 60\n");
    let shared = format!("  path: state\n  checkpoints: file://{}/checkpoints\n", shared.display());
    job.replace("  path: state\n", &shared).replace("sqlite:out", &format!("sqlite:{}", "out"))
}

/// Waits until something holds of the world that a running child changes.
pub(crate) fn until(child: &mut Child, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        assert!(started.elapsed() < Duration::from_secs(60), "it never came so far");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn records(shared: &Path) -> usize {
    std::fs::read_dir(shared.join("checkpoints/crash/records")).into_iter().flatten().count()
}

#[test]
fn a_second_process_is_refused_while_one_runs() {
    let world = World::new(&job());
    std::fs::create_dir_all(world.path().join("state/crash")).unwrap();
    let lock = File::create(world.path().join("state/crash/lock")).unwrap();
    lock.lock().unwrap();
    let output = world.run(1, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("another process runs job crash"), "{}", said(&output));
    assert!(!world.path().join("out").exists(), "it has touched nothing");
    drop(lock);
    world.succeed(1, &[]);
}

#[test]
fn a_process_whose_job_was_started_elsewhere_ends_and_says_so() {
    let shared = tempfile::tempdir().unwrap();
    let old = World::new(&endless(shared.path()));
    let new = World::new(&endless(shared.path()));
    let mut first = old.start(1);
    until(&mut first, || records(shared.path()) >= 2);
    let mut second = new.run(1, &["--fresh"]).spawn().unwrap();
    let output = first.wait_with_output().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("another start of job crash has written here since"), "{said}");
    assert!(said.contains("Only one process may run a job"), "{said}");
}
