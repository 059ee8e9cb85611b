//! Plans against a running gateway, over real sockets: each tries to lock a user out in one of the ways that used to work.
//!
//! ```text
//! command --(no --url)--> Gateway: the release binary on free ports, production profile --+
//!    |                                                                                    v
//!    '--> catalogue: names -> conduct: when, and where -> script: a plan of the vocabulary --> Outcome --> table, page
//!                                                      -> golden_path, storm, ...: what it has no word for --^
//! ```
//!
//! The plans are those of the simulation (`plans/*.plan`). Written by hand is only what the vocabulary cannot express:
//! `golden-path` (what is said, frame by frame), `storm` (thousands of opens at one instant), `twenty-zombies` in a process
//! that SIGSTOP silences (many rounds, for a p99) and with a death that is known before, and the kill of the gateway itself.
//!
//! No duration is asserted but the 10 s within which everybody is promised a session (I3): the table shows them, and the
//! promise (admitted, not refused, nobody live evicted, nothing leaked) is what decides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::endpoint::Endpoint;
use crate::client::token::Tokens;
use crate::report::{self, Outcome, Show};

pub mod attend;
pub mod catalogue;
mod conduct;
mod drain;
pub(crate) mod folder;
pub mod gateway;
mod gateway_killed;
mod golden_path;
pub mod hold;
pub mod login;
pub mod metrics;
pub mod namespace;
mod scene;
mod script;
mod storm;
pub(crate) mod talk;
pub mod targets;
mod twenty_zombies;

use catalogue::{Entry, Play, Written};
use conduct::Conductor;
use gateway::Gateway;
use login::Provider;
use metrics::Admin;
pub use scene::{Scene, Taken, User};
use targets::Targets;

/// The arguments of `live`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which plans: `all`, names separated by commas, or files that end in `.plan`.
    #[arg(long, value_name = "NAME|FILE|all", value_delimiter = ',', default_value = "all")]
    plan: Vec<String>,
    /// A running gateway, as ws://HOST:PORT; without it one is started on a free port, and stopped after.
    #[arg(long, requires = "token_secret")]
    url: Option<String>,
    /// The secret that the gateway at `--url` checks HS256 tokens with.
    #[arg(long, requires = "url", env = "LYCHGATE_SCENARIO_TOKEN_SECRET", hide_env_values = true)]
    token_secret: Option<String>,
    /// The admin listener of the gateway at `--url`, as IP:PORT; without it nobody recounts what is left on it.
    #[arg(long, requires = "url")]
    admin: Option<SocketAddr>,
    /// How users show who they are: with a token, or by a login at the provider that `--issuer` names.
    #[arg(long, default_value = "token", requires_if("oidc", "issuer"))]
    login: Login,
    /// A provider on this machine, as http://127.0.0.1:PORT, that logs in whomever `login_hint` names; `cargo xtask e2e`
    /// installs and starts one (it needs node and npm).
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    issuer: Option<String>,
    /// The `lychgate` binary to start; by default the one beside this program, which is built where it is missing.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// How often twenty-zombies silences twenty sessions; more give a better p99.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Plans of the vocabulary that are played on a gateway of their own, so that what is counted there is theirs alone.
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "url")]
    alone: Vec<String>,
    /// Writes a file for each gateway that plays plans of the vocabulary into this directory, as Prometheus'
    /// `file_sd_configs` read them, and lets it be scraped once more before it stops.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    targets: Option<PathBuf>,
    /// Writes `index.html` with plots into this directory, which is made where it is missing.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// How users show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Login {
    /// By a token that we sign.
    Token,
    /// By the cookie of a login with OpenID Connect.
    Oidc,
}

/// Runs the subcommand `live`: exit code 0 where every promise was kept, 1 where one broke.
///
/// # Errors
/// When there is no gateway to talk to, or the machinery (not the gateway) fails.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    let entries = catalogue::asked(&args.plan)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let show = runtime.block_on(play(args, entries))?;
    println!("{}", report::table(&show.outcomes));
    if let Some(directory) = &args.report {
        let page = report::page::write(directory, &show)?;
        println!("report: {}", page.display());
    }
    Ok(match show.outcomes.iter().all(Outcome::is_kept) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Lets this process, and every gateway that it starts, have as many sockets as the system grants without asking.
/// Where that is refused the old limit stays, and a plan that needs more says so itself.
pub fn raise_descriptor_limit() {
    let granted = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: granted.maximum, ..granted });
}

async fn play(args: &Args, entries: Vec<Entry>) -> anyhow::Result<Show> {
    if let Some((url, secret)) = args.url.as_deref().zip(args.token_secret.as_deref()) {
        let scene = Scene::new(Endpoint::parse(url)?, Tokens::new(secret), args.admin.map(Admin));
        scene.user("first")?.connect().await.with_context(|| {
            format!("nobody can connect to {url}; is a gateway there, and is --token-secret its auth.jwt.secret?")
        })?;
        return Conductor::new(Arc::new(scene), args.gateway.clone(), args.rounds).play(entries).await;
    }
    let targets = args.targets.as_deref().map(Targets::new);
    let provider = match args.login {
        Login::Token => None,
        Login::Oidc => args.issuer.as_deref().map(Provider::at).transpose()?,
    };
    let gateway = Gateway::start_for(args.gateway.as_deref(), &[], provider.as_ref()).await?;
    let gateway = gateway.announce(targets.as_ref(), "shared")?;
    let conductor = Conductor::new(Arc::new(gateway.scene()), args.gateway.clone(), args.rounds)
        .watched(args.alone.clone(), targets);
    let played = conductor.play(entries).await;
    let stopped = gateway.stop().await?;
    let mut show = played?;
    match show.outcomes.iter_mut().find(|outcome| outcome.plan() == stopped.plan()) {
        Some(outcome) => outcome.absorb(stopped),
        None => show.outcomes.push(stopped),
    }
    Ok(show)
}

/// Plays plans that are written in Rust; `rounds` is how often twenty-zombies repeats itself.
///
/// # Errors
/// When the gateway's own account of itself cannot be read; what it does wrong stands in the outcomes.
pub async fn run(written: &[Written], scene: Scene, rounds: u32) -> anyhow::Result<Vec<Outcome>> {
    let entry = |written: &Written| Entry { name: written.name().to_owned(), play: Play::Written(*written) };
    let entries = written.iter().map(entry).collect();
    Ok(Conductor::new(Arc::new(scene), None, rounds).play(entries).await?.outcomes)
}

/// Plays plans by name, or by the path of a plan file, against one gateway.
///
/// # Errors
/// For an unknown name or an unreadable file, and when the machinery of a plan fails.
pub async fn run_named(names: &[&str], scene: Scene) -> anyhow::Result<Vec<Outcome>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Ok(Conductor::new(Arc::new(scene), None, 1).play(catalogue::asked(&names)?).await?.outcomes)
}
