//! Assembles, binds, serves, drains: the one place that knows every part.
//!
//! ```text
//!  config -> journal <-follows- sessions <-attach, detach- driver <-run started, ended- runs -> agents
//!                                             ^ reaper thread
//!  listener -> /v1/ws -> chat ----> driver, sessions, runs     operators (own thread) -> health, metrics
//!           -> /v1/... -> readers -^
//! ```

use std::fs::DirBuilder;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lychgate_core::EvictReason;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::agent::Agents;
use crate::api::{self, Admin, Clients, Control, Health, Operations, Steered, Views};
use crate::auth::Doorkeeper;
use crate::config::{self, Config, JournalKind, Liveness, Loaded, Server};
use crate::driver::{ConnectionBounds, Counted, Driver, Greeting, Memory as Remembered, Reaper, Report, Vigil};
use crate::error::Error;
use crate::journal::memory::Memory;
use crate::journal::redis::{OpenError, Redis};
use crate::journal::sqlite::Sqlite;
use crate::journal::{Journal, Measured};
use crate::listener::{self, Listener, Pool, max_connections};
use crate::run::Runs;
use crate::session::Sessions;
use crate::store::Store;
use crate::store::audit::Keep;
use crate::telemetry::alerts::{Bell, Board};
use crate::telemetry::{History, Metrics, NodeForecast, Population, Traces, logs};
use crate::wire::millis;
use crate::ws::chat::Services;
use crate::ws::endpoint::{Door, routes};

mod alarm;
mod drain;
mod entrance;
mod history;
mod leases;
mod loopback;
mod nodes;
mod notify;
mod operators;
mod overview;
mod peers;
mod population;
mod reload;
mod remedy;
mod signals;
mod wiring;

use alarm::{Alarm, Sight};
use drain::Exodus;
use history::{Lookout, Sampler};
use leases::Leases;
use loopback::Loopback;
use operators::Operators;
pub use reload::Source;
use reload::{InForce, Standing};
use remedy::{Hands, Remedies};
use signals::{Hurry, Signals};
use wiring::{Around, Wiring};

/// How long closes and terminal events may take at the end, each.
const LAST_ORDERS: Duration = Duration::from_secs(3);

/// Between two looks for runs whose node is gone.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How long the end may take as a whole, once the node is empty.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Where the listeners ended up.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// For browsers.
    pub listen: SocketAddr,
    /// For operators and what watches over the node: health, metrics, the routes of docs/admin.md.
    pub admin: SocketAddr,
}

/// Serves until SIGTERM or SIGINT, then stops in order: nobody new, everybody is told to move, time for runs to end, close
/// 4001. A second signal skips the waiting. SIGHUP has `source` read again. Calls `ready` once, when both listeners accept.
///
/// # Errors
/// [`Error::Config`], [`Error::Listen`] when an address cannot be had, [`Error::System`] when the system denies a thread
/// or a signal.
pub async fn serve(loaded: Arc<Loaded>, source: Source, ready: impl FnOnce(Ready) + Send) -> Result<(), Error> {
    serve_guests(loaded, source, None, |addresses, _| ready(addresses)).await
}

