//! The ladder inside an admission, the probe that its third level needs, and those who wait for it.
//!
//! ```text
//!  open at the limit
//!    Conservative, Moderate: enough? -> evict, admit, at once
//!    Aggressive: ask every connection twice; the newcomer waits for the round that begins after it asked
//!      all answered, or the probe deadline -> evict what is gone, else Force -> admit
//!      the ladder's deadline               -> Force with what is known -> admit
//! ```

use crate::admission::{self, Decision};
use crate::gate::Step;
use crate::gate::io::{AdmissionPath, Event, Output};
use crate::liveness::Liveness;
use crate::queue::{Asked, Round, Waiter};
use crate::reclaim::{self, ReclaimLevel};
use crate::user::push_tight;

impl Step<'_> {
    pub(super) fn climb(&mut self, waiter: Waiter) {
        let key = waiter.context.key().clone();
        let connection = waiter.connection();
        // It waits even while its own admission evicts: a waiting open keeps the newcomer's socket open when the
        // session that goes was the last one on it.
        push_tight(&mut self.user.waiting, waiter);
        if self.user.waiting.len() == 1 && self.admit_first(ReclaimLevel::Moderate) {
            return;
        }
        self.tell(Event::Waiting { key, connection });
        if self.user.round.is_none() {
            self.start_round();
        }
        // The queue is bounded by serving its head early, never by refusing.
        if self.user.waiting.len() > self.limits.max_waiting_opens_per_user {
            self.admit_first(ReclaimLevel::Force);
        }
    }

    /// Evicts `need` sessions that `level` reaches, all or none; the highest level that it took.
    fn reclaim(&mut self, level: ReclaimLevel, need: usize) -> Option<ReclaimLevel> {
        let facts = self.user.facts(&self.clock, self.limits);
        let plan = reclaim::plan(level, &facts, need);
        if plan.len() < need {
            return None;
        }
        let highest = plan.iter().map(|pick| pick.level).max()?;
        let victims: Vec<_> =
            plan.iter().map(|pick| (self.user.sessions[pick.index].thread.clone(), pick.level)).collect();
        for (thread, level) in victims {
            self.evict(&thread, level);
        }
        Some(highest)
    }

    /// Serves whoever waits and can be served without a probe: a slot came free, a session was detached.
    pub(super) fn serve_waiters(&mut self) {
        while !self.user.waiting.is_empty() {
            if !self.admit_first(ReclaimLevel::Moderate) {
                break;
            }
        }
        if self.user.waiting.is_empty() {
            self.user.round = None;
        } else if self.user.round.is_none() {
            self.start_round();
        }
    }

    /// Admits the first waiter if `level` suffices; true if it waits no longer.
    fn admit_first(&mut self, level: ReclaimLevel) -> bool {
        let Some(first) = self.user.waiting.first() else {
            return false;
        };
        let connection = first.connection();
        // Nobody who lives goes for the sake of an open whose own socket is dead.
        if let Some(Liveness::Zombie(kind)) =
            self.user.connection(connection).map(|connection| connection.liveness(&self.clock, self.limits))
        {
            self.bury(connection, kind);
            return true;
        }
        let decision = admission::decide(&admission::Question { others_wait: false, ..self.question(first) });
        let path = match decision {
            Decision::Refuse | Decision::Attach | Decision::Admit => AdmissionPath::Free,
            Decision::Reclaim { need } => match self.reclaim(level, need) {
                Some(level) => AdmissionPath::Reclaimed(level),
                None => return false,
            },
        };
        let waiter = self.user.waiting.remove(0);
        match decision {
            Decision::Refuse => self.refuse_waiter(waiter),
            Decision::Attach => self.attach(waiter),
            Decision::Admit | Decision::Reclaim { .. } => self.create(waiter, path),
        }
        true
    }

    /// Asks every connection of this user for a sign of life.
    fn start_round(&mut self) {
        let asked = self
            .user
            .connections
            .iter()
            .map(|connection| Asked { connection: connection.id, written: smallvec::SmallVec::new() });
        self.user.round = Some(Box::new(Round {
            started: self.clock.now,
            started_awake: self.clock.awake(),
            second_asked: false,
            asked: asked.collect(),
        }));
        self.ask_silent();
        self.on_probe_answer();
    }

    /// Pings those who have not been heard since the round began.
    fn ask_silent(&mut self) {
        let user = &*self.user;
        let Some(round) = &user.round else { return };
        let silent = user.connections.iter().filter(|connection| connection.heard < round.started);
        let pings: Vec<_> =
            silent.map(|connection| Output::Ping { user: user.id.clone(), connection: connection.id }).collect();
        self.out.extend(pings);
    }

    /// Ends the round early once everybody who was asked has answered or is gone.
    pub(super) fn on_probe_answer(&mut self) {
        let Some(round) = &self.user.round else { return };
        let waits_for = |asked: &Asked| {
            self.user.connection(asked.connection).is_some_and(|connection| connection.heard < round.started)
        };
        if !round.asked.iter().any(waits_for) {
            self.end_round();
        }
    }

    /// What the round is due for: its second pings, or its end.
    pub(super) fn advance_round(&mut self) {
        let Some(round) = &mut self.user.round else { return };
        let elapsed = self.clock.awake().since(round.started_awake);
        if elapsed >= self.limits.probe_deadline {
            self.end_round();
        } else if elapsed >= self.limits.probe_gap && !round.second_asked {
            round.second_asked = true;
            self.ask_silent();
        }
    }

    /// Writes down who did not answer, and serves all who asked before the round began.
    fn end_round(&mut self) {
        let Some(round) = self.user.round.take() else { return };
        // A ping that left late had no fair chance to be answered: half of what the second one is due counts.
        let fair = (self.limits.probe_deadline - self.limits.probe_gap) / 2;
        let awake = self.clock.awake();
        for asked in &round.asked {
            let unanswered = asked.written.iter().filter(|at| awake.since(**at) >= fair).count();
            if let Some(connection) = self.user.connection_mut(asked.connection)
                && connection.heard < round.started
            {
                connection.missed_probes = unanswered as u32;
            }
        }
        while self.user.waiting.first().is_some_and(|waiter| waiter.since <= round.started) {
            self.admit_first(ReclaimLevel::Force);
        }
    }

    /// Serves those whose ladder has taken too long, with what is known: round after round of the others' probes.
    pub(super) fn serve_overdue(&mut self) {
        let (clock, limits) = (self.clock, self.limits);
        let is_overdue = |waiter: &Waiter| waiter.deadline(&clock, limits) <= clock.now;
        while self.user.waiting.first().is_some_and(is_overdue) {
            self.admit_first(ReclaimLevel::Force);
        }
    }

    /// Tells everybody of this user when his band changes, and sets background reclaim going above its watermark.
    pub(super) fn note_pressure(&mut self) {
        use crate::limits::Pressure;

        let usage = self.usage();
        let was = std::mem::replace(&mut self.user.pressure, usage.level);
        if was == usage.level {
            return;
        }
        self.tell(Event::Pressure { user: self.user.id.clone(), usage });
        let connections: Vec<_> = self.user.connections.iter().map(|connection| connection.id).collect();
        for connection in connections {
            self.emit(Output::Limit { connection, usage });
        }
        self.user.reclaim_at = match (usage.level, self.user.reclaim_at) {
            (Pressure::Ok | Pressure::Watch, _) => None,
            (Pressure::Warn | Pressure::High | Pressure::Full, due) if was >= Pressure::Warn => due,
            (Pressure::Warn | Pressure::High | Pressure::Full, _) => Some(self.clock.now),
        };
    }
}
