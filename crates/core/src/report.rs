//! What the gate knows of a user, for operators: copied out of the records, so that nobody holds a lock while it is read.

use std::time::Duration;

use crate::gate::Gate;
use crate::gate::io::Heartbeat;
use crate::health::{self, Health};
use crate::id::{ConnectionId, RunId, ThreadId, UserId};
use crate::limits::Usage;
use crate::liveness::{Evidence, Liveness};
use crate::user::User;

/// One user.
#[derive(Clone, Debug)]
pub struct UserReport {
    /// Who.
    pub user: UserId,
    /// His sessions against the limit in force.
    pub usage: Usage,
    /// The plan of his newest token; none for that of everybody.
    pub plan: Option<Box<str>>,
    /// A limit that an operator lent him, and for how long still.
    pub lent: Option<(usize, Duration)>,
    /// Opens that wait.
    pub waiting: usize,
    /// Every session that holds a slot.
    pub sessions: Vec<SessionReport>,
    /// Every connection, also one without a session.
    pub connections: Vec<ConnectionReport>,
    /// Runs in flight, also those whose session is gone.
    pub runs: Vec<(ThreadId, RunId)>,
}

/// One user in one line: what a list of many shows.
#[derive(Clone, Debug)]
pub struct UserBrief {
    /// Who.
    pub user: UserId,
    /// His sessions against the limit in force.
    pub usage: Usage,
    /// The plan of his newest token; none for that of everybody.
    pub plan: Option<Box<str>>,
    /// A limit that an operator lent him, and for how long still.
    pub lent: Option<(usize, Duration)>,
    /// Opens that wait.
    pub waiting: usize,
    /// Connections, also those without a session.
    pub connections: usize,
    /// Runs in flight.
    pub runs: usize,
    /// Sessions whose best connection is alive.
    pub alive: usize,
    /// Sessions whose best connection is suspect.
    pub suspect: usize,
    /// Sessions whose best connection is dead.
    pub zombie: usize,
    /// Sessions without a connection.
    pub detached: usize,
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// Its thread.
    pub thread: ThreadId,
    /// The verdict over its best connection; none where it has none.
    pub liveness: Option<Liveness>,
    /// How well it does.
    pub health: Health,
    /// Since a person last opened or used it.
    pub unused_for: Duration,
    /// How long it stays warm without a connection, if it has none.
    pub lingers_for: Option<Duration>,
    /// The run in flight on its thread.
    pub run: Option<RunId>,
    /// Who is attached.
    pub attached: Vec<ConnectionId>,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// Which.
    pub connection: ConnectionId,
    /// What counts as life on it.
    pub heartbeat: Heartbeat,
    /// The verdict.
    pub liveness: Liveness,
    /// What it stands on.
    pub evidence: Evidence,
    /// Until its token expires.
    pub expires_in: Option<Duration>,
}

impl Gate {
    /// What is known of a user, if only that a limit was lent to him; none where nothing is.
    #[must_use]
    pub fn report(&self, user: &UserId) -> Option<UserReport> {
        match self.user(user) {
            Some(known) => Some(self.report_on(known)),
            None => self.lent_to(user).map(|_| self.report_on(&User::new(user.clone()))),
        }
    }

    /// What is known of the users at `count` places from place `from` on, and the place to go on from; none at the end. A
    /// user keeps his place as long as he is known, so that whoever asks page by page sees everybody who was there all the
    /// time exactly once.
    #[must_use]
    pub fn reports(&self, from: usize, count: usize) -> (Vec<UserReport>, Option<usize>) {
        let end = from.saturating_add(count).min(self.places().len());
        let page = self.places().get(from..end).unwrap_or_default();
        let reports = page.iter().flatten().map(|user| self.report_on(user)).collect();
        (reports, (end < self.places().len()).then_some(end))
    }

    /// A line about each of the users at `count` places from place `from` on whom `wanted` says yes to, and the place to go on
    /// from; none at the end. Nobody else is copied, so that a search through many costs little more than to look at them.
    /// Places are those of [`Gate::reports`].
    pub fn briefs(
        &self,
        from: usize,
        count: usize,
        mut wanted: impl FnMut(&UserId, Usage) -> bool,
    ) -> (Vec<UserBrief>, Option<usize>) {
        let end = from.saturating_add(count).min(self.places().len());
        let page = self.places().get(from..end).unwrap_or_default();
        let mut brief = |user: &User| {
            let limits = self.limits_of(user);
            let usage = user.usage(self.clock(), &limits);
            wanted(&user.id, usage).then(|| self.brief(user, usage))
        };
        (page.iter().flatten().filter_map(|user| brief(user)).collect(), (end < self.places().len()).then_some(end))
    }

    fn brief(&self, user: &User, usage: Usage) -> UserBrief {
        let (clock, limits) = (self.clock(), &*self.limits_of(user));
        let mut brief = UserBrief {
            user: user.id.clone(),
            usage,
            plan: self.plans().name(user.plan).map(Into::into),
            lent: self.lent_to(&user.id),
            waiting: user.waiting.len(),
            connections: user.connections.len(),
            runs: user.runs.len(),
            alive: 0,
            suspect: 0,
            zombie: 0,
            detached: 0,
        };
        for session in &user.sessions {
            let count = match user.best_evidence(session, clock, limits).map(|(liveness, _)| liveness) {
                Some(Liveness::Alive) => &mut brief.alive,
                Some(Liveness::Suspect) => &mut brief.suspect,
                Some(Liveness::Zombie(_)) => &mut brief.zombie,
                None => &mut brief.detached,
            };
            *count += 1;
        }
        brief
    }

    fn report_on(&self, user: &User) -> UserReport {
        let (clock, limits) = (self.clock(), &*self.limits_of(user));
        let session = |session: &crate::session::Session| {
            let best = user.best_evidence(session, clock, limits);
            let unused_for = clock.now.since(session.last_used);
            SessionReport {
                thread: session.thread.clone(),
                liveness: best.map(|(liveness, _)| liveness),
                health: health::score(best.as_ref().map(|(_, evidence)| evidence), unused_for),
                unused_for,
                lingers_for: session.lingers_until.map(|until| until.since(clock.now)),
                run: user.runs.iter().find(|(busy, _)| *busy == session.thread).map(|(_, run)| run.clone()),
                attached: session.attached.iter().map(|attachment| attachment.connection).collect(),
            }
        };
        let connection = |connection: &crate::connection::Connection| ConnectionReport {
            connection: connection.id,
            heartbeat: connection.heartbeat,
            liveness: connection.liveness(clock, limits),
            evidence: connection.evidence(clock),
            expires_in: connection.expires.map(|at| at.since(clock.now)),
        };
        UserReport {
            user: user.id.clone(),
            usage: user.usage(clock, limits),
            plan: self.plans().name(user.plan).map(Into::into),
            lent: self.lent_to(&user.id),
            waiting: user.waiting.len(),
            sessions: user.sessions.iter().map(session).collect(),
            connections: user.connections.iter().map(connection).collect(),
            runs: user.runs.clone(),
        }
    }
}
