//! Judges everything that the gate says, by the promises of the project.
//!
//! ```text
//!   world: input --> Oracle::input     what was asked, who came and went
//!   gate: output --> Oracle::output    each one, as it is polled
//!                    Oracle::settle    after the last one: counts, takeovers, who was told
//!                    Oracle::overdue   after time has passed: answers, dead sockets, lingering sessions
//! ```
//!
//! The first broken promise ends the run. What each rule means stands at [`Rule`].

use std::time::Duration;

use lychgate_core::{AdmissionPath, ConnectionId, Event, Limits, Output, ThreadId, UserId};

use crate::model::{Ask, Model, Moment, Unsettled, user_id, user_number};

mod admission;
mod breaker;
mod eviction;
mod input;
mod overdue;
mod queue;
mod rule;
mod tally;
mod turn;

use breaker::Breakers;
pub use rule::{Rule, Violation};
pub use tally::{Reach, Tally};
use turn::Turn;

/// Watches one gate.
#[derive(Debug)]
pub struct Oracle {
    /// What an observer knows.
    pub model: Model,
    /// What was counted.
    pub tally: Tally,
    /// The step of the plan that runs, for reports.
    pub step: usize,
    violation: Option<Violation>,
    draining: bool,
    breakers: Breakers,
    turn: Turn,
}

/// A deadline is noticed so late at most, in any plan that the oracle judges.
const LATE: Duration = Duration::from_millis(100);

/// An open that our own stalls have kept waiting for so long is answered with what is known, so that I3 holds: what is
/// not yet known to be dead then counts as alive.
fn knowledge_ends(limits: &Limits) -> Duration {
    (limits.queue_deadline + limits.admission_budget) / 2
}

