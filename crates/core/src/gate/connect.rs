//! A connection arrives, speaks, renews its token.

use std::time::Duration;

use crate::breaker::ReclaimStep;
use crate::connection::{Connection, Ping, jittered};
use crate::gate::Step;
use crate::gate::io::{Event, Heartbeat, Manner, Output, PingOutcome, Sign, WriteProgress};
use crate::id::{ConnectionId, RunId, ThreadId};
use crate::lease::Wish;
use crate::liveness::Backlog;
use crate::plans::PlanId;
use crate::refusal::{EvictReason, Refusal};
use crate::timer::Time;
use crate::user::push_tight;

impl Step<'_> {
    pub(super) fn on_connect(
        &mut self,
        id: ConnectionId,
        prev: Option<ConnectionId>,
        heartbeat: Heartbeat,
        expires: Option<Time>,
        plan: PlanId,
    ) {
        if let Some(retry_in) = self.draining {
            return self.refuse(id, None, None, Refusal::Draining { retry_in }, Duration::ZERO);
        }
        // An id is drawn once: the same one again is a mistake of the driver, and no second socket.
        if self.user.connection(id).is_some() || self.user.closing.iter().any(|closing| closing.connection == id) {
            return;
        }
        self.put_on_plan(plan);
        let jitter = self.draw();
        let next_ping = self.clock.now + jittered(self.limits.ping_interval, jitter);
        let connection = Connection::new(id, heartbeat, expires, self.clock.now, next_ping);
        push_tight(&mut self.user.connections, connection);
        // The old socket of the same tab leaves the count before any limit is looked at (hazard R1).
        let prev = prev.filter(|prev| *prev != id);
        let superseded = prev.filter(|prev| self.take_over(*prev, id));
        if let (Some(prev), None, true) = (prev, superseded, self.counts_with_others()) {
            let user = self.user.id.clone();
            self.emit(Output::Wish(Wish::Supersede { user, connection: prev }));
        }
        self.bound_connections(id);
        let user = self.user.id.clone();
        self.tell(Event::Connected { user: user.clone(), connection: id, superseded });
        let usage = self.tell_usage(id);
        self.emit(Output::Connected { user, connection: id, superseded, expires, usage });
    }

    /// The newest token decides for the whole user. A limit that falls evicts nobody by itself.
    fn put_on_plan(&mut self, plan: PlanId) {
        self.user.plan = plan;
        self.limits = self.shelf.lay(self.plans.limits(plan), self.lent);
    }

    /// Moves the sessions and the waiting opens of `old` to `new` and closes `old`. The sessions keep their slots; each
    /// has to be opened within the linger. An id that this user does not hold is ignored, so a stolen one is worthless.
    fn take_over(&mut self, old: ConnectionId, new: ConnectionId) -> bool {
        if self.user.connection(old).is_none() {
            return false;
        }
        let claim = Some(self.clock.now + self.limits.linger);
        let mut moved = Vec::new();
        for session in &mut self.user.sessions {
            if let Some(attachment) = session.attachment_mut(old) {
                attachment.connection = new;
                attachment.claim = claim;
                moved.push(session.thread.clone());
            }
        }
        for thread in moved {
            let key = self.user.key(&thread);
            self.emit(Output::Detached { key, connection: old });
        }
        for asker in self.user.waiting.iter_mut().flat_map(|waiter| &mut waiter.askers) {
            if asker.context.connection() == old {
                asker.context = asker.context.clone().with_connection(new);
                asker.told = None;
            }
        }
        self.drop_connection(old, EvictReason::Superseded, Manner::Handshake);
        true
    }

    /// The newest connection wins; the least worthy of the others goes. One for one: a bound that was lowered closes
    /// nothing by itself.
    fn bound_connections(&mut self, newest: ConnectionId) {
        let user = &*self.user;
        if user.connections.len() <= self.limits.max_connections_per_user {
            return;
        }
        let others = user.connections.iter().filter(|connection| connection.id != newest);
        if let Some(worst) = others.map(|connection| user.worth(connection, &self.clock, self.limits)).min() {
            self.drop_connection(worst.connection, EvictReason::MadeRoomForConnection, Manner::Handshake);
        }
    }

    pub(super) fn on_heard(&mut self, id: ConnectionId, sign: Sign) {
        let (now, clock) = (self.clock.now, self.clock);
        let Some(connection) = self.user.connection_mut(id) else {
            return;
        };
        if connection.is_life(sign) {
            connection.on_life(&clock);
        }
        if sign == Sign::Visible {
            let attached = |session: &&mut crate::session::Session| session.attachment(id).is_some();
            self.user.sessions.iter_mut().filter(attached).for_each(|session| session.last_used = now);
        }
    }

    pub(super) fn on_ping_result(&mut self, id: ConnectionId, outcome: PingOutcome, backlog: Backlog) {
        let awake = self.clock.awake();
        let Some(connection) = self.user.connection_mut(id) else {
            return;
        };
        connection.on_backlog(backlog);
        match outcome {
            PingOutcome::Queued => return,
            // Its task hears of the broken socket as well and disconnects; until then it stays without an answer.
            PingOutcome::Failed => connection.ping = Ping::Idle,
            PingOutcome::Written if connection.ping == Ping::Ordered => connection.ping = Ping::Written(awake),
            PingOutcome::Written => {}
        }
        let round = self.user.round.as_mut();
        let Some(asked) = round.and_then(|round| round.asked.iter_mut().find(|asked| asked.connection == id)) else {
            return;
        };
        match outcome {
            PingOutcome::Queued => {}
            PingOutcome::Failed => {
                let user = self.user.id.clone();
                self.tell(Event::ProbeFailed { user, connection: id });
                self.on_step_failure(ReclaimStep::Probe);
            }
            PingOutcome::Written => {
                if asked.written.len() < 2 {
                    asked.written.push(awake);
                }
                self.on_step_success(ReclaimStep::Probe);
            }
        }
    }

    pub(super) fn on_backlog(&mut self, id: ConnectionId, progress: WriteProgress) {
        let awake = self.clock.awake();
        let Some(connection) = self.user.connection_mut(id) else {
            return;
        };
        connection.blocked_since = match progress {
            WriteProgress::Blocked | WriteProgress::Moved => Some(awake),
            WriteProgress::Cleared => None,
        };
    }

    pub(super) fn on_renew(&mut self, id: ConnectionId, expires: Option<Time>, plan: PlanId) {
        let now = self.clock.now;
        if let Some(connection) = self.user.connection_mut(id) {
            connection.on_renewal(expires, now);
            self.put_on_plan(plan);
        }
    }

    pub(super) fn on_run_started(&mut self, thread: &ThreadId, run: RunId) {
        if !self.user.runs.iter().any(|(busy, known)| busy == thread && *known == run) {
            push_tight(&mut self.user.runs, (thread.clone(), run));
        }
        self.on_used(thread);
    }

    pub(super) fn on_run_ended(&mut self, thread: &ThreadId, run: &RunId) {
        self.user.runs.retain(|(busy, known)| busy != thread || known != run);
        if self.user.runs.is_empty() {
            self.user.runs = Vec::new();
        }
    }

    pub(super) fn on_used(&mut self, thread: &ThreadId) {
        let now = self.clock.now;
        if let Some(index) = self.user.session_index(thread) {
            self.user.sessions[index].last_used = now;
        }
    }
}
