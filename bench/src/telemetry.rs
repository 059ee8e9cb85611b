//! What the eyes cost: a scrape of a full node, the throughput that counting and logging take, memory of idle connections.
//!
//! ```text
//! node of 5,000 connections x 20 sessions --census, encode--> p50, p99; and who asks for a session meanwhile
//! runs: off | metrics | metrics and log lines, in turns --> processor time of a run, each over off
//! idle connections: off | on --> bytes of each
//! ```
//!
//! Everything runs in this process and without sockets, which would only hide what is measured. The explain ring is part of
//! every node, with telemetry or without.

mod crowd;
mod node;
mod work;

use lychgate::outbox::Traffic;
use lychgate_scenario::report::plain_table;

use crowd::Crowd;
use node::{Eyes, Node};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections, each of a user of its own.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Sessions of each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    sessions: u32,
    /// Scrapes that are measured.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    scrapes: u32,
    /// Rounds of runs, each of every kind in turn.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Runs of a round.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    runs: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { connections: 5_000, sessions: 20, scrapes: 500, rounds: 7, runs: 20_000 }
    }
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    node::log_to_nowhere()?;
    // First, while the allocator has nothing of others to give.
    println!("{}", idle(args.connections)?);
    let limit = args.sessions as usize;
    let crowd = Crowd::gather(Node::new(Eyes::Metrics, limit)?, args.connections, args.sessions)?;
    println!("{}", crowd.scrapes(args.scrapes)?);
    drop(crowd);
    println!("{}", work::compare(args.rounds, args.runs).await?);
    Ok(())
}

/// Memory of a driver's idle connections with and without eyes, and what the eyes keep of each elsewhere.
fn idle(connections: u32) -> anyhow::Result<String> {
    let own = std::process::id();
    let mut table = plain_table(&["bytes of each idle connection", "bytes"]);
    let mut here = Vec::new();
    for (eyes, name) in [(Eyes::Off, "in the driver, without telemetry"), (Eyes::All, "in the driver, with it")] {
        let node = Node::new(eyes, 20)?;
        let before = node::heap_of(own)?;
        // Kept until both are measured, or the second one would be given the memory of the first.
        here.push(Crowd::gather(node, connections, 1)?);
        let took = node::heap_of(own)?.saturating_sub(before);
        table.add_row([name.to_owned(), format!("{:.0}", took as f64 / f64::from(connections))]);
    }
    // What was sent is counted by the outbox, and the dialogue remembers what of it the metrics know.
    let counted = 2 * size_of::<Traffic>();
    table.add_row(["of telemetry in outbox and dialogue, by their types".to_owned(), counted.to_string()]);
    Ok(format!("{table}\n"))
}
