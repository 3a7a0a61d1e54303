//! What holds for every record and every codec: one binary, because linking is slow.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod examples;
mod golden;
mod malformed;
mod python;
mod round_trip;
mod strategies;
