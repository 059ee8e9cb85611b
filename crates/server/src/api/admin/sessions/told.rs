//! What is known of a user, as JSON.

use lychgate_core::health::Reason;
use lychgate_core::report::{ConnectionReport, SessionReport, UserReport};
use lychgate_core::{Heartbeat, Liveness, SessionKey, UserId, ZombieKind};

use crate::wire::admin::{Connection, Evidence, HealthReason, LentLimit, Session, User};
use crate::wire::millis;

pub(super) fn user(user: &UserReport) -> User {
    User {
        user: user.user.as_str().to_owned(),
        used: user.usage.used,
        limit: user.usage.limit,
        level: user.usage.level.as_str().to_owned(),
        plan: user.plan.as_ref().map(|plan| plan.to_string()),
        lent: user.lent.map(|(max_sessions, left)| LentLimit { max_sessions, ends_in: millis(left) }),
        waiting: user.waiting,
        sessions: user.sessions.iter().map(|report| session(&user.user, report)).collect(),
        connections: user.connections.iter().map(connection).collect(),
        elsewhere: Vec::new(),
        elsewhere_unknown: false,
    }
}

fn session(user: &UserId, session: &SessionReport) -> Session {
    Session {
        key: SessionKey::new(user.clone(), session.thread.clone()).to_string(),
        thread: session.thread.as_str().to_owned(),
        liveness: session.liveness.map_or("detached", liveness).to_owned(),
        health: session.health.score,
        reasons: session.health.reasons.iter().map(|reason| health_reason(*reason)).collect(),
        unused_for: millis(session.unused_for),
        lingers_for: session.lingers_for.map(millis),
        run: session.run.as_ref().map(|run| run.as_str().to_owned()),
        connections: session.attached.iter().map(ToString::to_string).collect(),
    }
}

fn connection(report: &ConnectionReport) -> Connection {
    Connection {
        connection: report.connection.to_string(),
        liveness: liveness(report.liveness).to_owned(),
        heartbeat: match report.heartbeat {
            Heartbeat::Application => "app",
            Heartbeat::Protocol => "ws",
        }
        .to_owned(),
        evidence: Evidence::from(&report.evidence),
        expires_in: report.expires_in.map(millis),
    }
}

fn liveness(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Zombie(ZombieKind::HalfOpen) => "zombie_half_open",
        Liveness::Zombie(ZombieKind::Stalled) => "zombie_stalled",
        Liveness::Zombie(ZombieKind::Ghost) => "zombie_ghost",
        Liveness::Zombie(ZombieKind::Orphan) => "zombie_orphan",
        Liveness::Zombie(ZombieKind::StaleLease) => "zombie_stale_lease",
    }
}

fn health_reason(reason: Reason) -> HealthReason {
    let (reason, points) = match reason {
        Reason::MissedPings(points) => ("missed_pings", points),
        Reason::MissedProbes(points) => ("missed_probes", points),
        Reason::SlowAnswers(points) => ("slow_answers", points),
        Reason::Backlog(points) => ("backlog", points),
        Reason::Unacknowledged(points) => ("unacknowledged", points),
        Reason::Memory(points) => ("memory", points),
        Reason::Idle(points) => ("idle", points),
        Reason::Detached(points) => ("detached", points),
    };
    HealthReason { reason: reason.to_owned(), points }
}
