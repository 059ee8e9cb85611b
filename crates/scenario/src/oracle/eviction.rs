//! The rules about ends: who may be evicted, who may be called dead, which socket may be closed and why.

use std::time::Duration;

use lychgate_core::{ConnectionId, EvictReason, Evidence, ReclaimLevel, ThreadId, UserId, ZombieKind};

use super::{KNOWLEDGE_ENDS, Oracle, Pending, Rule};
use crate::model::{Connection, Moment, Session, Standing};

impl Oracle {
    pub(super) fn created(&mut self, now: Moment, user: usize, thread: &ThreadId) {
        self.tally.created += 1;
        self.turn.touch(user);
        self.turn.created.push(user);
        if !self.model.create(user, thread) {
            self.fail(Rule::Pairing, now, || format!("session {thread} of user {user} was created twice"));
        }
        let held = self.model.users[user].held();
        let limit = self.model.limits.max_sessions_per_user;
        if held > limit {
            self.fail(Rule::Limit, now, || format!("user {user} holds {held} sessions, of at most {limit}"));
        }
    }

    pub(super) fn released(&mut self, now: Moment, user: usize, thread: &ThreadId, reason: EvictReason) {
        self.tally.released += 1;
        self.turn.touch(user);
        if reason == EvictReason::LingerEnded {
            self.linger_ended(now, user, thread);
        }
        self.end_once(now, user, thread);
    }

    fn end_once(&mut self, now: Moment, user: usize, thread: &ThreadId) {
        if !self.model.end(user, thread) {
            self.fail(Rule::Pairing, now, || format!("session {thread} of user {user} ended, but nobody held it"));
        }
    }

    /// M4: a reload within the linger finds its session again.
    fn linger_ended(&mut self, now: Moment, user: usize, thread: &ThreadId) {
        let linger = self.model.limits.linger;
        let Some(session) = self.model.users[user].session(thread) else {
            return;
        };
        let bare_for = session.bare_since.map(|since| now.ran.since(since));
        // What a stall took from the clock that runs, the gate may count as lingering.
        let stalled = now.at.since(now.ran);
        if bare_for.is_none_or(|bare_for| bare_for + stalled < linger) {
            self.fail(Rule::Linger, now, || {
                format!("session {thread} of user {user} was let go after {bare_for:?} without a connection")
            });
        }
    }

    pub(super) fn evicted(
        &mut self,
        now: Moment,
        user: usize,
        thread: &ThreadId,
        level: ReclaimLevel,
        evidence: &Evidence,
    ) {
        self.tally.evicted(level);
        self.turn.touch(user);
        if level == ReclaimLevel::Force {
            self.turn.forced.push(user);
        }
        if let Some((rule, other)) = self.is_unjust(now, user, thread, level) {
            self.fail(rule, now, || {
                let level = level.as_str();
                format!("{level} took live session {thread} of user {user}, but {other} ({evidence:?})")
            });
        }
        self.end_once(now, user, thread);
    }

    /// Why a session should not have been evicted, if it should not.
    fn is_unjust(&self, now: Moment, user: usize, thread: &ThreadId, level: ReclaimLevel) -> Option<(Rule, String)> {
        let owner = &self.model.users[user];
        let victim = owner.session(thread)?;
        if !self.is_live(victim) {
            return None;
        }
        if level != ReclaimLevel::Force {
            return Some((Rule::LiveBeforeDead, "only Force may".to_owned()));
        }
        let mut others =
            owner.sessions.iter().filter(|it| it.held && it.thread != *thread && it.born != self.model.turn);
        if owner.has_run(thread)
            && let Some(free) = others.clone().find(|it| !owner.has_run(&it.thread))
        {
            return Some((Rule::Protection, format!("session {} has no run", free.thread)));
        }
        let was_stalled = |it: &Pending| {
            self.model.connections[it.connection].user == user && now.at.since(it.since.at) >= KNOWLEDGE_ENDS
        };
        if self.pending.iter().any(was_stalled) {
            return None;
        }
        let dead = others.find(|it| self.is_dead(it, now))?;
        Some((Rule::LiveBeforeDead, format!("session {} is dead", dead.thread)))
    }

    /// Whether a connection of the session is proven live. One that was closed before is not: a bound on connections may
    /// take the last one of a session, which lingers then.
    fn is_live(&self, session: &Session) -> bool {
        session.attached.iter().any(|it| {
            let connection = &self.model.connections[it.connection];
            !it.gone && connection.is_registered() && connection.is_proven_live()
        })
    }

