//! `[limits]` and `[liveness]`: what the gate decides by, and what the kernel watches beside it.

use std::time::Duration;

use lychgate_core::{LimitError, LimitSpec, Limits};
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

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    max_sessions_per_user: usize,
    max_connections_per_session: usize,
    max_connections_per_user: usize,
    max_waiting_opens_per_user: usize,
    max_runs_per_user: usize,
    linger: Span,
    watch_percent: usize,
    warn_percent: usize,
    high_percent: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reclaim_interval: Option<Span>,
    ladder_deadline: Span,
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
    /// Checks both sections together: their numbers bound each other.
    pub(super) fn check(&self, liveness: &RawLiveness, reclaim_interval: Duration) -> Result<Limits, Fault> {
        let spec = LimitSpec {
            max_sessions_per_user: self.max_sessions_per_user,
            max_connections_per_session: self.max_connections_per_session,
            max_connections_per_user: self.max_connections_per_user,
            max_waiting_opens_per_user: self.max_waiting_opens_per_user,
            max_runs_per_user: self.max_runs_per_user,
            linger: self.linger.0,
            watch_percent: self.watch_percent,
            warn_percent: self.warn_percent,
            high_percent: self.high_percent,
            reclaim_interval: self.reclaim_interval.map_or(reclaim_interval, |span| span.0),
            ladder_deadline: self.ladder_deadline.0,
            ping_interval: liveness.ping_interval.0,
            ping_answer: liveness.ping_answer.0,
            missed_pings: liveness.missed_pings,
            probe_deadline: liveness.probe_deadline.0,
            probe_gap: liveness.probe_gap.0,
            write_stall: liveness.write_stall.0,
            close_confirm: liveness.close_confirm.0,
        };
        Limits::new(spec).map_err(fault)
    }
}

fn fault(error: LimitError) -> Fault {
    let key = qualified(error.key);
    match error.against {
        Some(against) => Fault::against(key, error.rule, qualified(against)),
        None => Fault::value(key, error.rule, "Change it, or leave it out for the default."),
    }
}

/// The gate knows its numbers by name alone; the configuration keeps them in two sections.
fn qualified(key: &str) -> String {
    const LIVENESS: [&str; 7] =
        ["ping_interval", "ping_answer", "missed_pings", "probe_deadline", "probe_gap", "write_stall", "close_confirm"];
    match LIVENESS.contains(&key) {
        true => format!("liveness.{key}"),
        false => format!("limits.{key}"),
    }
}
