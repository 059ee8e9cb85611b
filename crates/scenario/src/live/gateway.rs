//! A gateway of our own: the release binary in a process, on free ports, with production defaults and a secret of its own.
//!
//! ```text
//! start: find or build the binary -> spawn -> addresses from its log -> /readyz says 200
//! stop:  SIGTERM by process id -> bounded wait -> SIGKILL -> what it logged as an error breaks a promise
//! crash: SIGKILL -> start again, on the same ports and with the same secret
//! drain: SIGTERM -> it empties itself -> exit status -> start again, as after a crash
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Scene;
use super::login::Provider;
use super::metrics::Admin;
use super::targets::{Notice, Targets};
use crate::client::endpoint::Endpoint;
use crate::client::token::Tokens;
use crate::report::Outcome;

mod log;

use log::{Log, Ready, follow, lock};

/// How long the gateway may take to be ready, and, beyond its own drain timeout of 10 s, to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Any free port of this machine alone.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A gateway that we started. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    binary: PathBuf,
    endpoint: Endpoint,
    admin: Admin,
    secret: String,
    settings: Vec<(String, String)>,
    provider: Option<Provider>,
    /// Where it can be scraped, while it runs.
    notice: Option<Notice>,
    log: Arc<Mutex<Log>>,
}

impl Gateway {
    /// Starts `binary` (none: the one beside this program, built where it is missing) with further settings in the form
    /// of its environment, such as `("LYCHGATE__AGENTS__DEMO__DELAY", "0s")`, and returns when it is ready.
    ///
    /// # Errors
    /// When it cannot be built, started, or is not ready within 20 s; with the end of its log.
    pub async fn start(binary: Option<&Path>, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_for(binary, settings, None).await
    }

