//! What the rooms of the middle know of each other: seams, filled in.
//!
//! ```text
//!  driver --Effects--> Wiring -> sessions, metrics, alerts of users, logs
//!  runs --Surroundings--> Around -> agents, driver, sessions, metrics
//! ```

use std::sync::Arc;
use std::time::Duration;

use lychgate_core::lease::Wish;
use lychgate_core::{ConnectionId, Event, PingOutcome, SessionKey, UserId};

use super::leases::Leases;
use crate::agent::{Agent, Agents, Observed};
use crate::driver::{Admitted, Driver, Effects};
use crate::journal::{Anew, Entry, Follower};
use crate::outbox::Frame;
use crate::run::{RunChange, Surroundings};
use crate::session::{Attach, Sessions};
use crate::telemetry::alerts::Bell;
use crate::telemetry::metrics::RunOutcome;
use crate::telemetry::{Metrics, Traces, logs, traces};

/// What the driver causes outside of sockets.
pub(super) struct Wiring {
    pub(super) sessions: Arc<Sessions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bell: Arc<Bell>,
    pub(super) traces: Arc<Traces>,
    /// Where sessions count together with those of other nodes.
    pub(super) leases: Option<Arc<Leases>>,
}

impl Effects for Wiring {
    fn attach(&self, admitted: Admitted) {
        let Admitted { context, reference, resume, path: _, usage, line, heartbeat } = admitted;
        self.sessions.attach(Attach {
            key: context.key().clone(),
            connection: context.connection(),
            sink: line,
            heartbeat,
            resume,
            reference,
            usage,
        });
    }

    fn detach(&self, key: &SessionKey, connection: ConnectionId) {
        self.sessions.detach(key, connection);
    }

    fn pinged(&self, outcome: PingOutcome) {
        self.metrics.on_ping(outcome);
    }

    fn wish(&self, wish: Wish) {
        if let Some(leases) = &self.leases {
            leases.wish(wish);
        }
    }

    fn event(&self, event: &Event) {
        self.metrics.on_event(event);
        self.bell.on_event(event);
        self.traces.on_event(event);
        traces::naming(self.traces.of_event(event), || logs::event(event));
    }
}

/// Who hears of appends: the sessions, and of the last event of a run its trace as well.
pub(super) fn follower(sessions: &Arc<Sessions>, traces: &Arc<Traces>) -> Arc<dyn Follower> {
    match traces.is_on() {
        false => Arc::clone(sessions) as Arc<dyn Follower>,
        true => Arc::new(Traced { sessions: Arc::clone(sessions), traces: Arc::clone(traces) }),
    }
}

struct Traced {
    sessions: Arc<Sessions>,
    traces: Arc<Traces>,
}

impl Follower for Traced {
    fn appended(&self, key: &SessionKey, entries: &[Entry]) {
        let deliver = || self.sessions.appended(key, entries);
        match entries.last().map(|last| last.event.kind()) {
            Some("RUN_FINISHED" | "RUN_ERROR") => self.traces.delivering(key, deliver),
            _ => deliver(),
        }
    }

    fn behind(&self, key: &SessionKey) {
        self.sessions.behind(key);
    }

    fn begun_anew(&self, what: Anew<'_>) {
        self.sessions.begun_anew(what);
    }
}

/// What runs know of agents, gate and sessions.
pub(super) struct Around {
    pub(super) agents: Arc<Agents>,
    pub(super) driver: Arc<Driver>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) metrics: Arc<Metrics>,
}

impl Surroundings for Around {
    fn agent(&self, name: Option<&str>) -> Option<(Arc<str>, Arc<dyn Agent>)> {
        let (name, agent) = self.agents.named(name).ok()?;
        let observed = Observed::new(agent, Arc::clone(&name), Arc::clone(&self.metrics));
        Some((name, Arc::new(observed)))
    }

    fn max_runs(&self, user: &UserId) -> usize {
        self.driver.max_runs(user)
    }

    fn changed(&self, change: RunChange) {
        match change {
            RunChange::Started { key, run } => self.driver.run_started(&key, &run),
            RunChange::Ended { key, run } => self.driver.run_ended(&key, &run),
        }
    }

    fn finished(&self, outcome: RunOutcome, took: Duration) {
        self.metrics.on_run(outcome, took);
    }

    fn is_attended(&self, key: &SessionKey) -> bool {
        self.sessions.is_attended(key)
    }

    fn tell(&self, key: &SessionKey, frame: &Frame) {
        self.sessions.tell(key, frame);
    }
}
