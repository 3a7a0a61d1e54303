//! A process that stands by, and takes over from one that hangs.

use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::server::{self, Schema};
use crate::world::{World, assert_rows, job, said};

/// How often it is tried: a leader may be through before it is stopped.
const ATTEMPTS: usize = 10;

fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn checkpoints(world: &World, job: &str) -> usize {
    let records = world.path().join(format!("state/{job}/checkpoints/records"));
    std::fs::read_dir(records).into_iter().flatten().count()
}

/// Stops a leader in the middle; false: it was over before.
fn stop_in_the_middle(world: &World, job: &str, leader: &mut Child) -> bool {
    let started = Instant::now();
    while checkpoints(world, job) < 3 {
        if leader.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it never came so far");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal("-STOP", leader);
    leader.try_wait().unwrap().is_none()
}

/// The leader is stopped past its lease, another process takes over and ends the job, then the leader
/// wakes up.
fn a_leader_that_hangs(lease: Option<&str>, what: &str) {
    // Files stay locked by who sleeps; a server lets others on.
    let Some((server, mut schema)) = Schema::new(what) else { return };
    let text =
        server::job(&server, &schema.name, "").replace("job: crash", &format!("job: {what}"));
    let undisturbed = World::new(&text);
    undisturbed.succeed(1, &[]);
    let rows = schema.rows();
    let url = lease.unwrap_or(&server);
    let text = text.replace("run: { ", &format!("run: {{ lease: {{ url: '{url}', ttl: 1s }}, "));
    let mut stopped = 0;
    for _ in 0..ATTEMPTS {
        schema.renew();
        let world = World::new(&text);
        let mut leader = world.start(1);
        let is_stopped = stop_in_the_middle(&world, what, &mut leader);
        let standby = world.run(2, &["--standby"]).output().unwrap();
        assert!(standby.status.success(), "{}", said(&standby));
        assert_rows(&schema.rows(), &rows, "taken over");
        signal("-CONT", &leader);
        let old = leader.wait_with_output().unwrap();
        if is_stopped {
            stopped += 1;
            assert_eq!(old.status.code(), Some(1), "{}", said(&old));
        }
        // What it has left behind does not stand in the way of the next start.
        world.succeed(1, &[]);
        assert_rows(&schema.rows(), &rows, "after the old leader woke up");
        if stopped == 2 {
            return;
        }
    }
    panic!("no leader was stopped in the middle");
}

#[test]
fn a_leader_that_hangs_is_replaced_and_writes_nothing_when_it_wakes_up_by_postgresql() {
    a_leader_that_hangs(None, "standby");
}

#[test]
fn a_leader_that_hangs_is_replaced_and_writes_nothing_when_it_wakes_up_by_redis() {
    if TcpStream::connect("127.0.0.1:6379").is_err() {
        assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "Redis does not answer");
        eprintln!("SKIPPED: no Redis on 127.0.0.1:6379");
        return;
    }
    a_leader_that_hangs(Some("redis://127.0.0.1:6379"), "standby_redis");
}

#[test]
fn a_job_whose_lease_another_process_has_does_not_start_without_standing_by() {
    let Some(url) = server::url() else { return };
    let lease = format!("run: {{ lease: {{ url: '{url}', ttl: 30s }}, ");
    let name = format!("twice-{}", std::process::id());
    let text = job().replace("run: { ", &lease).replace("job: crash", &format!("job: {name}"));
    let world = World::new(&text);
    let mut first = world.start(1);
    let records = world.path().join(format!("state/{name}/checkpoints/records"));
    while !records.exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal("-STOP", &first);
    let output = world.run(1, &[]).output().unwrap();
    signal("-CONT", &first);
    first.wait().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("wait for it with --standby"), "{}", said(&output));
    // Given back at the end, it can be had at once.
    world.succeed(1, &[]);
}
