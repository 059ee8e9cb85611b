//! All metrics in one list, with their meaning and unit.
//!
//! No label ever names a user, a thread or a session (hazard R25): every label takes one of a few fixed words. Gauges
//! of sessions, connections, runs and waiting sockets are counted from the records when they are scraped; nothing here
//! counts them up and down (cause C9 of the original failure: counters that drifted from the truth).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lychgate_core::{AdmissionPath, Event, EvictReason, PingOutcome, ReclaimLevel, Refusal, ZombieKind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// How many records there are, counted when the metrics are scraped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Population {
    /// Sessions of all users.
    pub sessions: usize,
    /// Connections with an identity.
    pub connections: usize,
    /// Runs in flight.
    pub runs: usize,
    /// Sockets that have not said who they are.
    pub unidentified: usize,
    /// Bytes of the record of decisions.
    pub explained_bytes: usize,
    /// Users whose record of decisions was dropped to stay within its budget, since the start.
    pub explained_dropped: u64,
    /// Users who reach their limit within each of [`lychgate_core::WITHIN`].
    pub users_forecast: [usize; lychgate_core::WITHIN.len()],
    /// Where the node's connections go.
    pub node: super::Outlook,
}

mod alerts;
mod forecast;

use alerts::Alerts;
use forecast::Forecasts;

type Seconds = Gauge<f64, AtomicU64>;

/// How an open was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    path: &'static str,
}

/// What was evicted and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Eviction {
    level: &'static str,
    reason: &'static str,
}

/// What a limit in shadow mode would have done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

/// Where a breaker moved to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Breaker {
    scope: &'static str,
    step: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Upper bounds in seconds; 1.5 is the promise of an admission with dead sockets, 10 the one of invariant I3.
const ADMISSION_BUCKETS: [f64; 12] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 1.5, 3.0, 5.0, 8.0, 10.0];

const PATHS: [AdmissionPath; 10] = [
    AdmissionPath::Attach,
    AdmissionPath::Takeover,
    AdmissionPath::Free,
    AdmissionPath::Reclaimed(ReclaimLevel::Conservative),
    AdmissionPath::Reclaimed(ReclaimLevel::Moderate),
    AdmissionPath::Reclaimed(ReclaimLevel::Aggressive),
    AdmissionPath::Reclaimed(ReclaimLevel::Force),
    AdmissionPath::Reserve,
    AdmissionPath::Queue,
    AdmissionPath::Shadow,
];
const KINDS: [ZombieKind; 5] =
    [ZombieKind::HalfOpen, ZombieKind::Stalled, ZombieKind::Ghost, ZombieKind::Orphan, ZombieKind::StaleLease];
/// What becomes of a login.
const LOGINS: [&str; 2] = ["done", "failed"];
const REFUSALS: [Refusal; 4] = [
    Refusal::Draining { retry_in: Duration::ZERO },
    Refusal::Overload { retry_in: Duration::ZERO },
    Refusal::NoSlot { retry_in: Duration::ZERO },
    Refusal::NotConnected,
];

