//! `cargo xtask cluster-demo`: three nodes to look at, and a user who is moved from one to another in mid-answer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{demo, install, run};

pub(crate) const HELP: &str = "\
cargo xtask cluster-demo [move]

Without `move`: builds the gateway (dev profile), starts a Redis (Debian's redis-server, installed where it is missing
and we may) and three gateways that share leases and threads in it, and keeps them until Ctrl-C. A node that stops is
started again.
With `move`, in another terminal: a user asks the first node; in the middle of the answer that node is told to stop, as
in a rolling restart, and the user reads the rest from the second one. Exit code 1 if a word is missing or comes twice.";

/// The answer takes some ten seconds.
const MOVED_WITHIN: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let is_move = match args {
        [] => false,
        [word] if word == "move" => true,
        _ => bail!("cluster-demo takes `move` or nothing\n\n{HELP}"),
    };
    let file = run::target_dir(root)?.join("cluster-demo.json");
    let scenario = |subcommand: &str| {
        let mut command = run::cargo(root, "run");
        command.args(["--quiet", "--package", "lychgate-scenario", "--", subcommand, "--file"]).arg(&file);
        command
    };
    if is_move {
        return run::stream(&mut scenario("moved"), MOVED_WITHIN);
    }
    install::program("redis-server", "redis-server")?;
    demo::build(root, &["lychgate", "lychgate-scenario"])?;
    demo::become_it(scenario("stand"))
}
