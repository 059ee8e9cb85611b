//! Pure: how well a session does, from 0 to 100 with reasons. It ranks; it never kills.

use std::time::Duration;

use smallvec::SmallVec;

use crate::liveness::Evidence;

/// Idle for as long as this costs a session some health: nobody looks at it.
const LONG_IDLE: Duration = Duration::from_secs(600);

/// An answer that took longer than this costs some health; three times as long costs more.
const SLOW_ANSWER: Duration = Duration::from_secs(1);

/// The peer's kernel has acknowledged nothing for so long while bytes were in flight: the network in between is bad.
const LONG_UNACKED: Duration = Duration::from_secs(3);

/// A session that holds so many bytes of ours costs some health.
const MUCH_MEMORY: u32 = 64 * 1024;

/// Why a score is below 100, with the points that it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Heartbeats unanswered.
    MissedPings(u8),
    /// Probe pings unanswered.
    MissedProbes(u8),
    /// Answers come slowly.
    SlowAnswers(u8),
    /// Bytes wait for the kernel.
    Backlog(u8),
    /// The peer's kernel acknowledges nothing.
    Unacknowledged(u8),
    /// Much memory waits for the peer.
    Memory(u8),
    /// Nobody used it for a long time.
    Idle(u8),
    /// No connection is attached.
    Detached(u8),
}

impl Reason {
    fn points(self) -> u8 {
        match self {
            Self::MissedPings(points)
            | Self::MissedProbes(points)
            | Self::SlowAnswers(points)
            | Self::Backlog(points)
            | Self::Unacknowledged(points)
            | Self::Memory(points)
            | Self::Idle(points)
            | Self::Detached(points) => points,
        }
    }
}

/// A score with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// 0 (worst) to 100.
    pub score: u8,
    /// What cost points.
    pub reasons: SmallVec<[Reason; 8]>,
}

/// Scores a session by the evidence on its best connection (none: it has no connection) and by how long it was not
/// used.
#[must_use]
pub fn score(best: Option<&Evidence>, unused_for: Duration) -> Health {
    let mut reasons: SmallVec<[Reason; 8]> = SmallVec::new();
    match best {
        None => reasons.push(Reason::Detached(60)),
        Some(evidence) => {
            if evidence.missed_pings > 0 {
                reasons.push(Reason::MissedPings(20 * evidence.missed_pings.min(3) as u8));
            }
            if evidence.missed_probes > 0 {
                reasons.push(Reason::MissedProbes(15 * evidence.missed_probes.min(2) as u8));
            }
            if let Some(blocked) = evidence.blocked_for {
                reasons.push(Reason::Backlog(10 + blocked.as_secs().min(20) as u8));
            }
            match evidence.answered_in {
                Some(took) if took >= SLOW_ANSWER * 3 => reasons.push(Reason::SlowAnswers(10)),
                Some(took) if took >= SLOW_ANSWER => reasons.push(Reason::SlowAnswers(5)),
                Some(_) | None => {}
            }
            if evidence.backlog.unacked_for.is_some_and(|time| time >= LONG_UNACKED) {
                reasons.push(Reason::Unacknowledged(15));
            }
            if evidence.backlog.queued_bytes >= MUCH_MEMORY {
                reasons.push(Reason::Memory(5));
            }
        }
    }
    if unused_for >= LONG_IDLE {
        reasons.push(Reason::Idle(10));
    }
    let lost: u8 = reasons.iter().fold(0, |sum, reason| sum.saturating_add(reason.points()));
    Health { score: 100u8.saturating_sub(lost), reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liveness::Backlog;

    #[test]
    fn a_session_that_answers_and_is_used_is_perfectly_healthy() {
        assert_eq!(score(Some(&Evidence::default()), Duration::ZERO).score, 100);
    }

    #[test]
    fn every_point_that_is_lost_has_a_reason() {
        let evidence = Evidence {
            missed_pings: 1,
            missed_probes: 1,
            blocked_for: Some(Duration::from_secs(5)),
            ..Evidence::default()
        };
        let health = score(Some(&evidence), LONG_IDLE);
        assert_eq!(health.score, 100 - 20 - 15 - 15 - 10);
        assert_eq!(health.reasons.len(), 4);
    }

    #[test]
    fn a_peer_that_answers_slowly_or_acknowledges_nothing_goes_before_one_that_is_prompt() {
        let slow = Evidence { answered_in: Some(Duration::from_secs(2)), ..Evidence::default() };
        let deaf = Evidence {
            backlog: Backlog { queued_bytes: 100_000, unacked_for: Some(Duration::from_secs(4)) },
            ..Evidence::default()
        };
        assert_eq!(score(Some(&slow), Duration::ZERO).score, 95);
        assert_eq!(score(Some(&deaf), Duration::ZERO).score, 80);
    }

    #[test]
    fn the_score_never_falls_below_zero() {
        let evidence = Evidence {
            missed_pings: 99,
            missed_probes: 2,
            blocked_for: Some(Duration::from_secs(900)),
            ..Evidence::default()
        };
        assert_eq!(score(Some(&evidence), LONG_IDLE).score, 0);
    }
}
