//! The command line: which driver, and its arguments.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lychgate_scenario::live;

/// Tries to lock a user out of Lychgate.
#[derive(Parser)]
#[command(name = "lychgate-scenario", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs plans against a running gateway, over real sockets.
    Live(live::Args),
    /// Holds sessions until it is silenced; part of `live`.
    #[command(hide = true)]
    Hold,
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Live(args) => live::command(&args),
        Command::Hold => live::hold::command(),
    }
}
