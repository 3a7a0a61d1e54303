//! `dedupe`: drops ticks that were seen before.

use std::collections::VecDeque;

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::{KeyGroup, SeriesTable};
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{expect_version, pass_on, with_state};

const STATE_VERSION: u16 = 1;
const TICKS: usize = 0;
const DUPLICATES: usize = 1;

/// Drops ticks that were seen before.
///
/// A tick with a sequence from its source is known by (series, time, sequence): the first one
/// passes, later ones go to `duplicates` whatever else they say. A tick without one has no
/// identity: two equal ones may both be real, so a repeat is kept unless the transport marks it as
/// delivered before; then it is compared in full with what was remembered.
///
/// Ticks are remembered for `within`, counted back from the newest tick of their own series, and
/// at most `remembered_max` of them; the oldest are forgotten first. A tick from before that cannot
/// be judged: it passes, unless the transport marks it as delivered before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeConfig {
    /// For how long ticks are remembered, in event time behind the newest tick of their series.
    #[serde(default = "ten_minutes")]
    pub within: Duration,
    /// How many ticks are remembered per series at most; one takes 16 bytes with a sequence, 56
    /// without.
    #[serde(default = "remembered_max")]
    #[schemars(range(min = 1))]
    pub remembered_max: u32,
}

const fn ten_minutes() -> Duration {
    Duration::from_seconds(600)
}

const fn remembered_max() -> u32 {
    65_536
}

/// The definition of `dedupe`.
#[derive(Debug, Clone, Copy)]
pub struct Dedupe;

impl Definition for Dedupe {
    fn name(&self) -> &'static str {
        "dedupe"
    }

    fn summary(&self) -> &'static str {
        "Drops ticks that were seen before, by (series, time, sequence)."
    }

    fn config(&self) -> Schema {
        schema_for!(DedupeConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut mistakes = check_config::<DedupeConfig>(config);
        let read = serde_json::from_value::<DedupeConfig>(config.clone());
        if read.is_ok_and(|config| config.remembered_max == 0) {
            mistakes.push(("remembered_max".to_owned(), "it is 0; expected 1 or more".to_owned()));
        }
        mistakes
    }
}

impl OperatorDefinition for Dedupe {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn outputs(&self) -> &'static [Output] {
        &[
            Output {
                name: "ticks",
                kind: Some(Kind::Ticks),
                about: "What was not seen before, in its order.",
            },
            Output { name: "duplicates", kind: Some(Kind::Ticks), about: "What was." },
        ]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let config: DedupeConfig = read_config(&format!("operators.{}", context.id), config)?;
        Ok(AnyMachine::Ticks(Box::new(DedupeMachine::new(&config, context.series))))
    }
}

/// What makes two ticks without a sequence equal: all that the source said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Content {
    time: EventTime,
    bid: Price,
    ask: Price,
    last: Price,
    volume: Option<Quantity>,
}

/// What makes two ticks with a sequence equal.
type Identity = (EventTime, u64);

trait Timed: Ord + Copy {
    fn time(&self) -> EventTime;
}

impl Timed for Identity {
    fn time(&self) -> EventTime {
        self.0
    }
}

impl Timed for Content {
    fn time(&self) -> EventTime {
        self.time
    }
}

/// What has become of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    First,
    Again,
    /// From before everything that is remembered.
    Unknown,
}

/// What was seen of one series, sorted: ticks come mostly in order, so that remembering is a push
/// at the back and forgetting a pop at the front.
#[derive(Debug, Serialize, Deserialize)]
struct Seen<I> {
    sorted: VecDeque<I>,
    /// The greatest that had to be forgotten before its time; up to here nothing is known.
    forgotten: Option<I>,
}

impl<I> Default for Seen<I> {
    fn default() -> Self {
        Self { sorted: VecDeque::new(), forgotten: None }
    }
}

impl<I: Timed> Seen<I> {
    #[inline]
    fn see(&mut self, item: I, horizon: EventTime, limit: usize) -> Sight {
        if item.time() < horizon || self.forgotten.is_some_and(|forgotten| item <= forgotten) {
            return Sight::Unknown;
        }
        if self.sorted.back().is_none_or(|back| *back < item) {
            self.sorted.push_back(item);
        } else {
            match self.sorted.binary_search(&item) {
                Ok(_) => return Sight::Again,
                Err(at) => self.sorted.insert(at, item),
            }
        }
        while self.sorted.len() > limit {
            self.forgotten = self.sorted.pop_front();
        }
        Sight::First
    }

    #[inline]
    fn forget_before(&mut self, horizon: EventTime) {
        while self.sorted.front().is_some_and(|front| front.time() < horizon) {
            self.sorted.pop_front();
        }
    }
}

/// One series.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    newest: EventTime,
    numbered: Seen<Identity>,
    unnumbered: Seen<Content>,
}

impl Default for State {
    fn default() -> Self {
        Self { newest: EventTime::MIN, numbered: Seen::default(), unnumbered: Seen::default() }
    }
}

/// The machine of `dedupe`.
#[derive(Debug)]
struct DedupeMachine {
    within: Duration,
    remembered_max: usize,
    states: Keyed<State>,
}

impl DedupeMachine {
    fn new(config: &DedupeConfig, series: SeriesTable) -> Self {
        Self {
            within: config.within,
            remembered_max: usize::try_from(config.remembered_max).unwrap_or(usize::MAX),
            states: Keyed::new(series),
        }
    }

    /// Tells whether `tick` passes.
    #[inline]
    fn passes(&mut self, tick: &Tick) -> bool {
        let (within, limit) = (self.within, self.remembered_max);
        let is_redelivered = tick.has(Tick::IS_REDELIVERED);
        with_state(&mut self.states, tick.series, |state| {
            let is_newest = tick.time > state.newest;
            if is_newest {
                state.newest = tick.time;
            }
            let horizon = EventTime::from_ns(state.newest.ns().saturating_sub(within.ns()));
            if is_newest {
                state.numbered.forget_before(horizon);
                state.unnumbered.forget_before(horizon);
            }
            if tick.has(Tick::HAS_SEQUENCE) {
                match state.numbered.see((tick.time, tick.sequence), horizon, limit) {
                    Sight::First => true,
                    Sight::Again => false,
                    Sight::Unknown => !is_redelivered,
                }
            } else {
                let has_volume = tick.has(Tick::HAS_VOLUME);
                let Tick { time, bid, ask, last, volume, .. } = *tick;
                let volume = has_volume.then_some(volume);
                let content = Content { time, bid, ask, last, volume };
                let sight = state.unnumbered.see(content, horizon, limit);
                !is_redelivered || sight == Sight::First
            }
        })
    }
}

impl Machine<Tick> for DedupeMachine {
    fn apply(&mut self, rows: &mut Vec<Tick>, emit: &mut Emit) {
        let duplicates = emit.ticks(DUPLICATES);
        rows.retain(|tick| {
            let passes = self.passes(tick);
            if !passes {
                duplicates.push(*tick);
            }
            passes
        });
        pass_on(rows, emit.ticks(TICKS));
    }

    fn seal(&mut self, _moment: &Moment, _emit: &mut Emit) {}

    fn state_version(&self) -> u16 {
        STATE_VERSION
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("dedupe", version, STATE_VERSION)?;
        self.states.restore(group, bytes)
    }
}
