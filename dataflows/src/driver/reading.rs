//! A reading: everything that can be seen of a run at one moment, as plain values. What `/metrics`,
//! `/livez` and `/readyz` are made of.

use std::time::Duration;

use proto::event_time::EventTime;

use crate::driver::spread::Tally;
use crate::moment::Epoch;

/// How far a run has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Another process runs the job.
    Waiting,
    /// Sources and sinks are opened, what is kept is looked for.
    Opening,
    /// The journal's epochs are minted again.
    Restoring,
    /// New input is taken.
    Running,
    /// No more input is taken; what was read goes through.
    Draining,
    /// Everything has gone through; sinks publish and close.
    Closing,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Opening,
        Self::Restoring,
        Self::Running,
        Self::Draining,
        Self::Closing,
    ];

    /// The word that is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Opening => "opening",
            Self::Restoring => "restoring",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Closing => "closing",
        }
    }
}

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// How far it has come.
    pub phase: Phase,
    /// Epochs minted so far.
    pub epochs: Epoch,
    /// How long ago the coordinator last moved.
    pub idle: Duration,
    /// Per source.
    pub sources: Vec<SourceReading>,
    /// Per output of an operator (`candles.closed`): records emitted.
    pub outputs: Vec<(String, u64)>,
    /// Per sink.
    pub sinks: Vec<SinkReading>,
    /// Records that were not accepted, by component and reason.
    pub rejects: Vec<(String, String, u64)>,
    /// How far each feed has come, by its name; a bounded number of them.
    pub feeds: Vec<(String, EventTime)>,
    /// Of a durable run: bytes that the journal has been given.
    pub journal_bytes: u64,
    /// How long syncs of the journal took.
    pub journal_syncs: Tally,
    /// Checkpoints.
    pub checkpoints: CheckpointReading,
    /// How long the start took until new input was taken; none: it goes on.
    pub recovery: Option<Duration>,
    /// The run went on from what an earlier one had kept.
    pub is_resumed: bool,
}

/// What checkpoints came to.
#[derive(Debug, Clone, Default)]
pub struct CheckpointReading {
    /// From the epoch that they were taken after until they were written.
    pub durations: Tally,
    /// How large the last one is.
    pub bytes: u64,
    /// When the last one was written; none: none was.
    pub last: Option<EventTime>,
    /// How many could not be written.
    pub failures: u64,
}

/// A source at one moment.
#[derive(Debug, Clone)]
pub struct SourceReading {
    /// Its id.
    pub id: String,
    /// Records handed in.
    pub records: u64,
    /// Records that could not be decoded.
    pub rejects: u64,
    /// Messages that had been delivered before, and were dropped.
    pub redelivered: u64,
    /// Of one that is healed: ticks that its queue had lost and the archive had, and how often
    /// something may still be missing.
    pub healed: Option<(u64, u64)>,
    /// Of one that is acknowledged: records that are not.
    pub unacked: Option<u64>,
    /// How long it has waited to hand over what it had.
    pub blocked: Duration,
    /// Its connection.
    pub link: Link,
}

/// A sink at one moment.
#[derive(Debug, Clone)]
pub struct SinkReading {
    /// Its id.
    pub id: String,
    /// Records handed to it.
    pub taken: u64,
    /// Records that it has applied.
    pub applied: u64,
    /// The last epoch that it has applied.
    pub epoch: Epoch,
    /// How long the sources were held back because this sink lagged.
    pub blocked: Duration,
    /// Of a live job: how old records were when they had been applied.
    pub ages: Tally,
    /// Its connection.
    pub link: Link,
}

/// A connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Why it is down; none: it is up.
    pub down: Option<String>,
    /// How often something was tried again.
    pub retries: u64,
}