/// Every number that an operator can watch. Share it in an `Arc`; every method takes `&self` and is cheap.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sessions: Gauge,
    connections: Gauge,
    runs: Gauge,
    unidentified: Gauge,
    explained_bytes: Gauge,
    explained_dropped: Gauge,
    admissions: Family<Path, Counter>,
    admission_wait: Family<Path, Histogram, fn() -> Histogram>,
    waits: Counter,
    lockouts_prevented: Counter,
    sessions_ended: Family<Reason, Counter>,
    evictions: Family<Eviction, Counter>,
    shadow: Family<Verdict, Counter>,
    queued: Counter,
    breakers: Family<Breaker, Counter>,
    repairs: Counter,
    pressure: Family<Level, Counter>,
    zombies: Family<Kind, Counter>,
    connects: Counter,
    disconnects: Family<Reason, Counter>,
    refusals: Family<Reason, Counter>,
    close_unconfirmed: Counter,
    heartbeat_misses: Counter,
    auth_failures: Family<Reason, Counter>,
    logins: Family<Outcome, Counter>,
    turned_away: Counter,
    reaper_lag: Seconds,
    runtime_lag: Seconds,
    runtime_stuck: Counter,
    pings: Family<Outcome, Counter>,
    events_sent: Counter,
    bytes_sent: Counter,
    alerts: Alerts,
    forecasts: Forecasts,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    #[rustfmt::skip]
    pub fn new() -> Self {
        let mut list = List(Registry::with_prefix("lychgate"));
        let sessions = list.gauge("sessions", "Sessions that users hold on this node");
        let connections = list.gauge("connections", "Connections with an identity");
        let runs = list.gauge("runs", "Runs of agents in flight");
        let unidentified = list.gauge("unidentified_sockets", "Sockets that have not yet proven who they are");
        let explained_bytes = list.gauge("explain_bytes", "Bytes of the record of decisions");
        let explained_dropped = list.gauge("explain_dropped_users", "Users whose record of decisions was dropped to stay within its budget");
        let admissions = list.family("admissions", "Opens that were admitted, by the way they were");
        let admission_wait = list.histogram("admission_wait", "From open to admission, by the way it was admitted");
        let waits = list.counter("admissions_delayed", "Opens that had to wait for a probe");
        let lockouts_prevented = list.counter("lockouts_prevented", "Opens at the limit that got a slot: a reclaimed one, one of the reserve, or from the queue");
        let sessions_ended = list.family("sessions_ended", "Sessions that ended without reclaim, by reason");
        let evictions = list.family("evictions", "Sessions that were reclaimed, by level and reason");
        let shadow = list.family("shadow_verdicts", "What a limit in shadow mode would have done, by level");
        let queued = list.counter("queued", "Opens that had to wait in the queue: every session was protected");
        let breakers = list.family("breaker_moves", "Breakers round steps of reclaim that moved, by scope, step and state");
        let repairs = list.counter("repairs", "Broken invariants that were found and repaired; each one is a defect");
        let pressure = list.family("pressure_changes", "Users that moved into a band of their limit, by band");
        let zombies = list.family("zombies", "Connections found dead, by kind");
        let connects = list.counter("connects", "Connections that were registered");
        let disconnects = list.family("disconnects", "Connections that left, by reason");
        let refusals = list.family("refusals", "Opens and connects that were refused, by reason");
        let close_unconfirmed = list.counter("close_unconfirmed", "Sockets torn down because no close was confirmed");
        let heartbeat_misses = list.counter("heartbeat_misses", "Unanswered heartbeats and probe pings of connections found dead");
        let auth_failures = list.family("auth_failures", "Tokens that proved nothing, by reason");
        let logins = list.family("logins", "Logins with a browser, by what became of them");
        let turned_away = list.counter("turned_away", "Strangers who were told to come back later, because of their address or an overload");
        let reaper_lag = list.seconds("reaper_lag", "How late the reaper thread last ran");
        let runtime_lag = list.seconds("runtime_lag", "How late the asynchronous runtime last ran");
        let runtime_stuck = list.counter("runtime_stuck", "Times that the asynchronous runtime was stuck for too long");
        let pings = list.family("pings", "Questions whether somebody is there, by what became of them");
        let events_sent = list.counter("events_sent", "Events and answers to opens that outboxes took");
        let bytes_sent = list.counter("bytes_sent", "Bytes of frames that the kernel took");
        let alerts = Alerts::register(&mut list);
        let forecasts = Forecasts::register(&mut list);
        // A series that appears with its first event hides that event from `rate()`: those with few words start at zero.
        for path in PATHS {
            let _ = admissions.get_or_create(&Path { path: path.as_str() });
        }
        for kind in KINDS {
            let _ = zombies.get_or_create(&Kind { kind: kind.as_str() });
        }
        for outcome in [PingOutcome::Written, PingOutcome::Queued, PingOutcome::Failed] {
            let _ = pings.get_or_create(&Outcome { outcome: outcome_word(outcome) });
        }
        for outcome in LOGINS {
            let _ = logins.get_or_create(&Outcome { outcome });
        }
        for reason in REFUSALS {
            let _ = refusals.get_or_create(&Reason { reason: refusal_word(reason) });
        }
        Self {
            registry: list.0,
            sessions, connections, runs, unidentified, explained_bytes, explained_dropped, admissions, admission_wait, waits, lockouts_prevented,
            sessions_ended, evictions, shadow, queued, breakers, repairs, pressure, zombies, connects, disconnects, refusals, close_unconfirmed,
            heartbeat_misses, auth_failures, logins, turned_away, reaper_lag, runtime_lag, runtime_stuck, pings, events_sent, bytes_sent, alerts, forecasts,
        }
    }

    /// Counts what the gate decided.
    pub fn on_event(&self, event: &Event) {
        match event {
            Event::SessionCreated { path, waited, .. } => self.admitted(*path, *waited),
            Event::SessionAttached { path, .. } => self.admitted(*path, Duration::ZERO),
            Event::SessionLingers { .. } => {}
            Event::SessionReleased { reason, .. } => count(&self.sessions_ended, Reason::of(*reason)),
            Event::SessionEvicted { reason, eviction, .. } => {
                count(&self.evictions, Eviction { level: eviction.level.as_str(), reason: reason.as_str() })
            }
            Event::WouldEvict { eviction, .. } => {
                count(&self.shadow, Verdict { verdict: eviction.level.as_str() });
            }
            Event::WouldWait { .. } => count(&self.shadow, Verdict { verdict: "wait" }),
            Event::Queued { .. } => {
                self.queued.inc();
            }
            Event::Breaker { user, step, state } => count(
                &self.breakers,
                Breaker {
                    scope: if user.is_some() { "user" } else { "node" },
                    step: step.as_str(),
                    state: state.as_str(),
                },
            ),
            Event::Repaired { .. } => {
                self.repairs.inc();
            }
            Event::Connected { .. } => {
                self.connects.inc();
            }
            Event::Disconnected { reason, .. } => {
                let reason = reason.map_or("ended_by_itself", EvictReason::as_str);
                count(&self.disconnects, Reason { reason });
            }
            Event::Zombie { kind, evidence, .. } => {
                count(&self.zombies, Kind { kind: kind.as_str() });
                self.heartbeat_misses.inc_by(u64::from(evidence.missed_pings) + u64::from(evidence.missed_probes));
            }
            Event::Pressure { usage, .. } => count(&self.pressure, Level { level: usage.level.as_str() }),
            Event::Waiting { .. } => {
                self.waits.inc();
            }
            Event::Refused { refusal, .. } => count(&self.refusals, Reason { reason: refusal_word(*refusal) }),
            Event::CloseUnconfirmed { .. } => {
                self.close_unconfirmed.inc();
            }
        }
    }

    fn admitted(&self, path: AdmissionPath, waited: Duration) {
        let label = Path { path: path.as_str() };
        count(&self.admissions, label.clone());
        self.admission_wait.get_or_create(&label).observe(waited.as_secs_f64());
        match path {
            AdmissionPath::Reclaimed(_) | AdmissionPath::Reserve | AdmissionPath::Queue => {
                self.lockouts_prevented.inc();
            }
            AdmissionPath::Attach | AdmissionPath::Takeover | AdmissionPath::Free | AdmissionPath::Shadow => {}
        }
    }

    /// A token proved nothing; `reason` is the fixed word of `AuthError::as_str`.
    pub fn on_auth_failure(&self, reason: &'static str) {
        count(&self.auth_failures, Reason { reason });
    }

    /// Somebody logged in with a browser, or failed to.
    pub fn on_login(&self, has_succeeded: bool) {
        let [done, failed] = LOGINS;
        count(&self.logins, Outcome { outcome: if has_succeeded { done } else { failed } });
    }

    /// Somebody new was told to come back later: too many came from where he comes from, or the node is overloaded.
    pub fn on_turned_away(&self) {
        self.turned_away.inc();
    }

    /// The reaper woke this much later than it wanted to.
    pub fn set_reaper_lag(&self, lag: Duration) {
        self.reaper_lag.set(lag.as_secs_f64());
    }

    /// The asynchronous runtime answered this late.
    pub fn set_runtime_lag(&self, lag: Duration) {
        self.runtime_lag.set(lag.as_secs_f64());
    }

    /// A connection was asked whether it is there.
    pub fn on_ping(&self, outcome: PingOutcome) {
        count(&self.pings, Outcome { outcome: outcome_word(outcome) });
    }

    /// A connection was sent so much since it was last counted.
    pub fn on_sent(&self, events: u64, bytes: u64) {
        self.events_sent.inc_by(events);
        self.bytes_sent.inc_by(bytes);
    }

    /// The asynchronous runtime is stuck; once per episode.
    pub fn on_runtime_stuck(&self) {
        self.runtime_stuck.inc();
    }

    /// The text of a scrape, in the OpenMetrics format ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn encode(&self, population: Population) -> String {
        let gauges = [
            (&self.sessions, population.sessions),
            (&self.connections, population.connections),
            (&self.runs, population.runs),
            (&self.unidentified, population.unidentified),
            (&self.explained_bytes, population.explained_bytes),
            (&self.explained_dropped, usize::try_from(population.explained_dropped).unwrap_or(usize::MAX)),
        ];
        for (gauge, count) in gauges {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.forecasts.set(&population);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Reason {
    fn of(reason: EvictReason) -> Self {
        Self { reason: reason.as_str() }
    }
}

fn outcome_word(outcome: PingOutcome) -> &'static str {
    match outcome {
        PingOutcome::Written => "written",
        PingOutcome::Queued => "queued",
        PingOutcome::Failed => "failed",
    }
}

fn refusal_word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Draining { .. } => "draining",
        Refusal::Overload { .. } => "overload",
        Refusal::NoSlot { .. } => "no_slot",
        Refusal::NotConnected => "not_connected",
    }
}

fn count<L>(family: &Family<L, Counter>, label: L)
where
    L: Clone + Eq + std::hash::Hash,
{
    family.get_or_create(&label).inc();
}

/// Registers and hands back, so that the list above reads as one.
struct List(Registry);

impl List {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    fn family<L>(&mut self, name: &str, help: &str) -> Family<L, Counter>
    where
        L: EncodeLabelSet + Clone + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static,
    {
        self.add(name, help, Family::default())
    }

    fn histogram(&mut self, name: &str, help: &str) -> Family<Path, Histogram, fn() -> Histogram> {
        let family: Family<Path, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(ADMISSION_BUCKETS));
        self.0.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }

    fn seconds(&mut self, name: &str, help: &str) -> Seconds {
        let gauge = Seconds::default();
        self.0.register_with_unit(name, help, Unit::Seconds, gauge.clone());
        gauge
    }
}

#[cfg(test)]
mod tests;
