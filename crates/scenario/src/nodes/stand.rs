//! Three nodes for people to look at: they share leases and threads in a Redis of their own, and one that stops is started again.
//!
//! ```text
//! stand --starts--> redis-server, nodes a b c --addresses, processes, secret--> FILE --read by--> moved
//!   '--a node that ended, until Ctrl-C--> started again
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::redis::Redis;
use crate::live::folder::Folder;
use crate::live::gateway::{Gateway, find_or_build, fresh_secret};

/// What the nodes are called.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

/// Between two words of an answer: time enough to see where it comes from.
const WORD_EVERY: &str = "150ms";

/// Between two looks whether a node has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The arguments of `stand`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it is written down who stands where, for `moved`.
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The `lychgate` binary to start; by default the one beside this program, which is built where it is missing.
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// Who stands where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Standing {
    /// What tokens are signed with.
    pub(super) secret: String,
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) listen: std::net::SocketAddr,
    pub(super) admin: std::net::SocketAddr,
    /// Of the process.
    pub(super) process: u32,
}

/// Runs the subcommand `stand`, until Ctrl-C.
///
/// # Errors
/// When something does not start, or the file cannot be written.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = stand(args) => ended,
            pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        }
    })?;
    // Nobody reads of nodes that are gone.
    let _ = std::fs::remove_file(&args.file);
    Ok(ExitCode::SUCCESS)
}

async fn stand(args: &Args) -> anyhow::Result<()> {
    let program = match &args.gateway {
        Some(program) => program.clone(),
        None => find_or_build().await?,
    };
    let redis = Redis::start().await?;
    let url = format!("redis://{}", redis.address());
    let secret = fresh_secret();
    let folders = NAMES.map(|_| Folder::new());
    let mut nodes = Vec::new();
    for (name, folder) in NAMES.iter().zip(&folders) {
        nodes.push(Gateway::start_node(&program, &secret, settings(name, &url, folder.path())).await?);
    }
    write(&args.file, &secret, &nodes)?;
    println!("Three nodes count together in {url}. Ctrl-C stops them.");
    for (name, node) in NAMES.iter().zip(&nodes) {
        let (listen, admin) = (node.scene().endpoint().url(), node.admin().0);
        println!("  node {name}  {listen}  admin http://{admin}  process {}", node.process()?);
    }
    loop {
        sleep(LOOK_EVERY).await;
        for at in 0..nodes.len() {
            if nodes[at].has_ended()? {
                let (again, status) = nodes.remove(at).start_again().await?;
                println!("  node {} stopped ({status}) and is started again: process {}", NAMES[at], again.process()?);
                nodes.insert(at, again);
                write(&args.file, &secret, &nodes)?;
            }
        }
    }
}

fn write(file: &Path, secret: &str, nodes: &[Gateway]) -> anyhow::Result<()> {
    let node = |(name, node): (&&str, &Gateway)| {
        anyhow::Ok(Node {
            name: (*name).to_owned(),
            listen: node.scene().endpoint().address(),
            admin: node.admin().0,
            process: node.process()?,
        })
    };
    let nodes = NAMES.iter().zip(nodes).map(node).collect::<anyhow::Result<_>>()?;
    let text = serde_json::to_string_pretty(&Standing { secret: secret.to_owned(), nodes })?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

fn settings(name: &str, url: &str, folder: &Path) -> Vec<(String, String)> {
    let folder = folder.display().to_string();
    let settings = [
        ("CLUSTER__KIND", "redis"),
        ("CLUSTER__URL", url),
        ("CLUSTER__NODE_NAME", name),
        ("JOURNAL__KIND", "redis"),
        ("JOURNAL__URL", url),
        ("JOURNAL__DIRECTORY", &folder),
        ("AGENTS__DEMO__DELAY", WORD_EVERY),
    ];
    settings.into_iter().map(|(key, value)| (format!("LYCHGATE__{key}"), value.to_owned())).collect()
}