/// As [`serve`], for a program that feeds the gate with connections which are no sockets: `ready` is given the driver, too,
/// and `per_node` is how many connections there may be, where the descriptors of the process say nothing about it.
///
/// # Errors
/// As [`serve`].
pub async fn serve_guests(
    loaded: Arc<Loaded>,
    source: Source,
    per_node: Option<usize>,
    ready: impl FnOnce(Ready, Arc<Driver>) + Send,
) -> Result<(), Error> {
    let config = loaded.check()?;
    let user_socket = bind("server.listen", config.server.listen)?;
    let admin_socket = bind("server.admin_listen", config.server.admin_listen)?;
    let node = Node::assemble(&config, &loaded, address(&user_socket)?, connection_bounds(&config, per_node)).await?;
    let _swept = node.recover(config.journal.kind).await?;
    let reaper = Reaper::start(Arc::clone(&node.driver), config.liveness.runtime_stuck_after, node.on_report())
        .map_err(|source| Error::System { what: "start the reaper thread", source })?;
    let vigil = reaper.vigil();
    let drain = CancellationToken::new();
    let loopback = node.loopback(&config);
    let health = Arc::new(Health::new(node.watched(vigil, Arc::clone(&loopback))));
    let addresses = Ready { listen: address(&user_socket)?, admin: address(&admin_socket)? };
    let closed = CancellationToken::new();
    let standing = Standing::new(loaded, config.clone());
    let control = node.control(&config, drain.clone(), node.views(&standing, &health, addresses, closed.clone()));
    let remedied = tokio::spawn(Arc::clone(&node.remedies).run(node.hands(&config, drain.clone())));
    let in_force = InForce::new(Arc::clone(&standing), source, node.reloading(Arc::clone(&control)));
    let mut signals = Signals::listen()?;
    // Whoever hears that we serve may come at once, and find that we can.
    loopback.attempt().await;
    let trials = tokio::spawn(loopback.keep());

    let listener = listen(user_socket, &config.server, &config.liveness)?;
    let admin = Admin::new(Arc::clone(&health), Arc::clone(&node.metrics), node.population(listener.pool(), &health));
    let _alarm = node.alarm(&config, listener.pool(), &health)?;
    let _sampler = node.sampler(listener.pool(), &health)?;
    let door = Door { services: node.services(&config), bounds: Arc::new(config.websocket.clone()) };
    let stop = CancellationToken::new();
    let keep = |login: &Arc<Operations>| {
        let (logins, driver) = (Arc::clone(&login.entrance.logins), Arc::clone(&node.driver));
        tokio::spawn(entrance::keep(logins, driver, stop.clone()))
    };
    let kept: Vec<_> = [&node.login, &node.operators].into_iter().flatten().map(keep).collect();
    let for_users = routes(door).merge(api::user(node.clients(&config), node.login.clone(), config.web));
    let users = tokio::spawn(listener.serve(for_users, stop.clone(), LAST_ORDERS));
    let operators = Operators::start(admin_socket, &config, admin, (control, closed), node.operators.clone())?;
    let hangups = in_force.listen()?;
    let watched = tokio::spawn(watch(reaper.vigil()));
    tracing::info!(event = "gateway.serving", listen = %addresses.listen, admin = %addresses.admin, "serving");
    ready(addresses, Arc::clone(&node.driver));
    notify::ready();

    let mut hurry = tokio::select! {
        () = signals.next() => Hurry { signals, heard_already: true },
        () = drain.cancelled() => Hurry { signals, heard_already: false },
    };
    health.on_drain();
    trials.abort();
    hangups.abort();
    let drain_timeout = standing.config().server.drain_timeout;
    notify::stopping(drain_timeout + END_WITHIN);
    node.empty(drain_timeout, &mut hurry).await;
    let end = node.end(Parts { stop, users, operators, kept });
    tokio::select! {
        ended = timeout(END_WITHIN, end) => if ended.is_err() {
            tracing::error!("something did not end in time; it is left to the system");
        },
        () = hurry.signals.next() => tracing::warn!("told once more to stop: what is left is left to the system"),
    }
    watched.abort();
    remedied.abort();
    tracing::info!(event = "gateway.stopped", "stopped");
    Ok(())
}

/// What runs beside the node, and ends after it is empty.
struct Parts {
    stop: CancellationToken,
    users: JoinHandle<()>,
    operators: Operators,
    kept: Vec<JoinHandle<()>>,
}

/// Ends the runs of nodes that are gone (R18). A journal of this node alone has none.
async fn sweep(kind: JournalKind, runs: Arc<Runs>) {
    match kind {
        JournalKind::Memory | JournalKind::Sqlite => {}
        JournalKind::Redis => loop {
            sleep(SWEEP_EVERY).await;
            runs.end_abandoned().await;
        },
    }
}

