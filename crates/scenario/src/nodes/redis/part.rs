//! What a redis-server is started for, and how that is said to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use tokio::process::Command;

/// What the sentinels call the server that takes writes.
pub(crate) const MASTER: &str = "the-master";

/// Who does not answer for so long is gone, for sentinels and for the others of a Redis Cluster: so long that on a busy machine
/// nobody is taken for gone who is there.
const GONE_AFTER_MS: &str = "2000";

/// Sentinels whose failover came to nothing try again after twice as long.
const FAIL_OVER_WITHIN_MS: &str = "4000";

/// Who keeps nothing over a restart. A replica is given what it lacks at once, and leaves no file of it.
const IN_MEMORY: [&str; 8] =
    ["--save", "", "--appendonly", "no", "--repl-diskless-load", "swapdb", "--repl-diskless-sync-delay", "0"];

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It keeps over a restart what it acknowledged.
    Alone,
    /// Others follow it.
    Leader,
    /// It follows that one.
    Follower(SocketAddr),
    /// It watches that one with two others.
    Sentinel(SocketAddr),
    /// One of a Redis Cluster; it knows no other one yet.
    Shard,
}

impl Part {
    /// The command line of a server at `port`, whose files are in `folder`. Shards talk to each other at the port `bus`.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub(super) fn command(self, port: u16, bus: u16, folder: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new("redis-server");
        if let Self::Sentinel(master) = self {
            // A sentinel writes into its configuration, and does not start without one.
            let file = folder.join("sentinel.conf");
            std::fs::write(&file, watching(master, port, folder))
                .with_context(|| format!("{} cannot be written", file.display()))?;
            command.arg(file).arg("--sentinel");
            return Ok(command);
        }
        let (port, bus) = (port.to_string(), bus.to_string());
        command.args(["--port", &port, "--bind", &Ipv4Addr::LOCALHOST.to_string(), "--dir"]).arg(folder);
        match self {
            // What it acknowledged is with the kernel: it survives the process, and no disk is waited for.
            Self::Alone => command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"]),
            Self::Leader => command.args(IN_MEMORY),
            Self::Follower(leader) => {
                let (host, port) = (leader.ip().to_string(), leader.port().to_string());
                command.args(IN_MEMORY).args(["--replicaof", &host, &port])
            }
            Self::Shard => command
                .args(IN_MEMORY)
                .args(["--cluster-enabled", "yes", "--cluster-port", &bus])
                .args(["--cluster-node-timeout", GONE_AFTER_MS]),
            Self::Sentinel(_) => &mut command,
        };
        Ok(command)
    }
}

/// The configuration of a sentinel.
fn watching(master: SocketAddr, port: u16, folder: &Path) -> String {
    let (own, host, its) = (Ipv4Addr::LOCALHOST, master.ip(), master.port());
    format!(
        "port {port}\nbind {own}\ndir {}\nsentinel monitor {MASTER} {host} {its} 2\n\
         sentinel down-after-milliseconds {MASTER} {GONE_AFTER_MS}\n\
         sentinel failover-timeout {MASTER} {FAIL_OVER_WITHIN_MS}\n",
        folder.display()
    )
}
