//! `throttle`: at most one record per key and interval of the job clock; the newest wins.

use std::collections::BTreeSet;

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::candle::Candle;
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::series::{KeyGroup, SeriesId, SeriesTable};
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Slots, Version, Versioned, expect_version, with_state};

const STATE_VERSION: u16 = 1;
const SENT: usize = 0;
const SKIPPED: usize = 1;

/// Lets at most one record per key and interval through; the newest wins. The key is the series
/// for ticks, the series and the timeframe for candles.
///
/// The first record of a quiet key goes out when its epoch closes. What comes within `every` of
/// that waits, the newest in place of the others, and goes out in the first epoch whose clock has
/// passed the interval, even if nothing else comes; at the end of input, at once.
///
/// Records of a key never go backwards: what is older than one that was sent or waits is skipped.
/// The last value of a candle's window is never skipped: when a newer window starts, the value
/// that waits goes out at once, without waiting for the interval and without using it up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// The least time between two records of one key, by the job clock.
    #[serde(default = "one_second")]
    pub every: Duration,
}

const fn one_second() -> Duration {
    Duration::from_seconds(1)
}

/// The definition of `throttle`.
#[derive(Debug, Clone, Copy)]
pub struct Throttle;

impl Definition for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn summary(&self) -> &'static str {
        "Lets at most one record per series and interval of the job clock through; the newest wins."
    }

    fn config(&self) -> Schema {
        schema_for!(ThrottleConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut mistakes = check_config::<ThrottleConfig>(config);
        let read = serde_json::from_value::<ThrottleConfig>(config.clone());
        if read.is_ok_and(|config| config.every.is_zero()) {
            let message = "it is 0s; expected a time to wait, such as 1s";
            mistakes.push(("every".to_owned(), message.to_owned()));
        }
        mistakes
    }
}

impl OperatorDefinition for Throttle {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks, Kind::Candles, Kind::Payloads]
    }

    fn outputs(&self) -> &'static [Output] {
        &[
            Output { name: "sent", kind: None, about: "What was let through." },
            Output {
                name: "skipped",
                kind: None,
                about: "What a newer record of its key replaced, or came after.",
            },
        ]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let ThrottleConfig { every } = read_config(&format!("operators.{}", context.id), config)?;
        let series = context.series;
        match context.kind {
            Kind::Ticks => {
                Ok(AnyMachine::Ticks(Box::new(ThrottleMachine::<Tick>::new(every, series))))
            }
            Kind::Candles => {
                Ok(AnyMachine::Candles(Box::new(ThrottleMachine::<Candle>::new(every, series))))
            }
            Kind::Payloads => {
                Ok(AnyMachine::Payloads(Box::new(ThrottleMachine::<Payload>::new(every, series))))
            }
            kind @ (Kind::Rejects | Kind::Statuses) => {
                Err(Fault::defect("throttle", format!("it does not take {kind}")))
            }
        }
    }
}

/// One key.
#[derive(Debug, Serialize, Deserialize)]
struct Slot<T> {
    /// From which clock reading on the next record may go out.
    due: EventTime,
    /// What went out last.
    sent: Option<Version>,
    /// What waits, under series number 0; newer than what was sent. The key is in the queue,
    /// under `due`, exactly while this is there.
    waiting: Option<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { due: EventTime::MIN, sent: None, waiting: None }
    }
}

/// The machine of `throttle`.
#[derive(Debug)]
struct ThrottleMachine<T> {
    every: Duration,
    states: Keyed<Slots<Slot<T>>>,
    /// Keys with a record that waits, the first due in front.
    queue: BTreeSet<(EventTime, SeriesId, u32)>,
    /// State was restored: the queue is to be made from it.
    is_restored: bool,
}

impl<T: Versioned> ThrottleMachine<T> {
    fn new(every: Duration, series: SeriesTable) -> Self {
        let (states, queue) = (Keyed::new(series), BTreeSet::new());
        Self { every, states, queue, is_restored: false }
    }

    fn requeue(&mut self) {
        self.is_restored = false;
        for (id, slots) in self.states.iter_mut() {
            for (number, slot) in slots.iter().filter(|(_, slot)| slot.waiting.is_some()) {
                self.queue.insert((slot.due, id, number));
            }
        }
    }
}

impl<T: Versioned + Serialize + DeserializeOwned> Machine<T> for ThrottleMachine<T> {
    fn apply(&mut self, rows: &mut Vec<T>, emit: &mut Emit) {
        if self.is_restored {
            self.requeue();
        }
        let Self { states, queue, .. } = self;
        for row in rows.drain(..) {
            let (id, number) = (row.id(), row.slot());
            let version = row.version();
            with_state(states, id, |slots| {
                slots.with(number, |slot| {
                    let newest = slot.waiting.as_ref().map(Versioned::version).or(slot.sent);
                    if newest.is_some_and(|newest| !version.supersedes(newest)) {
                        T::run(emit, SKIPPED).push(row);
                        return;
                    }
                    match slot.waiting.replace(row.numbered(SeriesId::default())) {
                        None => {
                            queue.insert((slot.due, id, number));
                        }
                        Some(before) if T::ends(before.version(), version) => {
                            slot.sent = Some(before.version());
                            T::run(emit, SENT).push(before.numbered(id));
                        }
                        Some(before) => T::run(emit, SKIPPED).push(before.numbered(id)),
                    }
                });
            });
        }
    }

    fn seal(&mut self, moment: &Moment, emit: &mut Emit) {
        if self.is_restored {
            self.requeue();
        }
        let run = T::run(emit, SENT);
        let due = EventTime::from_ns(moment.clock.ns().saturating_add(self.every.ns()));
        while let Some(first) = self.queue.first() {
            if first.0 > moment.clock && !moment.is_last {
                break;
            }
            let Some((_, id, number)) = self.queue.pop_first() else { break };
            let slot = self.states.get_mut(id).and_then(|slots| slots.get_mut(number));
            if let Some(slot) = slot {
                if let Some(record) = slot.waiting.take() {
                    slot.sent = Some(record.version());
                    run.push(record.numbered(id));
                }
                slot.due = due;
            }
        }
    }

    fn state_version(&self) -> u16 {
        STATE_VERSION
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("throttle", version, STATE_VERSION)?;
        self.is_restored = true;
        self.states.restore(group, bytes)
    }
}
