//! `cargo xtask schedules`: the server's driver under many orders of its threads.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, run};

pub(crate) const HELP: &str = "\
cargo xtask schedules [--seed N] [--seeds N]

Connects, disconnects, takeovers and the reaper against each other, 16 schedules for each seed of each story.
Without arguments: 40 fixed seeds (they must pass for ever) and 10 fresh ones.
  --seeds N   so many fixed seeds, and a quarter as many fresh ones
  --seed N    one seed, the one that a failure named; not together with --seeds";

const FIXED: u64 = 40;
const WITHIN: Duration = Duration::from_secs(15 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let (name, number) = variable(args)?;
    let mut command = built::cargo(root, "test");
    // The whole workspace, so that what it depends on is built with the features of the other steps: nothing but our
    // own crates is built anew.
    command.args(["--workspace", "--lib", "--features", "lychgate/shuttle", "driver::schedules", "--", "--nocapture"]);
    run::stream(command.env(name, number.to_string()), WITHIN)
}

/// The environment variable that the stories read, and its value.
fn variable(args: &[String]) -> Result<(&'static str, u64)> {
    let (name, value) = match args {
        [] => return Ok(("LYCHGATE_SCHEDULE_SEEDS", FIXED)),
        [flag, value] if flag == "--seed" => ("LYCHGATE_SCHEDULE_SEED", value),
        [flag, value] if flag == "--seeds" => ("LYCHGATE_SCHEDULE_SEEDS", value),
        _ => bail!("schedules does not know `{}`\n\n{HELP}", args.join(" ")),
    };
    Ok((name, value.parse().with_context(|| format!("{} needs a number, not `{value}`", args[0]))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_with(line: &str) -> Result<(&'static str, u64)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        variable(&words)
    }

    #[test]
    fn a_seed_plays_alone_and_otherwise_a_number_of_them() {
        assert_eq!(called_with("").unwrap(), ("LYCHGATE_SCHEDULE_SEEDS", 40));
        assert_eq!(called_with("--seeds 7").unwrap(), ("LYCHGATE_SCHEDULE_SEEDS", 7));
        assert_eq!(called_with("--seed 7").unwrap(), ("LYCHGATE_SCHEDULE_SEED", 7));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in ["--seed", "--seed x", "--seeds -1", "--seed 1 --seeds 2", "--sed 1", "7"] {
            assert!(called_with(line).is_err(), "{line}");
        }
    }
}