    /// Whether nothing of the session can answer, since before any admission that waits now began to ask.
    fn is_dead(&self, session: &Session, now: Moment) -> bool {
        let long_enough = self.model.limits.ladder_deadline + Duration::from_millis(500);
        let is_dead = |it: &Connection| it.dead_since.is_some_and(|since| now.ran.since(since) >= long_enough);
        session.connections(now).all(|it| is_dead(&self.model.connections[it]))
    }

    pub(super) fn zombie(&mut self, now: Moment, connection: ConnectionId, kind: ZombieKind, evidence: &Evidence) {
        self.tally.zombies += 1;
        let Some(number) = self.model.connection_number(connection) else {
            return;
        };
        match kind {
            ZombieKind::HalfOpen => self.called_unresponsive(now, number, Some(evidence)),
            ZombieKind::Stalled => self.called_slow(now, number),
            ZombieKind::Ghost | ZombieKind::Orphan | ZombieKind::StaleLease => {
                self.fail(Rule::Verdict, now, || format!("{connection} was called {kind:?}, but it is a socket"));
            }
        }
    }

    fn called_unresponsive(&mut self, now: Moment, number: usize, evidence: Option<&Evidence>) {
        let it = &self.model.connections[number];
        let id = it.id;
        if it.is_proven_live() {
            self.fail(Rule::Verdict, now, || format!("{id} answers, but was called dead: {evidence:?}"));
        } else if evidence.is_some_and(|it| it.missed_pings + it.missed_probes < 2) {
            self.fail(Rule::Verdict, now, || format!("{id} was called dead after one question: {evidence:?}"));
        }
    }

    fn called_slow(&mut self, now: Moment, number: usize) {
        let it = &self.model.connections[number];
        let id = it.id;
        let stall = self.model.limits.write_stall;
        let blocked_for = it.blocked_since.map(|since| now.ran.since(since));
        if blocked_for.is_none_or(|blocked_for| blocked_for < stall) {
            self.fail(Rule::Verdict, now, || format!("{id} was called stalled, blocked for {blocked_for:?}"));
        }
    }

    /// The gate closes a socket: once, and for a reason that holds. A second order is right only where the first one
    /// was not confirmed, and then it is the last.
    pub(super) fn closed(&mut self, now: Moment, user: &UserId, connection: ConnectionId, reason: EvictReason) {
        let Some((user, number)) = self.same_user(now, user, connection) else {
            return;
        };
        self.turn.touch(user);
        if !self.model.connections[number].is_registered() {
            match self.turn.unconfirmed.iter().position(|it| *it == number) {
                Some(at) => drop(self.turn.unconfirmed.swap_remove(at)),
                None => self.fail(Rule::Close, now, || format!("{connection} was closed twice ({reason:?})")),
            }
            return;
        }
        self.model.connections[number].standing = Standing::Closed(self.model.turn);
        self.pending.retain(|it| it.connection != number);
        self.is_closed_for_cause(now, number, reason);
    }

    fn is_closed_for_cause(&mut self, now: Moment, number: usize, reason: EvictReason) {
        let it = &self.model.connections[number];
        let id = it.id;
        let user = &self.model.users[it.user];
        let has_cause = match reason {
            EvictReason::Unresponsive => return self.called_unresponsive(now, number, None),
            EvictReason::Slow => return self.called_slow(now, number),
            EvictReason::TokenExpired => it.expires.is_some_and(|at| at <= now.at),
            EvictReason::Superseded => {
                self.turn.superseded.push(number);
                true
            }
            EvictReason::MadeRoom => {
                let held = |session: &&Session| {
                    session.held && session.attached.iter().any(|a| a.connection == number && !a.gone)
                };
                user.sessions.iter().find(held).is_none()
            }
            EvictReason::MadeRoomForConnection => true,
            EvictReason::ByAdmin => self.turn.expelled == Some((number, reason)),
            EvictReason::Draining => self.draining,
            EvictReason::Left | EvictReason::ClientClosed | EvictReason::LingerEnded => false,
        };
        if !has_cause {
            self.fail(Rule::Close, now, || format!("{id} was closed as {reason:?}, which does not hold"));
        }
    }

    /// The gate gave up on a close.
    pub(super) fn unconfirmed(&mut self, now: Moment, connection: ConnectionId) {
        let Some(number) = self.model.connection_number(connection) else {
            return;
        };
        match self.model.connections[number].standing {
            Standing::Closed(_) => self.turn.unconfirmed.push(number),
            Standing::Registered | Standing::Ended => {
                self.fail(Rule::Close, now, || {
                    format!("the close of {connection} was given up, but nobody ordered it")
                });
            }
        }
    }
}
