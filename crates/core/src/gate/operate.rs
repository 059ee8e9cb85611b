//! What an operator asks for: reclaim by hand, another limit for a while, other plans.

use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::breaker::ReclaimStep;
use crate::gate::io::{Event, Manner, Output};
use crate::gate::{Gate, Step};
use crate::id::{ThreadId, UserId};
use crate::limits::{LimitSpec, Limits};
use crate::plans::Plans;
use crate::reclaim::{self, ReclaimLevel};
use crate::refusal::EvictReason;
use crate::session::Attachment;
use crate::timer::Time;

/// Users of one gate who may have a lent limit at a time; beyond it the one that ends first goes.
const MAX_LENT: usize = 1_024;

/// Limits that hold for a user for a while, whatever his plan says.
#[derive(Debug)]
pub(super) struct Lent(HashMap<UserId, (Limits, Time), FixedState>);

impl Default for Lent {
    fn default() -> Self {
        Self(HashMap::with_hasher(FixedState::default()))
    }
}

impl Lent {
    /// What was lent to this user and has not ended. Nothing wakes the gate at its end: whoever acts next finds it over.
    pub(super) fn limits(&self, user: &UserId, now: Time) -> Option<&Limits> {
        if self.0.is_empty() {
            return None;
        }
        self.until(user, now).map(|(limits, _)| limits)
    }

    pub(super) fn until(&self, user: &UserId, now: Time) -> Option<(&Limits, Time)> {
        self.0.get(user).filter(|(_, until)| *until > now).map(|(limits, until)| (limits, *until))
    }

    fn lend(&mut self, user: UserId, limits: Limits, now: Time, until: Time) {
        self.0.retain(|_, (_, until)| *until > now);
        if self.0.len() >= MAX_LENT && !self.0.contains_key(&user) {
            let first = self.0.iter().min_by_key(|(user, (_, until))| (*until, *user)).map(|(user, _)| user.clone());
            first.map(|first| self.0.remove(&first));
        }
        self.0.insert(user, (limits, until));
    }
}

impl Gate {
    pub(super) fn on_lend(&mut self, user: UserId, sessions: Option<usize>, lasting: Duration) {
        let now = self.clock.now;
        let of_plan = self.user(&user).map(|user| user.plan).unwrap_or_default();
        let spec = LimitSpec { max_sessions_per_user: sessions.unwrap_or(1), ..(**self.plans.limits(of_plan)).clone() };
        match (sessions, Limits::new(spec)) {
            (None, _) => {
                self.lent.0.remove(&user);
            }
            (Some(_), Ok(limits)) => self.lent.lend(user.clone(), limits, now, now + lasting),
            (Some(_), Err(_)) => {}
        }
        // Whoever waits may be served now, and whoever is here is told where he stands.
        self.step(&user, super::Presence::Known, |_| {});
    }

    /// Puts other plans in force. A user keeps the plan of the same name; one whose plan is gone has everybody's limits
    /// until a new token says otherwise. Limits that fall evict nobody by themselves.
    pub fn replace_plans(&mut self, now: Time, plans: Plans) {
        self.clock.now = self.clock.now.max(now);
        let old = std::mem::replace(&mut self.plans, plans);
        for slot in 0..self.users.len() {
            let Some(user) = self.users[slot].as_deref_mut() else { continue };
            user.plan = old.name(user.plan).and_then(|name| self.plans.find(name)).unwrap_or_default();
            self.step_at(slot, |_| {});
        }
    }
}

impl Step<'_> {
    pub(super) fn on_end(&mut self, thread: &ThreadId, reason: EvictReason) {
        let Some(index) = self.user.session_index(thread) else { return };
        let session = self.user.sessions.remove(index);
        let key = self.user.key(thread);
        self.tell(Event::SessionReleased { key: key.clone(), reason });
        for Attachment { connection, reference, claim: _ } in session.attached {
            let key = key.clone();
            self.emit(Output::Closed { key, connection, reference, reason, session_ended: true, eviction: None });
            if self.user.connection(connection).is_some() && !self.user.is_wanted(connection) {
                self.drop_connection(connection, reason, Manner::Handshake);
            }
        }
    }

    pub(super) fn on_reclaim(&mut self, level: ReclaimLevel) {
        match level {
            ReclaimLevel::Conservative | ReclaimLevel::Moderate => self.reclaim_all(level),
            ReclaimLevel::Force => {
                if let Some(pick) = self.plan_one(level).first() {
                    let thread = self.user.sessions[pick.index].thread.clone();
                    self.evict(&thread, pick.level);
                }
            }
            ReclaimLevel::Aggressive if self.user.connections.is_empty() => self.reclaim_all(level),
            ReclaimLevel::Aggressive => {
                if self.user.round.is_none() && self.may_try(ReclaimStep::Probe) {
                    self.begin_round();
                }
                match &mut self.user.round {
                    Some(round) => round.reclaims = true,
                    // The breaker is open: what is known has to do.
                    None => self.reclaim_all(level),
                }
            }
        }
    }

    /// Evicts whatever `level` reaches.
    pub(super) fn reclaim_all(&mut self, level: ReclaimLevel) {
        let facts = self.user.facts(&self.clock, self.limits);
        let picks = reclaim::plan(level, &facts, facts.len()).into_iter();
        let victims: Vec<_> = picks.map(|pick| (self.user.sessions[pick.index].thread.clone(), pick.level)).collect();
        for (thread, level) in victims {
            self.evict(&thread, level);
        }
    }
}
