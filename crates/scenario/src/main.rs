//! The command line: which driver, and its arguments.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lychgate_scenario::{forecast, live, nodes, sim};

/// Tries to lock a user out of Lychgate.
#[derive(Parser)]
#[command(name = "lychgate-scenario", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs plans against the gate alone, in virtual time.
    Sim(sim::Args),
    /// Runs plans against a running gateway, over real sockets.
    Live(live::Args),
    /// Plays real faults on three gateways and their Redis, and checks what became of everybody's sessions.
    Nodes(nodes::Args),
    /// Starts three nodes that count together, for people to look at, and keeps them until Ctrl-C.
    Stand(nodes::stand::Args),
    /// Has a user ask one of the nodes that stand, and moves him to another in the middle of the answer.
    Moved(nodes::moved::Args),
    /// Replays how sessions moved, and compares who saw the limit coming.
    Forecast(forecast::Args),
    /// Holds sessions until it is silenced; part of `live`.
    #[command(hide = true)]
    Hold,
    /// Plays a plan in a network namespace; part of `live`.
    #[command(name = live::namespace::SUBCOMMAND, hide = true)]
    InNamespace(live::namespace::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Sim(args) => sim::command(&args),
        Command::Live(args) => live::command(&args),
        Command::Nodes(args) => nodes::command(&args),
        Command::Stand(args) => nodes::stand::command(&args),
        Command::Moved(args) => nodes::moved::command(&args),
        Command::Forecast(args) => forecast::command(&args),
        Command::Hold => live::hold::command(),
        Command::InNamespace(args) => live::namespace::command(&args),
    }
}
