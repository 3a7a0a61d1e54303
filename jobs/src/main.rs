//! The `tapeflow` binary.

use std::process::ExitCode;

// Batches are allocated on one thread and freed on another, which the system allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    jobs::cli::main()
}