/// Tells systemd, where it wants to hear it, that we live: as long as this runtime runs and the reaper does.
async fn watch(vigil: Arc<Vigil>) {
    let Some(every) = notify::watchdog() else { return };
    loop {
        if vigil.trouble().is_none() {
            notify::alive();
        }
        sleep(every).await;
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    listener::bind(address).map_err(|source| Error::listen(key, address, source))
}

fn listen(socket: TcpListener, server: &Server, liveness: &Liveness) -> Result<Listener, Error> {
    Listener::new(socket, server, liveness).map_err(|source| Error::System { what: "use a listening socket", source })
}

fn address(socket: &TcpListener) -> Result<SocketAddr, Error> {
    socket.local_addr().map_err(|source| Error::System { what: "name a listening socket", source })
}

/// Every part of a running node.
struct Node {
    driver: Arc<Driver>,
    sessions: Arc<Sessions>,
    runs: Arc<Runs>,
    journal: Arc<dyn Journal>,
    agents: Arc<Agents>,
    doorkeeper: Arc<Doorkeeper>,
    store: Arc<Store>,
    login: Option<Arc<Operations>>,
    /// Of operators, on their own listener.
    operators: Option<Arc<Operations>>,
    metrics: Arc<Metrics>,
    bell: Arc<Bell>,
    board: Arc<Board>,
    history: Arc<History>,
    remedies: Arc<Remedies>,
    outlook: Arc<NodeForecast>,
    traces: Arc<Traces>,
    /// Where sessions count together with those of other nodes.
    leases: Option<Arc<Leases>>,
}

impl Node {
    async fn assemble(
        config: &Config,
        loaded: &Loaded,
        listen: SocketAddr,
        bounds: ConnectionBounds,
    ) -> Result<Self, Error> {
        let traces = Traces::start(&config.traces).map_err(failed)?;
        let agents = Agents::new(&config.agents).map_err(|error| Error::Failed(error.to_string()))?;
        let agents = Arc::new(agents);
        let metrics = Arc::new(Metrics::with_agents(agents.names()));
        let journal = journal(&config.journal, loaded).await?;
        let journal: Arc<dyn Journal> = Arc::new(Measured::new(journal, Arc::clone(&metrics)));
        let runtime = tokio::runtime::Handle::current();
        let sessions = Sessions::new(Arc::clone(&journal), runtime.clone(), config.websocket.window);
        journal.follow(wiring::follower(&sessions, &traces));
        let bell = Arc::new(Bell::default());
        let leases = leases::join(config, listen, &metrics).await?;
        let effects = Wiring {
            sessions: Arc::clone(&sessions),
            metrics: Arc::clone(&metrics),
            bell: Arc::clone(&bell),
            traces: Arc::clone(&traces),
            leases: leases.clone(),
        };
        let driver = drive(config, bounds, effects);
        leases.iter().for_each(|leases| leases.serve(&driver));
        let asked = Arc::downgrade(&driver);
        bell.ask(move |user| asked.upgrade()?.usage_now(user));
        let store = store(&config.journal)?;
        let entrance = entrance::open(config, listen, &store)?;
        let doorkeeper = Doorkeeper::new(&config.auth, Arc::clone(&store), entrance.clone()).map_err(failed)?;
        let operations =
            |entrance| entrance::operations(config, entrance, &driver, &doorkeeper, &metrics).map(Arc::new);
        let login = entrance.map(operations).transpose()?;
        let operators = entrance::open_for_operators(config, &store)?.map(operations).transpose()?;
        let around = Around {
            agents: Arc::clone(&agents),
            driver: Arc::clone(&driver),
            sessions: Arc::clone(&sessions),
            metrics: Arc::clone(&metrics),
        };
        let runs = Runs::new(Arc::clone(&journal), config.runs, Arc::new(around), runtime);
        let remedies = Remedies::new(&config.remediation);
        bell.listen(Arc::clone(&remedies) as _);
        let outlook = Arc::new(NodeForecast::new(config.forecast));
        Ok(Self {
            driver,
            sessions,
            runs,
            journal,
            doorkeeper,
            store,
            login,
            operators,
            metrics,
            bell,
            board: Arc::default(),
            history: Arc::default(),
            agents,
            remedies,
            outlook,
            traces,
            leases,
        })
    }

    /// Ends what former processes left open, and from then on what other nodes leave.
    async fn recover(&self, kind: JournalKind) -> Result<AbortOnDropHandle<()>, Error> {
        self.runs.recover().await.map_err(failed)?;
        Ok(AbortOnDropHandle::new(tokio::spawn(sweep(kind, Arc::clone(&self.runs)))))
    }

    fn loopback(&self, config: &Config) -> Arc<Loopback> {
        let (every, within) = (config.server.readiness_interval, config.liveness.runtime_stuck_after);
        Loopback::new(Arc::clone(&self.driver), Arc::clone(&self.journal), every, within)
    }

    /// What keeps this node from delivering, the most telling first.
    fn watched(
        &self,
        vigil: Arc<Vigil>,
        loopback: Arc<Loopback>,
    ) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let journal = Arc::clone(&self.journal);
        move || {
            let stuck = vigil.trouble().map(|trouble| trouble.to_string());
            stuck.or_else(|| journal.trouble()).or_else(|| loopback.trouble())
        }
    }

    fn services(&self, config: &Config) -> Arc<Services> {
        Arc::new(Services {
            driver: Arc::clone(&self.driver),
            sessions: Arc::clone(&self.sessions),
            runs: Arc::clone(&self.runs),
            doorkeeper: Arc::clone(&self.doorkeeper),
            metrics: Arc::clone(&self.metrics),
            traces: Arc::clone(&self.traces),
            max_bad_frames: config.websocket.max_bad_frames,
        })
    }

    fn clients(&self, config: &Config) -> Arc<Clients> {
        Arc::new(Clients {
            driver: Arc::clone(&self.driver),
            sessions: Arc::clone(&self.sessions),
            runs: Arc::clone(&self.runs),
            doorkeeper: Arc::clone(&self.doorkeeper),
            metrics: Arc::clone(&self.metrics),
            traces: Arc::clone(&self.traces),
            bounds: config.websocket.clone(),
        })
    }

    /// What operators see beside what they steer.
    fn views(
        &self,
        standing: &Arc<Standing>,
        health: &Arc<Health>,
        addresses: Ready,
        ends: CancellationToken,
    ) -> Views {
        let (agents, history) = (Arc::clone(&self.agents), Arc::clone(&self.history));
        let (standing, health, identity) = (Arc::clone(standing), Arc::clone(health), overview::Identity::now());
        let (configured, named, leases) = (Arc::clone(&standing), identity.clone(), self.leases.clone());
        Views {
            agents: Box::new(move || overview::agents(&agents, &configured.config(), &history)),
            node: Box::new(move || overview::node(&identity, &standing, &health, addresses)),
            cluster: Box::new(move || nodes::view(leases.as_deref())),
            board: Arc::clone(&self.board),
            history: Arc::clone(&self.history),
            name: Box::new(move || named.named()),
            ends,
        }
    }

    /// Keeps the history, from now on.
    fn sampler(&self, pool: Arc<Pool>, health: &Arc<Health>) -> Result<Sampler, Error> {
        let agents = Arc::clone(&self.agents);
        let lookout = Lookout {
            population: Box::new(self.population(pool, health)),
            breakers: Box::new(move || overview::breakers(&agents)),
            metrics: Arc::clone(&self.metrics),
        };
        Sampler::start(Arc::clone(&self.history), lookout)
    }

    fn control(&self, config: &Config, drain: CancellationToken, views: Views) -> Arc<Control> {
        let steered = Steered {
            driver: Arc::clone(&self.driver),
            runs: Arc::clone(&self.runs),
            store: Arc::clone(&self.store),
            doorkeeper: Arc::clone(&self.doorkeeper),
            elsewhere: self.leases.as_ref().map(|leases| leases.peers() as _),
            entrance: self.operators.as_ref().map(|operators| operators.entrance.clone()),
            drain: Box::new(move |by| {
                tracing::info!(by, "told to drain");
                drain.cancel();
            }),
            views,
        };
        let control = Control::new(config, steered);
        self.leases.iter().for_each(|leases| leases.peers().attend(&control));
        control
    }

    /// What a newer configuration changes at once.
    fn reloading(&self, control: Arc<Control>) -> impl Fn(&Config) + Send + Sync + 'static {
        let (driver, doorkeeper) = (Arc::clone(&self.driver), Arc::clone(&self.doorkeeper));
        let (remedies, outlook) = (Arc::clone(&self.remedies), Arc::clone(&self.outlook));
        let logins = [self.login.clone(), self.operators.clone()];
        move |config| {
            control.renew(config);
            driver.replace_plans(&config.plans);
            doorkeeper.reload(&config.auth);
            logins.iter().flatten().for_each(|login| login.reload(config));
            remedies.renew(&config.remediation);
            outlook.renew(config.forecast);
            reload::relevel(config);
        }
    }

    fn on_report(&self) -> impl Fn(Report) + Send + 'static {
        let metrics = Arc::clone(&self.metrics);
        move |report| match report {
            Report::Measured(lag) => {
                // This thread wakes a few times a second, whatever becomes of the runtime.
                logs::tell_dropped();
                metrics.set_reaper_lag(lag.reaper);
                metrics.set_runtime_lag(lag.runtime);
            }
            Report::RuntimeStuck => metrics.on_runtime_stuck(),
        }
    }

    /// Watches over what is scraped, from now on.
    fn alarm(&self, config: &Config, pool: Arc<Pool>, health: &Arc<Health>) -> Result<Alarm, Error> {
        let (metrics, population) = (Arc::clone(&self.metrics), self.population(pool, health));
        let newest = Arc::new(Mutex::new(Population::default()));
        let last = Arc::clone(&newest);
        let count = move || {
            let population = population();
            newest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&population);
            metrics.encode(&population)
        };
        let (metrics, health) = (Arc::clone(&self.metrics), Arc::clone(health));
        let recall = move || {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            metrics.encode(&Population { is_ready: health.is_ready(), ..last })
        };
        let sight = Sight { count: Arc::new(count), recall: Box::new(recall) };
        Alarm::start(&config.alerts, Arc::clone(&self.bell), Arc::clone(&self.board), &self.metrics, sight)
    }

    /// What the rules of remediation act on.
    fn hands(&self, config: &Config, drain: CancellationToken) -> Hands {
        let age = millis(config.admin.audit_age);
        Hands {
            driver: Arc::clone(&self.driver),
            agents: Arc::clone(&self.agents),
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            keep: Keep { entries: config.admin.audit_entries, for_ms: age },
            drain,
        }
    }

    fn population(&self, pool: Arc<Pool>, health: &Arc<Health>) -> impl Fn() -> Population + Send + Sync + 'static {
        let (driver, journal, agents) = (Arc::clone(&self.driver), Arc::clone(&self.journal), Arc::clone(&self.agents));
        let (outlook, health) = (Arc::clone(&self.outlook), Arc::clone(health));
        let (tally, leases) = (Arc::clone(self.traces.tally()), self.leases.clone());
        move || {
            let unwritten = logs::dropped();
            Population {
                is_ready: health.is_ready(),
                is_draining: health.is_draining(),
                unwritten_lines: [unwritten.left_out, unwritten.lost],
                cluster: nodes::census(leases.as_deref()),
                spans: [tally.delivered(), tally.dropped(), tally.failed()],
                ..population::count(&driver, &*journal, &agents, &pool, &outlook)
            }
        }
    }

    /// Tells everybody to move and gives runs their time.
    async fn empty(&self, drain_timeout: Duration, hurry: &mut Hurry) {
        let census = self.driver.census();
        tracing::info!(event = "gateway.draining", connections = census.connections, runs = census.runs, "draining");
        let mut exodus = Exodus::begin(&self.driver, drain_timeout);
        tokio::select! {
            () = exodus.pass() => {}
            () = hurry.wanted() => tracing::warn!("told a second time to stop: at once"),
        }
        let runs = self.driver.census().runs;
        if runs > 0 {
            tracing::warn!(runs, connections = exodus.left(), "runs are ended before their time");
        }
    }

    /// Ends the runs that are left, closes whoever is left with 4001, and then every part in its order.
    async fn end(&self, parts: Parts) {
        let Parts { stop, users, operators, kept } = parts;
        // Before the sockets: whoever still reads an answer is told how it ended (hazard R18).
        self.runs.shutdown(LAST_ORDERS).await;
        self.driver.close_all(EvictReason::Draining);
        stop.cancel();
        // It gives its connections LAST_ORDERS and then ends by itself.
        if users.await.is_err() {
            tracing::error!("the listener for users ended by a panic");
        }
        operators.finish().await;
        join_all(kept).await;
        if let Some(leases) = &self.leases {
            leases.leave().await;
        }
        // Whatever was acknowledged is in the file already; a disk that hangs must not keep the process.
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal was not closed in order");
        }
        let traces = Arc::clone(&self.traces);
        // Last: a collector that hangs costs nobody but the traces. It waits for its thread, which delivers what is left.
        if tokio::task::spawn_blocking(move || traces.close(LAST_ORDERS)).await.is_err() {
            tracing::error!("the last spans were not delivered, which ended by a panic");
        }
    }
}

