//! A network of our own, in which packets are really dropped: the plan, its clients and its gateway in a namespace.
//!
//! ```text
//! live --unshare --net --pid--> this program again: lo up -> gateway on 127.0.0.1 -> clients on 127.1.x.y
//!   ^                             silence: ip route add blackhole 127.1.x.y  (nothing arrives, nothing is acknowledged)
//!   '-----one line of JSON--------'
//! ```
//!
//! Nothing of the machine's own network is touched. No process of the namespace outlives us: the program in there is its
//! process 1, with which the kernel ends all others; `unshare` takes it along when it is killed, and it ends by itself
//! when its standard input does, however we end.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indicatif::ProgressBar;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::catalogue::{self, Play};
use super::conduct;
use super::gateway::{self, Gateway};
use super::script::Silence;
use crate::report::Outcome;

/// The name of the hidden subcommand that runs [`command`].
pub const SUBCOMMAND: &str = "in-namespace";

/// How long a plan may take in there: far above every named one, and below what `cargo xtask e2e` allows for all plans.
const PLAYED_WITHIN: Duration = Duration::from_secs(180);

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
pub(super) struct Unshare(&'static [&'static str]);

/// As nobody in particular, and as root where users may not make namespaces.
const UNSHARES: [Unshare; 2] = [
    Unshare(&["--net", "--pid", "--fork", "--kill-child", "--map-root-user"]),
    Unshare(&["--net", "--pid", "--fork", "--kill-child"]),
];

/// Whether packets can be dropped here: tried, not guessed.
///
/// # Errors
/// Why not, as the system says it.
pub(super) async fn is_possible() -> anyhow::Result<Unshare> {
    let mut why = String::new();
    for unshare in UNSHARES {
        let mut attempt = Command::new("unshare");
        attempt.args(unshare.0).args(["ip", "route", "replace", "blackhole", "127.255.0.1/32", "table", "local"]);
        match attempt.stdin(Stdio::null()).output().await {
            Ok(output) if output.status.success() => return Ok(unshare),
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
pub(super) async fn play(
    unshare: Unshare,
    name: &str,
    binary: Option<&Path>,
    bar: &ProgressBar,
) -> anyhow::Result<Outcome> {
    bar.set_message("in a network namespace");
    let binary = match binary {
        Some(binary) => std::path::absolute(binary)?,
        None => gateway::find_or_build().await?,
    };
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    let mut command = Command::new("unshare");
    command.args(unshare.0).arg(program).args([SUBCOMMAND, name]).arg(binary);
    let output = timeout(PLAYED_WITHIN, finish(command)).await.context("the plan in the namespace did not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the plan in the namespace failed: {said}");
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the namespace answered no outcome; it said: {said}"))
}

/// Runs a command to its end, which comes at the latest with ours: its standard input stays open for so long.
async fn finish(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let _open = child.stdin.take();
    child.wait_with_output().await
}

/// The hidden subcommand: plays one plan in the namespace that it was started in, and prints the outcome as JSON.
///
/// # Errors
/// When the plan is unknown, its machinery fails, or nobody waits for the outcome any more.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let played = runtime.block_on(async {
        tokio::select! {
            played = inside(args) => played,
            () = input_ends() => bail!("nobody waits for the outcome any more"),
        }
    });
    // A read of standard input cannot be called back, and nobody has to wait for it.
    runtime.shutdown_background();
    played
}

async fn input_ends() {
    let mut input = tokio::io::stdin();
    // Nothing is ever said; an error is an end as well.
    while input.read_u8().await.is_ok() {}
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

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, kill_process};
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    /// Ends with an error where no namespace can be made, which the plans then say themselves.
    async fn in_namespace(script: &str) -> anyhow::Result<tokio::process::Child> {
        let mut command = Command::new("unshare");
        command.args(is_possible().await?.0).args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(command.kill_on_drop(true).spawn()?)
    }

    #[tokio::test]
    async fn nothing_in_the_namespace_outlives_the_program_that_made_it() {
        // The pipe has its end when the last process of the namespace is gone, also one that nobody waits for.
        let Ok(mut child) = in_namespace("sleep 600 & echo here; wait").await else { return };
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next_line().await.unwrap().as_deref(), Some("here"));
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let end = timeout(Duration::from_secs(10), said.next_line()).await;
        assert!(matches!(end, Ok(Ok(None))), "{end:?}");
    }
}
