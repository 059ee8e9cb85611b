//! One user: the unit of atomicity and of sharding. Records and questions about them; [`crate::gate`] changes them.

use std::time::Duration;

use smallvec::SmallVec;

use crate::breaker::UserBreakers;
use crate::connection::Connection;
use crate::forecast::Trend;
use crate::health;
use crate::id::{ConnectionId, RunId, SessionKey, ThreadId, UserId};
use crate::lease::{Elsewhere, Foreign, Lease};
use crate::limits::{Limits, Pressure, Usage};
use crate::liveness::{Evidence, Liveness};
use crate::plans::PlanId;
use crate::queue::{Reserve, Round, Waiter};
use crate::reclaim::{Facts, ReclaimLevel, Standing};
use crate::session::{Mark, Session};
use crate::timer::{Awake, Clock, Time};

/// A socket whose record is gone and whose end was not confirmed yet.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) connection: ConnectionId,
    /// When its end has to be confirmed, on the clock of silence: what our own stall holds up is no failure.
    pub(crate) deadline: Awake,
    /// Its end is that of a handshake: it says whether closes work.
    pub(crate) by_handshake: bool,
    /// The level of reclaim that ordered it.
    pub(crate) level: Option<ReclaimLevel>,
}

/// How much would be lost with a connection: dead ones first, then those without a session, then the least recently
/// heard; the last living reader of a running answer never while another choice is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worth {
    /// The answer of a run in flight would lose its last living reader.
    pub is_last_reader: bool,
    is_alive: bool,
    is_wanted: bool,
    heard: Time,
    /// Which connection.
    pub connection: ConnectionId,
}

/// Everything that the gate knows of one user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    /// By the newest verified token.
    pub(crate) plan: PlanId,
    pub(crate) sessions: Vec<Session>,
    pub(crate) connections: Vec<Connection>,
    /// Runs in flight. They belong to threads: an evicted session leaves its run here.
    pub(crate) runs: Vec<(ThreadId, RunId)>,
    pub(crate) waiting: Vec<Waiter>,
    pub(crate) round: Option<Box<Round>>,
    pub(crate) closing: Vec<Closing>,
    /// His sessions on other nodes; none while there are none, or nobody counts them.
    pub(crate) elsewhere: Option<Box<Elsewhere>>,
    pub(crate) reserve: Option<Box<Reserve>>,
    pub(crate) breakers: UserBreakers,
    pub(crate) pressure: Pressure,
    /// The band by which background reclaim goes.
    pub(crate) urgency: Pressure,
    /// How his number of sessions moves; kept only while somebody forecasts.
    pub(crate) trend: Trend,
    /// Whether his connections were told that the reserve is open.
    pub(crate) told_of_reserve: bool,
    /// When background reclaim runs next; none below its watermark.
    pub(crate) reclaim_at: Option<Time>,
    /// The deadline that stands in the timer queue.
    pub(crate) timer: Option<Time>,
}

impl User {
    pub(crate) fn new(id: UserId) -> Self {
        Self {
            id,
            plan: PlanId::default(),
            sessions: Vec::new(),
            connections: Vec::new(),
            runs: Vec::new(),
            waiting: Vec::new(),
            round: None,
            closing: Vec::new(),
            elsewhere: None,
            reserve: None,
            breakers: UserBreakers::default(),
            pressure: Pressure::Ok,
            urgency: Pressure::Ok,
            trend: Trend::default(),
            told_of_reserve: false,
            reclaim_at: None,
            timer: None,
        }
    }

    /// Nothing is left of him, and nothing is remembered that matters: the reserve would open again at once for whoever
    /// lets everything go and comes back.
    pub(crate) fn is_idle(&self) -> bool {
        self.sessions.is_empty()
            && self.connections.is_empty()
            && self.runs.is_empty()
            && self.waiting.is_empty()
            && self.round.is_none()
            && self.closing.is_empty()
            && self.reserve.is_none()
    }

    /// His sessions against his limit.
    pub(crate) fn usage(&self, clock: &Clock, limits: &Limits) -> Usage {
        let reserve_left = self.reserve.as_ref().and_then(|reserve| reserve.left(clock.now, limits));
        Usage { reserve_left, ..limits.usage(self.sessions.len() + self.elsewhere()) }
    }

    /// The leases that he holds here, of sessions and of those who wait without an answer; empty where this node counts alone.
    pub(crate) fn leases(&self) -> SmallVec<[Lease; 4]> {
        let waiting = self.waiting.iter().filter_map(|waiter| waiter.lease);
        self.sessions.iter().filter_map(|session| session.lease).chain(waiting).collect()
    }

