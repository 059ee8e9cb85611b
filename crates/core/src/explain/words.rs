//! What is said of a verdict: the word for programs, and the sentence for whoever is called at three in the morning. The
//! operators' API, the command line and the log all say it in these words.

use std::time::Duration;

use super::{Reclaimed, Verdict};
use crate::breaker::{BreakerState, ReclaimStep};
use crate::gate::io::{AdmissionPath, Cause};
use crate::liveness::{Evidence, ZombieKind};
use crate::reclaim::ReclaimLevel;
use crate::refusal::{EvictReason, Refusal};

impl Verdict {
    /// The word for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::Waits => "waits",
            Self::Queued(_) => "queued",
            Self::Refused(_) => "refused",
            Self::Released(_) => "released",
            Self::Evicted(..) => "evicted",
            Self::WouldEvict(_) => "would_evict",
            Self::WouldWait => "would_wait",
            Self::Dead(..) => "dead",
            Self::Closed(_) => "closed",
            Self::Breaker(..) => "breaker",
            Self::Repaired(_) => "repaired",
        }
    }

    /// Every word of [`Verdict::kind`].
    pub const KINDS: [&'static str; 12] = [
        "admitted",
        "waits",
        "queued",
        "refused",
        "released",
        "evicted",
        "would_evict",
        "would_wait",
        "dead",
        "closed",
        "breaker",
        "repaired",
    ];

    /// How far reclaim went, where it is about reclaim.
    #[must_use]
    pub fn level(&self) -> Option<ReclaimLevel> {
        match self {
            Self::Admitted { path: AdmissionPath::Reclaimed(level), .. } => Some(*level),
            Self::Evicted(_, reclaimed) => Some(reclaimed.eviction.level),
            Self::WouldEvict(eviction) => Some(eviction.level),
            Self::Admitted { .. }
            | Self::Waits
            | Self::Queued(_)
            | Self::Refused(_)
            | Self::Released(_)
            | Self::WouldWait
            | Self::Dead(..)
            | Self::Closed(_)
            | Self::Breaker(..)
            | Self::Repaired(_) => None,
        }
    }

    /// Whether somebody may ask why: everything but sessions that found a free slot or were there already, and what
    /// clients ended themselves.
    #[must_use]
    pub fn is_interesting(&self) -> bool {
        match self {
            Self::Admitted { path, .. } => match path {
                AdmissionPath::Attach | AdmissionPath::Takeover | AdmissionPath::Free => false,
                AdmissionPath::Reclaimed(_) | AdmissionPath::Reserve | AdmissionPath::Queue | AdmissionPath::Shadow => {
                    true
                }
            },
            Self::Released(reason) => match reason {
                EvictReason::Left | EvictReason::ClientClosed | EvictReason::LingerEnded => false,
                EvictReason::Unresponsive
                | EvictReason::Slow
                | EvictReason::TokenExpired
                | EvictReason::Superseded
                | EvictReason::MadeRoom
                | EvictReason::MadeRoomForConnection
                | EvictReason::ByAdmin
                | EvictReason::LoggedOut
                | EvictReason::Revoked
                | EvictReason::Draining => true,
            },
            Self::Breaker(..)
            | Self::Waits
            | Self::Queued(_)
            | Self::Refused(_)
            | Self::Evicted(..)
            | Self::WouldEvict(_)
            | Self::WouldWait
            | Self::Dead(..)
            | Self::Closed(_)
            | Self::Repaired(_) => true,
        }
    }

    /// All of it in one sentence: on what evidence, what, and for whom.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Admitted { path, waited_ms } => admitted(*path, Duration::from_millis(u64::from(*waited_ms))),
            Self::Waits => {
                "No slot is free: the open waits while every connection of the user is asked for a sign of life."
                    .to_owned()
            }
            Self::Queued(position) => {
                format!("Every session is protected and the reserve is taken: the open waits at position {position}.")
            }
            Self::Refused(refusal) => refused(*refusal),
            Self::Released(reason) => format!("The session ended: {}.", because(*reason)),
            Self::Evicted(reason, reclaimed) => evicted(*reason, reclaimed),
            Self::WouldEvict(eviction) => {
                let level = eviction.level.as_str();
                let seen = seen(&eviction.evidence);
                capital(format!("{seen}; shadow mode: the session would have been closed ({level}), and was not."))
            }
            Self::WouldWait => {
                "Shadow mode: every session is protected, and the open would have had to wait; it did not.".to_owned()
            }
            Self::Dead(kind, evidence) => {
                let kind = match kind {
                    ZombieKind::HalfOpen => "half open",
                    ZombieKind::Stalled => "stalled",
                    ZombieKind::Ghost => "a record without a task",
                    ZombieKind::Orphan => "an orphan",
                    ZombieKind::StaleLease => "of a node that is gone",
                };
                capital(format!("{}; so the connection was declared dead ({kind}).", seen(evidence)))
            }
            Self::Closed(reason) => format!("The connection was closed: {}.", because(*reason)),
            Self::Breaker(step, state) => breaker(*step, *state),
            Self::Repaired(broken) => {
                format!("A broken record was repaired, which is a defect of the gateway: {broken}.")
            }
        }
    }
}

