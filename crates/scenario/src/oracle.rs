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

use std::collections::VecDeque;
use std::time::Duration;

use lychgate_core::{ConnectionId, End, Event, Input, Output, Refusal, ThreadId, UserId};

use crate::model::{Model, Moment, Standing, Unsettled, user_id, user_number};

mod eviction;
mod overdue;
mod rule;
mod tally;
mod turn;

pub use rule::{Rule, Violation};
pub use tally::Tally;
use turn::Turn;

/// An open that waits for its answer.
#[derive(Debug)]
struct Pending {
    connection: usize,
    reference: Box<str>,
    thread: Option<ThreadId>,
    since: Moment,
}

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
    pending: VecDeque<Pending>,
    draining: bool,
    turn: Turn,
}

/// An open that our own stalls have kept waiting for so long is answered with what is known, so that I3 holds: what is
/// not yet known to be dead then counts as alive.
const KNOWLEDGE_ENDS: Duration = Duration::from_secs(9);

impl Oracle {
    /// Nothing has happened.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model,
            tally: Tally::default(),
            step: 0,
            violation: None,
            pending: VecDeque::new(),
            draining: false,
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

    /// The gate is about to take this input. Its connection is in the model already.
    pub fn input(&mut self, now: Moment, input: &Input) {
        match input {
            Input::Connect { user, connection, prev, expires, .. } => {
                let Some((user, number)) = self.user_and_connection(user, *connection) else {
                    return;
                };
                self.model.connections[number].expires = *expires;
                self.tally.connects += 1;
                let prev = prev.and_then(|id| self.model.connection_number(id));
                let replaced = self.turn.connect(&self.model, user, number, prev);
                if let Some(old) = replaced.filter(|_| !self.draining) {
                    // The opens that wait on the old socket wait on the new one from now on.
                    self.pending.iter_mut().filter(|it| it.connection == old).for_each(|it| it.connection = number);
                }
            }
            Input::Open { context, reference, .. } => {
                let Some(connection) = self.model.connection_number(context.connection()) else {
                    return;
                };
                self.tally.opens += 1;
                let thread = (!context.origin().thread_made_here).then(|| context.thread().clone());
                self.pending.push_back(Pending {
                    connection,
                    reference: reference.clone().unwrap_or_default(),
                    thread,
                    since: now,
                });
            }
            Input::Leave { user, connection, thread } => {
                let Some((user, number)) = self.user_and_connection(user, *connection) else {
                    return;
                };
                self.pending.retain(|it| it.connection != number || it.thread.as_ref() != Some(thread));
                if self.model.was_registered(number) && self.model.leave(user, thread, number, now) {
                    self.turn.must_end.push((user, thread.clone()));
                }
                self.turn.touch(user);
            }
            Input::Disconnect { user, connection, end } => self.disconnected(now, user, *connection, *end),
            Input::Heard { connection, sign, .. } => {
                if let Some(number) = self.model.connection_number(*connection) {
                    self.model.hear(number, *sign, now);
                }
            }
            Input::RunStarted { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.model.user(user).runs.push(key.thread().clone());
            }
            Input::RunEnded { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.model.user(user).runs.retain(|thread| thread != key.thread());
            }
            Input::Renew { connection, expires, .. } => {
                if let Some(number) = self.model.connection_number(*connection) {
                    self.model.connections[number].expires = *expires;
                }
            }
            Input::Expel { connection, reason, .. } => {
                self.turn.expelled = self.model.connection_number(*connection).map(|number| (number, *reason));
            }
            Input::Drain { .. } => self.draining = true,
            Input::PingResult { .. }
            | Input::Backlog { .. }
            | Input::EvictionDone { .. }
            | Input::EvictionFailed { .. }
            | Input::Used { .. }
            | Input::Stalled { .. } => {}
        }
    }

