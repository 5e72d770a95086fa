//! Main: the doorbell. Everything behind it is `bugle::cli`.

use std::process::ExitCode;

/// Short-lived allocations of many sizes on many threads are what it is best at.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bugle::cli::main()
}
