//! How a tab is made to fall silent.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::line::{Cue, Line};
use crate::client::Caller;
use crate::live::scene::Remains;
use crate::plan::Plan;
use crate::step::Step;

/// How a tab is made to fall silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It sends nothing any more. Its kernel still acknowledges bytes: a stopped process, a stuck page behind a proxy.
    Mute,
    /// The network drops what is sent to it: half-open, nothing is acknowledged. Only in a network namespace of our own.
    DropPackets,
}

impl Silence {
    /// What is left of a plan's sockets when everybody has left. Each is reset then, and the gateway is told so, but for
    /// one whose tab was closed while the network dropped its packets.
    pub(crate) fn remains(self, plan: &Plan) -> Remains {
        let closes = plan.steps.iter().any(|step| matches!(step, Step::CloseTab { .. }));
        match self {
            Self::DropPackets if closes => Remains::HalfOpen,
            Self::DropPackets | Self::Mute => Remains::Ended,
        }
    }

    pub(super) async fn begin(self, line: &Line, caller: &Caller) -> anyhow::Result<()> {
        match self {
            Self::Mute => {
                line.obey(Cue::Mute).await;
                Ok(())
            }
            Self::DropPackets => route(&["replace", "blackhole"], caller).await,
        }
    }

    /// Ends what [`Self::begin`] began; nothing to do where it did not. The socket itself is woken by its own cue.
    pub(super) async fn end(self, caller: &Caller) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tab_that_is_closed_while_its_packets_are_dropped_leaves_a_half_open_socket() {
        let silent: Plan = "open-tab u0 c0 t0\ngo-silent u0 c0".parse().unwrap();
        let closed: Plan = "open-tab u0 c0 t0\ngo-silent u0 c0\nclose-tab u0 c0 lost".parse().unwrap();
        assert_eq!(Silence::DropPackets.remains(&closed), Remains::HalfOpen);
        assert_eq!(Silence::DropPackets.remains(&silent), Remains::Ended);
        assert_eq!(Silence::Mute.remains(&closed), Remains::Ended);
    }
}
