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
use crate::gate::io::{AdmissionPath, Event, Eviction};
use crate::id::{ConnectionId, SessionKey};
use crate::lease::Claim;
use crate::limits::Force;
use crate::liveness::{Liveness, ZombieKind};
use crate::queue::{Asker, Waiter};
use crate::reclaim::{self, EvictionPlan, Facts, ReclaimLevel};
use crate::user::push_tight;

/// What became of the first waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It waits no longer.
    Yes,
    /// It waits on.
    No,
    /// It waits for the answer of other nodes.
    Asked,
}

/// Whether a waiter may wait on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It may.
    Left,
    /// Its time is over, or the queue is too long.
    Gone,
}

impl Step<'_> {
    pub(super) fn climb(&mut self, asker: Asker) {
        let key = asker.context.key().clone();
        let connection = asker.context.connection();
        let thread = asker.context.thread();
        // It waits even while its own admission evicts: a waiting open keeps the newcomer's socket open when the
        // session that goes was the last one on it.
        match self.user.waiting.iter().position(|waiter| waiter.thread() == thread) {
            Some(place) => return self.user.waiting[place].join(asker, self.limits.max_connections_per_user),
            None => {
                let waiter = Waiter::new(asker, self.fresh_claim(), &self.clock);
                push_tight(&mut self.user.waiting, waiter);
            }
        }
        // All nodes are asked first, for one waiter after the other: those who came first are served first.
        if self.lease.is_some() {
            self.admit_first(ReclaimLevel::Moderate);
            return self.bound_waiters();
        }
        if self.user.waiting.len() == 1 {
            self.efforts.tried(ReclaimLevel::Conservative);
            if self.admit_first(ReclaimLevel::Moderate) == Moved::Yes {
                return;
            }
            self.efforts.tried(ReclaimLevel::Moderate);
        }
        self.tell(Event::Waiting { key, connection });
        if self.user.round.is_none() {
            self.start_round();
        }
        self.bound_waiters();
    }

    /// The queue is bounded by serving its head early, never by refusing.
    fn bound_waiters(&mut self) {
        while self.user.waiting.len() > self.limits.max_waiting_opens_per_user
            && self.serve_first_anyhow() == Moved::Yes
        {}
    }

    /// Whom `level` would take for one newcomer.
    pub(super) fn plan_one(&self, level: ReclaimLevel) -> EvictionPlan {
        self.plan_one_of(level, self.facts())
    }

    pub(super) fn plan_one_of(&self, level: ReclaimLevel, mut facts: Vec<Facts>) -> EvictionPlan {
        let level = match (level, self.limits.force) {
            (ReclaimLevel::Force, Force::Never) => ReclaimLevel::Aggressive,
            (level, Force::Evict | Force::Never) => level,
        };
        // Who was served from the queue is not taken for the next one in it a moment later: as long as that one has time
        // to wait, what was opened or used since he came counts as protected.
        if let Some(first) = self.user.waiting.first().filter(|first| first.queued && !self.is_overdue(first)) {
            let waited = self.clock.now.since(first.since);
            let recent = facts.iter_mut().filter(|facts| facts.unused_for < waited);
            recent.for_each(|facts| facts.protected = true);
        }
        reclaim::plan(level, &facts, 1)
    }

    /// Whether every session that lives is protected, and Force would find nobody however long it waited.
    pub(super) fn all_are_protected(&self) -> bool {
        let facts = self.facts();
        match self.limits.force {
            Force::Never => true,
            Force::Evict => reclaim::plan(ReclaimLevel::Force, &facts, 1).is_empty(),
        }
    }

    /// Serves whoever waits and can be served without a probe: a slot came free, of the limit or of the reserve, or a
    /// session was detached. Whoever stands in the queue has a fresh probe made for him once Force has a choice again.
    pub(super) fn serve_waiters(&mut self) {
        while let Some(first) = self.user.waiting.first() {
            let queued = first.queued;
            match self.admit_first(ReclaimLevel::Moderate) {
                Moved::Yes => continue,
                Moved::Asked => return,
                Moved::No => {}
            }
            // A slot of the reserve came free, or the reserve may open again.
            if !(queued && self.degrade_first(Patience::Left) == Moved::Yes) {
                break;
            }
        }
        if self.user.waiting.first().is_some_and(Waiter::is_asking) {
            return;
        }
        let is_ordered = self.user.round.as_ref().is_some_and(|round| round.reclaims);
        let climbs = self.user.waiting.iter().any(Waiter::climbs);
        match self.user.round {
            _ if self.user.waiting.is_empty() && !is_ordered => self.user.round = None,
            None if climbs || !self.plan_one(ReclaimLevel::Force).is_empty() => self.start_round(),
            Some(_) | None => {}
        }
    }

    /// Admits the first waiter if `level` suffices, or finds that nobody asks in earnest.
    pub(super) fn admit_first(&mut self, level: ReclaimLevel) -> Moved {
        let Some(first) = self.user.waiting.first() else {
            return Moved::No;
        };
        // Nobody who lives goes for the sake of an open whose own socket is dead.
        if let Some((dead, kind)) = self.dead_asker(first) {
            self.bury(dead, kind);
            return Moved::Yes;
        }
        if first.is_asking() {
            return Moved::Asked;
        }
        let queued = first.queued;
        let free = if queued { AdmissionPath::Queue } else { AdmissionPath::Free };
        let decision = admission::decide(&admission::Question { others_wait: false, ..self.question(first.thread()) });
        match decision {
            Decision::Refuse => {
                let askers = self.user.waiting.remove(0).askers;
                askers.into_iter().for_each(|asker| self.refuse_draining(asker));
                Moved::Yes
            }
            Decision::Attach => {
                let askers = self.user.waiting.remove(0).askers;
                askers.into_iter().for_each(|asker| self.attach(asker));
                Moved::Yes
            }
            Decision::Admit => self.settle_first(None, free),
            Decision::Reclaim if matches!(first.claim, Claim::Unasked) => self.settle_first(None, free),
            // The user came to a plan whose limit only tells while this one waited.
            Decision::Reclaim if self.limit_only_tells() => {
                let key = first.askers[0].context.key().clone();
                self.tell_shadow(key);
                self.settle_first(None, AdmissionPath::Shadow)
            }
            Decision::Reclaim => match self.plan_one(level).first() {
                Some(&pick) if queued => self.settle_first(Some(pick), AdmissionPath::Queue),
                Some(&pick) => self.settle_first(Some(pick), AdmissionPath::Reclaimed(pick.level)),
                None => Moved::No,
            },
        }
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
        let Some(session) = self.user.sessions.get(session) else { return };
        let best = self.user.best_evidence(session, &self.clock, self.limits);
        let evidence = best.map(|(_, evidence)| evidence).unwrap_or_default();
        let key = self.user.key(&session.thread);
        self.tell(Event::WouldEvict { key, eviction: Eviction { level, evidence } });
    }
}
