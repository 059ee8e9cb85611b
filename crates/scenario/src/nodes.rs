//! Several real gateways with a real Redis between them, and what can happen to both: who is let in, who goes, what heals.
//!
//! ```text
//! command --Fault--> play: Stage (3 gateways, proxies, Redis) <--tabs-- Cast (Crowd, Chats)
//!                       |                                       |     '--> Heard --> reader ---.
//!                       |--begin, wait, end, until all agree    '--> Diary --> history: judge --+--> Row --> table
//! ```
//!
//! A fault is healed when the nodes, Redis and the clients say the same about who holds what; nobody waits for a while and
//! hopes. No duration is judged but the 10 s within which everybody is promised a session (I3).

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum as _;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::live::gateway::find_or_build;
use crate::live::raise_descriptor_limit;

mod cast;
mod chat;
mod crowd;
pub mod fault;
mod heard;
pub mod history;
mod measure;
pub mod moved;
mod play;
mod proxy;
mod reader;
mod redis;
pub mod report;
mod stage;
pub mod stand;
mod store;
mod tab;

use fault::Fault;
use report::Row;

/// A round trip to a Redis in the same data centre.
const AWAY: Duration = Duration::from_millis(2);

/// The arguments of `nodes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which faults; without it all, and afterwards what it costs to count together is measured.
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    fault: Vec<Fault>,
    /// Faults at a time, each on three gateways and a Redis of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    at_once: u8,
    /// The `lychgate` binary to start; by default the one beside this program, which is built where it is missing.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Writes what happened in each fault into a file of this directory, which is made where it is missing: a line for each
    /// step of a session.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
}

/// Runs the subcommand `nodes`: exit code 0 where every promise was kept, 1 where one broke.
///
/// # Errors
/// When there is no gateway to start.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (rows, measured) = runtime.block_on(run(args))?;
    println!("{}", report::table(&rows));
    measured.iter().for_each(|sentence| println!("measured: {sentence}"));
    Ok(match rows.iter().all(Row::is_kept) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A row for each fault, and what was measured, in sentences.
async fn run(args: &Args) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let program = match &args.gateway {
        Some(program) => program.clone(),
        None => find_or_build().await?,
    };
    let faults = if args.fault.is_empty() { Fault::value_variants() } else { &args.fault };
    let plays = faults.iter().map(|fault| {
        let program = program.clone();
        async move {
            let name = fault.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let row = play::play(*fault, &name, &program, args.history.as_deref()).await.unwrap_or_else(|error| {
                let mut row = Row::new(&name);
                row.broke(format!("it could not be played: {error:#}"));
                row
            });
            eprintln!("{name}: {}", if row.is_kept() { "kept" } else { "BROKEN" });
            row
        }
    });
    let rows = stream::iter(plays).buffered(args.at_once.into()).collect().await;
    // By itself: whatever else runs would be measured as well.
    let measured = match args.fault.is_empty() {
        true => vec![
            measure::killed(&program).await?,
            measure::admission(&program, Duration::ZERO).await?,
            measure::admission(&program, AWAY).await?,
        ],
        false => Vec::new(),
    };
    Ok((rows, measured))
}
