//! A network of our own, in which packets are really dropped: the plan, its clients and its gateway in a namespace.
//!
//! ```text
//! live --unshare --net--> this program again: lo up -> gateway on 127.0.0.1 -> clients on 127.1.x.y
//!   ^                       silence: ip route add blackhole 127.1.x.y  (nothing arrives, nothing is acknowledged)
//!   '--one line of JSON-----'
//! ```
//!
//! Nothing of the machine's own network is touched.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indicatif::ProgressBar;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::time::timeout;

use super::catalogue::{self, Play};
use super::conduct;
use super::gateway::{self, Gateway};
use super::script::Silence;
use crate::report::Outcome;

/// The name of the hidden subcommand that runs [`command`].
pub const SUBCOMMAND: &str = "in-namespace";

/// How long a plan may take in there; far above every named one.
const PLAYED_WITHIN: Duration = Duration::from_secs(600);

/// What the process in the namespace is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan, as it stands in the table.
    plan: String,
    /// The gateway's program.
    gateway: PathBuf,
}

/// How a namespace can be made here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way(&'static [&'static str]);

/// As nobody in particular, and as root where users may not make namespaces.
const WAYS: [Way; 2] = [Way(&["--net", "--map-root-user"]), Way(&["--net"])];

/// Whether packets can be dropped here: tried, not guessed.
///
/// # Errors
/// Why not, as the system says it.
pub(super) async fn is_possible() -> anyhow::Result<Way> {
    let mut why = String::new();
    for way in WAYS {
        let mut attempt = Command::new("unshare");
        attempt.args(way.0).args(["ip", "route", "replace", "blackhole", "127.255.0.1/32", "table", "local"]);
        match attempt.stdin(Stdio::null()).output().await {
            Ok(output) if output.status.success() => return Ok(way),
            Ok(output) => why = String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => bail!("packets cannot be dropped here without `unshare` and `ip`: {error}"),
        }
    }
    bail!("packets cannot be dropped here, a network namespace needs a right that is missing: {why}")
}

/// Plays a plan of the catalogue in a namespace.
///
/// # Errors
/// When the process in there fails, with what it said.
pub(super) async fn play(way: Way, name: &str, binary: Option<&Path>, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    bar.set_message("in a network namespace");
    let binary = match binary {
        Some(binary) => std::path::absolute(binary)?,
        None => gateway::find_or_build().await?,
    };
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    let mut command = Command::new("unshare");
    command.args(way.0).arg(program).args([SUBCOMMAND, name]).arg(binary);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = timeout(PLAYED_WITHIN, command.output()).await.context("the plan in the namespace did not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the plan in the namespace failed: {said}");
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the namespace answered no outcome; it said: {said}"))
}

/// The hidden subcommand: plays one plan in the namespace that it was started in, and prints the outcome as JSON.
///
/// # Errors
/// When the plan is unknown, or its machinery fails.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(inside(args))
}

async fn inside(args: &Args) -> anyhow::Result<ExitCode> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().await.context("could not start `ip`")?;
    ensure!(up.success(), "the loopback device of the namespace could not be started");
    let entries = catalogue::all()?;
    let entry = entries.into_iter().find(|it| it.name == args.plan).context("there is no such plan")?;
    let (Play::PacketsDropped(plan) | Play::Script(plan)) = entry.play else {
        bail!("{} is no plan of the vocabulary", entry.name);
    };
    let gateway = Gateway::start(Some(&args.gateway), &[]).await?;
    let bar = ProgressBar::hidden();
    let (played, _) = conduct::play_on(&gateway, &entry.name, &plan, Silence::DropPackets, &bar).await;
    let stopped = gateway.stop().await?;
    let mut outcome = played?;
    outcome.absorb(stopped);
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(ExitCode::SUCCESS)
}
