//! The command line: which driver, and its arguments.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lychgate_scenario::sim;

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
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Sim(args) => sim::command(&args),
    }
}