    /// How many sessions he holds on other nodes, by the last answer.
    pub(crate) fn elsewhere(&self) -> usize {
        self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.count)
    }

    /// Those of them that are known one by one.
    pub(crate) fn foreign(&self) -> &[Foreign] {
        self.elsewhere.as_ref().map_or(&[], |elsewhere| &elsewhere.foreign)
    }

    /// After how long he reaches his limit at the present trend; none where nobody forecasts, or it is not in sight at all.
    pub(crate) fn full_in(&self, now: Time, limits: &Limits) -> Option<Duration> {
        let foresight = limits.forecast.as_ref()?;
        self.trend.full_in(now, (self.sessions.len(), limits.max_sessions_per_user), foresight)
    }

    /// Whether he rises to it within the horizon.
    pub(crate) fn is_limit_in_sight(&self, clock: &Clock, limits: &Limits) -> bool {
        let count = (self.sessions.len(), limits.max_sessions_per_user);
        limits.forecast.is_some_and(|foresight| self.trend.is_in_sight(clock.now, count, &foresight))
    }

    pub(crate) fn key(&self, thread: &ThreadId) -> SessionKey {
        SessionKey::new(self.id.clone(), thread.clone())
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    pub(crate) fn session_index(&self, thread: &ThreadId) -> Option<usize> {
        let mark = Mark::of(thread);
        self.sessions.iter().position(|session| session.mark == mark && session.thread == *thread)
    }

    pub(crate) fn has_run(&self, thread: &ThreadId) -> bool {
        self.runs.iter().any(|(busy, _)| busy == thread)
    }

    /// Whether anything but its own life keeps the connection open: a session or a waiting open.
    pub(crate) fn is_wanted(&self, connection: ConnectionId) -> bool {
        self.sessions.iter().any(|session| session.attachment(connection).is_some())
            || self.waiting.iter().any(|waiter| waiter.is_asked_by(connection))
    }

    /// Whether the session's answer would lose its last living reader with this connection.
    pub(crate) fn is_last_reader(&self, connection: ConnectionId, clock: &Clock, limits: &Limits) -> bool {
        let alive =
            |id| self.connection(id).is_some_and(|connection| connection.liveness(clock, limits) == Liveness::Alive);
        alive(connection)
            && self.sessions.iter().any(|session| {
                self.has_run(&session.thread)
                    && session.attachment(connection).is_some()
                    && session.attached.iter().all(|other| other.connection == connection || !alive(other.connection))
            })
    }

    pub(crate) fn worth(&self, connection: &Connection, clock: &Clock, limits: &Limits) -> Worth {
        Worth {
            is_last_reader: self.is_last_reader(connection.id, clock, limits),
            is_alive: connection.liveness(clock, limits) == Liveness::Alive,
            is_wanted: self.is_wanted(connection.id),
            heard: connection.heard,
            connection: connection.id,
        }
    }

    /// The evidence on the session's best connection.
    pub(crate) fn best_evidence(
        &self,
        session: &Session,
        clock: &Clock,
        limits: &Limits,
    ) -> Option<(Liveness, Evidence)> {
        let rank = |liveness: &Liveness| match liveness {
            Liveness::Alive => 0,
            Liveness::Suspect => 1,
            Liveness::Zombie(_) => 2,
        };
        session
            .attached
            .iter()
            .filter_map(|attachment| self.connection(attachment.connection))
            .map(|connection| (connection.liveness(clock, limits), connection.evidence(clock)))
            .min_by_key(|(liveness, evidence)| (rank(liveness), evidence.missed_pings, evidence.silent_for))
    }

    /// The facts about every session, in the order of [`User::sessions`].
    pub(crate) fn facts(&self, clock: &Clock, limits: &Limits) -> Vec<Facts> {
        let mut facts: Vec<_> = self.sessions.iter().map(|session| self.facts_of(session, clock, limits)).collect();
        if limits.pinned_sessions > 0 {
            let mut recent: Vec<_> = (0..facts.len()).collect();
            recent.sort_unstable_by_key(|index| (facts[*index].unused_for, *index));
            recent.iter().take(limits.pinned_sessions).for_each(|index| facts[*index].protected = true);
        }
        facts
    }

    fn facts_of(&self, session: &Session, clock: &Clock, limits: &Limits) -> Facts {
        let best = self.best_evidence(session, clock, limits);
        let standing = match best {
            None => Standing::Detached,
            Some((Liveness::Alive, _)) => Standing::Alive,
            Some((Liveness::Suspect, _)) => Standing::Suspect,
            Some((Liveness::Zombie(_), evidence)) => {
                let by_probe = evidence.missed_probes > 0 && evidence.missed_pings < limits.missed_pings;
                Standing::Gone { by_probe }
            }
        };
        let unused_for = clock.now.since(session.last_used);
        Facts {
            standing,
            protected: self.has_run(&session.thread),
            health: health::score(best.as_ref().map(|(_, evidence)| evidence), unused_for).score,
            unused_for,
        }
    }

    /// The earliest thing that falls due.
    pub(crate) fn deadline(&self, clock: &Clock, limits: &Limits) -> Option<Time> {
        let connections = self.connections.iter().map(|connection| connection.deadline(clock, limits));
        let sessions = self.sessions.iter().filter_map(Session::deadline);
        // While other nodes are asked nobody in the queue can be served, and their answer comes in bounded time.
        let waits = !self.waiting.first().is_some_and(Waiter::is_asking);
        let waiters = self.waiting.iter().filter(|_| waits).map(|waiter| waiter.deadline(clock, limits));
        let round = self.round.iter().map(|round| {
            let after = if round.second_asked { limits.probe_deadline } else { limits.probe_gap };
            clock.wall(round.started_awake + after)
        });
        let again = self.waiting.first().and_then(|first| first.asks_again(limits));
        let closing = self.closing.iter().map(|closing| clock.wall(closing.deadline));
        let reserve = self.reserve.as_ref().and_then(|reserve| reserve.deadline(clock.now, limits));
        let own = self.reclaim_at.into_iter().chain(reserve);
        connections.chain(sessions).chain(waiters).chain(round).chain(closing).chain(own).chain(again).min()
    }
}

/// Appends with a capacity that grows by one half instead of doubling from four: most users hold one session on one
/// connection, and memory per idle connection is a promise.
pub(crate) fn push_tight<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.push(item);
}
