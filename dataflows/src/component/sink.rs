//! The seam of sinks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::series::SeriesTable;
use serde_json::Value;

use crate::batch::Rows;
use crate::component::Definition;
use crate::component::health::Health;
use crate::component::source::Range;
use crate::driver::status::Status;
use crate::fault::Fault;
use crate::kind::Kind;
use crate::moment::{Epoch, Moment};

/// Everything that reached a sink in one epoch; can change no more.
#[derive(Debug)]
pub struct Sealed {
    /// The epoch with its clock.
    pub moment: Arc<Moment>,
    /// One run per worker that had any, in the order of the workers: within a run in the order in
    /// which they were made, between series in no order. A sink whose output shows an order sorts by name
    /// and time first.
    pub runs: Vec<Rows>,
}

/// What the engine tells a sink when it is opened.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The name of the job.
    pub job: String,
    /// The id of the component in the job.
    pub id: String,
    /// Where relative paths start.
    pub root: PathBuf,
    /// Numbers to names.
    pub series: SeriesTable,
    /// What it will be handed.
    pub kind: Kind,
    /// A backfill: stage everything, and swap it for the rows of this range at the end.
    pub replace: Option<Range>,
    /// Whether the run is to end, for a sink that waits.
    pub stop: Stop,
    /// A run that survives crashes; none: one without journal and checkpoints, which starts at
    /// epoch 1 and remembers nothing.
    pub durable: Option<Durable>,
    /// Where it says whether its connection stands.
    pub health: Arc<Health>,
}

/// Tells a sink that waits for something outside whether anybody still waits for the sink.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    status: Option<Arc<Status>>,
}

impl Stop {
    /// Of a run: its user's wish, and its failure.
    pub(crate) fn new(asked: Arc<AtomicBool>, status: Arc<Status>) -> Self {
        Self { asked, status: Some(status) }
    }

    /// Set by whoever holds the flag: for tests, and for sinks outside of a run.
    pub fn of(asked: Arc<AtomicBool>) -> Self {
        Self { asked, status: None }
    }

    /// The user has asked the run to end: what was read is still to be applied, but not waited for
    /// without an end. A sink that gives up returns [`Fault::Interrupted`], and a durable run hands
    /// it the epoch again when it is started again.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Something else has failed: nothing is to be waited for.
    pub fn has_failed(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.has_failed())
    }
}

/// Counts the starts of a job, upwards: who writes with a lower one than what is there was
/// replaced while it was not looking, and must be refused.
pub type Generation = u64;

/// What a sink of a run that survives crashes is told when it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// This start of the job. It is written beside what is written, and nothing is written over
    /// that of a greater one.
    pub generation: Generation,
    /// The checkpoint that the run goes on from: the epoch, and what [`Sink::checkpoint`] gave
    /// after it; epoch 0 and no bytes where the run was killed before its first checkpoint and
    /// hands epoch 1 again. None: the run starts from nothing at epoch 1, whatever the sink knows
    /// of epochs from runs before is of no meaning any more.
    pub restored: Option<(Epoch, Vec<u8>)>,
}

/// How often what a sink was handed takes effect, whatever is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// It may be lost. Such a sink need not wait for the journal.
    BestEffort,
    /// Never lost; what was on its way when the process died takes effect again.
    AtLeastOnce,
    /// Never lost, never twice.
    ExactlyOnce,
}

impl Guarantee {
    /// The words in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "best effort",
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::BestEffort, Self::AtLeastOnce, Self::ExactlyOnce];

    /// The word after `guarantee:`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BestEffort => "best_effort",
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// What a job may say about a sink.
pub trait SinkDefinition: Definition {
    /// The kinds that it takes.
    fn takes(&self) -> &'static [Kind];
    /// Tells whether it can stage rows and swap them for those of a range, and so take part in a
    /// backfill; see [`SinkContext::replace`].
    fn replaces(&self) -> bool {
        false
    }
    /// How often its effects happen; rows of `kind` may have an identity that makes repeats harmless.
    fn guarantee(&self, config: &Value, kind: Kind) -> Guarantee;
    /// Gives the configuration with everything that it writes brought below the folder that
    /// relative paths start at: for a replay, which must not touch what the job writes. None: its
    /// effects cannot be kept in a folder, and a replay leaves it out.
    fn within(&self, config: &Value, id: &str) -> Option<Value> {
        let (_, _) = (config, id);
        None
    }
    /// Opens it: creates, migrates, takes locks, cleans up after a crash.
    ///
    /// With [`SinkContext::replace`] it stages its rows and swaps them for the rows of that range
    /// in [`Sink::finish`], all or nothing.
    ///
    /// # Errors
    /// When the configuration or the world does not allow it.
    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault>;
}

/// How a run ended, as a sink is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All input was read and applied: publish everything.
    Complete,
    /// The run was asked to stop; all that was read has been applied, but windows and partitions
    /// may not be whole. Publish only what is whole; nothing at all of a replacement.
    Interrupted,
    /// Something failed. Take back what is not whole; fail no further.
    Failed,
}

/// What a sink has to say at the end, for the summary and for `--json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SinkReport {
    /// Rows written.
    pub rows: u64,
    /// Files or tables written, readable.
    pub places: Vec<String>,
    /// Bytes written, if known.
    pub bytes: Option<u64>,
}

/// A running sink. Lives on a thread of its own, which may block.
pub trait Sink: Send {
    /// The last epoch that it has made durable, asked once after it was opened for a run that goes
    /// on from a checkpoint; none: it does not know (its guarantee is not exactly-once).
    ///
    /// # Errors
    /// When it cannot tell.
    fn applied(&mut self) -> Result<Option<Epoch>, Fault>;
    /// Takes an epoch, whole or not at all. Epochs come in order; those without rows come, too, in so far
    /// as the clock or a watermark moved.
    ///
    /// After a restart the epochs behind the checkpoint come again, the same to the byte, also
    /// those that [`Sink::applied`] covers: a sink that is exactly-once recognises them.
    ///
    /// # Errors
    /// When it cannot; the run ends.
    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault>;
    /// Makes durable all that it owes up to the epoch applied last, and gives what it needs beside
    /// that to go on from there: it comes back as [`Durable::restored`]. Called between two
    /// epochs, of a durable run only.
    ///
    /// # Errors
    /// When it cannot be made durable; the run ends.
    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault>;
    /// No more epochs will come.
    ///
    /// # Errors
    /// When what it owes cannot be made durable.
    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault>;
}
