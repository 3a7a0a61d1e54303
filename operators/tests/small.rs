//! What `clean`, `dedupe`, `filter`, `last` and `throttle` promise, held against naive models
//! under any cut into epochs and batches, any number of workers and restarts in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "small/clean.rs"]
mod clean;
#[path = "small/dedupe.rs"]
mod dedupe;
#[path = "small/definitions.rs"]
mod definitions;
#[path = "small/filter.rs"]
mod filter;
#[path = "small/last.rs"]
mod last;
#[path = "small/rig.rs"]
mod rig;
#[path = "small/throttle.rs"]
mod throttle;
