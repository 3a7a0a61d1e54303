//! The key `state` of a job file: what a run keeps so that it survives being killed, and where. No
//! part of what the job computes.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// What a run keeps so that it survives being killed, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Whether there are a journal and checkpoints at all; without, a run starts from nothing.
    pub durable: bool,
    /// The folder of all jobs, relative to where tapeflow was called: see [`Self::folder`].
    pub path: PathBuf,
    /// The URL that checkpoints go to; none: into the folder.
    pub checkpoints: Option<String>,
    /// A checkpoint is taken so often.
    pub checkpoint_every: std::time::Duration,
    /// So many checkpoints are kept, at least one.
    pub checkpoints_kept: usize,
    /// So long an epoch may wait for others to share a sync of the journal; zero: at once.
    pub sync_every: std::time::Duration,
    /// A file of the journal has so many bytes before the next one starts.
    pub segment_bytes: u64,
    /// What happens where a component has changed since the checkpoint, unless it says so itself.
    pub on_change: OnChange,
}

impl StateConfig {
    /// Gives the folder of one job, relative to where tapeflow was called.
    pub fn folder(&self, job: &str) -> PathBuf {
        self.path.join(job)
    }
}

// A URL or a path may hold what a variable has filled in.
impl fmt::Debug for StateConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StateConfig")
            .field("durable", &self.durable)
            .field("checkpoint_every", &self.checkpoint_every)
            .field("checkpoints_kept", &self.checkpoints_kept)
            .field("sync_every", &self.sync_every)
            .field("segment_bytes", &self.segment_bytes)
            .field("on_change", &self.on_change)
            .finish_non_exhaustive()
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            durable: true,
            path: PathBuf::from("tapeflow-data/state"),
            checkpoints: None,
            checkpoint_every: std::time::Duration::from_secs(10),
            checkpoints_kept: 3,
            sync_every: std::time::Duration::from_millis(100),
            segment_bytes: 64 * MB,
            on_change: OnChange::Refuse,
        }
    }
}

/// What happens when a component has changed since the checkpoint that the job goes on from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// The job does not start.
    #[default]
    Refuse,
    /// The component starts without its state.
    Reset,
    /// The component's state is made anew from the input that can be read again.
    Bootstrap,
}

impl OnChange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Reset, Self::Bootstrap];

    /// The word in job files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Bootstrap => "bootstrap",
        }
    }
}

const MB: u64 = 1 << 20;

/// What a run keeps so that it survives being killed. Nothing here changes what it computes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StateFile {
    /// Keep a journal and checkpoints. Without, a job that is killed starts again from the
    /// beginning.
    durable: bool,
    /// A folder, relative to where tapeflow is called; the job's own is below it, by its name.
    #[schemars(length(min = 1))]
    path: String,
    /// Where checkpoints go, a URL (`s3://bucket/prefix`, `file:///folder`); if it is not given,
    /// into the folder.
    checkpoints: Option<String>,
    /// Checkpoints.
    checkpoint: CheckpointFile,
    /// The journal.
    journal: JournalFile,
    /// What happens when a component has changed since the checkpoint; it may say so itself.
    on_change: OnChange,
}

/// Checkpoints.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CheckpointFile {
    /// One is taken so often.
    every: Duration,
    /// So many are kept.
    #[schemars(range(min = 1, max = 1000))]
    keep: usize,
}

/// The journal.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct JournalFile {
    /// So long an epoch may wait for others to share a sync to the disk; `0s`: at once.
    sync: Duration,
    /// A file of it has so many MiB before the next one starts.
    #[schemars(range(min = 1, max = 4096))]
    segment_mb: u64,
}

fn to_file(duration: std::time::Duration) -> Duration {
    i64::try_from(duration.as_nanos()).ok().and_then(Duration::from_ns).unwrap_or_default()
}

impl Default for StateFile {
    fn default() -> Self {
        let plan = StateConfig::default();
        Self {
            durable: plan.durable,
            path: plan.path.to_string_lossy().into_owned(),
            checkpoints: plan.checkpoints,
            checkpoint: CheckpointFile::default(),
            journal: JournalFile::default(),
            on_change: plan.on_change,
        }
    }
}

impl Default for CheckpointFile {
    fn default() -> Self {
        let plan = StateConfig::default();
        Self { every: to_file(plan.checkpoint_every), keep: plan.checkpoints_kept }
    }
}

impl Default for JournalFile {
    fn default() -> Self {
        let plan = StateConfig::default();
        Self { sync: to_file(plan.sync_every), segment_mb: plan.segment_bytes / MB }
    }
}

impl StateFile {
    /// Gives what the engine reads.
    pub(crate) fn config(&self) -> StateConfig {
        StateConfig {
            durable: self.durable,
            path: PathBuf::from(&self.path),
            checkpoints: self.checkpoints.clone(),
            checkpoint_every: self.checkpoint.every.into(),
            checkpoints_kept: self.checkpoint.keep.max(1),
            sync_every: self.journal.sync.into(),
            segment_bytes: self.journal.segment_mb.saturating_mul(MB),
            on_change: self.on_change,
        }
    }

    /// Says what the schema cannot: (path, message) pairs.
    pub(crate) fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if let Some(url) = &self.checkpoints
            && !["s3://", "file://"].iter().any(|scheme| {
                url.strip_prefix(scheme).is_some_and(|rest| !rest.trim_matches('/').is_empty())
            })
        {
            let message = format!(
                "`{}` is no place for checkpoints; expected a URL such as `s3://bucket/prefix` or \
                 `file:///folder`",
                crate::job::mistake::short(url)
            );
            found.push(("checkpoints".to_owned(), message));
        }
        if self.checkpoint.every.is_zero() {
            let message = "expected a duration of more than zero: every checkpoint costs a pause";
            found.push(("checkpoint.every".to_owned(), message.to_owned()));
        }
        found
    }
}
