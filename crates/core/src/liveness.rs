//! Pure: evidence in, verdict out. A verdict may kill; health only ranks.
//!
//! ```text
//!            one answer missed                three heartbeats missed, or both pings of a probe,
//!  Alive ----------------------> Suspect ---- or one of them after a missed heartbeat ---------> Zombie(HalfOpen)
//!    ^          anything heard      |                       no byte taken for `write_stall` ---> Zombie(Stalled)
//!    '------------------------------'
//! ```

use std::time::Duration;

use crate::limits::Limits;

/// In which way something is dead that looks alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZombieKind {
    /// The peer answers nothing.
    HalfOpen,
    /// The peer takes no bytes.
    Stalled,
    /// A record without a task.
    Ghost,
    /// A session without a connection, past its linger.
    Orphan,
    /// A slot of a dead node.
    StaleLease,
}

impl ZombieKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::HalfOpen, Self::Stalled, Self::Ghost, Self::Orphan, Self::StaleLease];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfOpen => "half_open",
            Self::Stalled => "stalled",
            Self::Ghost => "ghost",
            Self::Orphan => "orphan",
            Self::StaleLease => "stale_lease",
        }
    }
}

/// The verdict over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It answered the last question.
    Alive,
    /// It missed one answer.
    Suspect,
    /// It is dead.
    Zombie(ZombieKind),
}

/// What was known when somebody was declared dead or chosen. The counts and `blocked_for` are measured on the clock of
/// silence, which stands still while we ourselves do not run; `silent_for` is plain time, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Heartbeats in a row without an answer.
    pub missed_pings: u32,
    /// Pings of the last probe without an answer; 0 to 2.
    pub missed_probes: u32,
    /// How long ago the oldest ping that stayed unanswered was due or written; none while every question is answered.
    pub unanswered_for: Option<Duration>,
    /// Since it was last heard.
    pub silent_for: Duration,
    /// How long the last answer took.
    pub answered_in: Option<Duration>,
    /// How long bytes have been waiting for the kernel, which took none.
    pub blocked_for: Option<Duration>,
    /// What was waiting on our side when it was last asked.
    pub backlog: Backlog,
}

/// What waits on our side of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Bytes in our queue and in the kernel's that the peer's kernel has not acknowledged.
    pub queued_bytes: u32,
    /// For how long the peer's kernel has acknowledged nothing while bytes were in flight; none where that is not the
    /// case, or where the platform does not tell.
    pub unacked_for: Option<Duration>,
}

/// Judges one connection. Only pings that were really written are in the evidence (hazard R30), and one of them alone
/// never makes a Zombie (R7).
#[must_use]
pub fn judge(evidence: &Evidence, limits: &Limits) -> Liveness {
    let stalled = evidence.blocked_for.is_some_and(|blocked| blocked >= limits.write_stall);
    match (evidence.missed_pings, evidence.missed_probes) {
        _ if stalled => Liveness::Zombie(ZombieKind::Stalled),
        (pings, _) if pings >= limits.missed_pings => Liveness::Zombie(ZombieKind::HalfOpen),
        (_, 2..) | (1.., 1) => Liveness::Zombie(ZombieKind::HalfOpen),
        (0, 0) => Liveness::Alive,
        (1.., 0) | (0, 1) => Liveness::Suspect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(missed_pings: u32, missed_probes: u32, blocked: Option<u64>) -> Liveness {
        let evidence = Evidence {
            missed_pings,
            missed_probes,
            blocked_for: blocked.map(Duration::from_secs),
            ..Evidence::default()
        };
        judge(&evidence, &Limits::default())
    }

    #[test]
    fn one_missed_answer_makes_a_suspect_and_never_a_zombie() {
        assert_eq!(verdict(0, 0, None), Liveness::Alive);
        assert_eq!(verdict(1, 0, None), Liveness::Suspect);
        assert_eq!(verdict(0, 1, None), Liveness::Suspect);
        assert_eq!(verdict(2, 0, None), Liveness::Suspect);
    }

    #[test]
    fn three_heartbeats_or_both_probe_pings_or_one_after_a_missed_heartbeat_make_a_zombie() {
        let half_open = Liveness::Zombie(ZombieKind::HalfOpen);
        assert_eq!([verdict(3, 0, None), verdict(0, 2, None), verdict(1, 1, None)], [half_open; 3]);
    }

    #[test]
    fn a_peer_that_takes_no_byte_is_stalled_however_well_it_answers() {
        assert_eq!(verdict(0, 0, Some(29)), Liveness::Alive);
        assert_eq!(verdict(0, 0, Some(30)), Liveness::Zombie(ZombieKind::Stalled));
    }
}
