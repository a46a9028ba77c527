//! The `fleetprompt` binary.

use std::process::ExitCode;

use clap::Parser;
use fleetprompt::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    use_small_pages();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the system gives threads").block_on(cli::run(cli))
}

/// Each of the allocator's many heaps would be of pages of 2 MiB otherwise, most of which nothing is ever put in.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    // Where it is not permitted, it only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
