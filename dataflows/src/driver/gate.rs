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

    /// Waits until every sink has applied `epoch`, or `give_up` says so; it is asked every 50 ms.
    pub fn wait_for(&self, epoch: Epoch, give_up: impl Fn() -> bool) -> bool {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if applied.iter().copied().min().unwrap_or(Epoch::MAX) >= epoch {
                return true;
            }
            if give_up() {
                return false;
            }
            applied = self
                .moved
                .wait_timeout(applied, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
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
        assert!(!gate.wait_for(3, || true));
        gate.applied(1, 3);
        assert!(gate.wait_for(3, || true));
        gate.applied(1, 2);
        assert_eq!(gate.least(), 3, "never back");
    }

    #[test]
    fn without_sinks_nothing_holds_back() {
        assert!(Gate::new(0, 0).wait_for(u64::MAX, || true));
    }
}
