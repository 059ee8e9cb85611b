//! What the tests run: the whole workspace, built once.
//!
//! ```text
//! lint, tests, schedules, simulation, live plans, SDK, browser, peers --cargo, profile ci--> target/ci/{lychgate, bench, ...}
//! ```
//!
//! One profile and always the whole workspace: another profile, or other features of a dependency, builds all of them anew,
//! which takes two cores five minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::run;

/// Named in Cargo.toml, which says what it is.
pub(crate) const PROFILE: &str = "ci";

const BUILD_WITHIN: Duration = Duration::from_secs(30 * 60);

/// cargo with a subcommand that builds, or runs what was built, in this profile.
pub(crate) fn cargo(root: &Path, subcommand: &str) -> Command {
    let mut command = run::cargo(root, subcommand);
    command.args(["--profile", PROFILE]);
    command
}

/// Builds the programs, and gives the directory that they lie in. With the tests: alone they would be built with other features
/// of their dependencies.
pub(crate) fn programs(root: &Path) -> Result<PathBuf> {
    run::stream(cargo(root, "build").args(["--workspace", "--all-targets"]), BUILD_WITHIN)?;
    Ok(run::target_dir(root)?.join(PROFILE))
}

/// One of them, freshly built, to be started in `root`.
pub(crate) fn program(root: &Path, name: &str) -> Result<Command> {
    let mut command = Command::new(programs(root)?.join(name));
    command.current_dir(root);
    run::recorded(&mut command);
    Ok(command)
}
