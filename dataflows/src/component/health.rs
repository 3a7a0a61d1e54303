//! What a component says of its connection while it runs: read by `/readyz` and `/metrics`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The connection of one source or sink, as it stands.
///
/// A component that returns from `open` counts as connected. One that connects behind the scenes
/// says [`Health::down`] before it returns, [`Health::up`] when it is connected, and so on. None of
/// this changes what a job computes.
#[derive(Debug, Default)]
pub struct Health {
    is_down: AtomicBool,
    retries: AtomicU64,
    reason: Mutex<String>,
}

impl Health {
    /// The connection stands.
    pub fn up(&self) {
        self.is_down.store(false, Ordering::Release);
    }

    /// It does not: `reason` is shown to whoever asks, and so must hold no secret.
    pub fn down(&self, reason: impl ToString) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_string();
        self.is_down.store(true, Ordering::Release);
    }

    /// Something that failed is tried again: a connection, a statement, a publish.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells why it is down; none: it is up.
    pub fn why_down(&self) -> Option<String> {
        let is_down = self.is_down.load(Ordering::Acquire);
        is_down.then(|| self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// How often something was tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn a_component_is_connected_until_it_says_otherwise() {
        let health = Health::default();
        assert_eq!(health.why_down(), None);
        health.down("refused");
        health.retried();
        assert_eq!((health.why_down().as_deref(), health.retries()), (Some("refused"), 1));
        health.up();
        assert_eq!(health.why_down(), None);
    }
}
