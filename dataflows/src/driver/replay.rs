//! Replay: a recorded journal in the place of the sources. The same epochs with the same clock and
//! the same records in the same order, as fast as they go or paced by the job clock.

use std::sync::Arc;
use std::time::Duration;

use proto::event_time::EventTime;

use crate::clock::{Clock, System};
use crate::driver::again::Again;
use crate::driver::prepare::Run;
use crate::driver::status::Status;
use crate::driver::{Options, RunReport, drive};
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::journal::Tail;

/// How fast a replay goes: multiples of the recorded job clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// How many nanoseconds of the job clock pass in one second; none: as fast as it goes.
    rate: Option<u64>,
    /// The first epoch: its job clock, and when it was minted.
    begun: Option<(EventTime, Duration)>,
}

impl Pace {
    /// As fast as it goes.
    pub const MAX: Self = Self { rate: None, begun: None };

    /// Lets so many nanoseconds of the job clock pass in one second; at least one.
    pub const fn of(rate: u64) -> Self {
        Self { rate: Some(if rate == 0 { 1 } else { rate }), begun: None }
    }

    /// Gives how long the epoch of `clock` has to wait, seen from `now`.
    pub(crate) fn wait(&mut self, clock: EventTime, now: Duration) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let (first, begun) = *self.begun.get_or_insert((clock, now));
        let passed = i128::from(clock.ns()) - i128::from(first.ns());
        let due = u128::try_from(passed).unwrap_or(0) * 1_000_000_000 / u128::from(rate);
        let due = Duration::from_nanos(u64::try_from(due).unwrap_or(u64::MAX));
        begun.saturating_add(due).saturating_sub(now)
    }
}

/// Runs a plan's operators and sinks over the epochs of a recording. No source is opened; the
/// plan's are found by their ids in the recording. Where the recorded run was stopped before the
/// end of its input, this one ends so, too: it sets [`Options::stop`].
///
/// # Errors
/// The first fault of any component, or of the recording.
pub fn replay(
    plan: &Plan,
    options: Options,
    recording: &Tail,
    pace: Pace,
    status: Arc<Status>,
) -> Result<RunReport, Fault> {
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let (mut run, keepers) = Run::prepare(plan, options, None, status, clock)?;
    let last = recording.last.unwrap_or(0);
    run.again = Some(Again::replay(recording.entries(), last, pace));
    drive(run, keepers, Vec::new())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::event_time::EventTime;

    use super::Pace;

    #[test]
    fn epochs_wait_for_their_share_of_the_recorded_time() {
        let second = |seconds: i64| EventTime::from_ns(seconds * 1_000_000_000);
        let mut twice = Pace::of(2_000_000_000);
        let begun = Duration::from_secs(7);
        assert_eq!(twice.wait(second(100), begun), Duration::ZERO);
        assert_eq!(twice.wait(second(110), begun), Duration::from_secs(5));
        assert_eq!(twice.wait(second(110), begun + Duration::from_secs(6)), Duration::ZERO);
        assert_eq!(Pace::MAX.wait(second(110), begun), Duration::ZERO);
    }
}
