//! The one place where the wall clock is read.

use std::time::SystemTime;

use proto::event_time::EventTime;

/// Reads the wall clock. Only the coordinator does, to put the reading on an epoch, and the command
/// line, to print durations.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub fn wall() -> EventTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EventTime::from_ns(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}
