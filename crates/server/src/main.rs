//! The `lychgate` program: arguments to exit code, nothing else.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Idle connections are what this process mostly holds, and jemalloc wastes the least on them.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // First thing: what needs cryptography later finds it there, whatever features the dependencies switched on.
    lychgate::auth::jwt::install_provider();
    lychgate::cli::main(std::env::args_os())
}
