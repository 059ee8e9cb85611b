//! Sessions in a process of their own, so that a signal can silence them all at once.
//!
//! ```text
//! plan --order (one line of JSON)--> hold: N sockets, one session each, answering
//! plan <--"holding"----------------- hold
//! plan --SIGSTOP-------------------> hold: the kernel still acknowledges bytes, nobody answers: zombies
//! ```
//!
//! Nothing is pretended: to the gateway it is exactly what a frozen laptop or a stuck page behind a proxy looks like.

use std::net::Ipv4Addr;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, set_parent_process_death_signal, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::attend::Attended;
use crate::client::endpoint::Endpoint;
use crate::client::{Caller, Client, Credential, Heartbeat, Hello, Open};

/// The name of the hidden subcommand that runs [`command`].
pub const SUBCOMMAND: &str = "hold";

/// What the process says once everything stands.
const HOLDING: &str = "holding";

/// How long a process may take to start, open its sessions, or obey a signal.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process is told to hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The gateway.
    pub url: String,
    /// The user's source address.
    pub source: Option<Ipv4Addr>,
    /// What the user shows.
    pub credential: Credential,
    /// The threads to open, each on a socket of its own.
    pub threads: Vec<String>,
}

/// A process that holds sessions. Dropping it kills the process.
#[derive(Debug)]
pub struct Holder {
    child: Child,
    /// The process ends when this closes, so that it never outlives us.
    _orders: ChildStdin,
}

impl Holder {
    /// Starts this program again and returns once every session is open and has answered.
    ///
    /// # Errors
    /// When the process does not start, or does not hold within 30 s.
    pub async fn start(order: &Order) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own path is unknown")?;
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("could not start a process that holds sessions")?;
        let mut orders = child.stdin.take().context("a child has a standard input")?;
        let answers = child.stdout.take().context("a child has a standard output")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line).await?;
        let mut said = String::new();
        timeout(PATIENCE, BufReader::new(answers).read_line(&mut said))
            .await
            .with_context(|| format!("the process did not hold {} sessions in {PATIENCE:?}", order.threads.len()))??;
        ensure!(said.trim() == HOLDING, "the process that holds sessions failed: it said {said:?}");
        Ok(Self { child, _orders: orders })
    }

    /// Stops every thread of the process at once and returns when it has stopped.
    ///
    /// # Errors
    /// When it does not stop within 30 s.
    pub async fn silence(&self) -> anyhow::Result<()> {
        let pid = self.pid()?;
        kill_process(pid, Signal::STOP)?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let stopped = async {
            while waitid(WaitId::Pid(pid), options)?.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        timeout(PATIENCE, stopped).await.context("the process did not stop")?
    }

    /// Lets a silenced process go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn wake(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    /// Kills the process, stopped or not, and waits until it is gone; the kernel ends its sockets.
    ///
    /// # Errors
    /// When it is still there after 30 s.
    pub async fn end(mut self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.child.kill()).await.context("the process could not be killed")??;
        Ok(())
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let id = self.child.id().context("the process that holds sessions is gone")?;
        Pid::from_raw(i32::try_from(id)?).context("a process id is positive")
    }
}

/// The hidden subcommand: reads one [`Order`] from standard input, holds until standard input ends.
///
/// # Errors
/// When a session cannot be opened, or one of them ends.
pub fn command() -> anyhow::Result<ExitCode> {
    // A stopped process does not see its standard input end; this ends it all the same when the plan dies.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(hold())
}

async fn hold() -> anyhow::Result<ExitCode> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await?;
    let order: Order = serde_json::from_str(&line).context("the order is one line of JSON")?;
    let endpoint = Endpoint::parse(&order.url)?;
    let caller = Caller { source: order.source, credential: order.credential };
    let mut held = Vec::with_capacity(order.threads.len());
    for thread in &order.threads {
        held.push(Attended::new(open(&endpoint, &caller, thread).await?));
    }
    println!("{HOLDING}");
    line.clear();
    if input.read_line(&mut line).await? > 0 {
        bail!("nothing but the order was expected");
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a session and asks for it a second time: what is held is known to live and to answer.
async fn open(endpoint: &Endpoint, caller: &Caller, thread: &str) -> anyhow::Result<Client> {
    let mut client = Client::connect(endpoint, caller).await?;
    client.hello(Hello { heartbeat: Some(Heartbeat::App), ..Hello::default() }).await?;
    for _ in 0..2 {
        client.open(Open { thread: Some(thread), ..Open::default() }).await?;
    }
    client.ack().await?;
    Ok(client)
}
