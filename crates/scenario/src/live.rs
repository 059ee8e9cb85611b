//! Plans against a running gateway, over real sockets: each tries to lock a user out in one of the ways that used to work.
//!
//! ```text
//! command --(no --url)--> Gateway: the release binary on free ports, production profile --+
//!    |                                                                                    v
//!    '--> Scene: endpoint, tokens, users with addresses of their own --> plan --> Outcome --> table
//! ```
//!
//! Nothing in here asserts a duration: the table shows them, and the promise (admitted, not refused, nobody live
//! evicted, nothing leaked) is what decides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{Instant, sleep};

use crate::client::endpoint::Endpoint;
use crate::client::frame::Welcome;
use crate::client::token::Tokens;
use crate::client::{Caller, Client, Credential, Heartbeat, Hello, Trouble};
use crate::report::{self, Outcome};

pub mod attend;
pub mod gateway;
mod golden_path;
pub mod hold;
mod many_tabs;
pub mod metrics;
mod storm;
mod talk;
mod twenty_zombies;

use gateway::Gateway;
use metrics::Admin;

/// The arguments of `live`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which plans: `all`, or names separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    plan: Vec<Plan>,
    /// A running gateway, as ws://HOST:PORT; without it one is started on a free port, and stopped after.
    #[arg(long, requires = "token_secret")]
    url: Option<String>,
    /// The secret that the gateway at `--url` checks HS256 tokens with.
    #[arg(long, requires = "url")]
    token_secret: Option<String>,
    /// The admin listener of the gateway at `--url`, as IP:PORT; without it leaked slots are not looked for.
    #[arg(long, requires = "url")]
    admin: Option<SocketAddr>,
    /// The `lychgate` binary to start; by default the one beside this program, which is built where it is missing.
    #[arg(long, conflicts_with = "url")]
    gateway: Option<PathBuf>,
    /// How often twenty-zombies silences twenty sessions; more give a better p99.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plan {
    /// Every plan.
    All,
    /// A chat as it should be: stream, second tab, resume after a cut, stop, refusals in words.
    GoldenPath,
    /// All sessions of a user fall silent at once; he asks for another one.
    TwentyZombies,
    /// Tabs that come, go, reload and show the same thread.
    ManyTabs,
    /// 64 users open 50 threads each, all at once.
    Storm,
}

impl Plan {
    const EACH: [Self; 4] = [Self::GoldenPath, Self::TwentyZombies, Self::ManyTabs, Self::Storm];
}

