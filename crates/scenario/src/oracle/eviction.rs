//! The rules about ends: who may be evicted, who may be called dead, which socket may be closed and why.

use std::time::Duration;

use lychgate_core::{
    ConnectionId, EvictReason, Evidence, Force, Mode, Pressure, ReclaimLevel, ReclaimStep, ThreadId, UserId, ZombieKind,
};

use super::{Oracle, Reach, Rule, knowledge_ends};
use crate::model::{Connection, Moment, Session, Standing};

impl Oracle {
    pub(super) fn released(&mut self, now: Moment, user: usize, thread: &ThreadId, reason: EvictReason) {
        self.tally.released += 1;
        self.turn.touch(user);
        let has_cause = match reason {
            EvictReason::LingerEnded => {
                self.linger_ended(now, user, thread);
                true
            }
            EvictReason::Left | EvictReason::ClientClosed => {
                self.turn.must_end.iter().any(|(owner, let_go)| *owner == user && let_go == thread)
            }
            EvictReason::ByAdmin | EvictReason::LoggedOut | EvictReason::Revoked => self.turn.expelled.is_some(),
            EvictReason::Unresponsive
            | EvictReason::Slow
            | EvictReason::TokenExpired
            | EvictReason::Superseded
            | EvictReason::MadeRoom
            | EvictReason::MadeRoomForConnection
            | EvictReason::Draining => false,
        };
        if !has_cause {
            self.fail(Rule::Pairing, now, || {
                format!("session {thread} of user {user} ended as {reason:?}, which does not hold")
            });
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
        let linger = self.model.limits(user).linger;
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
        self.turn.evictions.push(user);
        if level == ReclaimLevel::Force {
            self.turn.forced.push(user);
        }
        self.is_within_policy(now, user, thread, level);
        if let Some((rule, other)) = self.is_unjust(now, user, thread, level) {
            self.fail(rule, now, || {
                let level = level.as_str();
                format!("{level} took live session {thread} of user {user}, but {other} ({evidence:?})")
            });
        }
        if level == ReclaimLevel::Force && self.is_protected(now, user, thread) {
            self.taken_over(now, user);
        }
        self.end_once(now, user, thread);
    }

    /// What the operator chose, and the mark below which nobody is reclaimed.
    fn is_within_policy(&mut self, now: Moment, user: usize, thread: &ThreadId, level: ReclaimLevel) {
        let limits = self.model.limits(user);
        let held = self.model.users[user].held();
        let level_word = level.as_str();
        let broken = match (limits.mode, limits.force, level) {
            (Mode::Shadow, _, _) if held < limits.ceiling() => Some((Rule::Policy, "in shadow mode")),
            (_, Force::Never, ReclaimLevel::Force) => Some((Rule::Policy, "though force is `never`")),
            _ if limits.urgency(held, self.model.is_limit_in_sight(user, now)) < Pressure::Warn => {
                Some((Rule::Background, "below the mark of 60 %, or of 50 % with the limit in sight"))
            }
            (Mode::Enforce | Mode::Shadow, Force::Evict | Force::Never, _) => None,
        };
        if limits.pressure(held) < Pressure::Warn && broken.is_none() {
            self.tally.reach(Reach::Early);
        }
        if let Some((rule, what)) = broken {
            self.fail(rule, now, || {
                format!("{level_word} took session {thread} of user {user} {what}, who held {held}")
            });
        }
    }

    /// Why a session should not have been evicted, if it should not.
    fn is_unjust(&self, now: Moment, user: usize, thread: &ThreadId, level: ReclaimLevel) -> Option<(Rule, String)> {
        let owner = &self.model.users[user];
        if !self.is_live(owner.session(thread)?) {
            return None;
        }
        if level != ReclaimLevel::Force {
            return Some((Rule::LiveBeforeDead, "only Force may".to_owned()));
        }
        if self.is_protected(now, user, thread)
            && let Some(unjust) = self.is_worse_choice(now, user, thread)
        {
            return Some(unjust);
        }
        let limits = self.model.limits(user);
        let was_stalled = owner.places.first().is_some_and(|it| now.at.since(it.since.at) >= knowledge_ends(limits));
        let overflows = owner.places.len() > limits.max_waiting_opens_per_user;
        // While the probe is skipped the dead are not known, and where too many wait nobody is asked first.
        if was_stalled || overflows || self.breakers.is_skipped(now, user, ReclaimStep::Probe, limits.ladder_deadline) {
            return None;
        }
        let mut others = self.others(user, thread);
        let dead = others.find(|it| self.is_dead(it, user, now))?;
        Some((Rule::LiveBeforeDead, format!("session {} is dead", dead.thread)))
    }

    fn is_protected(&self, now: Moment, user: usize, thread: &ThreadId) -> bool {
        let pinned = self.model.limits(user).pinned_sessions;
        let owner = &self.model.users[user];
        owner.session(thread).is_some_and(|session| owner.is_protected(session, pinned, now))
    }

    /// I5: why a protected session should have been spared.
    fn is_worse_choice(&self, now: Moment, user: usize, thread: &ThreadId) -> Option<(Rule, String)> {
        if let Some(choice) = self.choice_left(now, user, thread) {
            return Some((Rule::Protection, format!("session {choice} is not protected")));
        }
        let victim = self.model.users[user].session(thread)?;
        let staler = self.others(user, thread).find(|it| it.used < victim.used && self.is_live(it))?;
        Some((Rule::Protection, format!("session {} was used longer ago", staler.thread)))
    }

    /// The sessions that a user held before this turn, without one.
    fn others<'a>(&'a self, user: usize, thread: &'a ThreadId) -> impl Iterator<Item = &'a Session> {
        let turn = self.model.turn;
        let held = self.model.users[user].sessions.iter().filter(|it| it.held);
        held.filter(move |it| it.thread != *thread && it.born != turn)
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
    fn is_dead(&self, session: &Session, user: usize, now: Moment) -> bool {
        let long_enough = self.model.limits(user).ladder_deadline + Duration::from_millis(500);
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
        let stall = self.model.limits(it.user).write_stall;
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
        self.model.users[user].withdraw(|_, ask| ask.connection == number);
        self.is_closed_for_cause(now, number, reason);
    }

    fn is_closed_for_cause(&mut self, now: Moment, number: usize, reason: EvictReason) {
        let it = &self.model.connections[number];
        let id = it.id;
        let user = &self.model.users[it.user];
        let grace = self.model.limits(it.user).expiry_grace;
        let has_cause = match reason {
            EvictReason::Unresponsive => return self.called_unresponsive(now, number, None),
            EvictReason::Slow => return self.called_slow(now, number),
            EvictReason::TokenExpired => it.expires.is_some_and(|at| at + grace <= now.at),
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
            EvictReason::ByAdmin | EvictReason::LoggedOut | EvictReason::Revoked => {
                self.turn.expelled == Some((number, reason))
            }
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
