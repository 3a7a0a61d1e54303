//! Marks: how far something has come, to be read and waited for by other threads.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::moment::Epoch;

/// The greatest epoch of which something holds: that the journal has it durable, say.
#[derive(Debug)]
pub(crate) struct Mark {
    reached: Mutex<Epoch>,
    moved: Condvar,
}

impl Mark {
    /// Starts at `epoch`.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { reached: Mutex::new(epoch), moved: Condvar::new() }
    }

    /// It holds of all epochs up to and with `epoch`.
    pub(crate) fn set(&self, epoch: Epoch) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = epoch.max(*reached);
        drop(reached);
        self.moved.notify_all();
    }

    /// Gives the epoch.
    pub(crate) fn get(&self) -> Epoch {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it holds of `epoch`, or `give_up` says so; it is asked every 50 ms.
    pub(crate) fn wait_for(&self, epoch: Epoch, give_up: impl Fn() -> bool) -> bool {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if *reached >= epoch {
                return true;
            }
            if give_up() {
                return false;
            }
            let waited = self.moved.wait_timeout(reached, Duration::from_millis(50));
            reached = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The epochs after which a checkpoint is taken: set by the coordinator before anyone can reach
/// them.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Mutex<BTreeMap<Epoch, Duration>>);

impl Cuts {
    /// A checkpoint is taken after `epoch`, which was minted at that time.
    pub(crate) fn add(&self, epoch: Epoch, minted: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(epoch, minted);
    }

    /// Tells whether a checkpoint is taken after `epoch`.
    pub(crate) fn is_at(&self, epoch: Epoch) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&epoch)
    }

    /// Forgets the checkpoint after `epoch`: it is written. Gives when the epoch was minted.
    pub(crate) fn forget(&self, epoch: Epoch) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&epoch)
    }

    /// Tells whether a checkpoint is under way.
    pub(crate) fn are_any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
