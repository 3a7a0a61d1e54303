//! The seam of sinks.

use std::path::PathBuf;

use proto::series::SeriesTable;
use serde_json::Value;

use crate::batch::Rows;
use crate::component::Definition;
use crate::component::source::Range;
use crate::fault::Fault;
use crate::kind::Kind;
use crate::moment::{Epoch, Moment};

/// Everything that reached a sink in one epoch; can change no more.
#[derive(Debug)]
pub struct Sealed {
    /// The epoch with its clock.
    pub moment: std::sync::Arc<Moment>,
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
    /// The last epoch that it has made durable, asked once on resume.
    ///
    /// # Errors
    /// When it cannot tell.
    fn applied(&mut self) -> Result<Option<Epoch>, Fault>;
    /// Takes an epoch, whole or not at all. Epochs come in order; those without rows come, too, in so far
    /// as the clock or a watermark moved.
    ///
    /// # Errors
    /// When it cannot; the run ends.
    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault>;
    /// No more epochs will come.
    ///
    /// # Errors
    /// When what it owes cannot be made durable.
    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault>;
}
