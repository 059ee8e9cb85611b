//! The project's own commands: `cargo xtask demo | test | lint | schedules | sim | fuzz | e2e | web | cluster-test | cluster-demo`.
//!
//! Built on std, anyhow, serde_json and toml alone, so that the first command on a fresh clone starts in seconds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

mod aimock;
mod autobahn;
mod built;
mod chromium;
mod cluster_demo;
mod cluster_test;
mod demo;
mod e2e;
mod fuzz;
mod http_agent;
mod install;
mod lint;
mod oidc_provider;
mod pages;
mod peer;
mod prometheus;
mod pydantic_ai;
mod rotel;
mod run;
mod schedules;
mod secrets;
mod sim;
mod test;
mod verifier;
mod web;

const HELP: &str = "\
cargo xtask <command>

  demo [ARGS...]               build the gateway and start `lychgate demo ARGS...` on loopback
  test [WORD...]               everything that CI runs, or the steps named, with a table at the end
  lint [NAME...]               all lints, or those named
  schedules [--seed N]         the driver under many orders of its threads
  sim [--seed N] [--plans N]   simulate random plans against the reference model
  fuzz [--seconds N] [NAME...] the fuzz targets, or those named
  e2e [PART...]                a real gateway: live plans, a third-party client, the SDK, the pages in a browser
  cluster-test [ARGS...]       real faults of three gateways and their Redis
  cluster-demo [move]          three nodes to look at; a user who is moved in mid-answer
  web                          build and check the client SDK and the pages

`cargo xtask <command> --help` says more.";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next();
    let rest: Vec<String> = words.collect();
    match dispatch(command.as_deref(), &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Option<&str>, rest: &[String]) -> Result<ExitCode> {
    let Some(command) = command else {
        eprintln!("{HELP}");
        return Ok(ExitCode::from(2));
    };
    if let "help" | "--help" | "-h" = command {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let (help, run): (&str, Command) = match command {
        "demo" => (demo::HELP, demo::run),
        "test" => (test::HELP, test::run),
        "lint" => (lint::HELP, lint::run),
        "schedules" => (schedules::HELP, schedules::run),
        "sim" => (sim::HELP, sim::run),
        "fuzz" => (fuzz::HELP, fuzz::run),
        "e2e" => (e2e::HELP, e2e::run),
        "cluster-test" => (cluster_test::HELP, cluster_test::run),
        "cluster-demo" => (cluster_demo::HELP, cluster_demo::run),
        "web" => (web::HELP, web::run),
        unknown => {
            eprintln!("xtask: there is no command `{unknown}`\n\n{HELP}");
            return Ok(ExitCode::from(2));
        }
    };
    // `demo` hands its arguments on; what `lychgate demo` understands, its own --help says.
    if command != "demo" && rest.iter().any(|word| word == "--help" || word == "-h") {
        println!("{help}");
        return Ok(ExitCode::SUCCESS);
    }
    run(&root()?, rest)?;
    Ok(ExitCode::SUCCESS)
}

/// A command of ours: the workspace's root, and the words that followed its name.
type Command = fn(&Path, &[String]) -> Result<()>;

/// The workspace's root, wherever in it cargo was called.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("xtask lies directly under the root of the workspace")?;
    Ok(root.to_path_buf())
}
