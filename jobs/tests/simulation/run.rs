//! One seed: a run without faults, then one with, and what differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataflows::driver::durable::Backing;
use dataflows::simulate::clock::VirtualClock;
use dataflows::simulate::disk::MemoryDisk;
use dataflows::simulate::stepped::{Actor, Stepped};
use dataflows::simulate::store::MemoryStore;
use proto::event_time::EventTime;

use crate::broker::{Broker, Message};
use crate::market::{Random, START, records};
use crate::tables::Store;
use crate::world::{Outside, plan};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A job that keeps its promise.
    Sound,
    /// One that cannot.
    AcksOnReceipt,
}

/// A process that gets no further in so many steps hangs.
const STEPS_MAX: u64 = 400_000;

struct Machine {
    disk: MemoryDisk,
    store: MemoryStore,
    clock: Arc<VirtualClock>,
    outside: Outside,
}

fn clock_of(seed: u64) -> &'static str {
    if seed.is_multiple_of(3) { "wall" } else { "event" }
}

fn machine(seed: u64) -> Machine {
    let mut random = Random::new(seed ^ 0xabcd);
    let queue = records(seed.wrapping_mul(3) + 1, 60 + random.below(60));
    let mut messages = Vec::new();
    let mut rest = queue.as_slice();
    while !rest.is_empty() {
        let count = usize::try_from(1 + random.below(3)).unwrap().min(rest.len());
        let (records, after) = rest.split_at(count);
        messages.push(Message { id: messages.len() as u128, records: records.to_vec() });
        rest = after;
    }
    // By event time an epoch closes when it is full: the broker must be able to fill it.
    let least = if clock_of(seed) == "event" { 10_000 } else { 3 };
    let prefetch = usize::try_from(least + random.below(30)).unwrap();
    Machine {
        disk: MemoryDisk::new(),
        store: MemoryStore::new(),
        clock: Arc::new(VirtualClock::at(EventTime::from_ns(START - 3_600_000_000_000))),
        outside: Outside {
            records: records(seed.wrapping_mul(3) + 2, 60 + random.below(60)),
            broker: Broker::new(messages, prefetch),
            stores: (0..4).map(|_| Store::default()).collect(),
            seed,
        },
    }
}

impl Machine {
    fn start(&self, kind: Kind, clock: &str, workers: usize) -> Result<Stepped, String> {
        let ack = if kind == Kind::AcksOnReceipt {
            "receive"
        } else {
            ["journal", "checkpoint", "applied"][self.outside.seed as usize % 3]
        };
        let plan = plan(clock, ack, workers);
        let backing = Backing {
            disk: Arc::new(self.disk.clone()),
            store: Arc::new(self.store.clone()),
            request: None,
            lock: None,
        };
        Stepped::start(&plan, backing, self.clock.clone(), &self.outside, false)
            .map_err(|fault| fault.to_string())
    }

    /// Lets a process run with `random` until it ends, or dies at `until`.
    fn run(
        &self,
        engine: &mut Stepped,
        random: &mut Random,
        until: Option<u64>,
    ) -> Result<End, String> {
        let actors = engine.actors();
        let favourite = random.below(actors.len() as u64 * 2);
        for step in 0..STEPS_MAX {
            if engine.is_over() {
                for actor in actors.iter().filter(|actor| matches!(actor, Actor::Source(_))) {
                    engine.turn(*actor).map_err(|fault| fault.to_string())?;
                }
                return Ok(End::Complete);
            }
            if until.is_some_and(|until| step >= until) {
                return Ok(End::Killed);
            }
            let mut index = random.below(actors.len() as u64);
            if index == favourite && !random.once_in(8) {
                index = random.below(actors.len() as u64); // one that is slow
            }
            let actor: Actor = actors[usize::try_from(index).unwrap()];
            if random.once_in(8) {
                self.clock.advance(Duration::from_millis(random.below(8)));
            }
            if let Err(fault) = engine.turn(actor) {
                let text = fault.to_string();
                return if is_death(&text) { Ok(End::Killed) } else { Err(text) };
            }
        }
        Err(format!("nothing ended in {STEPS_MAX} steps, at epoch {}", engine.epoch()))
    }

