//! `cargo xtask sim`: random plans in virtual time, compared with the reference model after every step.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, run};

pub(crate) const HELP: &str = "\
cargo xtask sim [--seed N] [--plans N]

Without arguments: 20,000 plans from fixed seeds (they must pass for ever) and 5,000 from fresh ones.
  --plans N   so many fixed plans, and a quarter as many fresh ones
  --seed N    one plan, the one that a failure named; not together with --plans";

const FIXED: u64 = 20_000;
const WITHIN: Duration = Duration::from_secs(15 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let words = arguments(args)?;
    let mut command = built::program(root, "lychgate-scenario")?;
    command.arg("sim").args(words);
    run::stream(&mut command, WITHIN)
}

/// What the simulator is called with.
fn arguments(args: &[String]) -> Result<Vec<String>> {
    let mut seed = None;
    let mut plans = None;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let slot = match word.as_str() {
            "--seed" => &mut seed,
            "--plans" => &mut plans,
            unknown => bail!("sim does not know `{unknown}`\n\n{HELP}"),
        };
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        *slot = Some(value.parse::<u64>().with_context(|| format!("{word} needs a number, not `{value}`"))?);
    }
    let flags = match (seed, plans) {
        (Some(_), Some(_)) => bail!("--seed names one plan, --plans a number of them: give one of the two"),
        (Some(seed), None) => vec![("--seed", seed)],
        (None, plans) => {
            let fixed = plans.unwrap_or(FIXED);
            vec![("--fixed", fixed), ("--fresh", fixed / 4)]
        }
    };
    Ok(flags.into_iter().flat_map(|(flag, number)| [flag.to_owned(), number.to_string()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_with(line: &str) -> Result<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Ok(arguments(&words)?.join(" "))
    }

    #[test]
    fn without_arguments_the_full_number_of_plans_runs() {
        assert_eq!(called_with("").unwrap(), "--fixed 20000 --fresh 5000");
        assert_eq!(called_with("--plans 400").unwrap(), "--fixed 400 --fresh 100");
    }

    #[test]
    fn a_seed_runs_that_plan_alone() {
        assert_eq!(called_with("--seed 7").unwrap(), "--seed 7");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in ["--seed", "--seed x", "--plans -1", "--seed 1 --plans 2", "--sed 1", "7"] {
            assert!(called_with(line).is_err(), "{line}");
        }
    }
}
