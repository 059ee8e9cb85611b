//! One line for every step in the life of a session, an open, a connection or a run, each with its fixed word.
//!
//! The field `event` holds the word, for programs; the text beside it is for people and may change. [`super::STEPS`] lists all
//! of them: docs/logs.md is made from it, and tests compare it with the lines themselves.

use lychgate_core::{
    AdmissionPath, Cause, ConnectionId, Event, EvictReason, Eviction, Evidence, Pressure, Refusal, SessionKey,
    ThreadId, UserId,
};
use tracing::{debug, error, info, warn};

/// Writes the line of an event. Every line about a session has `user`, `thread` and `isolation_key`, all made from the
/// one [`SessionKey`] that the gate, the journal and the agent use too (M2, M26).
pub fn event(event: &Event) {
    match event {
        Event::SessionCreated { key, connection, path, waited, .. } => created(key, connection, *path, *waited),
        Event::SessionAttached { key, connection, path: AdmissionPath::Takeover, waited } => info!(
            event = "session.taken_over", user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = "takeover", waited_ms = waited.as_millis() as u64,
            "a session went over from the connection that this one replaced"
        ),
        Event::SessionAttached { key, connection, path, waited } => info!(
            event = "session.attached", user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = path.as_str(), waited_ms = waited.as_millis() as u64,
            "a connection was attached to a session that was there"
        ),
        Event::SessionLingers { key } => debug!(
            event = "session.lingers", user = %key.user(), thread = %key.thread(), isolation_key = %key,
            "a session lost its last connection and stays warm"
        ),
        Event::SessionReleased { key, reason } => info!(
            event = "session.released", user = %key.user(), thread = %key.thread(), isolation_key = %key,
            reason = reason.as_str(), "a session ended"
        ),
        Event::SessionEvicted { key, reason, eviction, cause } => evicted(key, *reason, eviction, cause),
        Event::WouldEvict { key, eviction } => info!(
            event = "session.would_be_evicted", user = %key.user(), thread = %key.thread(), isolation_key = %key,
            level = eviction.level.as_str(), evidence = %Proof(&eviction.evidence), "shadow: this session would have been reclaimed"
        ),
        Event::WouldWait { key } => info!(
            event = "open.would_wait", user = %key.user(), thread = %key.thread(), isolation_key = %key,
            "shadow: every session is protected, and this open would have had to wait"
        ),
        Event::Queued { key, position } => info!(
            event = "open.queued", user = %key.user(), thread = %key.thread(), isolation_key = %key, position,
            "every session is protected and the reserve is taken: an open waits in the queue"
        ),
        Event::Waiting { key, connection } => info!(
            event = "open.waited", user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            "an open waits while the user's connections are probed"
        ),
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::Zombie { .. }
        | Event::Pressure { .. }
        | Event::Refused { .. }
        | Event::Breaker { .. }
        | Event::Repaired { .. }
        | Event::Reclaimed { .. }
        | Event::ProbeFailed { .. }
        | Event::VerdictDisproved { .. }
        | Event::CloseUnconfirmed { .. } => connection_event(event),
    }
}

fn created(key: &SessionKey, connection: &ConnectionId, path: AdmissionPath, waited: std::time::Duration) {
    let waited_ms = waited.as_millis() as u64;
    match path {
        AdmissionPath::Attach
        | AdmissionPath::Takeover
        | AdmissionPath::Free
        | AdmissionPath::Reserve
        | AdmissionPath::Queue
        | AdmissionPath::Shadow => info!(
            event = "session.created", user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = path.as_str(), waited_ms, "a session was opened"
        ),
        AdmissionPath::Reclaimed(level) => info!(
            event = "session.created", user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = path.as_str(), level = level.as_str(), waited_ms,
            "a session was opened in a slot that was reclaimed for it: a lockout was prevented"
        ),
    }
}

fn evicted(key: &SessionKey, reason: EvictReason, eviction: &Eviction, cause: &Cause) {
    let (cause, made_room_for) = match cause {
        Cause::Newcomer(thread) => ("newcomer", Some(tracing::field::display(thread))),
        Cause::Pressure => ("pressure", None),
        Cause::Order => ("order", None),
        Cause::OtherNode => ("other_node", None),
    };
    info!(
        event = "session.evicted", user = %key.user(), thread = %key.thread(), isolation_key = %key,
        level = eviction.level.as_str(), reason = reason.as_str(), cause, made_room_for, evidence = %Proof(&eviction.evidence),
        "a session was reclaimed"
    );
}

