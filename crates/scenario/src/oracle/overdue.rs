//! The rules about time: what has to have happened by now, and that nothing is left at the end.

use std::time::Duration;

use lychgate_core::{PlanId, Time, UserId};

use super::{LATE, Oracle, Rule};
use crate::model::{Moment, user_id};

/// Slack for deadlines that are held against the gate: they are exact in simulation, but ours are whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// M11: background reclaim starts so soon after a crossing of its mark.
const STARTS_WITHIN: Duration = Duration::from_secs(1);

impl Oracle {
    /// Time has passed: what has to have happened by now.
    pub fn overdue(&mut self, now: Moment) {
        self.overdue_places(now);
        self.overdue_connections(now);
        self.overdue_sessions(now);
        self.overdue_reclaim(now);
    }

    fn overdue_connections(&mut self, now: Moment) {
        // The same for every plan: no plan changes how the living are told from the dead.
        let limits = self.model.plans.limits(PlanId::default());
        let dead_for = limits.ping_interval * (limits.missed_pings + 1) * 11 / 10 + limits.ping_answer + SLACK;
        let blocked_for = limits.write_stall + SLACK;
        let expired_for = limits.expiry_grace + SLACK;
        let exceeds = |since: Option<Time>, most| since.is_some_and(|since| now.ran.since(since) > most);
        let found = self.model.connections.iter().filter(|it| it.is_registered()).find_map(|it| match () {
            () if exceeds(it.dead_since, dead_for) => Some((it.id, "dead", dead_for)),
            () if exceeds(it.blocked_since, blocked_for) => Some((it.id, "blocked", blocked_for)),
            () if exceeds(it.expires, expired_for) => Some((it.id, "expired", expired_for)),
            () => None,
        });
        if let Some((id, what, limit)) = found {
            self.fail(Rule::Found, now, || format!("{id} is still counted, {what} for more than {limit:?}"));
        }
    }

    fn overdue_sessions(&mut self, now: Moment) {
        let most = self.model.plans.limits(PlanId::default()).linger + SLACK;
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

    /// M11: what nobody is attached to is taken within a second of a crossing and at each interval after it, as long as
    /// its user is above the mark.
    fn overdue_reclaim(&mut self, now: Moment) {
        let found = self.model.users.iter().enumerate().find_map(|(number, user)| {
            let (pressed_since, by_session) = user.pressed_since?;
            let interval = self.model.limits(number).reclaim_interval;
            let is_left_over = |since: Time| {
                let was_there = since < pressed_since.ran;
                let most = if was_there && by_session { Duration::ZERO } else { interval };
                now.ran.since(since.max(pressed_since.ran)) > most + STARTS_WITHIN + LATE
            };
            let detached = user.sessions.iter().filter(|it| !it.is_claimed && it.connections(now).next().is_none());
            let mut detached = detached.filter(|it| it.bare_since.is_some_and(is_left_over));
            detached.next().map(|session| (number, session.thread.clone()))
        });
        if let Some((user, thread)) = found {
            self.fail(Rule::Background, now, || {
                format!("user {user} is above the mark, and nobody has taken session {thread}, which has no connection")
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
