//! How a tab is made to fall silent.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::line::{Line, Order};
use crate::client::Caller;

/// How a tab is made to fall silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It sends nothing any more. Its kernel still acknowledges bytes: a stopped process, a stuck page behind a proxy.
    Mute,
    /// The network drops what is sent to it: half-open, nothing is acknowledged. Only in a network namespace of our own.
    DropPackets,
}

impl Silence {
    pub(super) async fn begin(self, line: &Line, caller: &Caller) -> anyhow::Result<()> {
        match self {
            Self::Mute => {
                line.obey(Order::Mute).await;
                Ok(())
            }
            Self::DropPackets => route(&["replace", "blackhole"], caller).await,
        }
    }

    /// Ends what [`Self::begin`] began; nothing to do where it did not. The socket itself is woken by its own order.
    pub(super) async fn end(self, _: &Line, caller: &Caller) -> anyhow::Result<()> {
        match self {
            Self::Mute => Ok(()),
            Self::DropPackets => route(&["flush", "type", "blackhole", "exact"], caller).await,
        }
    }
}

/// A route of the local table that swallows every packet to one loopback address; `flush` is content without one.
async fn route(verb: &[&str], caller: &Caller) -> anyhow::Result<()> {
    let address =
        caller.source.context("packets are dropped by source address, and this gateway is not on loopback")?;
    let mut command = Command::new("ip");
    command.arg("route").args(verb).args([&format!("{address}/32"), "table", "local"]);
    let output = command.stdin(Stdio::null()).output().await.context("could not start `ip`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip route {}` failed: {said}", verb.join(" "));
    Ok(())
}