/// The events that concern a user or one of his connections, and no session.
fn connection_event(event: &Event) {
    match event {
        Event::Connected { user, connection, superseded: None } => {
            info!(event = "connection.opened", %user, %connection, "a connection was registered")
        }
        Event::Connected { user, connection, superseded: Some(old) } => info!(
            event = "connection.replaced", %user, %connection, superseded = %old,
            "a connection replaced an older one of the same tab"
        ),
        Event::Disconnected { user, connection, reason } => {
            let reason = reason.map_or("ended_by_itself", |reason| reason.as_str());
            info!(event = "connection.closed", %user, %connection, reason, "a connection left");
        }
        Event::Zombie { user, connection, kind, evidence } => info!(
            event = "connection.dead", %user, %connection, kind = kind.as_str(), evidence = %Proof(evidence), "a connection is dead"
        ),
        Event::Pressure { user, usage } => match usage.level {
            Pressure::Ok => debug!(
                event = "user.pressure", %user, pressure = usage.level.as_str(), used = usage.used, limit = usage.limit,
                "the user is below every watermark again"
            ),
            Pressure::Watch | Pressure::Warn | Pressure::High | Pressure::Full => info!(
                event = "user.pressure", %user, pressure = usage.level.as_str(), used = usage.used, limit = usage.limit,
                "the user moved into another band of his limit"
            ),
        },
        Event::Refused { user, connection, thread, refusal, .. } => {
            refused(user, connection, thread.as_ref(), *refusal);
        }
        Event::CloseUnconfirmed { user, connection, .. } => info!(
            event = "connection.unconfirmed", %user, %connection, "a close was not confirmed in time; the socket is torn down"
        ),
        Event::Reclaimed { user, level, freed } => {
            debug!(event = "reclaim.step", %user, level = level.as_str(), freed, "reclaim went to work");
        }
        Event::ProbeFailed { user, connection } => {
            debug!(event = "reclaim.probe_failed", %user, %connection, "a question of a probe could not be written");
        }
        Event::VerdictDisproved { user, connection, kind } => warn!(
            event = "connection.verdict_disproved", %user, %connection, kind = kind.as_str(),
            "a connection was called dead, and had shown that it is not"
        ),
        Event::Breaker { user, step, state } => {
            let user = user.as_ref().map_or("(node)", |user| user.as_str());
            warn!(
                event = "reclaim.breaker",
                user,
                step = step.as_str(),
                state = state.as_str(),
                "a breaker round a step of reclaim moved"
            );
        }
        Event::Repaired { user, broken } => {
            error!(event = "gate.repaired", %user, broken, "an invariant of the gate did not hold, and was repaired: this is a defect");
        }
        Event::SessionCreated { .. }
        | Event::SessionAttached { .. }
        | Event::SessionLingers { .. }
        | Event::SessionReleased { .. }
        | Event::SessionEvicted { .. }
        | Event::WouldEvict { .. }
        | Event::WouldWait { .. }
        | Event::Queued { .. }
        | Event::Waiting { .. } => {}
    }
}

/// A full node wakes somebody: it is the one way in which a user who did nothing wrong is sent away.
fn refused(user: &UserId, connection: &ConnectionId, thread: Option<&ThreadId>, refusal: Refusal) {
    let key = thread.map(|thread| SessionKey::new(user.clone(), thread.clone()));
    let (thread, isolation_key) = (thread.map(tracing::field::display), key.map(tracing::field::display));
    let reason = refusal.as_str();
    match refusal {
        Refusal::Overload { retry_in } => warn!(
            event = "open.refused", %user, thread, isolation_key, %connection, reason, retry_in_ms = retry_in.as_millis() as u64,
            "a user was refused because the node or his address is full"
        ),
        // Somebody wrote the rule, and its use is a warning of its own.
        Refusal::Shed { retry_in } => info!(
            event = "open.refused", %user, thread, isolation_key, %connection, reason, retry_in_ms = retry_in.as_millis() as u64,
            "a stranger was refused because the gateway sheds: a rule of remediation has whoever is not here come back later"
        ),
        Refusal::Draining { retry_in } => info!(
            event = "open.refused", %user, thread, isolation_key, %connection, reason, retry_in_ms = retry_in.as_millis() as u64,
            "a user was sent to another node"
        ),
        Refusal::NoSlot { retry_in } => warn!(
            event = "open.refused", %user, thread, isolation_key, %connection, reason, retry_in_ms = retry_in.as_millis() as u64,
            "a user was refused because every session of his lives and limits.force is \"never\""
        ),
        Refusal::NotConnected => debug!(
            event = "open.refused", %user, thread, isolation_key, %connection, reason, "an open came from a connection that had gone"
        ),
    }
}

/// Evidence on one line.
struct Proof<'a>(&'a Evidence);

impl std::fmt::Display for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "missed_pings={} missed_probes={} silent_ms={}",
            self.0.missed_pings,
            self.0.missed_probes,
            self.0.silent_for.as_millis()
        )?;
        let times = [
            ("unanswered_ms", self.0.unanswered_for),
            ("blocked_ms", self.0.blocked_for),
            ("unacked_ms", self.0.backlog.unacked_for),
        ];
        for (name, time) in times {
            if let Some(time) = time {
                write!(f, " {name}={}", time.as_millis())?;
            }
        }
        match self.0.backlog.queued_bytes {
            0 => Ok(()),
            bytes => write!(f, " queued_bytes={bytes}"),
        }
    }
}
