//! A token bucket on a given clock: how fast a venue may be called.

use proto::event_time::EventTime;
use serde::{Deserialize, Serialize};

const SECOND: u64 = 1_000_000_000;

/// So many calls a second, and so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Calls a second; at least 1.
    pub per_second: u32,
    /// Calls at once; at least 1.
    pub burst: u32,
}

/// The bucket. Tokens are counted in billionths, so that nothing is lost to rounding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    rate: Rate,
    level: u64,
    at: EventTime,
}

impl Bucket {
    /// Makes a full one.
    pub fn new(rate: Rate) -> Self {
        let rate = Rate { per_second: rate.per_second.max(1), burst: rate.burst.max(1) };
        Self { rate, level: u64::from(rate.burst) * SECOND, at: EventTime::MIN }
    }

    /// Takes a token, if there is one. A clock that goes back fills nothing.
    pub fn take(&mut self, clock: EventTime) -> bool {
        self.fill(clock);
        let has_one = self.level >= SECOND;
        if has_one {
            self.level -= SECOND;
        }
        has_one
    }

    /// Gives when the next token is there.
    pub fn next(&self) -> EventTime {
        let missing = SECOND.saturating_sub(self.level);
        let wait = missing.div_ceil(u64::from(self.rate.per_second));
        EventTime::from_ns(self.at.ns().saturating_add_unsigned(wait))
    }

    fn fill(&mut self, clock: EventTime) {
        if clock <= self.at {
            return;
        }
        let passed = u128::from(clock.ns().abs_diff(self.at.ns()));
        self.at = clock;
        let most = u64::from(self.rate.burst) * SECOND;
        let filled = u128::from(self.level) + passed * u128::from(self.rate.per_second);
        self.level = u64::try_from(filled).unwrap_or(most).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Rate};
    use proto::event_time::EventTime;

    #[test]
    fn in_no_window_there_are_more_calls_than_rate_and_burst_allow() {
        let mut bucket = Bucket::new(Rate { per_second: 7, burst: 3 });
        let step = 10_000_000;
        let times: Vec<i64> = (0..1_000).map(|at| at * step).collect();
        let taken: Vec<i64> =
            times.into_iter().filter(|at| bucket.take(EventTime::from_ns(*at))).collect();
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let calls = i64::try_from(last - first + 1).unwrap();
                assert!((calls - 3) * 1_000_000_000 <= (to - from) * 7, "{from} to {to}: {calls}");
            }
        }
        // Ten seconds at seven a second, the last one not over, and three to begin with.
        assert_eq!(taken.len(), 72);
    }

    #[test]
    fn it_tells_when_the_next_one_may_be() {
        let mut bucket = Bucket::new(Rate { per_second: 3, burst: 1 });
        let start = EventTime::from_ns(5_000_000_000);
        assert!(bucket.take(start) && !bucket.take(start));
        let next = bucket.next();
        assert_eq!(next.ns() - start.ns(), 333_333_334);
        assert!(!bucket.take(EventTime::from_ns(next.ns() - 1)) && bucket.take(next));
        assert!(!bucket.take(start));
    }
}
