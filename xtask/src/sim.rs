//! `cargo xtask sim`: random plans in virtual time, compared with the reference model after every step.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, run};

pub(crate) const HELP: &str = "\
cargo xtask sim [--nodes] [--seed N] [--plans N]

Without arguments: 20,000 plans of one gate from fixed seeds (they must pass for ever) and 5,000 from fresh ones; then 4,000 and
1,000 of many nodes.
  --nodes     plans of many nodes alone
  --plans N   so many fixed plans, and a quarter as many fresh ones
  --seed N    one plan, the one that a failure named; not together with --plans";

const FIXED: u64 = 20_000;
/// About 20 s in the profile `ci` on two cores.
const FIXED_OF_NODES: u64 = 4_000;
const WITHIN: Duration = Duration::from_secs(15 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    for words in arguments(args)? {
        let mut command = built::program(root, "lychgate-scenario")?;
        command.arg("sim").args(words);
        run::stream(&mut command, WITHIN)?;
    }
    Ok(())
}

/// What the simulator is called with, once or twice.
fn arguments(args: &[String]) -> Result<Vec<Vec<String>>> {
    let mut seed = None;
    let mut plans = None;
    let mut nodes_alone = false;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let slot = match word.as_str() {
            "--seed" => &mut seed,
            "--plans" => &mut plans,
            "--nodes" => {
                nodes_alone = true;
                continue;
            }
            unknown => bail!("sim does not know `{unknown}`\n\n{HELP}"),
        };
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        *slot = Some(value.parse::<u64>().with_context(|| format!("{word} needs a number, not `{value}`"))?);
    }
    let flags = |fixed: u64| match (seed, plans) {
        (Some(seed), _) => vec![("--seed", seed)],
        (None, plans) => {
            let fixed = plans.unwrap_or(fixed);
            vec![("--fixed", fixed), ("--fresh", fixed / 4)]
        }
    };
    let written = |flags: Vec<(&str, u64)>| -> Vec<String> {
        flags.into_iter().flat_map(|(flag, number)| [flag.to_owned(), number.to_string()]).collect()
    };
    let of_nodes = || [vec!["--nodes".to_owned()], written(flags(FIXED_OF_NODES))].concat();
    Ok(match (seed, plans, nodes_alone) {
        (Some(_), Some(_), _) => bail!("--seed names one plan, --plans a number of them: give one of the two"),
        (_, _, true) => vec![of_nodes()],
        // A seed and a number mean one kind of plan; nothing means everything.
        (None, None, false) => vec![written(flags(FIXED)), of_nodes()],
        (_, _, false) => vec![written(flags(FIXED))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_with(line: &str) -> Result<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Ok(arguments(&words)?.iter().map(|call| call.join(" ")).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn without_arguments_the_full_number_of_plans_runs() {
        let all = "--fixed 20000 --fresh 5000; --nodes --fixed 4000 --fresh 1000";
        assert_eq!(called_with("").unwrap(), all);
        assert_eq!(called_with("--plans 400").unwrap(), "--fixed 400 --fresh 100");
    }

    #[test]
    fn a_seed_runs_that_plan_alone() {
        assert_eq!(called_with("--seed 7").unwrap(), "--seed 7");
        assert_eq!(called_with("--nodes --seed 7").unwrap(), "--nodes --seed 7");
        assert_eq!(called_with("--plans 40 --nodes").unwrap(), "--nodes --fixed 40 --fresh 10");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in ["--seed", "--seed x", "--plans -1", "--seed 1 --plans 2", "--sed 1", "7"] {
            assert!(called_with(line).is_err(), "{line}");
        }
    }
}
