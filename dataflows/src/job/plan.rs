//! The plan: a job that has passed every check, in the order in which it is wired.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::component::Output;
use crate::component::operator::OperatorDefinition;
use crate::component::sink::{Guarantee, SinkDefinition};
use crate::component::source::SourceDefinition;
use crate::job::heal::HealPlan;
use crate::job::mistake::Mistake;
use crate::job::promise::Ack;
use crate::job::state::{OnChange, StateConfig};
use crate::job::tests::TestPlan;
use crate::job::variables::Secrets;
use crate::kind::Kind;

/// A checked job. Ids are unique over all components; edges go to what stands before.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The job's name.
    pub name: String,
    /// One paragraph, if the job says one.
    pub description: Option<String>,
    /// The file it was read from.
    pub file: PathBuf,
    /// How it is run.
    pub run: RunConfig,
    /// What it keeps so that it survives being killed.
    pub state: StateConfig,
    /// The sources, in the order of the file.
    pub sources: Vec<SourcePlan>,
    /// The operators, each after all that it reads from.
    pub operators: Vec<OperatorPlan>,
    /// The sinks, in the order of the file.
    pub sinks: Vec<SinkPlan>,
    /// The tests, in the order of the file.
    pub tests: Vec<TestPlan>,
    /// Per component, its configuration as the file has it, with `${NAME}` where a variable
    /// stands: what may be shown.
    pub written: BTreeMap<String, Value>,
    /// What came from variables: messages pass through [`Secrets::redact`] before they are shown.
    pub secrets: Secrets,
    /// What is odd, but no mistake.
    pub warnings: Vec<Mistake>,
}

/// How a job is run; no part of what it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunConfig {
    /// Timely workers in this process.
    pub workers: usize,
    /// An epoch closes when it has so many records,
    pub epoch_records_max: usize,
    /// or when it is so old (live only).
    pub epoch_every: Duration,
    /// So many epochs may be on their way from source to sink at once.
    pub epochs_in_flight_max: u64,
    /// Where the job clock comes from.
    pub clock: ClockSource,
    /// Where metrics and health are served; none: nowhere.
    pub http: Option<SocketAddr>,
    /// A run that was asked to stop has so long for it.
    pub drain_within: Duration,
    /// What processes that wait for one another agree by.
    pub lease: Option<LeaseConfig>,
}

/// A lease on running a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The server that keeps it: `postgres://…` or `redis://…`.
    pub url: String,
    /// After so long without a sign of life it passes to another process.
    pub ttl: Duration,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            epoch_records_max: 16_384,
            epoch_every: Duration::from_millis(20),
            epochs_in_flight_max: 64,
            clock: ClockSource::Auto,
            http: None,
            drain_within: Duration::from_secs(20),
            lease: None,
        }
    }
}

/// Where the job clock comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockSource {
    /// Event time if every source ends by itself, else the wall clock.
    #[default]
    Auto,
    /// The least event time that all sources have reached.
    Event,
    /// The wall clock.
    Wall,
}

impl ClockSource {
    /// Tells whether the job clock is event time, with these sources.
    pub fn is_event_time(self, sources: &[SourcePlan]) -> bool {
        match self {
            Self::Event => true,
            Self::Wall => false,
            Self::Auto => sources.iter().all(|s| s.definition.is_bounded(&s.config)),
        }
    }
}

/// Where an edge starts: an output of a source or operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The component's id.
    pub id: String,
    /// The number of its output.
    pub output: usize,
    /// The name of that output.
    pub port: &'static str,
}

/// A source of the plan.
#[derive(Clone)]
pub struct SourcePlan {
    /// Its id in the job.
    pub id: String,
    /// What it is.
    pub definition: &'static dyn SourceDefinition,
    /// Its configuration, variables filled in.
    pub config: Value,
    /// When it acknowledges, if it does.
    pub ack: Ack,
    /// What happens if it has changed since the checkpoint that the job goes on from.
    pub on_change: OnChange,
    /// The archive from which it gets what its queue has lost.
    pub heal: Option<HealPlan>,
}

impl SourcePlan {
    /// Its outputs, as it is configured.
    pub fn outputs(&self) -> &'static [Output] {
        self.definition.outputs_of(&self.config)
    }
}

/// An operator of the plan.
#[derive(Clone)]
pub struct OperatorPlan {
    /// Its id in the job.
    pub id: String,
    /// What it is.
    pub definition: &'static dyn OperatorDefinition,
    /// Its configuration, variables filled in.
    pub config: Value,
    /// What it reads: one or more outputs of one kind, merged.
    pub inputs: Vec<Origin>,
    /// What they carry.
    pub kind: Kind,
    /// What happens if it has changed since the checkpoint that the job goes on from.
    pub on_change: OnChange,
}

/// A sink of the plan.
#[derive(Clone)]
pub struct SinkPlan {
    /// Its id in the job.
    pub id: String,
    /// What it is.
    pub definition: &'static dyn SinkDefinition,
    /// Its configuration, variables filled in.
    pub config: Value,
    /// What it takes: one or more outputs of one kind, merged.
    pub inputs: Vec<Origin>,
    /// What they carry.
    pub kind: Kind,
    /// What happens if it has changed since the checkpoint that the job goes on from.
    pub on_change: OnChange,
    /// How often its effects happen: the least of what the job asks for, what the sink gives, and
    /// what the sources that lead to it and the run allow.
    pub guarantee: Guarantee,
    /// Whether the job asks for it; else it is what comes of it.
    pub is_promised: bool,
}

impl OperatorPlan {
    /// Gives the kinds of its outputs.
    pub fn output_kinds(&self) -> Vec<Kind> {
        self.definition.outputs().iter().map(|o| o.kind.unwrap_or(self.kind)).collect()
    }
}

// A configuration may hold secrets, so none of it is debugged.

impl fmt::Debug for SourcePlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, definition, config: _, ack, on_change, heal } = self;
        formatter
            .debug_struct("SourcePlan")
            .field("heal", heal)
            .field("id", id)
            .field("type", &definition.name())
            .field("ack", ack)
            .field("on_change", on_change)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OperatorPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, definition, config: _, inputs, kind, on_change } = self;
        formatter
            .debug_struct("OperatorPlan")
            .field("id", id)
            .field("type", &definition.name())
            .field("inputs", inputs)
            .field("kind", kind)
            .field("on_change", on_change)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, definition, config: _, inputs, kind, on_change, guarantee, is_promised } =
            self;
        formatter
            .debug_struct("SinkPlan")
            .field("id", id)
            .field("type", &definition.name())
            .field("inputs", inputs)
            .field("kind", kind)
            .field("on_change", on_change)
            .field("guarantee", guarantee)
            .field("is_promised", is_promised)
            .finish_non_exhaustive()
    }
}
