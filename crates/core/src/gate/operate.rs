//! What an operator asks for: reclaim by hand, another limit for a while, other plans.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::breaker::ReclaimStep;
use crate::gate::io::{Cause, Event, Manner, Output};
use crate::gate::{Gate, Step};
use crate::id::{ThreadId, UserId};
use crate::limits::{LimitSpec, Limits};
use crate::plans::{PlanId, Plans};
use crate::reclaim::{self, ReclaimLevel};
use crate::refusal::EvictReason;
use crate::session::Attachment;
use crate::timer::Time;

/// Users of one gate who may have a lent limit at a time: memory is bounded.
const MAX_LENT: usize = 1_024;

/// Limits on sessions that operators lent, each for a while. Everything else that holds for the user is his plan's, as it
/// is at the moment.
#[derive(Debug, Default)]
pub(super) struct Lent(BTreeMap<UserId, (usize, Time)>);

impl Lent {
    /// What was lent to this user and has not ended, and when it does. Nothing wakes the gate then: whoever acts next finds
    /// it over.
    pub(super) fn to(&self, user: &UserId, now: Time) -> Option<(usize, Time)> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(user).copied().filter(|(_, until)| *until > now)
    }
}

/// Where limits lie for the length of a step that are no plan's own: those that the step begins with, and those after the
/// user came to another plan in it.
#[derive(Default)]
pub(super) struct Shelf([OnceCell<Limits>; 2]);

impl Shelf {
    /// The limits of a plan with what was lent laid over them.
    pub(super) fn lay<'a>(&'a self, of_plan: &'a Limits, lent: Option<usize>) -> &'a Limits {
        let Some(sessions) = lent else { return of_plan };
        let Some(place) = self.0.iter().find(|place| place.get().is_none()) else { return of_plan };
        place.get_or_init(|| laid(of_plan, sessions).unwrap_or_else(|| of_plan.clone()))
    }
}

/// A plan's limits with another number of sessions; none where the two contradict each other.
pub(super) fn laid(of_plan: &Limits, sessions: usize) -> Option<Limits> {
    Limits::new(LimitSpec { max_sessions_per_user: sessions, ..(**of_plan).clone() }).ok()
}

impl Gate {
    pub(super) fn on_lend(&mut self, user: &UserId, sessions: Option<usize>, lasting: Duration) {
        let now = self.clock.now;
        let lent = &mut self.lent.0;
        lent.retain(|_, (_, until)| *until > now);
        let of_plan =
            self.plans.limits(self.index.get(user).map_or_else(PlanId::default, |slot| {
                self.users[*slot].as_ref().map(|user| user.plan).unwrap_or_default()
            }));
        match sessions {
            None => drop(lent.remove(user)),
            Some(sessions) if laid(of_plan, sessions).is_none() => {}
            Some(_) if lent.len() >= MAX_LENT && !lent.contains_key(user) => {}
            Some(sessions) => drop(lent.insert(user.clone(), (sessions, now + lasting))),
        }
        // Whoever waits may be served now, and whoever is here is told where he stands.
        self.step(user, super::Presence::Known, |_| {});
    }

    /// Whoever waits for a slot is told at once that there will be none here.
    pub(super) fn on_drain(&mut self, retry_in: Duration) {
        self.draining = Some(retry_in);
        for slot in 0..self.users.len() {
            if self.users[slot].as_ref().is_some_and(|user| !user.waiting.is_empty()) {
                self.step_at(slot, |_| {});
            }
        }
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
                self.efforts.tried(level);
                // An order is one to this node: of others none goes, although a newcomer who waits may know of them.
                let own = self.user.facts(&self.clock, self.limits);
                if let Some(&pick) = self.plan_one_of(level, own).first()
                    && let Some(session) = self.user.sessions.get(pick.index)
                {
                    let thread = session.thread.clone();
                    self.evict(&thread, pick.level, Cause::Order);
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
        self.efforts.tried(level);
        let facts = self.user.facts(&self.clock, self.limits);
        let picks = reclaim::plan(level, &facts, facts.len()).into_iter();
        let victims: Vec<_> = picks.map(|pick| (self.user.sessions[pick.index].thread.clone(), pick.level)).collect();
        for (thread, level) in victims {
            self.evict(&thread, level, Cause::Order);
        }
    }
}
