//! A broker that stands still: the bridge waits in bounded memory, and prices are fresh again when it
//! is back.
//!
//! `TAPEFLOW_LIVE_STOPPED=120` stops it for two minutes, `TAPEFLOW_LIVE_RATE` is how many prices
//! come a second.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::mosquitto::{Mosquitto, OPEN};
use crate::support::{Manner, Places, Platform, number};

/// What the bridge may need more than before, in KiB: what it reads ahead, and what the allocator
/// keeps of it.
const GROWTH_KIB_MAX: u64 = 128 << 10;

/// A line of `/proc/PID/status`, in KiB.
fn memory(id: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

#[test]
fn a_broker_that_stands_still_costs_no_memory_and_prices_are_fresh_when_it_is_back() {
    let Some(mosquitto) = Mosquitto::start(OPEN) else { return };
    let place = format!("127.0.0.1:{}", mosquitto.port);
    let places = Places { mosquitto: place, ..Places::shared() };
    let Some(platform) = Platform::on("stopped", &["bridge"], places.clone(), places) else {
        return;
    };
    // As it ships.
    platform.rewrite("bridge", "max_age: 1h", "max_age: 2s");
    let bridge = platform.start("bridge", 1);
    let manner = Manner { rate: number("TAPEFLOW_LIVE_RATE", 200), ..Manner::quiet() };
    let mut client = platform.start_client("fresh.py", manner);
    assert_eq!(client.next()["what"], "flowing");
    let (id, begun) = (bridge.child.id(), Instant::now());
    let before = memory(id, "VmRSS");
    client.say("stopped");
    signal(mosquitto.id(), "-STOP");
    let mut most = before;
    // The fault itself, and a look now and then.
    while begun.elapsed() < Duration::from_secs(number("TAPEFLOW_LIVE_STOPPED", 5)) {
        std::thread::sleep(Duration::from_millis(200));
        most = most.max(memory(id, "VmRSS"));
    }
    signal(mosquitto.id(), "-CONT");
    client.say("back");
    let stopped = begun.elapsed();
    assert_eq!(client.next()["what"], "fresh");
    client.say("end");
    let told = client.next();
    let after = memory(id, "VmRSS");
    println!("stopped for {stopped:?}; KiB before {before}, most {most}, after {after}; {told}");
    assert!(most < before + GROWTH_KIB_MAX, "{before} KiB grew to {most}");
    assert_eq!(told["older"], 0, "a price came after a newer one: {told}");
    assert_eq!(told["wrong"], 0, "a last price is not the newest: {told}");
    platform.stop(bridge);
    client.end();
}
