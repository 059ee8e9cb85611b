//! `[limits]`, `[liveness]` and `[plans.NAME]`: what the gate decides by, and what is watched beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::{Force, Foresight, LimitError, LimitSpec, Limits, Mode, Plans};
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::value::Span;

/// The keys of `[liveness]` that the gate knows nothing of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// How long the kernel keeps bytes that the peer's kernel does not acknowledge (RFC 5482; Linux). Default 60 s,
    /// longer than `write_stall`, so that the gate judges first and says why.
    pub tcp_user_timeout: Duration,
    /// How long a connection may be silent before the kernel asks (RFC 9293, section 3.8.4). Default 60 s, at least 1 s.
    pub tcp_keepalive: Duration,
    /// How long the async runtime may run nothing before the node says that it is not ready. Default 5 s, at least
    /// 500 ms.
    pub runtime_stuck_after: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            tcp_user_timeout: Duration::from_secs(60),
            tcp_keepalive: Duration::from_secs(60),
            runtime_stuck_after: Duration::from_secs(5),
        }
    }
}

/// Twice as long as the reaper sleeps: below it, nobody could tell being stuck from being asleep.
const SHORTEST_STUCK: Duration = Duration::from_millis(500);

/// The keys of `[limits]`, and of a plan that lays some of them over everybody's. What is not set stays as it was.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions_per_user: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_session: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_user: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_waiting_opens_per_user: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runs_per_user: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    force: Option<RawForce>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<RawMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linger: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch_percent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warn_percent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high_percent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reclaim_interval: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ladder_deadline: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_deadline: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission_budget: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum RawForce {
    Evict,
    Never,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    Enforce,
    Shadow,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLiveness {
    ping_interval: Span,
    ping_answer: Span,
    missed_pings: u32,
    probe_deadline: Span,
    probe_gap: Span,
    write_stall: Span,
    close_confirm: Span,
    tcp_user_timeout: Span,
    tcp_keepalive: Span,
    runtime_stuck_after: Span,
}

impl RawLiveness {
    /// The kernel's part; the gate's is checked with [`RawLimits::check`].
    pub(super) fn check(&self) -> Result<Liveness, Fault> {
        if self.tcp_user_timeout.0 <= self.write_stall.0 {
            return Err(Fault::against("liveness.tcp_user_timeout", "must be longer than", "liveness.write_stall"));
        }
        // The kernel counts in whole seconds.
        if self.tcp_keepalive.0 < Duration::from_secs(1) {
            return Err(Fault::value(
                "liveness.tcp_keepalive",
                "is shorter than a second",
                "Set it to \"1s\" or more, or leave it out for the default.",
            ));
        }
        if self.runtime_stuck_after.0 < SHORTEST_STUCK {
            return Err(Fault::value(
                "liveness.runtime_stuck_after",
                "is shorter than half a second",
                "Set it to \"500ms\" or more, or leave it out for the default.",
            ));
        }
        Ok(Liveness {
            tcp_user_timeout: self.tcp_user_timeout.0,
            tcp_keepalive: self.tcp_keepalive.0,
            runtime_stuck_after: self.runtime_stuck_after.0,
        })
    }
}

impl RawLimits {
    fn over(&self, base: LimitSpec) -> LimitSpec {
        let span = |span: Option<Span>, base: Duration| span.map_or(base, |span| span.0);
        LimitSpec {
            max_sessions_per_user: self.max_sessions_per_user.unwrap_or(base.max_sessions_per_user),
            max_connections_per_session: self.max_connections_per_session.unwrap_or(base.max_connections_per_session),
            max_connections_per_user: self.max_connections_per_user.unwrap_or(base.max_connections_per_user),
            max_waiting_opens_per_user: self.max_waiting_opens_per_user.unwrap_or(base.max_waiting_opens_per_user),
            max_runs_per_user: self.max_runs_per_user.unwrap_or(base.max_runs_per_user),
            reserve_sessions: self.reserve_sessions.unwrap_or(base.reserve_sessions),
            reserve_window: span(self.reserve_window, base.reserve_window),
            pinned_sessions: self.pinned_sessions.unwrap_or(base.pinned_sessions),
            force: self.force.map_or(base.force, |force| match force {
                RawForce::Evict => Force::Evict,
                RawForce::Never => Force::Never,
            }),
            mode: self.mode.map_or(base.mode, |mode| match mode {
                RawMode::Enforce => Mode::Enforce,
                RawMode::Shadow => Mode::Shadow,
            }),
            linger: span(self.linger, base.linger),
            watch_percent: self.watch_percent.unwrap_or(base.watch_percent),
            warn_percent: self.warn_percent.unwrap_or(base.warn_percent),
            high_percent: self.high_percent.unwrap_or(base.high_percent),
            reclaim_interval: span(self.reclaim_interval, base.reclaim_interval),
            ladder_deadline: span(self.ladder_deadline, base.ladder_deadline),
            queue_deadline: span(self.queue_deadline, base.queue_deadline),
            admission_budget: span(self.admission_budget, base.admission_budget),
            ..base
        }
    }

    /// Whether this section says something about a key.
    fn sets(&self, key: &str) -> bool {
        toml::Table::try_from(self).is_ok_and(|table| table.contains_key(key))
    }
}

/// What the gate decides by and other sections say.
pub(super) struct Beside {
    pub(super) reclaim_interval: Duration,
    pub(super) expiry_grace: Duration,
    pub(super) forecast: Option<Foresight>,
}

/// Checks the sections together: their numbers bound each other. The limits of everybody come first.
pub(super) fn check(
    limits: &RawLimits,
    liveness: &RawLiveness,
    plans: &BTreeMap<String, RawLimits>,
    beside: Beside,
) -> Result<(Limits, Plans), Fault> {
    let spec = limits.over(LimitSpec {
        ping_interval: liveness.ping_interval.0,
        ping_answer: liveness.ping_answer.0,
        missed_pings: liveness.missed_pings,
        probe_deadline: liveness.probe_deadline.0,
        probe_gap: liveness.probe_gap.0,
        write_stall: liveness.write_stall.0,
        close_confirm: liveness.close_confirm.0,
        reclaim_interval: beside.reclaim_interval,
        expiry_grace: beside.expiry_grace,
        forecast: beside.forecast,
        ..LimitSpec::default()
    });
    let everybody = Limits::new(spec.clone()).map_err(|error| fault(error, |key| qualified(key, None)))?;
    let mut all = Plans::new(everybody.clone());
    for (name, plan) in plans {
        let checked = Limits::new(plan.over(spec.clone()))
            .map_err(|error| fault(error, |key| qualified(key, plan.sets(key).then_some(name))))?;
        all = all.with(name, checked);
    }
    Ok((everybody, all))
}

fn fault(error: LimitError, qualified: impl Fn(&str) -> String) -> Fault {
    let key = qualified(error.key);
    match error.against {
        Some(against) => Fault::against(key, error.rule, qualified(against)),
        None => Fault::value(key, error.rule, "Change it, or leave it out for the default."),
    }
}

/// The gate knows its numbers by name alone; the configuration keeps them in three places.
fn qualified(key: &str, plan: Option<&String>) -> String {
    const LIVENESS: [&str; 7] =
        ["ping_interval", "ping_answer", "missed_pings", "probe_deadline", "probe_gap", "write_stall", "close_confirm"];
    match plan {
        Some(plan) => format!("plans.{plan}.{key}"),
        None if LIVENESS.contains(&key) => format!("liveness.{key}"),
        None => format!("limits.{key}"),
    }
}
