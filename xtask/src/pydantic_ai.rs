//! The `agui` agent against an AG-UI server that others wrote: pydantic-ai (PyPI) behind uvicorn, with a model that is a
//! function.
//!
//! ```text
//! pip install (target/venv/pydantic-ai, pinned) -> xtask/peers/agui_peer.py on a free port -> cargo test, with its address:
//!     the agent alone (agent::agui::tests::peer), and a whole gateway (tests/it/agents_peers.rs) -> end it by process id
//! ```

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::install;
use crate::peer::{self, Check};

/// What the tests of the agent, and those of a whole gateway, make sure of.
const AGENT_CHECKS: usize = 6;
const GATEWAY_CHECKS: usize = 4;

/// What the gateway signs tokens for this agent with; both sides hear it from here.
const SECRET: &str = "a secret of 32 bytes for a token";

/// Installs and starts the server, runs the tests that need it, and ends it again.
pub(crate) fn run(root: &Path) -> Result<()> {
    let peers = root.join("xtask/peers");
    let python = install::python(root, "pydantic-ai", &peers.join("requirements.txt"))?;
    let mut command = Command::new(python);
    // Isolated: neither the folder of the script nor the user's own packages may stand in for what was installed.
    command.arg("-I").arg(peers.join("agui_peer.py")).env("AGENT_SECRET", SECRET).env("AGENT_NAME", "peer");
    let (_server, address) = peer::listening("pydantic-ai", &mut command)?;
    let environment = [("LYCHGATE_AGUI_URL", format!("{address}/agent")), ("LYCHGATE_AGUI_SECRET", SECRET.to_owned())];
    for (tests, checks) in [
        (["--lib", "agent::agui::tests::peer"], AGENT_CHECKS),
        (["--test=it", "agents_peers::pydantic_ai"], GATEWAY_CHECKS),
    ] {
        Check { tests: &tests, environment: &environment, checks }.run(root)?;
    }
    println!("pydantic-ai: passed");
    Ok(())
}