    fn rows(&self) -> Result<Vec<Vec<String>>, String> {
        let mut rows: Vec<Vec<String>> = self.outside.stores.iter().map(Store::rows).collect();
        if let Some(log) = rows.get_mut(LOG) {
            *log = newest(log)?;
        }
        Ok(rows)
    }
}

/// The number of the log among the sinks.
const LOG: usize = 2;

/// The newest revision of every candle in the log, whose lines must all differ. How many revisions
/// there were before it depends on how late ticks fell into epochs, and epochs on how the sources
/// were read.
fn newest(log: &[String]) -> Result<Vec<String>, String> {
    let mut newest: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for (number, line) in log.iter().enumerate() {
        if number > 0 && log[number - 1] == *line {
            return Err(format!("the log has a line twice: {line}"));
        }
        let row: serde_json::Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let key = ["source", "instrument", "timeframe", "start"].map(|name| row[name].to_string());
        let revision = row["revision"].as_i64().unwrap_or_default();
        let slot = newest.entry(key.join(" ")).or_insert((revision, line.clone()));
        if slot.0 < revision {
            *slot = (revision, line.clone());
        }
    }
    Ok(newest.into_values().map(|(_, line)| line).collect())
}

/// Tells whether a fault is one that the simulation has made.
fn is_death(fault: &str) -> bool {
    fault.contains("the process died here") || fault.contains("the process is dead")
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Complete,
    Killed,
}

/// Runs a seed; gives how often the process died.
pub(crate) fn simulate(kind: Kind, seed: u64) -> Result<u64, String> {
    let clock = clock_of(seed);
    let expected = {
        let machine = machine(seed);
        let mut engine = machine.start(kind, clock, 1)?;
        let mut random = Random::new(1);
        if machine.run(&mut engine, &mut random, None)? != End::Complete {
            return Err("the run without faults died".to_owned());
        }
        machine.rows()?
    };
    let mut machine = machine(seed);
    let mut random = Random::new(seed);
    let deaths = 1 + random.below(6);
    let mut died = 0;
    loop {
        machine.outside.seed = random.next();
        let workers = usize::try_from(1 + random.below(3)).unwrap();
        let is_doomed = died < deaths;
        if is_doomed {
            match random.below(5) {
                0 => machine.disk.die_after(random.below(120)),
                1 => machine.store.die_after(random.below(40)),
                2 => {
                    let store = random.below(4);
                    let store = &machine.outside.stores[usize::try_from(store).unwrap()];
                    store.0.lock().unwrap().dies = Some((random.below(12), random.once_in(2)));
                }
                _ => {}
            }
        }
        let most = [300, 1_500, 6_000][usize::try_from(random.below(3)).unwrap()];
        let until = is_doomed.then(|| random.below(most));
        let end = match machine.start(kind, clock, workers) {
            Ok(mut engine) => {
                let end = machine.run(&mut engine, &mut random, until)?;
                drop(engine);
                end
            }
            Err(why) if is_doomed && is_death(&why) => End::Killed,
            Err(why) => return Err(format!("after {died} crashes, at start: {why}")),
        };
        if end == End::Complete {
            break;
        }
        died += 1;
        // Half of the time the power fails, too: what was not synced may be lost or torn.
        if random.once_in(2) {
            machine.disk.crash(&mut |n| random.below(n));
        }
        machine.disk.revive();
        machine.store.revive();
        for store in &machine.outside.stores {
            store.0.lock().unwrap().dies = None;
        }
    }
    machine.compare(&expected, died, kind)?;
    Ok(died)
}

impl Machine {
    fn compare(&self, expected: &[Vec<String>], died: u64, kind: Kind) -> Result<(), String> {
        for (number, (expected, got)) in expected.iter().zip(self.rows()?).enumerate() {
            if *expected != got {
                let lost = expected.iter().find(|row| !got.contains(row));
                let extra = got.iter().find(|row| !expected.contains(row));
                return Err(format!(
                    "sink {number} differs after {died} crashes: {} rows, expected {}; \
                     missing {lost:?}, unexpected {extra:?}",
                    got.len(),
                    expected.len()
                ));
            }
        }
        if kind == Kind::Sound && !self.outside.broker.is_empty() {
            return Err("the broker still has messages that were not acknowledged".to_owned());
        }
        Ok(())
    }
}
