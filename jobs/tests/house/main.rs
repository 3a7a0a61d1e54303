//! The house and its front door: arrows between rooms, shipped jobs, generated pages, and the binary as
//! a user calls it.

mod bad_input;
mod binary;
mod determinism;
mod reference;
mod shipped;
mod support;
mod tidy;
