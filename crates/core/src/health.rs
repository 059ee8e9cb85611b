//! Pure: how well a session does, from 0 to 100 with reasons. It ranks; it never kills.

use std::time::Duration;

use smallvec::SmallVec;

use crate::liveness::Evidence;

/// Idle for as long as this costs a session some health: nobody looks at it.
const LONG_IDLE: Duration = Duration::from_secs(600);

/// Why a score is below 100, with the points that it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Heartbeats unanswered.
    MissedPings(u8),
    /// Probe pings unanswered.
    MissedProbes(u8),
    /// Bytes wait for the kernel.
    Backlog(u8),
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
            | Self::Backlog(points)
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
    pub reasons: SmallVec<[Reason; 5]>,
}

/// Scores a session by the evidence on its best connection (none: it has no connection) and by how long it was not
/// used.
#[must_use]
pub fn score(best: Option<&Evidence>, unused_for: Duration) -> Health {
    let mut reasons: SmallVec<[Reason; 5]> = SmallVec::new();
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