impl Oracle {
    /// Nothing has happened.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model,
            tally: Tally::default(),
            step: 0,
            violation: None,
            draining: false,
            breakers: Breakers::default(),
            turn: Turn::default(),
        }
    }

    /// The first broken promise.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Reports a broken promise, unless one was reported before.
    pub fn fail(&mut self, rule: Rule, now: Moment, detail: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { rule, step: self.step, at: now.at, detail: detail() });
        }
    }

    /// The gate said this.
    pub fn output(&mut self, now: Moment, output: &Output) {
        match output {
            Output::Connected { user, connection, usage, .. } => self.told_usage(now, user, *connection, usage),
            Output::Opened { context, reference, path, usage, .. } => {
                let reference = reference.as_deref().unwrap_or_default();
                self.opened(now, context.user(), context.connection(), context.thread(), reference);
                self.told_usage(now, context.user(), context.connection(), usage);
                match path {
                    AdmissionPath::Attach => self.tally.reach(Reach::Attach),
                    AdmissionPath::Takeover => self.tally.reach(Reach::Takeover),
                    // Told of the session, not of each of those who asked for it.
                    AdmissionPath::Free
                    | AdmissionPath::Reclaimed(_)
                    | AdmissionPath::Reserve
                    | AdmissionPath::Queue
                    | AdmissionPath::Shadow => {}
                }
            }
            Output::Queued { key, connection, reference, position, deadline } => {
                let reference = reference.as_deref().unwrap_or_default();
                self.queued(now, key, *connection, reference, (*position, *deadline));
            }
            Output::Closed { key, connection, .. } => {
                let Some((user, number)) = self.same_user(now, key.user(), *connection) else {
                    return;
                };
                self.model.detach(user, key.thread(), number);
            }
            Output::Detached { key, connection } => {
                let Some((user, number)) = self.same_user(now, key.user(), *connection) else {
                    return;
                };
                self.model.detach(user, key.thread(), number);
                self.turn.touch(user);
            }
            Output::Refused { user, connection, thread, reference, refusal } => {
                let reference = reference.as_deref().unwrap_or_default();
                self.refused(now, user, (*connection, thread.as_ref(), reference), refusal);
            }
            Output::Ping { connection, .. } => {
                self.tally.pings += 1;
                let known = self.model.connection_number(*connection);
                if !known.is_some_and(|number| self.model.was_registered(number)) {
                    self.fail(Rule::Close, now, || format!("a ping for {connection}, which is gone"));
                }
            }
            Output::CloseSocket { user, connection, reason, manner } => {
                self.closed(now, user, *connection, *reason);
                self.closed_in_a_manner(now, user, *manner);
            }
            Output::Limit { connection, usage } => self.told_limit(now, *connection, usage),
            Output::Expiring { .. } | Output::Wish(_) => {}
            Output::Event(event) => self.event(now, event),
        }
    }

    fn opened(&mut self, now: Moment, user: &UserId, connection: ConnectionId, thread: &ThreadId, reference: &str) {
        let Some((user, number)) = self.same_user(now, user, connection) else {
            return;
        };
        if !self.model.connections[number].is_registered() {
            self.fail(Rule::Close, now, || format!("opened {thread} on {connection}, which is gone"));
            return;
        }
        let answers = |it: &Ask| it.connection == number && *it.reference == *reference;
        let known = self.model.user(user);
        for ask in known.places.iter().flat_map(|place| &place.asks).filter(|it| answers(it)) {
            self.tally.waited(now.at.since(ask.since.at));
        }
        known.withdraw(|_, ask| answers(ask));
        self.tally.opened += 1;
        self.model.attach(user, thread, number, now);
        let attached =
            self.model.user(user).session(thread).map_or(0, |it| it.attached.iter().filter(|a| !a.gone).count());
        let most = self.model.limits(user).max_connections_per_session;
        if attached > most {
            self.fail(Rule::Bounds, now, || format!("{attached} connections in session {thread}, of at most {most}"));
        }
        self.turn.touch(user);
    }

    /// After the last output of a call: what has to fit together then.
    pub fn settle(&mut self, now: Moment, count: impl Fn(&UserId) -> usize) {
        if !self.turn.is_quiet() {
            self.settle_turn(now, count);
        }
        self.model.turn += 1;
    }

    fn settle_turn(&mut self, now: Moment, count: impl Fn(&UserId) -> usize) {
        let touched = std::mem::take(&mut self.turn.touched);
        for &user in &touched {
            self.settle_user(now, user, &count);
        }
        self.finish_turn(now);
        self.turn.recycle(touched);
    }

    fn settle_user(&mut self, now: Moment, user: usize, count: impl Fn(&UserId) -> usize) {
        match self.model.settle(user, now) {
            None => {}
            Some(Unsettled::Untold(thread, connection)) => {
                let id = self.model.connections[connection].id;
                self.fail(Rule::Told, now, || format!("session {thread} ended and {id} was not told"));
            }
            Some(Unsettled::Unborn(thread, connection)) => {
                let id = self.model.connections[connection].id;
                self.fail(Rule::Pairing, now, || format!("opened {thread} on {id}, but nobody holds it"));
            }
        }
        let held = self.model.users[user].held();
        let counted = count(&user_id(user));
        if counted != held {
            self.fail(Rule::Count, now, || format!("user {user}: the gate counts {counted}, announced were {held}"));
        }
        self.model.settle_degradation(user, now);
        self.settle_places(now, user);
        self.settle_told(now, user);
        self.breakers.settle(user, &self.model.users[user]);
    }

    fn user_and_connection(&self, user: &UserId, connection: ConnectionId) -> Option<(usize, usize)> {
        Some((user_number(user)?, self.model.connection_number(connection)?))
    }

    /// As before, and reports a connection of another user.
    fn same_user(&mut self, now: Moment, user: &UserId, connection: ConnectionId) -> Option<(usize, usize)> {
        let (user, number) = self.user_and_connection(user, connection)?;
        if self.model.connections[number].user != user {
            self.fail(Rule::Privacy, now, || format!("{connection} is told of a session of user {user}"));
            return None;
        }
        Some((user, number))
    }

    fn event(&mut self, now: Moment, event: &Event) {
        match event {
            Event::SessionCreated { key, path, was_full, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.created(now, user, key.thread(), *path);
                self.prevents_a_lockout(now, user, key.thread(), *was_full);
            }
            Event::SessionReleased { key, reason } => {
                let Some(user) = user_number(key.user()) else { return };
                self.released(now, user, key.thread(), *reason);
            }
            Event::SessionEvicted { key, eviction, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.evicted(now, user, key.thread(), eviction.level, &eviction.evidence);
            }
            Event::Connected { user, connection, superseded } => self.connected(now, user, *connection, *superseded),
            Event::Zombie { connection, kind, evidence, .. } => self.zombie(now, *connection, *kind, evidence),
            Event::WouldEvict { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.tally.reach(Reach::WouldEvict);
                self.turn.would.push(user);
            }
            Event::WouldWait { key } => {
                let Some(user) = user_number(key.user()) else { return };
                self.tally.reach(Reach::WouldWait);
                self.turn.would.push(user);
            }
            Event::Breaker { user, step, state } => {
                let user = user.as_ref().and_then(user_number);
                self.breaker_moved(now, user, *step, *state);
            }
            Event::Repaired { user, broken } => {
                self.fail(Rule::Panic, now, || format!("the record of {user} had to be repaired: {broken}"));
            }
            Event::CloseUnconfirmed { connection, .. } => self.unconfirmed(now, *connection),
            Event::SessionAttached { .. }
            | Event::SessionLingers { .. }
            | Event::Reclaimed { .. }
            | Event::ProbeFailed { .. }
            | Event::VerdictDisproved { .. }
            | Event::Disconnected { .. }
            | Event::Pressure { .. }
            | Event::Waiting { .. }
            | Event::Queued { .. }
            | Event::Refused { .. } => {}
        }
    }
}
