//! Spreads: how often something took how long, as cumulative counts below fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds of every spread: from a tick that goes through live to a checkpoint of minutes.
pub const BOUNDS: [Duration; 17] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// Counts of one thread, gathered before they are added to a [`Spread`] at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// By bound, the last one is beyond all of them: how many were within this bound and not
    /// within the one before.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all durations.
    pub sum: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: [0; BOUNDS.len() + 1], sum: Duration::ZERO }
    }
}

impl Tally {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        let place = BOUNDS.partition_point(|bound| *bound < duration);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(duration);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Counts that one thread adds to and others read, without a lock.
#[derive(Debug, Default)]
pub struct Spread {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

impl Spread {
    /// Counts a duration.
    pub fn add(&self, duration: Duration) {
        let mut tally = Tally::default();
        tally.add(duration);
        self.add_all(&tally);
    }

    /// Adds what was gathered.
    pub fn add_all(&self, tally: &Tally) {
        for (own, more) in self.counts.iter().zip(tally.counts).filter(|(_, more)| *more > 0) {
            own.fetch_add(more, Ordering::Relaxed);
        }
        let sum = u64::try_from(tally.sum.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(sum, Ordering::Relaxed);
    }

    /// Reads the counts.
    pub fn read(&self) -> Tally {
        let mut tally = Tally::default();
        for (count, own) in tally.counts.iter_mut().zip(&self.counts) {
            *count = own.load(Ordering::Relaxed);
        }
        tally.sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed));
        tally
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BOUNDS, Spread};

    #[test]
    fn a_duration_counts_within_the_first_bound_that_it_does_not_exceed() {
        let spread = Spread::default();
        spread.add(Duration::ZERO);
        spread.add(Duration::from_millis(1));
        spread.add(Duration::from_millis(1) + Duration::from_nanos(1));
        spread.add(Duration::from_secs(1_000));
        let tally = spread.read();
        assert_eq!(tally.counts[..3], [1, 1, 1]);
        assert_eq!((tally.counts[BOUNDS.len()], tally.count()), (1, 4));
        assert_eq!(tally.sum, Duration::from_nanos(1_000_002_000_001));
        assert!(BOUNDS.is_sorted());
    }
}