fn admitted(path: AdmissionPath, waited: Duration) -> String {
    let waited = span(waited);
    match path {
        AdmissionPath::Attach => "The connection joined the session, which was there.".to_owned(),
        AdmissionPath::Takeover => "The connection took over what the one before it held.".to_owned(),
        AdmissionPath::Free => "The session was opened: a slot was free.".to_owned(),
        AdmissionPath::Reclaimed(level) => {
            format!(
                "The session was opened after {waited}, in the slot that was reclaimed for it ({}).",
                level.as_str()
            )
        }
        AdmissionPath::Reserve => {
            format!("The session was opened after {waited}, in the reserve: every other is protected.")
        }
        AdmissionPath::Queue => format!("The session was opened after {waited} in the queue."),
        AdmissionPath::Shadow => "Shadow mode: the session was opened beyond the limit.".to_owned(),
    }
}

fn evicted(reason: EvictReason, reclaimed: &Reclaimed) -> String {
    let Reclaimed { eviction, cause } = reclaimed;
    let evidence = &eviction.evidence;
    let what = match (reason, eviction.level) {
        (EvictReason::Unresponsive, _) => format!("{}; so its session was closed as dead", seen(evidence)),
        (EvictReason::Slow, _) => format!("{}; so its session was closed as stalled", seen(evidence)),
        (_, ReclaimLevel::Force) => {
            format!(
                "no dead session was left to take, and this live one was the first to give way ({})",
                seen(evidence)
            )
        }
        (_, ReclaimLevel::Conservative | ReclaimLevel::Moderate | ReclaimLevel::Aggressive) if is_unseen(evidence) => {
            "no connection showed the session any more, so it was closed".to_owned()
        }
        (_, ReclaimLevel::Conservative | ReclaimLevel::Moderate | ReclaimLevel::Aggressive) => {
            format!("{}; so its session, suspected to be dead, was closed", seen(evidence))
        }
    };
    let level = eviction.level.as_str();
    capital(match cause {
        Cause::Newcomer(thread) => format!("{what}, and its slot went to the thread {:?} ({level}).", thread.as_str()),
        Cause::Pressure => format!("{what}, because the user was above a watermark ({level})."),
        Cause::Order => format!("{what}: reclaim was ordered by hand or by a rule ({level})."),
        Cause::OtherNode => format!("{what} to make room for a session on another node."),
    })
}

/// Nothing was known, because no connection was there.
fn is_unseen(evidence: &Evidence) -> bool {
    *evidence == Evidence::default()
}