/// The gates, and who counts.
fn drive(config: &Config, bounds: ConnectionBounds, effects: Wiring) -> Arc<Driver> {
    let greeting = Greeting { ping_interval: config.limits.ping_interval, window: config.websocket.window };
    let explain = Remembered { ledger_bytes: config.explain.ledger_bytes, feed_bytes: config.explain.feed_bytes };
    let counted = if effects.leases.is_some() { Counted::ByAll } else { Counted::ByThisNode };
    Driver::remembering(config.plans.clone(), bounds, greeting, Arc::new(effects), explain, counted)
}

/// Names the incarnation of a journal that is new.
fn epoch() -> String {
    format!("{:016x}", crate::driver::random_bits() as u64)
}

/// The listener bounds all sockets, the driver those that proved who they are. The driver's bound is the lower one: a
/// full node must still hear who the newcomer is, because the newest wins and the least worthy goes.
fn connection_bounds(config: &Config, per_node: Option<usize>) -> ConnectionBounds {
    let by_descriptors = || {
        let sockets = max_connections(config.server.max_descriptor_percent);
        sockets - config.server.max_unidentified.min(sockets / 10)
    };
    ConnectionBounds {
        per_address: config.server.max_connections_per_address,
        per_node: per_node.unwrap_or_else(by_descriptors),
    }
}

async fn journal(config: &config::Journal, loaded: &Loaded) -> Result<Arc<dyn Journal>, Error> {
    Ok(match config.kind {
        JournalKind::Memory => Arc::new(Memory::new(config, &epoch())),
        JournalKind::Sqlite => Arc::new(Sqlite::open(config, &epoch())?),
        JournalKind::Redis => {
            let wrong = |error: OpenError| error.at(loaded.place("journal.url"));
            Arc::new(Redis::open(config).await.map_err(wrong)?)
        }
    })
}

/// What the doors remember lies beside the journal, and lives as long.
fn store(journal: &config::Journal) -> Result<Arc<Store>, Error> {
    let directory = match journal.kind {
        JournalKind::Memory => None,
        JournalKind::Sqlite => Some(journal.directory.as_path()),
        JournalKind::Redis => {
            // What the doors remember is this node's own, and no journal has made the place for it.
            let place = journal.directory.as_path();
            let made = DirBuilder::new().recursive(true).mode(0o700).create(place);
            made.map_err(|error| failed(format!("journal.directory = {}: {error}", place.display())))?;
            Some(place)
        }
    };
    Store::open(directory).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}
