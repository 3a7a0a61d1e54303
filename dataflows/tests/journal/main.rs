//! What is promised of the journal: what was reported durable comes back, nothing else does, and
//! damage is named.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod basics;
mod common;
mod crashes;
mod damage;
mod files;
