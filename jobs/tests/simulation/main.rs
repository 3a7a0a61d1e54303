//! The engine under a seed: real coordinator, timely workers, journal and checkpoints, moved one
//! step at a time in an order that the seed draws, with crashes at any step and inside any write;
//! what is in the sinks at the end has to be what a run without faults gives, zero lost, zero
//! twice.
//!
//! `SIMULATION_SEEDS=20000` runs more seeds, `SIMULATION_SEED=7` runs one and prints what happens.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a simulation that cannot be set up has failed"
)]

mod broker;
mod market;
mod run;
mod tables;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use run::{Kind, simulate};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Runs `count` seeds on two threads; gives how many failed and what the first said.
fn all(kind: Kind, from: u64, count: u64) -> Vec<(u64, String)> {
    let next = AtomicU64::new(from);
    let crashes = AtomicU64::new(0);
    let failures = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= from + count {
                    return failures;
                }
                match simulate(kind, seed) {
                    Ok(faults) => {
                        crashes.fetch_add(faults, Ordering::Relaxed);
                    }
                    Err(why) => failures.push((seed, why)),
                }
            }
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    println!("{count} seeds from {from}, {} crashes", crashes.into_inner());
    failures
}

#[test]
fn whatever_is_killed_and_whenever_nothing_is_lost_and_nothing_is_there_twice() {
    if let Some(seed) = number("SIMULATION_SEED") {
        simulate(Kind::Sound, seed).unwrap();
        return;
    }
    let count = number("SIMULATION_SEEDS").unwrap_or(2_000);
    let failures = all(Kind::Sound, 1, count);
    let told: Vec<String> =
        failures.iter().take(5).map(|(s, why)| format!("seed {s}: {why}")).collect();
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed; SIMULATION_SEED=n runs one alone\n{}",
        failures.len(),
        told.join("\n")
    );
}

/// The canary: the same simulation has to find a job that acknowledges before anything is durable.
#[test]
fn a_job_that_acknowledges_too_early_is_found_out() {
    let failures = all(Kind::AcksOnReceipt, 1, 100);
    assert!(failures.len() > 10, "only {} of 100 seeds lost anything", failures.len());
}
