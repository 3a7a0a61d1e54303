//! The gate: holds the coordinator back while sinks lag, and so bounds what is in flight.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::moment::Epoch;

/// How far each sink has come, and a way to wait for them.
#[derive(Debug)]
pub struct Gate {
    applied: Mutex<Vec<Epoch>>,
    moved: Condvar,
}

impl Gate {
    /// Makes a gate for so many sinks, all of which have applied `base`: 0 for nothing.
    pub fn new(sinks: usize, base: Epoch) -> Self {
        Self { applied: Mutex::new(vec![base; sinks]), moved: Condvar::new() }
    }

    /// A sink has applied all epochs up to and with `epoch`.
    pub fn applied(&self, sink: usize, epoch: Epoch) {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = applied.get_mut(sink) {
            *slot = epoch.max(*slot);
        }
        drop(applied);
        self.moved.notify_all();
    }

    /// Gives the epoch that every sink has applied.
    pub fn least(&self) -> Epoch {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        applied.iter().copied().min().unwrap_or(Epoch::MAX)
    }

    /// Gives the sinks that have not applied `epoch`.
    pub fn late(&self, epoch: Epoch) -> Vec<usize> {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        (0..applied.len()).filter(|sink| applied.get(*sink).is_some_and(|e| *e < epoch)).collect()
    }

    /// Waits until some sink moves, at most 50 ms; tells whether every sink has applied `epoch`.
    pub fn wait(&self, epoch: Epoch) -> bool {
        let all_have =
            |applied: &[Epoch]| applied.iter().copied().min().unwrap_or(Epoch::MAX) >= epoch;
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if all_have(&applied) {
            return true;
        }
        let waited = self.moved.wait_timeout(applied, Duration::from_millis(50));
        all_have(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[test]
    fn the_slowest_sink_decides() {
        let gate = Gate::new(2, 0);
        gate.applied(0, 7);
        assert_eq!(gate.least(), 0);
        assert_eq!(gate.late(3), [1]);
        assert!(!gate.wait(3));
        gate.applied(1, 3);
        assert!(gate.wait(3));
        gate.applied(1, 2);
        assert_eq!(gate.least(), 3, "never back");
    }

    #[test]
    fn without_sinks_nothing_holds_back() {
        assert!(Gate::new(0, 0).wait(u64::MAX));
    }
}
