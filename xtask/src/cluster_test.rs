//! `cargo xtask cluster-test`: three real gateways, a real redis-server, and what can happen to both.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::{built, install, run};

pub(crate) const HELP: &str = "\
cargo xtask cluster-test [ARGS...]

Plays real faults, each on three gateways (`lychgate serve`) and a redis-server of its own (Debian's, installed
where it is missing and we may): Redis frozen, slow, flushed, killed; lines between a node and Redis silent or
cut; nodes killed, frozen, lost. Users come, go and make room for each other over all nodes meanwhile.
What every client saw is checked afterwards: nobody above the limit (but by what docs/cluster.md allows while
Redis is unknown), nobody refused, nobody closed but to make room, nothing left behind. Prints a table, and for
each broken promise the user's history around it. Exit code 1 if one broke.

ARGS are those of `lychgate-scenario nodes`:
  --fault WORD,...  only these faults; an unknown word is answered with all of them
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
