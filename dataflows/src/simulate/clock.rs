//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proto::event_time::EventTime;

use crate::clock::Clock;

/// A [`Clock`] that a test or a simulation moves.
#[derive(Debug)]
pub struct VirtualClock {
    wall: AtomicI64,
    started: i64,
}

impl VirtualClock {
    /// Makes a clock that shows `now`.
    pub fn at(now: EventTime) -> Self {
        Self { wall: AtomicI64::new(now.ns()), started: now.ns() }
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.wall.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn wall(&self) -> EventTime {
        EventTime::from_ns(self.wall.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        let since = self.wall.load(Ordering::Relaxed).saturating_sub(self.started);
        Duration::from_nanos(u64::try_from(since).unwrap_or(0))
    }
}
