//! What the gateway adds between a byte of the agent and the same byte at the client.
//!
//! ```text
//! backend --word, which is the time--> HTTP client                                  directly
//! backend --word, which is the time--> gateway, its journal --lychgate.v1--> client with the gateway
//! ```
//!
//! Backend and clients are this process, so one clock dates both ends; what differs is the gateway alone. Direct streams
//! are measured before and after, because the machine is never twice the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lychgate_scenario::client::transcript::ends_run;
use lychgate_scenario::client::{Client, Open};
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::report::{Latency, plain_table};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::backend::{Backend, Pace, record};

/// The thread of every user.
const THREAD: &str = "latency";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Streams at once, each a user of its own.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
    /// Words per second of each stream.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Seconds that each way is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { streams: 20, rate: 50, seconds: 10 }
    }
}

/// The journals to be measured with: kind, and what an acknowledged event survives.
const JOURNALS: [(&str, &str); 3] = [("memory", "normal"), ("sqlite", "normal"), ("sqlite", "full")];

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let pace = Pace { pieces: args.rate * args.seconds, every: Duration::from_secs(1) / args.rate };
    let backend = Backend::start(pace).await?;
    let mut direct = directly(&backend, args.streams).await?;
    let mut ways = Vec::new();
    for (kind, durability) in JOURNALS {
        let scratch = Scratch::make()?;
        let directory = scratch.0.to_str().context("a temporary directory is named in UTF-8")?;
        let settings = [
            ("LYCHGATE__JOURNAL__KIND", kind),
            ("LYCHGATE__JOURNAL__DURABILITY", durability),
            ("LYCHGATE__JOURNAL__DIRECTORY", directory),
        ];
        let ages = through_a_gateway(binary, &[&backend.settings(), &settings[..]].concat(), args.streams).await?;
        let name = match kind {
            "memory" => kind.to_owned(),
            _ => format!("{kind}, {durability}"),
        };
        ways.push((name, ages));
    }
    direct.absorb(&directly(&backend, args.streams).await?);
    let title = format!("{} streams, {} words per second each", args.streams, args.rate);
    let mut table = plain_table(&[&title, "words", "p50 us", "p99 us", "p99.9 us", "added p50 us", "added p99 us"]);
    let base = [0.5, 0.99].map(|quantile| direct.quantile(quantile));
    let rows = std::iter::once(("directly", &direct)).chain(ways.iter().map(|(name, ages)| (name.as_str(), ages)));
    for (way, ages) in rows {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| ages.quantile(quantile));
        let us = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e6);
        let more = |time: Duration, base: Duration| us(time.saturating_sub(base));
        table.add_row([
            way.to_owned(),
            ages.count().to_string(),
            us(p50),
            us(p99),
            us(p999),
            more(p50, base[0]),
            more(p99, base[1]),
        ]);
    }
    println!("{table}\n");
    Ok(())
}

/// A directory that is gone with us; where the system keeps temporary files is where it is measured.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> anyhow::Result<Self> {
        let name = format!("lychgate-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind where it cannot be removed: it is in the directory for such things.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

async fn directly(backend: &Backend, streams: u32) -> anyhow::Result<Latency> {
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        tasks.spawn(read_directly(backend.address.clone()));
    }
    all(tasks).await
}

async fn read_directly(address: String) -> anyhow::Result<Latency> {
    let mut socket = TcpStream::connect(&address).await?;
    socket.set_nodelay(true)?;
    let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: 2\r\n\r\n{{}}");
    socket.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(socket).lines();
    let mut ages = Latency::new();
    while let Some(line) = lines.next_line().await? {
        let Some(chunk) = line.strip_prefix("data: {") else { continue };
        let chunk: Value = serde_json::from_str(&format!("{{{chunk}"))?;
        record(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default(), &mut ages);
    }
    Ok(ages)
}

async fn through_a_gateway(binary: Option<&Path>, settings: &[(&str, &str)], streams: u32) -> anyhow::Result<Latency> {
    let gateway = Gateway::start(binary, settings).await?;
    let scene = gateway.scene();
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let (mut client, _) = scene.user("latency")?.connect().await?;
        client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
        tasks.spawn(read_through(client));
    }
    let ages = all(tasks).await;
    gateway.stop().await?;
    ages
}

async fn read_through(mut client: Client) -> anyhow::Result<Latency> {
    client.run(THREAD, "r1", "what time is it?").await?;
    let mut ages = Latency::new();
    loop {
        let frame = client.next().await?;
        let Some(event) = frame.event_of(THREAD) else { continue };
        let agui = event.agui();
        record(agui.delta.as_deref().unwrap_or_default(), &mut ages);
        if ends_run(&agui) {
            ensure!(agui.kind == "RUN_FINISHED", "a run ended with {:?}", agui.code);
            return Ok(ages);
        }
    }
}

async fn all(mut tasks: JoinSet<anyhow::Result<Latency>>) -> anyhow::Result<Latency> {
    let mut all = Latency::new();
    while let Some(ages) = tasks.join_next().await {
        all.absorb(&ages??);
    }
    Ok(all)
}
