//! What `clean`, `dedupe`, `filter`, `last` and `throttle` promise, held against naive models
//! under any cut into epochs and batches, any number of workers and restarts in between.

mod clean;
mod dedupe;
mod definitions;
mod filter;
mod last;
mod rig;
mod throttle;
