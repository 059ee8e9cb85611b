//! What all peers have in common: a program that says where it listens, and tests that say what they made sure of with it.
//!
//! ```text
//! listening (its first line with "listening on") -> check (cargo test, with its address in the environment) -> drop: TERM
//! ```

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::built;
use crate::run::{self, Watched};

const START_WITHIN: Duration = Duration::from_secs(60);
/// With time to build the tests.
const CHECK_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Starts a program and waits for the address that it listens on, such as `http://127.0.0.1:4010`. It is ended by its
/// process id when it is dropped.
pub(crate) fn listening(name: &str, command: &mut Command) -> Result<(Watched, String)> {
    let mut program = Watched::start(name, command)?;
    let address = |line: &str| Some(line.split("listening on ").nth(1)?.trim().to_owned());
    let address = program.line(START_WITHIN, address)?;
    Ok((program, address))
}

/// Tests of the server's crate that need a peer.
pub(crate) struct Check<'a> {
    /// Which tests, as `cargo test` is told: `--lib` and a module, or `--test it` and a module.
    pub(crate) tests: &'a [&'a str],
    /// Where the peer is.
    pub(crate) environment: &'a [(&'a str, String)],
    /// How many lines with `checked:` they print; fewer mean that they did not really run.
    pub(crate) checks: usize,
}

impl Check<'_> {
    /// Runs them.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        let mut command = built::cargo(root, "test");
        command
            .arg("--workspace")
            .args(self.tests)
            .args(["--", "--nocapture"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let (status, said) = run::told(&mut command, CHECK_WITHIN)?;
        let status = status.with_context(|| said.clone())?;
        // The test harness prints "test name ... " without a line end before what the test prints.
        let checked: Vec<&str> = said.lines().filter_map(|line| line.split("checked: ").nth(1)).collect();
        if !status.success() || checked.len() != self.checks {
            bail!("{} of {} checks were made\n{said}", checked.len(), self.checks);
        }
        println!("checked: {}", checked.join("; "));
        Ok(())
    }
}
