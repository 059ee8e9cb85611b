//! Traces: what became of one client's wish, from the upgrade to the last event of a run, for whoever collects OTLP.
//!
//! ```text
//! connection (upgrade, identity)                           [client's traceparent: a link, or the parent]
//!   |- open        path, level, waited                     [link: the run that it comes back to]
//!   '- run         agent, outcome                          [links: connections that came back to it]
//!        |- agent          the request; first_event        --traceparent--> the agent's own trace
//!        |- journal        all appends together
//!        '- deliver        of the last event
//! ```
//!
//! There are no spans in flight: each is put together at the one place where its work is over, from what is known
//! there, and handed to a bounded queue. The span of a connection has ids that are made from the connection's, so that
//! what comes later finds them again; nothing is kept for a connection that is idle. Without a collector this room does
//! nothing but ask whether there is one.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use lychgate_core::{AdmissionPath, ConnectionId, Event, Refusal, SessionKey, UserId};

use crate::config;

mod context;
#[cfg_attr(not(feature = "otlp"), path = "no_export.rs")]
mod export;
mod run;
mod span;

pub use context::{Context, Parent, SpanId, TRACEPARENT, TRACESTATE, TraceId, current, naming};
pub use run::{Asker, RunTrace};
pub use span::{Kind, Span, Value};

/// Connections that come back to one run and are told with it, at most.
const MAX_LINKS: usize = 8;

/// Where spans go. No call may block.
pub trait Outlet: Send + Sync + 'static {
    /// A span is over.
    fn take(&self, span: Span);

    /// Nothing comes any more: what waits is delivered, within this time.
    fn close(&self, within: Duration);
}

/// Why there are no traces although a collector is configured.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be started: {0}")]
pub struct TracesError(String);

/// What became of spans since the start.
#[derive(Debug, Default)]
pub struct Tally {
    delivered: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    /// The collector took them.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// The queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The collector did not take them, or not in time.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The traces of this node.
pub struct Traces {
    outlet: Option<Box<dyn Outlet>>,
    tally: Arc<Tally>,
    parents: config::Parents,
    /// A connection is traced when its number is below this.
    threshold: u64,
    /// Makes the ids of a connection's span from its own; nobody outside can turn that round.
    hasher: RandomState,
    /// Of connections that joined their client's trace; each goes with its connection.
    adopted: Mutex<HashMap<ConnectionId, Parent>>,
    /// Runs in flight that are traced.
    runs: Mutex<HashMap<SessionKey, InFlight>>,
}

struct InFlight {
    context: Context,
    links: Vec<Context>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

/// A request that may become a connection.
#[derive(Debug)]
pub struct Arrival {
    at: SystemTime,
    parent: Option<Parent>,
}

/// Keeps the trace that a connection has joined; goes with the connection.
#[derive(Debug)]
pub struct Joined {
    traces: Arc<Traces>,
    connection: ConnectionId,
}

impl Drop for Joined {
    fn drop(&mut self) {
        lock(&self.traces.adopted).remove(&self.connection);
    }
}

impl Traces {
    /// None at all.
    #[must_use]
    pub fn off() -> Arc<Self> {
        Arc::new(Self::to(None, &config::Parents::Ignore, 0.0, Arc::default()))
    }

    /// Traces as configured: to the collector, or none.
    ///
    /// # Errors
    /// The system gives no thread for deliveries.
    pub fn start(config: &config::Traces) -> Result<Arc<Self>, TracesError> {
        let tally = Arc::<Tally>::default();
        let outlet = match &config.collector {
            None => return Ok(Self::off()),
            Some(collector) => export::start(collector, config, Arc::clone(&tally))?,
        };
        Ok(Arc::new(Self::to(Some(outlet), &config.parents, config.ratio, tally)))
    }

