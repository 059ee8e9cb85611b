//! `lychgate doctor`: looks over a configuration with the machine it is for, or a gateway that runs, and says what is wrong
//! and how it is mended.
//!
//! ```text
//!  --config ─► check-config ─► settings (pure, with what machine reads) ─► neighbours: agents, issuers ─┐
//!  --admin  ─► gateway: reachable, ready, key, metrics, users                                          ├─► table, exit code
//!  --url    ─► socket: does an upgrade come through, is a ping answered? ──────────────────────────────┘
//! ```
//!
//! Exit code 0: nothing; 1: warnings; 2: something is wrong.

use std::path::PathBuf;

use clap::Args;

use self::finding::{Finding, Grade};
use self::machine::Machine;
use super::operator::OperatorArgs;
use super::{print, runtime};
use crate::config::{Sources, load};
use crate::error::Error;

mod cluster;
mod finding;
mod gateway;
mod machine;
mod metrics;
mod neighbours;
mod settings;
mod socket;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Look over this configuration and this machine, instead of a running gateway
    #[arg(long, value_name = "PATH", conflicts_with_all = ["key_env", "key_file", "admin"])]
    config: Option<PathBuf>,
    /// Also try a WebSocket where users come in, such as wss://chat.example.org
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// As JSON, one finding per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Looks, prints, and answers the exit code.
pub(super) fn run(args: DoctorArgs) -> Result<u8, Error> {
    let url = args.url.as_deref().map(socket::Door::parse).transpose()?;
    let operator = match &args.config {
        Some(_) => None,
        None => Some(args.operator.connect()?),
    };
    let findings = runtime()?.block_on(async {
        let mut findings = match (&args.config, operator) {
            (Some(path), _) => configuration(path).await,
            (None, Some(operator)) => gateway::look(&operator).await,
            (None, None) => Vec::new(),
        };
        if let Some(door) = &url {
            findings.extend(socket::look(door).await);
        }
        findings
    });
    print(&match args.json {
        true => finding::json(&findings),
        false => finding::table(&findings),
    })?;
    Ok(findings.iter().map(|finding| finding.grade).max().map_or(0, Grade::exit_code))
}

async fn configuration(path: &std::path::Path) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    let checked = load(Sources::of_process(Some(path.to_owned()))).and_then(|loaded| loaded.check());
    let config = match checked {
        Ok(config) => config,
        // Its text names place, key and remedy.
        Err(error) => return vec![Finding::wrong(CHECK, error.to_string(), "As it says; nothing else was looked at.")],
    };
    let machine = Machine::read(&config);
    let mut findings = vec![Finding::ok(CHECK, "it is one")];
    findings.extend(settings::look(&config, &machine));
    findings.extend(neighbours::look(&config).await);
    findings
}
