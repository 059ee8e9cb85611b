//! Measures a gateway that it starts itself, and prints tables in plain text: nothing in here passes or fails by a clock.
//!
//! ```text
//! bench idle      bytes of memory per idle connection, before and after ten messages
//! bench runs      round trips through run and demo agent, open loop
//! bench zombies   admission when all sessions of a user are dead
//! bench storm     admission when 500 users open 25 threads each at once
//! bench journal   appends to the journals, side by side; this one needs no gateway
//! bench crowd     a gateway with 100,000 users, none of whom is a socket, for the console to look at
//! bench fanout    one stream to 1,000 tabs: allocations per event, processor time per delivery
//! bench doors     hello to opened among 10,000 silent sockets and 200 slow ones
//! bench soak      memory after each of many storms of ever new users
//! bench telemetry a scrape of 100,000 sessions, and what metrics and log lines take of the throughput; needs no gateway
//! bench latency   from a byte of the agent to the same byte at the client, with the gateway and without
//! ```

mod allocations;
mod backend;
mod cpu;
mod crowd;
mod doors;
mod fanout;
mod idle;
mod journal;
mod latency;
mod machine;
mod memory;
mod nowhere;
mod runs;
mod soak;
mod telemetry;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lychgate_scenario::live::catalogue::Written;
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::live::{self, hold};
use lychgate_scenario::report;

/// Measures a gateway that it starts itself.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The `lychgate` binary; by default the one beside this program, which is built where it is missing.
    #[arg(long, global = true)]
    gateway: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Bytes of memory per idle connection.
    Idle(idle::Args),
    /// Round trips through run and demo agent.
    Runs(runs::Args),
    /// Admission when all sessions of a user are dead.
    Zombies {
        /// How often.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
    },
    /// Admission when 500 users open 25 threads each at once.
    Storm,
    /// Appends to the journals, side by side, in this process.
    Journal(journal::Args),
    /// One stream to many tabs.
    Fanout(fanout::Args),
    /// What strangers cost a user.
    Doors(doors::Args),
    /// A scrape of a full node, and what telemetry costs, in this process.
    Telemetry(telemetry::Args),
    /// From a byte of the agent to the same byte at the client.
    Latency(latency::Args),
    /// A gateway with many users, until it is told to stop; measures nothing.
    Crowd(crowd::Args),
    /// Whether memory grows in a long storm of ever new users.
    Soak(soak::Args),
    /// Everything but `crowd` and `soak`, with its defaults.
    All,
    /// Holds sessions until it is silenced; part of `zombies`.
    #[command(name = hold::SUBCOMMAND, hide = true)]
    Hold,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if let Command::Hold = cli.command {
        return hold::command();
    }
    live::raise_descriptor_limit();
    println!("{}", machine::describe());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&cli))
}

async fn measure(cli: &Cli) -> anyhow::Result<ExitCode> {
    let gateway = cli.gateway.as_deref();
    match &cli.command {
        Command::Idle(args) => idle::measure(gateway, args).await?,
        Command::Runs(args) => runs::measure(gateway, args).await?,
        Command::Fanout(args) => fanout::measure(gateway, args).await?,
        Command::Doors(args) => doors::measure(gateway, args).await?,
        Command::Latency(args) => latency::measure(gateway, args).await?,
        Command::Soak(args) => soak::measure(gateway, args).await?,
        Command::Zombies { rounds } => return plans(gateway, &[Written::TwentyZombies], *rounds).await,
        Command::Storm => return plans(gateway, &[Written::Storm], 1).await,
        Command::Crowd(args) => crowd::serve(args).await?,
        Command::Journal(args) => journal::measure(args).await?,
        Command::Telemetry(args) => telemetry::measure(args).await?,
        Command::All => {
            idle::measure(gateway, &idle::Args::default()).await?;
            runs::measure(gateway, &runs::Args::default()).await?;
            fanout::measure(gateway, &fanout::Args::default()).await?;
            latency::measure(gateway, &latency::Args::default()).await?;
            doors::measure(gateway, &doors::Args::default()).await?;
            telemetry::measure(&telemetry::Args::default()).await?;
            return plans(gateway, &[Written::TwentyZombies, Written::Storm], 50).await;
        }
        Command::Hold => return hold::command(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Live plans, in the production profile: their verdicts count here as well, because a number of a gateway that breaks
/// its promises is worth nothing.
async fn plans(binary: Option<&std::path::Path>, plans: &[Written], rounds: u32) -> anyhow::Result<ExitCode> {
    let gateway = Gateway::start(binary, &[]).await?;
    let mut outcomes = live::run(plans, gateway.scene(), rounds).await?;
    outcomes.push(gateway.stop().await?);
    println!("{}\n", report::table(&outcomes));
    Ok(match outcomes.iter().all(report::Outcome::is_kept) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
