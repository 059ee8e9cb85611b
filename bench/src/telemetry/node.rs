//! The middle of a gateway without its edges: driver, sessions, runs and a journal in memory, with eyes or without.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lychgate::agent::{Agent, Agents, Observed};
use lychgate::config::{Config, LogFormat};
use lychgate::driver::{Admitted, Arrival, ConnectionBounds, Driver, Effects, Greeting, Registration};
use lychgate::journal::memory::Memory;
use lychgate::journal::{Follower, Journal, Measured};
use lychgate::outbox::Frame;
use lychgate::run::{RunChange, Runs, Surroundings};
use lychgate::session::{Attach, Sessions};
use lychgate::telemetry::metrics::RunOutcome;
use lychgate::telemetry::{Metrics, logs};
use lychgate_core::{
    ConnectionId, Event, Heartbeat, LimitSpec, Limits, Proof, SessionContext, SessionKey, UserId, WebSocketRequest,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::nowhere::Nowhere;

/// What a node tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eyes {
    /// Nothing.
    Off,
    /// Metrics.
    Metrics,
    /// Metrics, and a line for every event of the gate.
    All,
}

/// Log lines are made as JSON, and go where they cost nothing more.
pub(super) fn log_to_nowhere() -> anyhow::Result<()> {
    let config = lychgate::config::Log { format: LogFormat::Json, ..Config::from_toml(TOML)?.log };
    tracing::subscriber::set_global_default(logs::subscriber(&config, std::io::sink)?)?;
    Ok(())
}

/// Bytes that the program holds, as the kernel sees them.
pub(super) fn heap_of(process: u32) -> anyhow::Result<u64> {
    Ok(crate::memory::pss(process)?.anonymous)
}

const TOML: &str = r#"
auth.jwt.secret = "0123456789abcdef0123456789abcdef"
journal.kind = "memory"
agents.demo.delay = "0s"
"#;

/// What the driver causes.
struct Told {
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    eyes: Eyes,
}

impl Effects for Told {
    fn attach(&self, admitted: Admitted) {
        let Admitted { context, reference, resume, path: _, usage, line, heartbeat } = admitted;
        let (key, connection) = (context.key().clone(), context.connection());
        self.sessions.attach(Attach { key, connection, sink: line, heartbeat, resume, reference, usage });
    }

    fn detach(&self, key: &SessionKey, connection: ConnectionId) {
        self.sessions.detach(key, connection);
    }

    fn event(&self, event: &Event) {
        match self.eyes {
            Eyes::Off => {}
            Eyes::Metrics => self.metrics.on_event(event),
            Eyes::All => {
                self.metrics.on_event(event);
                logs::event(event);
            }
        }
    }
}

/// What runs know of the rest.
struct Around {
    agents: Agents,
    driver: Arc<Driver>,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    eyes: Eyes,
    ended: mpsc::Sender<SessionKey>,
}

impl Surroundings for Around {
    fn agent(&self, name: Option<&str>) -> Option<(Arc<str>, Arc<dyn Agent>)> {
        let (name, agent) = self.agents.named(name).ok()?;
        match self.eyes {
            Eyes::Off => Some((name, agent)),
            Eyes::Metrics | Eyes::All => {
                let observed = Observed::new(agent, Arc::clone(&name), Arc::clone(&self.metrics));
                Some((name, Arc::new(observed)))
            }
        }
    }

    fn max_runs(&self, user: &UserId) -> usize {
        self.driver.max_runs(user)
    }

    fn changed(&self, change: RunChange) {
        match change {
            RunChange::Started { key, run } => self.driver.run_started(&key, &run),
            RunChange::Ended { key, run } => {
                self.driver.run_ended(&key, &run);
                // There is room for as many as run at a time; whoever waits for it may have gone.
                let _ = self.ended.try_send(key);
            }
        }
    }

    fn finished(&self, outcome: RunOutcome, took: Duration) {
        if self.eyes != Eyes::Off {
            self.metrics.on_run(outcome, took);
        }
    }

    fn is_attended(&self, key: &SessionKey) -> bool {
        self.sessions.is_attended(key)
    }

    fn tell(&self, key: &SessionKey, frame: &Frame) {
        self.sessions.tell(key, frame);
    }
}

/// A gateway without edges.
pub(super) struct Node {
    pub(super) driver: Arc<Driver>,
    pub(super) runs: Arc<Runs>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) eyes: Eyes,
}

impl Node {
    /// Nobody is there; a user may hold `limit` sessions.
    pub(super) fn new(eyes: Eyes, limit: usize) -> anyhow::Result<Self> {
        Self::with_ends(eyes, limit, 1).map(|(node, _)| node)
    }

    /// The same, and the threads of runs that have ended, of which `at_a_time` go on at a time.
    pub(super) fn with_ends(
        eyes: Eyes,
        limit: usize,
        at_a_time: usize,
    ) -> anyhow::Result<(Self, mpsc::Receiver<SessionKey>)> {
        let config = Config::from_toml(TOML)?;
        let agents = Agents::new(&config.agents)?;
        let metrics = Arc::new(Metrics::with_agents(agents.names()));
        let journal: Arc<dyn Journal> = Arc::new(Memory::new(&config.journal, "bench"));
        let journal: Arc<dyn Journal> = match eyes {
            Eyes::Off => journal,
            Eyes::Metrics | Eyes::All => Arc::new(Measured::new(journal, Arc::clone(&metrics))),
        };
        let sessions = Sessions::new(Arc::clone(&journal), Handle::current(), config.websocket.window);
        journal.follow(Arc::clone(&sessions) as Arc<dyn Follower>);
        let effects = Told { sessions: Arc::clone(&sessions), metrics: Arc::clone(&metrics), eyes };
        let limits = Limits::new(LimitSpec { max_sessions_per_user: limit, ..LimitSpec::default() })?;
        let greeting = Greeting { ping_interval: limits.ping_interval, window: config.websocket.window };
        let bounds = ConnectionBounds { per_address: usize::MAX, per_node: usize::MAX };
        let driver = Driver::new(limits, bounds, greeting, Arc::new(effects));
        let (ending, ended) = mpsc::channel(at_a_time);
        let around = Around {
            agents,
            driver: Arc::clone(&driver),
            sessions,
            metrics: Arc::clone(&metrics),
            eyes,
            ended: ending,
        };
        let runs = Runs::new(journal, config.runs, Arc::new(around), Handle::current());
        Ok((Self { driver, runs, metrics, eyes }, ended))
    }

    /// A user arrives on a connection of his own, from an address of his own.
    pub(super) fn connect(&self, n: u32) -> anyhow::Result<Registration> {
        Ok(self.driver.connect(Arrival {
            user: UserId::parse(&format!("105945141827451681156:{n}"))?,
            connection: ConnectionId::from_random(u128::from(n) + 1),
            prev: None,
            heartbeat: Heartbeat::Protocol,
            expires_in: None,
            plan: None,
            proof: Proof::default(),
            address: IpAddr::from((0x0a00_0000 | n).to_be_bytes()),
            line: Arc::new(Nowhere),
        }))
    }

    /// Asks for a session.
    pub(super) fn open(&self, registration: &Registration, thread: &str) -> anyhow::Result<SessionKey> {
        let request = WebSocketRequest {
            user: registration.user(),
            thread: Some(thread),
            client: None,
            connection: registration.connection(),
            operation: "open",
            component: "bench",
            unix_ms: 0,
        };
        let context = SessionContext::from_websocket_request(&request, self.driver.entropy())?;
        let key = context.key().clone();
        registration.open(context, None, None);
        Ok(key)
    }
}
