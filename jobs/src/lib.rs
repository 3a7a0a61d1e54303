//! The front door: the jobs that ship, the catalog that links every component, and the `tapeflow`
//! command line.
//!
//! The only room with a `main`, and the only one that reads the environment. Composing is what a job
//! *is*, so a job's definition and the code that starts it stand together.

pub mod catalog;
pub mod cli;
mod lease;
pub mod query;
pub mod shipped;

mod watch;