/// Runs the subcommand `live`: exit code 0 where every promise was kept, 1 where one broke.
///
/// # Errors
/// When there is no gateway to talk to, or the machinery of a plan (not the gateway) fails.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcomes = runtime.block_on(play(args))?;
    println!("{}", report::table(&outcomes));
    Ok(match outcomes.iter().all(Outcome::is_kept) {
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

async fn play(args: &Args) -> anyhow::Result<Vec<Outcome>> {
    let (scene, started) = match args.url.as_deref().zip(args.token_secret.as_deref()) {
        Some((url, secret)) => (Scene::new(Endpoint::parse(url)?, Tokens::new(secret), args.admin.map(Admin)), None),
        None => {
            let gateway = Gateway::start(args.gateway.as_deref(), &[]).await?;
            (gateway.scene(), Some(gateway))
        }
    };
    let mut outcomes = Vec::new();
    for plan in Plan::EACH {
        if args.plan.contains(&plan) || args.plan.contains(&Plan::All) {
            outcomes.push(run(plan, &scene, args.rounds).await?);
        }
    }
    if let Some(gateway) = started {
        outcomes.push(gateway.stop().await?);
    }
    Ok(outcomes)
}

/// Plays one plan; `rounds` is how often twenty-zombies repeats itself.
///
/// # Errors
/// When the machinery of the plan fails; what the gateway does wrong stands in the outcome.
pub async fn run(plan: Plan, scene: &Scene, rounds: u32) -> anyhow::Result<Outcome> {
    let before = scene.taken().await?;
    let mut outcome = match plan {
        Plan::All => bail!("`all` is every plan, one after the other"),
        Plan::GoldenPath => golden_path::play(scene).await?,
        Plan::TwentyZombies => twenty_zombies::play(scene, rounds).await?,
        Plan::ManyTabs => many_tabs::play(scene).await?,
        Plan::Storm => storm::play(scene).await?,
    };
    if let Some(before) = before {
        outcome.leaked(scene.settle(before).await?);
    }
    Ok(outcome)
}

/// A gateway and everything that is needed to talk to it as many users.
#[derive(Debug)]
pub struct Scene {
    endpoint: Endpoint,
    tokens: Tokens,
    admin: Option<Admin>,
    prefix: String,
    users: AtomicU32,
}

/// One simulated user.
#[derive(Debug, Clone)]
pub struct User {
    /// As the gateway will know him.
    pub name: String,
    /// His source address and token.
    pub caller: Caller,
    endpoint: Endpoint,
}

/// Slots and sockets that a gateway says are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Sessions.
    pub sessions: u64,
    /// Connections.
    pub connections: u64,
}

/// After the last client left, sessions linger for 10 s and dead sockets are found within two minutes at most.
const SETTLES_WITHIN: Duration = Duration::from_secs(150);

impl Scene {
    /// A gateway whose tokens we can sign. With an admin listener leaks are looked for.
    #[must_use]
    pub fn new(endpoint: Endpoint, tokens: Tokens, admin: Option<Admin>) -> Self {
        // Users of an earlier play against the same gateway are other users.
        let prefix = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        Self { endpoint, tokens, admin, prefix, users: AtomicU32::new(0) }
    }

    /// Where the gateway is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its admin listener, if we may use it.
    #[must_use]
    pub fn admin(&self) -> Option<Admin> {
        self.admin
    }

    /// A user whom the gateway has never seen, with a source address of his own.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn user(&self, role: &str) -> anyhow::Result<User> {
        let n = self.users.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{role}-{n}", self.prefix);
        Ok(User {
            caller: Caller {
                source: self.endpoint.source(n),
                credential: Credential::Subprotocol(self.tokens.mint(&name)?),
            },
            name,
            endpoint: self.endpoint.clone(),
        })
    }

    /// What the gateway says is taken; none without an admin listener.
    ///
    /// # Errors
    /// When it does not answer, or answers without the two gauges.
    pub async fn taken(&self) -> anyhow::Result<Option<Taken>> {
        let Some(admin) = self.admin else { return Ok(None) };
        let scrape = admin.scrape().await?;
        let gauge =
            |name| scrape.sum(name).with_context(|| format!("/metrics has no {name}")).map(|value| value as u64);
        Ok(Some(Taken { sessions: gauge(metrics::SESSIONS)?, connections: gauge(metrics::CONNECTIONS)? }))
    }

    /// Waits until no more is taken than `before`; what is still taken at the deadline has leaked.
    async fn settle(&self, before: Taken) -> anyhow::Result<u64> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let now = self.taken().await?.context("the admin listener was there before")?;
            let leaked =
                now.sessions.saturating_sub(before.sessions) + now.connections.saturating_sub(before.connections);
            if leaked == 0 || Instant::now() >= deadline {
                return Ok(leaked);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl User {
    /// His token.
    #[must_use]
    pub fn token(&self) -> &str {
        match &self.caller.credential {
            Credential::Subprotocol(token) | Credential::Header(token) => token,
            Credential::None => "",
        }
    }

    /// Connects and says hello as the SDK does: pings are answered by `ack`.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn connect(&self) -> Result<(Client, Welcome), Trouble> {
        self.replace(None).await
    }

    /// Connects in place of an earlier connection.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn replace(&self, prev: Option<&str>) -> Result<(Client, Welcome), Trouble> {
        let mut client = Client::connect(&self.endpoint, &self.caller).await?;
        let heartbeat = Some(Heartbeat::App);
        let welcome = client.hello(Hello { heartbeat, prev, ..Hello::default() }).await?;
        Ok((client, welcome))
    }
}

/// A bar on standard error where that is a terminal, and nothing elsewhere.
fn progress(plan: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>15} {bar:40} {pos}/{len} {msg}");
    let bar = ProgressBar::new(steps).with_prefix(plan);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
