//! What the engine promises, seen from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fakes;
mod job_file;
mod pictures;
