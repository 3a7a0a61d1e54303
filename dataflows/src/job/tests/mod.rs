//! The key `tests` of a job file: what is fed to the job, what happens to it, and what it has to
//! make of that.

pub(crate) mod check;
pub(crate) mod file;

use proto::event_time::EventTime;
use serde_json::Value;

use crate::job::plan::Origin;

/// A test of the job.
#[derive(Debug, Clone, PartialEq)]
pub struct TestPlan {
    /// Its name, unique in the job.
    pub name: String,
    /// The line of the job file that it starts in, from one.
    pub line: usize,
    /// With so many workers it starts.
    pub workers: usize,
    /// What happens, in this order.
    pub steps: Vec<StepPlan>,
}

/// A step of a test, with its place in the job file.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPlan {
    /// What happens.
    pub step: Step,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
}

/// What happens in a step of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A source hands in records; the epoch stays open.
    Feed {
        /// The source, by its number in the plan.
        source: usize,
        /// Checked objects in canonical form, for [`crate::verdict::rows_of`].
        records: Vec<Value>,
    },
    /// A source hands in the records of a file; the epoch stays open.
    FeedFile {
        /// The source, by its number in the plan.
        source: usize,
        /// The file, relative to where tapeflow was called.
        path: String,
        /// The configuration of the source `file` that reads it, with `path`, checked.
        with: Value,
    },
    /// The epoch under way closes.
    Epoch,
    /// The job clock moves on by so much, and the epoch under way closes.
    Advance(std::time::Duration),
    /// The job clock moves on to a time, and the epoch under way closes.
    Clock(EventTime),
    /// A checkpoint is taken.
    Checkpoint,
    /// The job dies as if it were killed, and starts again.
    Crash,
    /// The job ends in good order, and starts again.
    Restart {
        /// With so many workers; none: as many as before.
        workers: Option<usize>,
    },
    /// The input ends: the last epoch.
    End,
    /// What came at a place since it was last looked at.
    Expect {
        /// The place.
        place: ExpectPlace,
        /// What has to have come, in canonical form, for [`crate::verdict::compare`].
        rows: Vec<Value>,
        /// Whether the rows may have come in any order.
        unordered: bool,
    },
}

/// Where a test looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectPlace {
    /// At an output of a source or operator.
    Port(Origin),
    /// At what a sink was handed: the number of the sink in the plan.
    Sink(usize),
}
