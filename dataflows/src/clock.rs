//! The one place where the wall clock is read.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use proto::event_time::EventTime;

/// What the coordinator reads: a real clock, or one that a test or a simulation moves.
pub trait Clock: Send + Sync + Debug {
    /// The time of day; may be set back.
    fn wall(&self) -> EventTime;
    /// The time since some moment; never goes back. For waiting, never for what is put out.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct System {
    started: Instant,
}

impl System {
    /// Starts counting.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for System {
    fn wall(&self) -> EventTime {
        wall()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Reads the wall clock. Only the coordinator does, to put the reading on an epoch, and the command
/// line, to print durations.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub fn wall() -> EventTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EventTime::from_ns(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}