    fn disconnected(&mut self, now: Moment, user: &UserId, connection: ConnectionId, end: End) {
        let Some((user, number)) = self.user_and_connection(user, connection) else {
            return;
        };
        self.pending.retain(|it| it.connection != number);
        if !self.model.connections[number].is_registered() {
            return;
        }
        let alone = self.model.leave_all(number, now);
        self.model.connections[number].standing = Standing::Ended;
        self.turn.left.push(number);
        match end {
            End::ClientClosed => self.turn.must_end.extend(alone.into_iter().map(|thread| (user, thread))),
            End::Lost => {}
        }
        self.turn.touch(user);
    }

    /// The gate said this.
    pub fn output(&mut self, now: Moment, output: &Output) {
        match output {
            Output::Connected { .. } => {}
            Output::Opened { context, reference, .. } => {
                let reference = reference.as_deref().unwrap_or_default();
                self.opened(now, context.user(), context.connection(), context.thread(), reference);
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
                self.refused(now, user, *connection, thread.as_ref(), reference.as_deref(), refusal)
            }
            Output::Ping { connection, .. } => {
                self.tally.pings += 1;
                let known = self.model.connection_number(*connection);
                if !known.is_some_and(|number| self.model.was_registered(number)) {
                    self.fail(Rule::Close, now, || format!("a ping for {connection}, which is gone"));
                }
            }
            Output::CloseSocket { user, connection, reason, .. } => self.closed(now, user, *connection, *reason),
            Output::Queued { .. } | Output::Limit { .. } | Output::Reconnect { .. } => {}
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
        let answers = |it: &Pending| it.connection == number && *it.reference == *reference;
        for pending in self.pending.iter().filter(|it| answers(it)) {
            self.tally.waited(now.at.since(pending.since.at));
        }
        self.pending.retain(|it| !answers(it));
        self.tally.opened += 1;
        self.model.attach(user, thread, number);
        let attached =
            self.model.user(user).session(thread).map_or(0, |it| it.attached.iter().filter(|a| !a.gone).count());
        let most = self.model.limits.max_connections_per_session;
        if attached > most {
            self.fail(Rule::Bounds, now, || format!("{attached} connections in session {thread}, of at most {most}"));
        }
        self.turn.touch(user);
    }

    fn refused(
        &mut self,
        now: Moment,
        user: &UserId,
        connection: ConnectionId,
        thread: Option<&ThreadId>,
        reference: Option<&str>,
        refusal: &Refusal,
    ) {
        let Some((user, number)) = self.user_and_connection(user, connection) else {
            return;
        };
        self.tally.refused += 1;
        self.turn.touch(user);
        let is_fair = match refusal {
            Refusal::Draining { .. } => self.draining,
            Refusal::NotConnected => !self.model.connections[number].is_registered(),
            Refusal::NoSlot { .. } | Refusal::Overload { .. } => false,
        };
        if !is_fair {
            self.fail(Rule::Refusal, now, || format!("{connection} was refused: {refusal:?}"));
        }
        if thread.is_none() {
            self.model.connections[number].standing = Standing::Ended;
            self.turn.left.push(number);
        }
        let reference = reference.unwrap_or_default();
        self.pending.retain(|it| it.connection != number || *it.reference != *reference);
    }

    /// After the last output of a call: what has to fit together then.
    pub fn settle(&mut self, now: Moment, count: impl Fn(&UserId) -> usize) {
        let touched = std::mem::take(&mut self.turn.touched);
        for &user in &touched {
            self.settle_user(now, user, &count);
        }
        self.finish_turn(now);
        self.turn.recycle(touched);
        self.model.turn += 1;
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
            Event::SessionCreated { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.created(now, user, key.thread());
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
            Event::CloseUnconfirmed { connection, .. } => self.unconfirmed(now, *connection),
            Event::SessionAttached { .. }
            | Event::SessionLingers { .. }
            | Event::Disconnected { .. }
            | Event::Pressure { .. }
            | Event::Waiting { .. }
            | Event::Queued { .. }
            | Event::WouldEvict { .. }
            | Event::WouldWait { .. }
            | Event::Breaker { .. }
            | Event::Repaired { .. }
            | Event::Refused { .. } => {}
        }
    }
}