    fn to(outlet: Option<Box<dyn Outlet>>, parents: &config::Parents, ratio: f64, tally: Arc<Tally>) -> Self {
        Self {
            outlet,
            tally,
            parents: *parents,
            // 1.0 is above every number: the cast saturates, and the comparison is one of `<=`.
            threshold: (ratio * u64::MAX as f64) as u64,
            hasher: RandomState::new(),
            adopted: Mutex::default(),
            runs: Mutex::default(),
        }
    }

    /// Whether anything is traced.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.outlet.is_some()
    }

    /// What became of spans.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Delivers what waits, and takes nothing more. Blocks, at most so long.
    pub fn close(&self, within: Duration) {
        if let Some(outlet) = &self.outlet {
            outlet.close(within);
        }
    }

    /// A request has come; none where nothing is traced.
    #[must_use]
    pub fn arrival(&self, headers: &HeaderMap) -> Option<Box<Arrival>> {
        let parent = || match self.parents {
            config::Parents::Ignore => None,
            config::Parents::Link | config::Parents::Follow => Parent::from_headers(headers),
        };
        self.is_on().then(|| Box::new(Arrival { at: SystemTime::now(), parent: parent() }))
    }

    /// A request has become a connection of this user: its span is told. What this returns lives as long as the
    /// connection; there is something only where it joined its client's trace.
    pub fn connected(
        self: &Arc<Self>,
        connection: ConnectionId,
        user: &UserId,
        transport: &'static str,
        arrival: Arrival,
    ) -> Option<Box<Joined>> {
        let Arrival { at, parent } = arrival;
        let mut joined = None;
        if let (config::Parents::Follow, Some(parent)) = (self.parents, &parent) {
            lock(&self.adopted).insert(connection, parent.clone());
            joined = Some(Box::new(Joined { traces: Arc::clone(self), connection }));
        }
        let context = self.place(connection, joined.is_some().then_some(parent.as_ref()).flatten());
        let mut span = Span::within("connection", context, context.span, at);
        span.kind = Kind::Server;
        (span.parent, span.is_parent_remote, span.links) = match (self.parents, parent) {
            (config::Parents::Follow, Some(parent)) => (Some(parent.context.span), true, Vec::new()),
            (config::Parents::Link, Some(parent)) => (None, false, vec![parent.context]),
            (config::Parents::Ignore, Some(_)) | (_, None) => (None, false, Vec::new()),
        };
        self.tell(span.of_user(user).with("connection", &*connection.to_string()).with("transport", transport));
        joined
    }

    /// The span of a connection, for what it asks for; none where nothing is traced.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Option<Parent> {
        if !self.is_on() {
            return None;
        }
        let parent = match self.parents {
            config::Parents::Follow => lock(&self.adopted).get(&connection).cloned(),
            config::Parents::Ignore | config::Parents::Link => None,
        };
        let context = self.place(connection, parent.as_ref());
        Some(Parent { context, state: parent.and_then(|parent| parent.state) })
    }

    /// The span of a connection. Whether it is kept is decided by the client it follows, else by its number.
    fn place(&self, connection: ConnectionId, parent: Option<&Parent>) -> Context {
        let number = |which: &str| self.hasher.hash_one((connection, which)).max(1);
        let span = SpanId(number("span"));
        match parent {
            Some(Parent { context: Context { trace, sampled, .. }, .. }) => {
                Context { trace: *trace, span, sampled: *sampled }
            }
            None => {
                let low = number("low");
                let trace = TraceId(u128::from(number("high")) << 64 | u128::from(low));
                Context { trace, span, sampled: self.threshold > 0 && low <= self.threshold }
            }
        }
    }

