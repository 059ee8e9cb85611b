//! The ladder inside an admission.
//!
//! ```text
//!  open at the limit
//!    Conservative, Moderate: enough? -> evict, admit, at once
//!    Aggressive: ask every connection twice (probe); the newcomer waits for the round that begins after it asked
//!      all answered, or the probe deadline, or the ladder's -> Force takes the worst that is not protected -> admit
//!      everybody is protected -> reserve, queue, takeover (wait)
//! ```

use crate::admission::{self, Decision};
use crate::gate::Step;
use crate::gate::io::{AdmissionPath, Cause, Event, Eviction};
use crate::id::{ConnectionId, SessionKey};
use crate::limits::Force;
use crate::liveness::{Liveness, ZombieKind};
use crate::queue::{Asker, Waiter};
use crate::reclaim::{self, EvictionPlan, ReclaimLevel};
use crate::user::push_tight;

impl Step<'_> {
    pub(super) fn climb(&mut self, asker: Asker) {
        let key = asker.context.key().clone();
        let connection = asker.context.connection();
        let thread = asker.context.thread();
        // It waits even while its own admission evicts: a waiting open keeps the newcomer's socket open when the
        // session that goes was the last one on it.
        match self.user.waiting.iter().position(|waiter| waiter.thread() == thread) {
            Some(place) => return self.user.waiting[place].join(asker, self.limits.max_connections_per_user),
            None => push_tight(&mut self.user.waiting, Waiter::new(asker, &self.clock)),
        }
        if self.user.waiting.len() == 1 {
            self.efforts.tried(ReclaimLevel::Conservative);
            if self.admit_first(ReclaimLevel::Moderate) {
                return;
            }
            self.efforts.tried(ReclaimLevel::Moderate);
        }
        self.tell(Event::Waiting { key, connection });
        if self.user.round.is_none() {
            self.start_round();
        }
        // The queue is bounded by serving its head early, never by refusing.
        while self.user.waiting.len() > self.limits.max_waiting_opens_per_user {
            self.serve_first_anyhow();
        }
    }

    /// Whom `level` would take for one newcomer.
    pub(super) fn plan_one(&self, level: ReclaimLevel) -> EvictionPlan {
        let level = match (level, self.limits.force) {
            (ReclaimLevel::Force, Force::Never) => ReclaimLevel::Aggressive,
            (level, Force::Evict | Force::Never) => level,
        };
        let mut facts = self.user.facts(&self.clock, self.limits);
        // Who was served from the queue is not taken for the next one in it a moment later: as long as that one has time
        // to wait, what was opened or used since he came counts as protected.
        if let Some(first) = self.user.waiting.first().filter(|first| first.queued && !self.is_overdue(first)) {
            let recent = facts.iter_mut().filter(|facts| facts.last_used > first.since);
            recent.for_each(|facts| facts.protected = true);
        }
        reclaim::plan(level, &facts, 1)
    }

    /// Whether every session that lives is protected, and Force would find nobody however long it waited.
    pub(super) fn all_are_protected(&self) -> bool {
        let facts = self.user.facts(&self.clock, self.limits);
        match self.limits.force {
            Force::Never => true,
            Force::Evict => reclaim::plan(ReclaimLevel::Force, &facts, 1).is_empty(),
        }
    }

    /// Evicts one session that `level` reaches for the first who waits; the level that it took.
    fn reclaim_one(&mut self, level: ReclaimLevel) -> Option<ReclaimLevel> {
        let pick = *self.plan_one(level).first()?;
        let newcomer = Cause::Newcomer(self.user.waiting.first()?.thread().clone());
        let thread = self.user.sessions[pick.index].thread.clone();
        self.evict(&thread, pick.level, newcomer);
        Some(pick.level)
    }

    /// Serves whoever waits and can be served without a probe: a slot came free, of the limit or of the reserve, or a
    /// session was detached. Whoever stands in the queue has a fresh probe made for him once Force has a choice again.
    pub(super) fn serve_waiters(&mut self) {
        while let Some(first) = self.user.waiting.first() {
            let queued = first.queued;
            if self.admit_first(ReclaimLevel::Moderate) {
                continue;
            }
            // A slot of the reserve came free, or the reserve may open again.
            if !(queued && self.degrade_first(false)) {
                break;
            }
        }
        let is_ordered = self.user.round.as_ref().is_some_and(|round| round.reclaims);
        let climbs = self.user.waiting.iter().any(|waiter| !waiter.queued);
        match self.user.round {
            _ if self.user.waiting.is_empty() && !is_ordered => self.user.round = None,
            None if climbs || !self.plan_one(ReclaimLevel::Force).is_empty() => self.start_round(),
            Some(_) | None => {}
        }
    }

    /// Admits the first waiter if `level` suffices, or finds that nobody asks in earnest; true if the queue moved.
    pub(super) fn admit_first(&mut self, level: ReclaimLevel) -> bool {
        let Some(first) = self.user.waiting.first() else {
            return false;
        };
        // Nobody who lives goes for the sake of an open whose own socket is dead.
        if let Some((dead, kind)) = self.dead_asker(first) {
            self.bury(dead, kind);
            return true;
        }
        let queued = first.queued;
        let key = first.askers[0].context.key().clone();
        let decision = admission::decide(&admission::Question { others_wait: false, ..self.question(first.thread()) });
        let path = match decision {
            Decision::Refuse | Decision::Attach | Decision::Admit if queued => AdmissionPath::Queue,
            Decision::Refuse | Decision::Attach | Decision::Admit => AdmissionPath::Free,
            // The user came to a plan whose limit only tells while this one waited.
            Decision::Reclaim if self.limit_only_tells() => {
                self.tell_shadow(key);
                AdmissionPath::Shadow
            }
            Decision::Reclaim => match self.reclaim_one(level) {
                Some(_) if queued => AdmissionPath::Queue,
                Some(level) => AdmissionPath::Reclaimed(level),
                None => return false,
            },
        };
        let askers = self.user.waiting.remove(0).askers;
        match decision {
            Decision::Refuse => askers.into_iter().for_each(|asker| self.refuse_draining(asker)),
            Decision::Attach => askers.into_iter().for_each(|asker| self.attach(asker)),
            Decision::Admit | Decision::Reclaim => self.create(askers, path),
        }
        true
    }

    fn dead_asker(&self, waiter: &Waiter) -> Option<(ConnectionId, ZombieKind)> {
        let connections = waiter.askers.iter().map(|asker| asker.context.connection());
        connections.filter_map(|id| self.user.connection(id)).find_map(|connection| {
            match connection.liveness(&self.clock, self.limits) {
                Liveness::Zombie(kind) => Some((connection.id, kind)),
                Liveness::Alive | Liveness::Suspect => None,
            }
        })
    }

    /// In shadow mode: tells what an admission would have had to do.
    pub(super) fn tell_shadow(&mut self, newcomer: SessionKey) {
        match self.plan_one(ReclaimLevel::Force).first() {
            Some(pick) => self.tell_would_evict(pick.index, pick.level),
            None => self.tell(Event::WouldWait { key: newcomer }),
        }
    }

    pub(super) fn tell_would_evict(&mut self, session: usize, level: ReclaimLevel) {
        let session = &self.user.sessions[session];
        let best = self.user.best_evidence(session, &self.clock, self.limits);
        let evidence = best.map(|(_, evidence)| evidence).unwrap_or_default();
        let key = self.user.key(&session.thread);
        self.tell(Event::WouldEvict { key, eviction: Eviction { level, evidence } });
    }
}
