//! The command line: one subcommand each in a file of its own, errors on one screen, exit codes as in [`crate::error`].

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::value::parse_duration;
use crate::config::{Argument, Sources, load, reference};
use crate::error::Error;
use crate::telemetry::alerts::{ALERTS, rules};
use crate::telemetry::metrics;

mod admin_key;
pub mod chat;
mod cluster;
mod demo;
mod doctor;
mod explain;
mod operator;
mod serve;
mod threads;
mod token;

/// A WebSocket gateway for AI chat that never locks a user out.
#[derive(Debug, Parser)]
#[command(name = "lychgate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(ServeArgs),
    /// Try it: a gateway on loopback with the demo agent, a token, and lines to paste.
    Demo(demo::DemoArgs),
    /// Print a token for a user, signed with the configured secret.
    Token(token::TokenArgs),
    /// Make a key for the operators' API: print it once, with the lines for the configuration.
    AdminKey(admin_key::AdminKeyArgs),
    /// Print the configuration in force as TOML, secrets masked.
    Config(ConfigArgs),
    /// Check the configuration and say what is wrong with it.
    CheckConfig(FileArgs),
    /// Print the alerts: the rules for Prometheus, or what to do about each of them.
    Alerts(AlertsArgs),
    /// Print the reference of all metrics, or a dashboard for Grafana that shows them.
    Metrics(MetricsArgs),
    /// Look at the threads of a gateway, export or delete them.
    Threads(threads::ThreadsArgs),
    /// Why a user was let in, had to wait or lost a session: what a running gateway decided, in order.
    Explain(explain::ExplainArgs),
    /// Look over a running gateway, or a configuration and this machine: what is wrong, and the fix.
    Doctor(doctor::DoctorArgs),
    /// Look at the nodes that count sessions together, from a running gateway.
    Cluster(cluster::ClusterArgs),
    /// Chat from a terminal. Lines from standard input are sent one by one.
    Chat(chat::ChatArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// Configuration file [default: ./lychgate.toml if it is there]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Address and port for clients; overrides server.listen
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Directory of the journal; overrides journal.directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Print the reference of all keys instead: docs/configuration.md
    #[arg(long)]
    reference: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct AlertsArgs {
    /// The rules for Prometheus: deploy/prometheus/lychgate.rules.yml
    #[arg(long)]
    rules: bool,
    /// What each means and what to do about it: docs/alerts.md
    #[arg(long)]
    runbook: bool,
}

#[derive(Debug, Args)]
struct MetricsArgs {
    /// Print the dashboard instead, to be imported: deploy/grafana/lychgate.json
    #[arg(long)]
    dashboard: bool,
}

/// Runs the program and says how it ended. Never panics on arguments; whatever is wrong is one message on standard
/// error.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, which may be a closed pipe: there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if !matches!(error, Error::OutputClosed) {
                let _ = writeln!(io::stderr(), "lychgate: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// The exit code where nothing went wrong.
fn run(command: Command) -> Result<u8, Error> {
    let done = match command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Token(args) => token::run(args),
        Command::AdminKey(args) => admin_key::run(args),
        Command::Config(args) => config(args),
        Command::CheckConfig(args) => check_config(args),
        Command::Alerts(args) if args.rules => print(&rules::rules(&ALERTS)),
        Command::Alerts(_) => print(&rules::runbook(&ALERTS)),
        Command::Metrics(args) => print(&match args.dashboard {
            true => metrics::dashboard::json(),
            false => metrics::reference::markdown(),
        }),
        Command::Threads(args) => threads::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Doctor(args) => return doctor::run(args),
        Command::Cluster(args) => return cluster::run(&args),
        Command::Chat(args) => chat::main(args),
    };
    done.map(|()| 0)
}

fn config(args: ConfigArgs) -> Result<(), Error> {
    match args.reference {
        true => print(&reference::markdown()),
        false => print(&load(Sources::of_process(args.file.config))?.to_toml()),
    }
}

fn check_config(args: FileArgs) -> Result<(), Error> {
    let sources = Sources::of_process(args.config);
    let file = match &sources.file {
        Some(path) => path.display().to_string(),
        None => "no file, the defaults".to_owned(),
    };
    load(sources)?.check()?;
    print(&format!("The configuration is good ({file}).\n"))
}

/// Writes to standard output; a closed pipe is an end, not a panic.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output_error)
}

fn output_error(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Error::OutputClosed,
        // The list of the standard library is open.
        _ => Error::System { what: "standard output cannot be written", source },
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::System { what: "the runtime did not start", source })
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

fn argument(flag: &'static str, key: &str, value: impl Into<String>) -> Argument {
    Argument { flag, key: key.to_owned(), value: value.into() }
}

#[cfg(test)]
mod tests;