    /// Tells the opens that the gate answered.
    pub fn on_event(&self, event: &Event) {
        if !self.is_on() {
            return;
        }
        match event {
            Event::SessionCreated { key, connection, path, waited, .. } => {
                self.opened(*connection, key, *path, *waited)
            }
            Event::SessionAttached { key, connection, path, waited } => self.opened(*connection, key, *path, *waited),
            Event::Refused { user, connection, thread: Some(thread), refusal, waited } => {
                self.refused(*connection, &SessionKey::new(user.clone(), thread.clone()), *refusal, *waited);
            }
            Event::Refused { thread: None, .. }
            | Event::SessionLingers { .. }
            | Event::SessionReleased { .. }
            | Event::SessionEvicted { .. }
            | Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Zombie { .. }
            | Event::WouldEvict { .. }
            | Event::WouldWait { .. }
            | Event::Queued { .. }
            | Event::Waiting { .. }
            | Event::Breaker { .. }
            | Event::Repaired { .. }
            | Event::Reclaimed { .. }
            | Event::ProbeFailed { .. }
            | Event::VerdictDisproved { .. }
            | Event::Pressure { .. }
            | Event::CloseUnconfirmed { .. } => {}
        }
    }

    /// The span that a line about this event belongs to.
    #[must_use]
    pub fn of_event(&self, event: &Event) -> Option<Context> {
        match event {
            Event::SessionCreated { connection, .. }
            | Event::SessionAttached { connection, .. }
            | Event::Connected { connection, .. }
            | Event::Disconnected { connection, .. }
            | Event::Zombie { connection, .. }
            | Event::Waiting { connection, .. }
            | Event::Refused { connection, .. }
            | Event::CloseUnconfirmed { connection, .. } => self.of(*connection).map(|parent| parent.context),
            Event::SessionLingers { .. }
            | Event::SessionReleased { .. }
            | Event::SessionEvicted { .. }
            | Event::WouldEvict { .. }
            | Event::WouldWait { .. }
            | Event::Queued { .. }
            | Event::Breaker { .. }
            | Event::Repaired { .. }
            | Event::Reclaimed { .. }
            | Event::ProbeFailed { .. }
            | Event::VerdictDisproved { .. }
            | Event::Pressure { .. } => None,
        }
    }

    fn opened(&self, connection: ConnectionId, key: &SessionKey, path: AdmissionPath, waited: Duration) {
        let Some(mut span) = self.open(connection, key, waited) else { return };
        span.attributes.push(("path", path.as_str().into()));
        if let AdmissionPath::Reclaimed(level) = path {
            span.attributes.push(("level", level.as_str().into()));
        }
        // A connection that comes back to a run which another one began: each trace names the other.
        if let Some(run) = lock(&self.runs).get_mut(key).filter(|run| run.context.trace != span.context.trace) {
            span.links.push(run.context);
            if run.links.len() < MAX_LINKS {
                run.links.push(span.context);
            }
        }
        self.tell(span);
    }

    fn refused(&self, connection: ConnectionId, key: &SessionKey, refusal: Refusal, waited: Duration) {
        let Some(mut span) = self.open(connection, key, waited) else { return };
        span.failed = Some(refusal.as_str().to_owned());
        self.tell(span.with("path", "refused"));
    }

    fn open(&self, connection: ConnectionId, key: &SessionKey, waited: Duration) -> Option<Span> {
        let Parent { context, .. } = self.of(connection).filter(|parent| parent.context.sampled)?;
        let now = SystemTime::now();
        let begin = now.checked_sub(waited).unwrap_or(now);
        let span = Span::within("open", child(context), context.span, begin);
        Some(span.of_session(key).with("connection", &*connection.to_string()).with("waited_ms", waited))
    }

    /// Runs `deliver`, which sends the last event of a run to whoever is attached, and tells how that went.
    pub fn delivering(&self, key: &SessionKey, deliver: impl FnOnce()) {
        let Some(context) = lock(&self.runs).get(key).map(|run| run.context) else {
            return deliver();
        };
        let begin = SystemTime::now();
        deliver();
        self.tell(Span::within("deliver", child(context), context.span, begin).of_session(key));
    }

    fn tell(&self, span: Span) {
        if let (Some(outlet), true) = (&self.outlet, span.context.sampled) {
            outlet.take(span);
        }
    }
}

/// A new span of the same trace.
fn child(context: Context) -> Context {
    Context { span: SpanId(random().max(1)), ..context }
}

/// Span ids need be different, and nothing more.
fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

/// Maps of copies: whole after every change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