    /// The same, for users who log in at a provider.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_for(
        binary: Option<&Path>,
        settings: &[(&str, &str)],
        provider: Option<&Provider>,
    ) -> anyhow::Result<Self> {
        let binary = match binary {
            Some(binary) => binary.to_owned(),
            None => find_or_build().await?,
        };
        let own = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = own.chain(provider.map(Provider::settings).unwrap_or_default()).collect();
        let anywhere = Ready { listen: ANYWHERE, admin: ANYWHERE };
        let gateway = Self::launch(binary, fresh_secret(), settings, anywhere).await?;
        Ok(Self { provider: provider.cloned(), ..gateway })
    }

    /// One of several nodes: the same, with the `secret` ([`fresh_secret`]) of them all, so that a token of one is good at
    /// each.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_node(binary: &Path, secret: &str, settings: Vec<(String, String)>) -> anyhow::Result<Self> {
        let anywhere = Ready { listen: ANYWHERE, admin: ANYWHERE };
        Self::launch(binary.to_owned(), secret.to_owned(), settings, anywhere).await
    }

    /// Tells whoever scrapes gateways where this one is, by the name of what is played on it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(self, targets: Option<&Targets>, name: &str) -> anyhow::Result<Self> {
        let notice = targets.map(|targets| targets.post(name, self.admin)).transpose()?;
        Ok(Self { notice, ..self })
    }

    /// Kills the process, which is given no chance to tell anybody, and starts it again on the same ports.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn crash(mut self) -> anyhow::Result<Self> {
        self.kill().await?;
        let addresses = Ready { listen: self.endpoint.address(), admin: self.admin.0 };
        let again = Self::launch(self.binary, self.secret, self.settings, addresses).await?;
        Ok(Self { provider: self.provider, ..again })
    }

    /// Kills the process and waits until it is gone; [`Self::start_again`] brings it back.
    ///
    /// # Errors
    /// When it is still there after 20 s.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.child.kill()).await.context("the gateway could not be killed")??)
    }

    /// Sends SIGTERM, which begins its drain.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn tell_to_stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// The process stands still; its sockets stay open and take what fits into their buffers.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// The process goes on where [`Self::freeze`] stopped it.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.process()?)?).context("a process id is positive")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Whether the last that it said about the other nodes is that sessions of all of them count together; none where it
    /// said nothing of them.
    #[must_use]
    pub fn counts_together(&self) -> Option<bool> {
        lock(&self.log).counts_together
    }

    /// How often it said that it cannot count with the other nodes.
    #[must_use]
    pub fn times_alone(&self) -> u32 {
        lock(&self.log).times_alone
    }

    /// Whether the process is gone.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until a gateway that was told to stop, or killed, has ended, and starts it again on the same ports. Answers how it ended.
    ///
    /// # Errors
    /// When it does not end, else as [`Self::start`].
    pub async fn start_again(mut self) -> anyhow::Result<(Self, ExitStatus)> {
        let status = timeout(PATIENCE, self.child.wait()).await.context("told to stop, it was still there")??;
        let addresses = Ready { listen: self.endpoint.address(), admin: self.admin.0 };
        let again = Self::launch(self.binary, self.secret, self.settings, addresses).await?;
        Ok((Self { provider: self.provider, ..again }, status))
    }

    async fn launch(
        binary: PathBuf,
        secret: String,
        settings: Vec<(String, String)>,
        addresses: Ready,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(&binary);
        // Neither the environment nor a lychgate.toml of whoever starts us may change what is measured.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LYCHGATE") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("serve")
            .current_dir(binary.parent().context("a program lies in a directory")?)
            .env("LYCHGATE__SERVER__LISTEN", addresses.listen.to_string())
            .env("LYCHGATE__SERVER__ADMIN_LISTEN", addresses.admin.to_string())
            .env("LYCHGATE__SERVER__ENVIRONMENT", "production")
            .env("LYCHGATE__AUTH__JWT__SECRET", &secret)
            .env("LYCHGATE__LOG__FORMAT", "json")
            .env("LYCHGATE__JOURNAL__KIND", "memory")
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        let log = Arc::new(Mutex::new(Log::of(&secret)?));
        let (found, mut listening) = mpsc::channel(4);
        let output = child.stdout.take().context("a child has a standard output")?;
        let errors = child.stderr.take().context("a child has a standard error")?;
        tokio::spawn(follow(output, Arc::clone(&log), found.clone()));
        tokio::spawn(follow(errors, Arc::clone(&log), found));
        let ready = async {
            let addresses = listening.recv().await.context("it ended before it listened")?;
            let admin = Admin(addresses.admin);
            while !matches!(admin.fetch("/readyz").await, Ok((200, _))) {
                sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok((addresses.listen, admin))
        };
        let ready = timeout(PATIENCE, ready).await.unwrap_or_else(|_| bail!("it was not ready within {PATIENCE:?}"));
        match ready {
            Ok((public, admin)) => Ok(Self {
                child,
                binary,
                endpoint: Endpoint::at(public),
                admin,
                secret,
                settings,
                provider: None,
                notice: None,
                log,
            }),
            Err(error) => bail!("{} did not start: {error:#}\n{}", binary.display(), lock(&log).shown()),
        }
    }

    /// A scene of users who were never seen before.
    #[must_use]
    pub fn scene(&self) -> Scene {
        let scene = Scene::new(self.endpoint.clone(), Tokens::new(&self.secret), Some(self.admin));
        scene.with_provider(self.provider.clone())
    }

    /// Its admin listener.
    #[must_use]
    pub fn admin(&self) -> Admin {
        self.admin
    }

    /// What it is, in one line: version and allocator.
    ///
    /// # Errors
    /// When the binary cannot be asked or read.
    pub async fn describe(&self) -> anyhow::Result<String> {
        let asked = Command::new(&self.binary).arg("--version").output().await?;
        let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        // The allocator is linked in; jemalloc's messages all begin with its name.
        const MARK: &[u8] = b"<jemalloc>";
        let program = std::fs::read(&self.binary)?;
        let allocator = match program.windows(MARK.len()).any(|window| window == MARK) {
            true => "jemalloc",
            false => "the system's",
        };
        Ok(format!("gateway: {version}, allocator: {allocator}"))
    }

    /// Its process id, to look at its memory.
    ///
    /// # Errors
    /// When it is gone.
    pub fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the gateway is gone")
    }

    /// Stops it with SIGTERM, with SIGKILL where that takes longer than its drain timeout, and tells what its log and
    /// its exit say: a line of level `error` is a broken promise.
    ///
    /// # Errors
    /// When the process cannot be signalled or waited for.
    pub async fn stop(mut self) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new("the gateway");
        if let Some(notice) = self.notice.take() {
            notice.withdraw().await;
        }
        match self.child.try_wait()? {
            Some(status) => outcome.broke(format!("it had ended before it was told to: {status}")),
            None => {
                self.tell_to_stop()?;
                match timeout(PATIENCE, self.child.wait()).await {
                    Ok(status) if status.as_ref().is_ok_and(ExitStatus::success) => {}
                    Ok(status) => outcome.broke(format!("told to stop, it ended with {}", status?)),
                    Err(_) => {
                        outcome.broke(format!("told to stop, it was still there after {PATIENCE:?}"));
                        self.child.kill().await?;
                    }
                }
            }
        }
        let log = lock(&self.log);
        log.errors.iter().for_each(|line| outcome.broke(format!("it logged an error: {line}")));
        Ok(outcome)
    }
}

/// A secret for HS256 that nobody else has.
#[must_use]
pub fn fresh_secret() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// The `lychgate` beside this program; where it is missing, cargo builds it in the same profile's directory.
pub(crate) async fn find_or_build() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("this program's own path is unknown")?;
    let beside = here.with_file_name("lychgate");
    if beside.is_file() {
        return Ok(beside);
    }
    eprintln!("{} is missing; building it", beside.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--package", "lychgate"]).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    // The directory has the name of the profile, but for the one that is called dev.
    match here.parent().and_then(|directory| directory.file_name()) {
        Some(profile) if profile != "debug" => build.arg("--profile").arg(profile),
        _ => &mut build,
    };
    ensure!(build.status().await.context("cargo could not be started")?.success(), "cargo could not build the gateway");
    ensure!(beside.is_file(), "cargo built the gateway somewhere else; name it with --gateway");
    Ok(beside)
}
