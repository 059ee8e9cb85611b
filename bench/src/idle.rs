//! Bytes of memory per idle connection.
//!
//! ```text
//! gateway A: 0 -> 2,000 -> ... -> 10,000 idle, memory at each step --> slope; then ten messages each; then one run each
//! gateway B: the same, ten messages on each connection as it comes --> slope
//! ```
//!
//! Every connection is a user of its own with one open session, from an address of its own, and answers the gateway's
//! pings: the dearest kind of idle there is. The slope leaves out what the gateway takes once.

use std::path::Path;

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use lychgate_scenario::client::transcript::ends_run;
use lychgate_scenario::client::{Client, Open, PATIENCE};
use lychgate_scenario::live::Scene;
use lychgate_scenario::live::attend::Attended;
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::report::plain_table;
use tokio::task::JoinSet;

use crate::memory::{self, Pss};

/// The thread of every user.
const THREAD: &str = "idle";

/// Messages that each connection exchanges.
const MESSAGES: usize = 10;

/// Connections that are busy at a time while everything is built up.
const AT_A_TIME: usize = 128;

/// Only the gateway's warnings: log lines are not what is measured.
const SETTINGS: [(&str, &str); 1] = [("LYCHGATE__LOG__LEVEL", "warn,lychgate::app=info")];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections at the last step.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Steps at which memory is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=50))]
    steps: u8,
}

impl Default for Args {
    fn default() -> Self {
        Self { connections: 10_000, steps: 5 }
    }
}

/// What each connection does before it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    TenMessages,
}

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let bar = ProgressBar::new(2 * args.connections as u64);
    let idle = Ramp::climb(binary, args, Before::Nothing, &bar).await?;
    println!("{}", idle.gateway.describe().await?);
    println!("{}", idle.table("idle"));
    let slope = idle.slope()?;
    let process = idle.gateway.process()?;
    let (clients, gateway, level) = (idle.clients, idle.gateway, idle.points.last().context("there is a last step")?.1);

    let clients = each(clients, |mut client| async move {
        exchange(&mut client).await?;
        Ok(client)
    })
    .await?;
    let after_messages = memory::settled(process).await?;
    let clients = each(clients, |mut client| async move {
        run_once(&mut client).await?;
        Ok(client)
    })
    .await?;
    let after_runs = memory::settled(process).await?;
    drop(clients);
    gateway.stop().await?;

    let busy = Ramp::climb(binary, args, Before::TenMessages, &bar).await?;
    bar.finish_and_clear();
    println!("{}", busy.table("after ten messages"));
    let busy_slope = busy.slope()?;
    busy.gateway.stop().await?;

    let more = |after: Pss, before: Pss| (after.anonymous as f64 - before.anonymous as f64) / args.connections as f64;
    let mut table = plain_table(&["bytes of anonymous PSS per connection", "bytes"]);
    table.add_row(["idle, identity and one session each (slope)".to_owned(), format!("{slope:.0}")]);
    table.add_row(["after ten messages each (slope)".to_owned(), format!("{busy_slope:.0}")]);
    let ten = more(after_messages, level);
    table.add_row(["ten messages on connections that were idle: more by".to_owned(), format!("{ten:.0}")]);
    let run = more(after_runs, after_messages);
    table.add_row(["one run each: more by, its journal included".to_owned(), format!("{run:.0}")]);
    println!("{table}\n");
    Ok(())
}

/// A gateway with idle connections, and its memory at each step.
struct Ramp {
    gateway: Gateway,
    clients: Vec<Attended>,
    points: Vec<(usize, Pss)>,
}

impl Ramp {
    async fn climb(binary: Option<&Path>, args: &Args, before: Before, bar: &ProgressBar) -> anyhow::Result<Self> {
        let gateway = Gateway::start(binary, &SETTINGS).await?;
        let (scene, process) = (gateway.scene(), gateway.process()?);
        let mut clients = Vec::with_capacity(args.connections);
        let mut points = vec![(0, memory::settled(process).await?)];
        for step in 1..=usize::from(args.steps) {
            let target = args.connections * step / usize::from(args.steps);
            connect(&scene, target - clients.len(), before, &mut clients, bar).await?;
            points.push((target, memory::settled(process).await?));
        }
        let taken = scene.taken().await?.context("our own gateway has an admin listener")?;
        ensure!(
            taken.sessions == args.connections as u64 && taken.connections == taken.sessions,
            "{} connections with a session each were meant, the gateway counts {taken:?}",
            args.connections
        );
        Ok(Self { gateway, clients, points })
    }

    /// Without the point at zero: what a gateway takes for its first connection is not what it takes for each.
    fn slope(&self) -> anyhow::Result<f64> {
        let points: Vec<_> = self.points.iter().skip(1).map(|(n, pss)| (*n as f64, pss.anonymous as f64)).collect();
        memory::slope(&points).context("a slope needs two steps")
    }

    fn table(&self, title: &str) -> String {
        let mut table = plain_table(&[title, "PSS anonymous KiB", "PSS total KiB"]);
        for (connections, pss) in &self.points {
            table.add_row([
                format!("{connections} connections"),
                (pss.anonymous / 1024).to_string(),
                (pss.total / 1024).to_string(),
            ]);
        }
        format!("{table}\n")
    }
}

async fn connect(
    scene: &Scene,
    more: usize,
    before: Before,
    clients: &mut Vec<Attended>,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..more {
        if tasks.len() == AT_A_TIME {
            clients.extend(tasks.join_next().await.transpose()?.transpose()?);
        }
        let user = scene.user("idle")?;
        let bar = bar.clone();
        tasks.spawn(async move {
            let (mut client, _) = user.connect().await?;
            client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
            match before {
                Before::Nothing => {}
                Before::TenMessages => exchange(&mut client).await?,
            }
            bar.inc(1);
            anyhow::Ok(Attended::new(client))
        });
    }
    while let Some(attended) = tasks.join_next().await {
        clients.push(attended??);
    }
    Ok(())
}

/// Ten frames that are answered, and ten that say that the answer was read.
async fn exchange(client: &mut Client) -> anyhow::Result<()> {
    for _ in 0..MESSAGES {
        client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
        client.ack().await?;
    }
    Ok(())
}

async fn run_once(client: &mut Client) -> anyhow::Result<()> {
    client.run(THREAD, "r1", "hello").await?;
    while !ends_run(&client.until(PATIENCE, |frame| frame.event_of(THREAD).cloned()).await?.agui()) {}
    Ok(client.ack().await?)
}

/// Has every client do something, some at a time, and attends it again.
async fn each<F>(clients: Vec<Attended>, act: impl Fn(Client) -> F) -> anyhow::Result<Vec<Attended>>
where
    F: Future<Output = anyhow::Result<Client>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut done = Vec::with_capacity(clients.len());
    for attended in clients {
        if tasks.len() == AT_A_TIME {
            let client: Option<anyhow::Result<Client>> = tasks.join_next().await.transpose()?;
            done.extend(client.transpose()?.map(Attended::new));
        }
        let recalled = attended.recall().await?;
        let client = recalled.client.with_context(|| format!("an idle connection ended: {:?}", recalled.ended))?;
        tasks.spawn(act(client));
    }
    while let Some(client) = tasks.join_next().await {
        done.push(Attended::new(client??));
    }
    Ok(done)
}
