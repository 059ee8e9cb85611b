//! `cargo xtask cluster-test`: three real gateways, their real Redis, and what can happen to both.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::{built, install, run};

pub(crate) const HELP: &str = "\
cargo xtask cluster-test [ARGS...]

Plays real faults, each on three gateways (`lychgate serve`) and a Redis of its own (Debian's redis-server, installed
where it is missing and we may): Redis frozen, slow, flushed, killed; lines between a node and Redis silent or
cut; nodes killed, frozen, lost; failovers by Sentinel and in a Redis Cluster. Users come, go and make room for each
other over all nodes meanwhile. What every client saw is checked afterwards: nobody above the limit (but by what
docs/cluster.md allows while Redis is unknown), nobody refused, nobody closed but to make room, nothing left behind.
Prints a table, and for each broken promise the user's history around it. Exit code 1 if one broke.

ARGS are those of `lychgate-scenario nodes`:
  --fault WORD,...  only these faults:
                    redis-frozen redis-paused redis-slow redis-flushed redis-emptied redis-restarted
                    one-silent one-cut all-silent all-cut node-lost node-killed node-frozen
                    threads-frozen threads-restarted threads-cut threads-orphaned rolling-restart
                    sentinel-failover sentinel-partition cluster-failover threads-failover
                    (`lychgate-scenario nodes --help` says what each is)
  --at-once N       so many faults at a time (4)
  --history DIR     what happened in each, a line for each step of a session";

/// Above every bound that a single fault has inside.
const WITHIN: Duration = Duration::from_secs(15 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    install::program("redis-server", "redis-server")?;
    let mut command = built::program(root, "lychgate-scenario")?;
    command.arg("nodes").args(args);
    run::stream(&mut command, WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_fault() {
        let source = include_str!("../../crates/scenario/src/nodes/fault.rs");
        let (_, body) = source.split_once("pub enum Fault {").unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let variants = body.lines().filter_map(|line| line.trim().strip_suffix(','));
        let faults: Vec<String> = variants.filter(|name| !name.contains(' ')).map(kebab).collect();
        assert!(faults.contains(&"redis-frozen".to_owned()), "{faults:?}");
        for fault in faults {
            assert!(HELP.split_whitespace().any(|word| word == fault), "HELP lacks {fault}");
        }
    }

    fn kebab(name: &str) -> String {
        let dashed = |(at, letter): (usize, char)| match letter.is_uppercase() && at > 0 {
            true => format!("-{}", letter.to_lowercase()),
            false => letter.to_lowercase().to_string(),
        };
        name.char_indices().map(dashed).collect()
    }
}
