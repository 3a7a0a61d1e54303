//! How long to wait before a connection is tried again: full jitter.
//!
//! The wait is drawn evenly from nothing up to a bound that doubles with every failure, and the cap
//! is put on the bound, not on what is drawn. Were the cap put on afterwards, all clients of a broker
//! that was away for long would come back in the same instant. ("Exponential Backoff And Jitter",
//! AWS Architecture Blog, 2015.)

use std::time::Duration;

/// The first bound.
const FIRST: Duration = Duration::from_millis(200);

/// The last bound.
const MOST: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// No failure yet.
    pub const fn new() -> Self {
        Self { failures: 0, most: MOST }
    }

    /// The same with a bound of its own, if that is less than the usual one: for a client whose
    /// messages are worth nothing when they wait longer.
    pub fn up_to(most: Duration) -> Self {
        Self { failures: 0, most: most.clamp(FIRST, MOST) }
    }

    /// It works again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often it has failed in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// It has failed once more: how long to wait now.
    pub fn wait(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        let most = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(fastrand::u64(0..=most))
    }

    /// The most that the next wait can come to.
    pub fn bound(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        FIRST.checked_mul(factor).unwrap_or(MOST).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn the_bound_doubles_up_to_half_a_minute_and_starts_over_when_it_works() {
        let mut backoff = Backoff::new();
        let bounds: Vec<u128> = (0..10)
            .map(|_| {
                let bound = backoff.bound();
                assert!(backoff.wait() <= bound);
                bound.as_millis()
            })
            .collect();
        assert_eq!(bounds, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(200));
        for (most, bound) in [(50, 200), (1_000, 1_000), (60_000, 30_000)] {
            let mut backoff = Backoff::up_to(Duration::from_millis(most));
            (0..20).for_each(|_| assert!(backoff.wait() <= backoff.bound()));
            assert_eq!(backoff.bound(), Duration::from_millis(bound));
        }
    }

    #[test]
    fn clients_that_lost_their_broker_together_do_not_come_back_together() {
        let mut crowds: BTreeMap<u128, u32> = BTreeMap::new();
        for _ in 0..15_000 {
            let mut backoff = Backoff::new();
            (0..9).for_each(|_| assert!(backoff.wait() <= Duration::from_secs(30)));
            *crowds.entry(backoff.wait().as_millis() / 100).or_default() += 1;
        }
        let largest = crowds.values().copied().max().unwrap();
        assert!(largest < 300, "{largest} of 15,000 come back within the same 100 ms");
    }
}
