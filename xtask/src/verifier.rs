//! What a client holds after forced cuts, judged by the AG-UI project's own client (npm `@ag-ui/client`).
//!
//! ```text
//! peers/model.mjs <--OpenAI protocol-- lychgate demo on a free port <--lychgate.v1-- peers/forced-cuts.mjs: npm `ws`,
//!                                                                                     verifier and reducer
//! ```

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::e2e::{Printed, WS_VERSION};
use crate::http_agent::{PACKAGE, VERSION};
use crate::{built, install, run};

/// What the script prints for each thing that it made sure of; fewer means that it did not really run.
const CHECKS: usize = 15;
const START_WITHIN: Duration = Duration::from_secs(30);
const CLIENT_WITHIN: Duration = Duration::from_secs(3 * 60);

/// Installs the clients, starts a model and a gateway before it, and has every kind of answer cut to pieces.
pub(crate) fn run(root: &Path) -> Result<()> {
    install::program("node", "nodejs")?;
    let ws = install::npm(root, "ws", WS_VERSION)?;
    let agui = install::npm(root, PACKAGE, VERSION)?;

    let mut node = Command::new("node");
    let mut model = run::Watched::start("model", node.current_dir(root).arg("xtask/peers/model.mjs"))?;
    let url = model.line(START_WITHIN, |line| line.strip_prefix("listening on ").map(str::to_owned))?;
    let mut gateway = built::program(root, "lychgate")?;
    gateway.args(["demo", "--port", "0", "--agent"]).arg(format!("openai={url}"));
    let mut demo = run::Watched::start("demo", &mut gateway)?;
    let mut printed = Printed::default();
    let (url, token) = demo.line(START_WITHIN, |line| printed.read(line))?;

    let mut client = Command::new("node");
    client.current_dir(root).arg("xtask/peers/forced-cuts.mjs").env("WS_HOME", &ws).env("AGUI_HOME", &agui);
    let said = run::capture(client.env("GATEWAY_URL", url).env("GATEWAY_TOKEN", token), CLIENT_WITHIN);
    demo.stop().and(model.stop())?;
    let said = said?;
    print!("{said}");
    match said.lines().filter(|line| line.starts_with("checked: ")).count() {
        CHECKS => Ok(()),
        made => bail!("AG-UI verifier: {made} of {CHECKS} checks were made"),
    }
}
