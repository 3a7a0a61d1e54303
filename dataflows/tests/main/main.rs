//! What the engine promises, seen from outside.

mod fakes;
mod job_file;
mod pictures;
