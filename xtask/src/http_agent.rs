//! `POST /v1/agui` under AG-UI's own client, as it comes (npm `@ag-ui/client`).
//!
//! ```text
//! npm install (target/npm/@ag-ui/client, pinned) -> lychgate demo on a free port --url, token-->
//!     -> xtask/peers/http_agent.mjs -> "checked: ..." lines, counted -> TERM, must stop in order
//! ```

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::e2e::Printed;
use crate::{built, install, run};

pub(crate) const PACKAGE: &str = "@ag-ui/client";
pub(crate) const VERSION: &str = "1.0.0";
/// What the script prints for each thing that it made sure of; fewer means that it did not really run.
const CHECKS: usize = 9;
const START_WITHIN: Duration = Duration::from_secs(30);
const CLIENT_WITHIN: Duration = Duration::from_secs(120);

/// Installs the client, starts a gateway, and lets the one talk to the other.
pub(crate) fn run(root: &Path) -> Result<()> {
    install::program("node", "nodejs")?;
    let packages = install::npm(root, PACKAGE, VERSION)?;
    let mut command = built::program(root, "lychgate")?;
    command.args(["demo", "--port", "0"]);
    let mut demo = run::Watched::start("demo", &mut command)?;
    let mut printed = Printed::default();
    let (url, token) = demo.line(START_WITHIN, |line| printed.read(line))?;
    let checked = check(root, &packages, &url, token);
    let stopped = demo.stop();
    checked.and(stopped)
}

fn check(root: &Path, packages: &Path, url: &str, token: String) -> Result<()> {
    let mut client = Command::new("node");
    client
        .current_dir(root)
        .arg("xtask/peers/http_agent.mjs")
        .env("AGENT_HOME", packages)
        .env("GATEWAY_URL", origin(url)?)
        // Not as an argument: those are seen by every user of the machine.
        .env("GATEWAY_TOKEN", token);
    let said = run::capture(&mut client, CLIENT_WITHIN)?;
    let checked: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("checked: ")).collect();
    if checked.len() != CHECKS {
        bail!("{PACKAGE}: {} of {CHECKS} checks were made\n{said}", checked.len());
    }
    println!("{PACKAGE} {VERSION}: {}", checked.join("; "));
    Ok(())
}

/// `ws://127.0.0.1:4567/v1/ws` -> `http://127.0.0.1:4567`: both stand on one listener.
fn origin(url: &str) -> Result<String> {
    let host = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty());
    Ok(format!("http://{}", host.with_context(|| format!("`{url}` is no WebSocket address"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_spoken_where_websockets_are() {
        assert_eq!(origin("ws://127.0.0.1:4567/v1/ws").unwrap(), "http://127.0.0.1:4567");
        assert!(origin("ws:///v1/ws").is_err() && origin("http://x").is_err());
    }
}
