//! The rules about time: what has to have happened by now, and that nothing is left at the end.

use std::time::Duration;

use lychgate_core::{Time, UserId};

use super::{Oracle, Rule};
use crate::model::{Moment, user_id};

/// Slack for deadlines that are held against the gate: they are exact in simulation, but ours are whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// I3.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Oracle {
    /// Time has passed: what has to have happened by now.
    pub fn overdue(&mut self, now: Moment) {
        if let Some(pending) = self.pending.front()
            && now.ran.since(pending.since.ran) > ANSWER_WITHIN
        {
            let id = self.model.connections[pending.connection].id;
            let reference = pending.reference.clone();
            self.fail(Rule::Answer, now, || format!("open {reference} on {id} has no answer after {ANSWER_WITHIN:?}"));
        }
        self.overdue_connections(now);
        self.overdue_sessions(now);
    }

    fn overdue_connections(&mut self, now: Moment) {
        let limits = &self.model.limits;
        let dead_for = limits.ping_interval * (limits.missed_pings + 1) * 11 / 10 + limits.ping_answer + SLACK;
        let blocked_for = limits.write_stall + SLACK;
        let exceeds = |since: Option<Time>, most| since.is_some_and(|since| now.ran.since(since) > most);
        let found = self.model.connections.iter().filter(|it| it.is_registered()).find_map(|it| match () {
            () if exceeds(it.dead_since, dead_for) => Some((it.id, "dead", dead_for)),
            () if exceeds(it.blocked_since, blocked_for) => Some((it.id, "blocked", blocked_for)),
            () if exceeds(it.expires, SLACK) => Some((it.id, "expired", SLACK)),
            () => None,
        });
        if let Some((id, what, limit)) = found {
            self.fail(Rule::Found, now, || format!("{id} is still counted, {what} for more than {limit:?}"));
        }
    }

    fn overdue_sessions(&mut self, now: Moment) {
        let most = self.model.limits.linger + SLACK;
        let lingers = |since: Option<Time>| since.is_some_and(|since| now.ran.since(since) > most);
        let found = self.model.users.iter().enumerate().find_map(|(user, it)| {
            let session = it.sessions.iter().find(|session| lingers(session.bare_since))?;
            Some((user, session.thread.clone()))
        });
        if let Some((user, thread)) = found {
            self.fail(Rule::Linger, now, || {
                format!("session {thread} of user {user} has had no connection for more than {most:?}")
            });
        }
    }

    /// Everybody has left and the linger is over: nothing may be left.
    pub fn finished(&mut self, now: Moment, count: impl Fn(&UserId) -> usize) {
        for user in 0..self.model.users.len() {
            let held = self.model.users[user].held();
            let counted = count(&user_id(user));
            if held > 0 || counted > 0 {
                self.fail(Rule::Pairing, now, || {
                    format!("user {user} has left, but {held} sessions were not taken back, the gate counts {counted}")
                });
            }
        }
        let registered = self.model.connections.iter().find(|it| it.is_registered());
        if let Some(id) = registered.map(|it| it.id) {
            self.fail(Rule::Close, now, || format!("{id} is still counted though everybody left"));
        }
    }
}
