//! What comes after the ladder, when every session is protected: the reserve, the queue with positions and a deadline,
//! the takeover of the least recently used session (M14). Whoever waits is told so at once, and whenever it changes.

use crate::admission::{self, Degradation, Dilemma};
use crate::forecast::Trend;
use crate::gate::Step;
use crate::gate::climb::{Moved, Patience};
use crate::gate::io::{AdmissionPath, Event, Output};
use crate::limits::{Mode, Pressure, Usage};
use crate::queue::Waiter;
use crate::reclaim::{self, ReclaimLevel};
use crate::refusal::Refusal;

impl Step<'_> {
    /// The ladder has ended for those whom `is_due` names, the first ones of the queue: Force, then the reserve, then
    /// a place in the queue.
    pub(super) fn conclude(&mut self, is_due: impl Fn(&Waiter) -> bool) {
        while self.user.waiting.first().is_some_and(&is_due) {
            match self.admit_first(ReclaimLevel::Force) {
                Moved::Yes => continue,
                Moved::Asked => return,
                Moved::No => {}
            }
            self.efforts.tried(ReclaimLevel::Force);
            if self.degrade_first(Patience::Left) != Moved::Yes {
                break;
            }
        }
        self.user.waiting.iter_mut().filter(|waiter| is_due(waiter)).for_each(|waiter| waiter.queued = true);
    }

    /// Serves those whose ladder has taken too long, with what is known, and those whose time in the queue is over.
    pub(super) fn serve_overdue(&mut self) {
        let (clock, limits) = (self.clock, self.limits);
        self.conclude(|waiter| !waiter.queued && waiter.deadline(&clock, limits) <= clock.now);
        self.ask_last();
        while self.user.waiting.first().is_some_and(|waiter| self.is_overdue(waiter))
            && self.serve_first_anyhow() == Moved::Yes
        {}
    }

    /// Whether a waiter waits no longer: its time is over, or the queue is too long.
    pub(super) fn is_overdue(&self, waiter: &Waiter) -> bool {
        waiter.gives_up(&self.clock, self.limits) <= self.clock.now
            || self.user.waiting.len() > self.limits.max_waiting_opens_per_user
    }

    /// Asks everybody once more for those whose time in the queue is nearly over. A round that is under way serves them
    /// as well.
    fn ask_last(&mut self) {
        let (clock, limits) = (self.clock, self.limits);
        let mut asks = false;
        for waiter in &mut self.user.waiting {
            if waiter.asks_last(limits).is_some_and(|at| at <= clock.now) {
                waiter.asked_last = Some(clock.awake());
                asks = true;
            }
        }
        if asks && self.user.round.is_none() {
            self.start_round();
        }
    }

    /// Ends the wait of the first in the queue, whatever it takes.
    pub(super) fn serve_first_anyhow(&mut self) -> Moved {
        match self.admit_first(ReclaimLevel::Force) {
            Moved::No => self.degrade_first(Patience::Gone),
            moved @ (Moved::Yes | Moved::Asked) => moved,
        }
    }

    /// What is left to the first waiter when Force has no choice.
    pub(super) fn degrade_first(&mut self, patience: Patience) -> Moved {
        let Some(first) = self.user.waiting.first() else {
            return Moved::No;
        };
        let used = self.question(first.thread()).used;
        let overdue = patience == Patience::Gone;
        let dilemma =
            Dilemma { used, limit_with_reserve: self.limit_with_reserve(), overdue, force: self.limits.force };
        match admission::degrade(&dilemma) {
            Degradation::Queue => Moved::No,
            Degradation::Reserve => self.settle_first(None, AdmissionPath::Reserve),
            Degradation::TakeOver => self.settle_first(reclaim::takeover(&self.facts()), AdmissionPath::Queue),
            Degradation::Refuse => {
                let retry_in = self.limits.queue_deadline;
                for asker in self.user.waiting.remove(0).askers {
                    self.refuse_asker(asker, Refusal::NoSlot { retry_in });
                }
                Moved::Yes
            }
        }
    }

    /// Sessions that he may hold now: with the reserve while it takes newcomers, or if it may open, and only while
    /// nobody else could go.
    pub(super) fn limit_with_reserve(&self) -> usize {
        if self.limits.mode == Mode::Shadow {
            return self.limits.ceiling();
        }
        let is_open = match &self.user.reserve {
            None => true,
            Some(reserve) => reserve.left(self.clock.now, self.limits).is_some(),
        };
        let reserve = if is_open && self.all_are_protected() { self.limits.reserve_sessions } else { 0 };
        self.limits.max_sessions_per_user.saturating_add(reserve)
    }

    /// Watches over the reserve's window and over the way back to the limit.
    pub(super) fn note_reserve(&mut self) {
        let is_above = self.user.sessions.len() > self.limits.max_sessions_per_user;
        if let Some(reserve) = &mut self.user.reserve {
            reserve.note(is_above, self.clock.now);
        }
        self.forget_reserve();
    }

    /// Forgets a reserve that may open again: before a step as well, or whoever is served late, because we stood still,
    /// would find it closed.
    pub(super) fn forget_reserve(&mut self) {
        let (now, limits) = (self.clock.now, self.limits);
        self.user.reserve.take_if(|reserve| reserve.is_over(now, limits));
    }

    /// Tells everybody in the queue his position, once and whenever it changes.
    pub(super) fn tell_positions(&mut self) {
        let mut said = Vec::new();
        for (index, waiter) in self.user.waiting.iter_mut().enumerate().filter(|(_, waiter)| waiter.queued) {
            let position = index + 1;
            let deadline = waiter.gives_up(&self.clock, self.limits).since(self.clock.now);
            if waiter.askers.iter().all(|asker| asker.told.is_none()) {
                said.push(Output::Event(Event::Queued { key: waiter.askers[0].context.key().clone(), position }));
            }
            for asker in waiter.askers.iter_mut().filter(|asker| asker.told != Some(position)) {
                asker.told = Some(position);
                let (key, connection) = (asker.context.key().clone(), asker.context.connection());
                let reference = asker.reference.clone();
                said.push(Output::Queued { key, connection, reference, position, deadline });
            }
        }
        self.out.extend(said);
    }

    /// Tells everybody of this user when his band changes or the reserve opens or closes, and whoever was told of a band
    /// in the middle of the step that is not the one at its end.
    pub(super) fn note_pressure(&mut self) {
        let usage = self.usage();
        let was = std::mem::replace(&mut self.user.pressure, usage.level);
        self.note_urgency(usage.level > was);
        let told_of_reserve = std::mem::replace(&mut self.user.told_of_reserve, usage.reserve_left.is_some());
        if was == usage.level && told_of_reserve == usage.reserve_left.is_some() {
            let told = std::mem::take(&mut self.told);
            let is_old =
                |told: &Usage| told.level != usage.level || told.reserve_left.is_some() != usage.reserve_left.is_some();
            for (connection, _) in told.into_iter().filter(|(_, told)| is_old(told)) {
                self.emit(Output::Limit { connection, usage });
            }
            return;
        }
        self.tell(Event::Pressure { user: self.user.id.clone(), usage });
        let connections: Vec<_> = self.user.connections.iter().map(|connection| connection.id).collect();
        for connection in connections {
            self.emit(Output::Limit { connection, usage });
        }
    }

    /// Sets background reclaim going above its watermark, or one band below it while the limit is in sight.
    fn note_urgency(&mut self, has_risen: bool) {
        // What is not near a mark costs no forecast.
        let is_in_sight = matches!(self.user.pressure, Pressure::Watch | Pressure::Warn)
            && self.user.is_limit_in_sight(&self.clock, self.limits);
        let urgency = self.limits.urgency(self.user.sessions.len(), is_in_sight);
        let was = std::mem::replace(&mut self.user.urgency, urgency);
        self.user.reclaim_at = match (urgency, self.user.reclaim_at) {
            (Pressure::Ok | Pressure::Watch, _) => None,
            // Within a second of every crossing upwards (M11): from 60 % to 70 % there is more to do.
            (Pressure::Warn | Pressure::High | Pressure::Full, due) if urgency <= was && !has_risen => due,
            (Pressure::Warn | Pressure::High | Pressure::Full, _) => Some(self.clock.now),
        };
    }

    /// Keeps the trend of his sessions, where somebody forecasts. Who holds none has none.
    pub(super) fn note_trend(&mut self) {
        let Some(foresight) = self.limits.forecast else { return };
        match (self.held, self.user.sessions.len()) {
            (_, 0) => self.user.trend = Trend::default(),
            (held, holds) if held == holds => {}
            change => self.user.trend.change(self.clock.now, change, &foresight),
        }
    }
}
