//! What all peers have in common: a program that says where it listens, and tests that say what they made sure of with it.
//!
//! ```text
//! listening (its first line with "listening on") -> check (cargo test, with its address in the environment) -> drop: TERM
//! ```

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::Watched;

const START_WITHIN: Duration = Duration::from_secs(60);

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
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["test", "--locked", "--package", "lychgate"])
            .args(self.tests)
            .args(["--", "--nocapture"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::inherit())
            .output()
            .context("cargo test does not start")?;
        let said = String::from_utf8_lossy(&output.stdout);
        // The test harness prints "test name ... " without a line end before what the test prints.
        let checked: Vec<&str> = said.lines().filter_map(|line| line.split("checked: ").nth(1)).collect();
        if !output.status.success() || checked.len() != self.checks {
            bail!("{} of {} checks were made\n{said}", checked.len(), self.checks);
        }
        println!("checked: {}", checked.join("; "));
        Ok(())
    }
}
