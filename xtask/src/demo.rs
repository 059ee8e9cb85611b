//! `cargo xtask demo`: builds the gateway and becomes it.
//!
//! ```text
//! cargo xtask demo ARGS --build (dev profile)--> cargo run -p lychgate -- demo ARGS --exec--> lychgate demo ARGS
//! ```
//!
//! Nothing of us stays in between: Ctrl-C and TERM reach the gateway itself, and its exit code is what the shell sees.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{install, run, web};

pub(crate) const HELP: &str = "\
cargo xtask demo [ARGS...]

Builds the gateway (dev profile) and starts `lychgate demo ARGS...` on loopback:
an embedded journal, the demo agent, a printed token, and a line to try it with.
`cargo xtask demo --help` is answered by `lychgate demo --help`.";

/// The first build on two slow cores with cold caches must end within 6 minutes; far beyond it something hangs.
const BUILD_WITHIN: Duration = Duration::from_secs(30 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    build(root, &["lychgate"])?;
    let mut command = run::cargo(root, "run");
    command.args(["--quiet", "--package", "lychgate", "--", "demo"]).args(args);
    become_it(command)
}

/// Builds these packages, with the pages where there is an npm.
pub(crate) fn build(root: &Path, packages: &[&str]) -> Result<()> {
    install::need_compiler()?;
    eprintln!("Building the gateway. The first time takes minutes (it compiles every dependency), later ones seconds.");
    let begin = Instant::now();
    // Whoever has no npm gets a gateway without pages, which says how to get them.
    match run::is_on_path("npm") {
        true => web::quickly(root)?,
        false => eprintln!("npm is missing: the chat page and the console are left out."),
    }
    // The dev profile: optimizing every dependency would cost minutes before the first answer, and one user alone
    // cannot tell the difference.
    let mut command = run::cargo(root, "build");
    packages.iter().for_each(|package| _ = command.args(["--package", package]));
    run::stream(&mut command, BUILD_WITHIN)?;
    eprintln!("Built in {} s. Starting; Ctrl-C stops it.", begin.elapsed().as_secs());
    Ok(())
}

/// Replaces this process by the command.
#[cfg(unix)]
pub(crate) fn become_it(mut command: std::process::Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    // Returns only if it could not start; cargo in turn is replaced by the program that it runs.
    let error = command.exec();
    bail!("could not start the gateway: {error}");
}

#[cfg(not(unix))]
pub(crate) fn become_it(mut command: std::process::Command) -> Result<()> {
    // The console sends Ctrl-C to every program that is attached to it.
    let status = command.status()?;
    if !status.success() {
        bail!("the gateway ended: {status}");
    }
    Ok(())
}
