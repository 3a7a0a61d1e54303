//! The seam of sources.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::archive_note::ArchiveNote;
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Rows;
use crate::component::health::Health;
use crate::component::{Definition, Output};
use crate::fault::Fault;

/// How a source makes good for what was not settled before a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It can be read again from a position: files, archives, generators.
    Replays,
    /// It delivers again what was not acknowledged: queues.
    Redelivers,
    /// What is gone is gone.
    Forgets,
}

/// Where a source stands; opaque to the engine, kept in journal and checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position(pub Vec<u8>);

/// What a source hands in at once, in its own order.
#[derive(Debug)]
pub struct Intake {
    /// The records: of the kind of the source's first output.
    pub rows: Rows,
    /// Records that could not be decoded: [`Rows::Rejects`] for the output named `dead`.
    pub rejects: Vec<proto::reject::Reject>,
    /// Where the source stands after them.
    pub position: Position,
    /// Of a source that [redelivers](Promise::Redelivers): what the rows and rejects came in, in
    /// their order; the counts add up to theirs. Empty for others.
    pub deliveries: Vec<Delivery>,
}

impl Intake {
    /// Tells whether there is nothing in it, not even a message that brought nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.rejects.is_empty() && self.deliveries.is_empty()
    }
}

/// One message of a queue: acknowledged, and delivered again, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What the publisher calls it (or a hash of that): a second one with the same is the same
    /// message and is dropped. None: the publisher gave it no name, so that a redelivery counts
    /// again. A payload is never an identity: two equal ticks can both be real.
    pub id: Option<u128>,
    /// How many of the rows came in it.
    pub rows: u32,
    /// How many of the rejects came in it.
    pub rejects: u32,
}

/// What the engine tells a source when it is opened.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// The name of the job.
    pub job: String,
    /// The id of the component in the job.
    pub id: String,
    /// Where relative paths start: the folder that `tapeflow` was called in.
    pub root: PathBuf,
    /// Names to numbers.
    pub series: SeriesTable,
    /// Only records in `[from, to)` are wanted, for these instruments (none: all): a backfill.
    /// A source that can prune by it does; the engine filters the rest.
    pub range: Option<Range>,
    /// How many threads the source may keep busy for decoding.
    pub threads: usize,
    /// Where it says whether its connection stands.
    pub health: Arc<Health>,
    /// The job asks for its [`Source::continuity`]: what its broker loses is to be made good for.
    pub is_healed: bool,
}

/// The part of the past that a backfill wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// From here on.
    pub from: EventTime,
    /// Up to, but not with, here.
    pub to: EventTime,
    /// Only these instruments; empty: all.
    pub instruments: Vec<String>,
}

/// What a job may say about a source.
pub trait SourceDefinition: Definition {
    /// Its outputs; the first carries its records, `dead` what could not be decoded.
    fn outputs(&self) -> &'static [Output];
    /// The outputs of one that is configured so: what it carries can depend on how its messages
    /// are to be read. As [`SourceDefinition::outputs`] unless it says otherwise.
    fn outputs_of(&self, _config: &Value) -> &'static [Output] {
        self.outputs()
    }
    /// Tells whether it ends by itself, and so whether the job clock is event time.
    fn is_bounded(&self, config: &Value) -> bool;
    /// Of one that [redelivers](Promise::Redelivers): how many messages at most it is handed before
    /// it has acknowledged any; none: it is not known, or there is no end to it.
    fn window(&self, _config: &Value) -> Option<u64> {
        None
    }
    /// Of one that reads a dataset to which somebody adds: how far that is complete; none: it does
    /// not say.
    ///
    /// # Errors
    /// When what says it cannot be read.
    fn note(&self, _config: &Value, _root: &Path) -> Result<Option<ArchiveNote>, Fault> {
        Ok(None)
    }
    /// Tells whether its [`Source::continuity`] says anything: only then it can be healed.
    fn tells_continuity(&self, _config: &Value) -> bool {
        false
    }
    /// How it makes good for what was not settled.
    fn promise(&self, config: &Value) -> Promise;
    /// Opens it, behind a position if there is one. A source that [replays](Promise::Replays)
    /// gives behind a position exactly the records, in exactly the order, that it would have given
    /// without having been closed; how they are cut into [`Intake`]s may differ.
    ///
    /// # Errors
    /// When the configuration or the world does not allow it.
    fn open(
        &self,
        config: &Value,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault>;
}

/// Whether what a connection delivers follows on what was delivered before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The broker kept everything that was not acknowledged.
    Whole,
    /// It may have dropped messages, or never had them: its queue was not there, or was full.
    Broken,
}

/// How long a source that is acknowledged waits for its next record before it lets itself be settled.
pub const SETTLE_WITHIN: std::time::Duration = std::time::Duration::from_millis(20);

/// A running source. Lives on a thread of its own, which may block in `next`.
pub trait Source: Send {
    /// Gives the next records; `None` at the end of input. Blocks until there is something, but
    /// looks at `stop` at least every 100 ms and gives `None` when it is set.
    ///
    /// One that is acknowledged ([`Promise::Redelivers`]) gives an intake with nothing in it when
    /// nothing has come for [`SETTLE_WITHIN`]: positions are settled between two calls, and what
    /// it waits for may be that.
    ///
    /// # Errors
    /// When it cannot go on.
    fn next(&mut self, stop: &std::sync::atomic::AtomicBool) -> Result<Option<Intake>, Fault>;
    /// Everything up to `position` is durable: the one place where anything is acknowledged.
    ///
    /// # Errors
    /// When it cannot be acknowledged.
    fn settle(&mut self, position: &Position) -> Result<(), Fault>;
    /// Says, once for every connection, whether it goes on where the one before ended: asked behind
    /// [`Source::next`], of the connection by which the last intake came. None: there is no new one,
    /// or it cannot be told.
    fn continuity(&mut self) -> Option<Continuity> {
        None
    }
    /// How much of the input has been read, in thousandths, where that is known: for progress.
    fn progress(&self) -> Option<u32> {
        None
    }
}