/// What was seen of a connection, as the beginning of a sentence without its capital.
fn seen(evidence: &Evidence) -> String {
    let mut seen = Vec::new();
    let over = evidence.unanswered_for.map_or_else(String::new, |time| format!(" over {}", span(time)));
    match (evidence.missed_probes, evidence.missed_pings) {
        (0, 0) => {}
        (0, 1) => seen.push(format!("nobody answered one heartbeat{over}")),
        (0, pings) => seen.push(format!("nobody answered {pings} heartbeats in a row{over}")),
        (probes, pings) => {
            let probes = if probes == 1 { "one ping" } else { "two pings" };
            seen.push(format!("nobody answered {probes} of a probe{over}"));
            match pings {
                0 => {}
                1 => seen.push("1 heartbeat before went unanswered".to_owned()),
                pings => seen.push(format!("{pings} heartbeats before went unanswered")),
            }
        }
    }
    if let Some(time) = evidence.blocked_for {
        seen.push(format!("the client took no byte for {}", span(time)));
    }
    if let Some(time) = evidence.backlog.unacked_for {
        let bytes = evidence.backlog.queued_bytes;
        seen.push(format!("its kernel acknowledged nothing for {} while {bytes} bytes were on their way", span(time)));
    }
    if let (true, Some(time)) = (seen.is_empty(), evidence.answered_in) {
        seen.push(format!("it answered the last ping within {}", span(time)));
    }
    match is_unseen(evidence) {
        true => "no connection was there".to_owned(),
        false => {
            seen.push(format!("{} of silence", span(evidence.silent_for)));
            seen.join("; ")
        }
    }
}

fn refused(refusal: Refusal) -> String {
    let after = |retry_in: Duration| format!("come back after {}", span(retry_in));
    match refusal {
        Refusal::Draining { retry_in } => format!("Refused, because this node is being drained: {}.", after(retry_in)),
        Refusal::Overload { retry_in } => format!(
            "Refused, because the node or the address is full, and everybody there reads a running answer: {}.",
            after(retry_in)
        ),
        Refusal::Shed { retry_in } => format!(
            "Refused, because this node sheds: by a rule of remediation it turns away for a while whoever has nothing here: {}.",
            after(retry_in)
        ),
        Refusal::NoSlot { retry_in } => format!(
            "Refused, because every session of the user lives and limits.force is \"never\": {}.",
            after(retry_in)
        ),
        Refusal::NotConnected => "Refused, because the connection that asked had gone already.".to_owned(),
    }
}

fn breaker(step: ReclaimStep, state: BreakerState) -> String {
    let step = match step {
        ReclaimStep::Probe => "asking connections for a sign of life",
        ReclaimStep::Close => "closing sockets with a handshake",
    };
    match state {
        BreakerState::Open => format!("Too many failures: {step} is skipped for a while (its breaker is open)."),
        BreakerState::Probing => format!("After the pause: {step} is tried once (its breaker is probing)."),
        BreakerState::Closed => format!("It works again: {step} is done as usual (its breaker is closed)."),
    }
}

/// Why a session or a connection ended, as the end of a sentence.
fn because(reason: EvictReason) -> &'static str {
    match reason {
        EvictReason::Left => "the client left it",
        EvictReason::ClientClosed => "the client closed its socket",
        EvictReason::LingerEnded => "no connection came back to it in time",
        EvictReason::Unresponsive => "the client did not answer",
        EvictReason::Slow => "the client took nothing for too long",
        EvictReason::TokenExpired => "the client's token expired",
        EvictReason::Superseded => "a newer connection of the same tab took over",
        EvictReason::MadeRoom => "it made room for a newer session of the same user",
        EvictReason::MadeRoomForConnection => "it made room for a newer connection",
        EvictReason::ByAdmin => "an operator ended it by hand",
        EvictReason::LoggedOut => "the user was logged out, by himself or by an operator",
        EvictReason::Revoked => "what had let the user in was revoked",
        EvictReason::Draining => "this node is being drained",
    }
}

/// A time as people say it: `320 ms`, `1.4 s`, `61 s`, `12 min`, `3 h`.
fn span(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        millis @ 10_000..120_000 => format!("{} s", millis / 1_000),
        millis @ 120_000..7_200_000 => format!("{} min", millis / 60_000),
        millis => format!("{} h", millis / 3_600_000),
    }
}

fn capital(sentence: String) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
