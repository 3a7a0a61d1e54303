//! The lease: the right to run a job, which passes to another process when it runs out.
//!
//! It only says who may go on. What keeps a process from doing harm that has slept through its end is the
//! generation: checkpoints and tables refuse a writer of a lower one (see `docs/durability.md`).

use std::fmt::Debug;

use crate::fault::Fault;

/// The right to run a job, asked for before anything is written that others would see.
pub trait Lease: Send + Sync + Debug {
    /// Tells whether the right is still there; takes no time.
    ///
    /// # Errors
    /// When it has run out, or was taken.
    fn check(&self) -> Result<(), Fault>;
}
