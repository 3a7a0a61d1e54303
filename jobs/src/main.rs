//! The `tapeflow` binary.
fn main() {}
