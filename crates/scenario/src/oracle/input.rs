//! What goes into the gate, as an observer takes note of it.

use lychgate_core::{ConnectionId, End, Input, PlanId, SessionContext, Sign, Time, UserId};

use super::{Oracle, Reach};
use crate::model::{Ask, Moment, Standing, user_number};

impl Oracle {
    /// The gate is about to take this input. Its connection is in the model already.
    pub fn input(&mut self, now: Moment, input: &Input) {
        match input {
            Input::Connect { user, connection, prev, expires, plan, .. } => {
                self.connects(user, *connection, *prev, (*expires, *plan));
            }
            Input::Open { context, reference, .. } => self.asks(now, context, reference.as_deref()),
            Input::Leave { user, connection, thread } => {
                let Some((user, number)) = self.user_and_connection(user, *connection) else {
                    return;
                };
                self.model.user(user).withdraw(|waits_for, ask| ask.connection == number && waits_for == thread);
                if self.model.was_registered(number) && self.model.leave(user, thread, number, now) {
                    self.turn.must_end.push((user, thread.clone()));
                }
                self.turn.touch(user);
            }
            Input::Disconnect { user, connection, end } => self.disconnected(now, user, *connection, *end),
            Input::Heard { connection, sign, .. } => {
                if let Some(number) = self.model.connection_number(*connection) {
                    self.model.hear(number, *sign, now);
                    if *sign == Sign::Visible && self.model.connections[number].is_registered() {
                        self.model.looked(number, now);
                    }
                }
            }
            Input::RunStarted { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.model.user(user).runs.push(key.thread().clone());
                self.model.used(user, key.thread(), now);
            }
            Input::RunEnded { key, .. } => {
                let Some(user) = user_number(key.user()) else { return };
                self.model.user(user).runs.retain(|thread| thread != key.thread());
            }
            Input::Renew { user, connection, expires, plan } => {
                let known = self.user_and_connection(user, *connection);
                if let Some((user, number)) =
                    known.filter(|(_, number)| self.model.connections[*number].is_registered())
                {
                    self.model.connections[number].expires = *expires;
                    self.put_on_plan(user, *plan);
                }
            }
            Input::Expel { connection, reason, .. } => {
                self.turn.expelled = self.model.connection_number(*connection).map(|number| (number, *reason));
            }
            Input::Drain { .. } => self.draining = true,
            Input::Used { key } => {
                let Some(user) = user_number(key.user()) else { return };
                self.model.used(user, key.thread(), now);
            }
            Input::PingResult { .. }
            | Input::Backlog { .. }
            | Input::EvictionDone { .. }
            | Input::EvictionFailed { .. }
            | Input::Stalled { .. } => {}
            // No plan has an operator yet: the gate's own tests and core's tests/inputs.rs do.
            Input::End { .. } | Input::Reclaim { .. } | Input::Lend { .. } => {}
            // The simulated gate counts alone; core's gate/tests/nodes.rs has several.
            Input::News(_) => {}
        }
    }

    fn connects(
        &mut self,
        user: &UserId,
        connection: ConnectionId,
        prev: Option<ConnectionId>,
        (expires, plan): (Option<Time>, PlanId),
    ) {
        let Some((user, number)) = self.user_and_connection(user, connection) else {
            return;
        };
        self.model.connections[number].expires = expires;
        self.tally.connects += 1;
        let prev = prev.and_then(|id| self.model.connection_number(id));
        let replaced = self.turn.connect(&self.model, user, number, prev);
        if self.draining {
            return;
        }
        self.put_on_plan(user, plan);
        self.model.users[user].connections.push(number);
        if let Some(old) = replaced {
            // The opens that wait on the old socket wait on the new one from now on.
            self.model.users[user].pass_on(old, number, connection);
        }
    }

    fn asks(&mut self, now: Moment, context: &SessionContext, reference: Option<&str>) {
        let id = context.connection();
        let Some(connection) = self.model.connection_number(id) else {
            return;
        };
        self.tally.opens += 1;
        let user = self.model.connections[connection].user;
        let was_full = self.model.is_full_for(user, context.thread());
        let reference = reference.unwrap_or_default().into();
        self.model
            .user(user)
            .ask(Ask { connection, id, reference, since: now, was_full, told: None }, context.thread());
        self.turn.touch(user);
    }

    /// The newest token decides for the whole user.
    fn put_on_plan(&mut self, user: usize, plan: PlanId) {
        let turn = self.model.turn;
        let known = self.model.user(user);
        if known.plan != plan {
            known.plan = plan;
            known.plan_since = turn;
            self.tally.reach(Reach::PlanChange);
        }
        self.turn.touch(user);
    }

    fn disconnected(&mut self, now: Moment, user: &UserId, connection: ConnectionId, end: End) {
        let Some((user, number)) = self.user_and_connection(user, connection) else {
            return;
        };
        self.model.user(user).withdraw(|_, ask| ask.connection == number);
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
}
