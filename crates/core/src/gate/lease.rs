//! The first waiter's place on all nodes: it is asked for, granted, denied, or nobody can tell.

use std::time::Duration;

use smallvec::SmallVec;

use crate::gate::climb::Moved;
use crate::gate::io::{AdmissionPath, Cause, Event, Manner, Output};
use crate::gate::{Gate, Presence, Step};
use crate::id::{ConnectionId, ThreadId, UserId};
use crate::lease::{
    Answer, Claim, Either, Elsewhere, Foreign, ForeignNode, ForeignReport, Holder, Lease, News, OwnReport, Pending,
    Room, Told, Victim, Wish,
};
use crate::queue::{Reserve, Waiter};
use crate::reclaim::{Facts, Pick, ReclaimLevel, Standing};
use crate::refusal::EvictReason;
use crate::timer::Time;

/// So long nobody asks a node again that was silent.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// Who was denied so often, and knew who held the places, asks once per gap of a probe.
const MAX_DENIALS: u8 = 3;

impl Step<'_> {
    pub(super) fn on_news(&mut self, news: News) {
        match news {
            News::Answered { lease, answer, .. } => self.on_answered(lease, answer),
            News::Reported { node, told, .. } => self.on_reported(node, &told),
            News::Taken { lease, .. } => self.on_taken(lease),
            News::Superseded { connection, .. } => self.on_superseded(connection),
        }
    }

    pub(super) fn counts_with_others(&self) -> bool {
        self.lease.is_some()
    }

    /// Its tab is on another node now. What it alone held goes, and leaves its place to the one that the tab opens there
    /// (hazard R1); an id that this user does not hold is ignored.
    fn on_superseded(&mut self, connection: ConnectionId) {
        if self.user.connection(connection).is_some() {
            self.drop_connection(connection, EvictReason::Superseded, Manner::Handshake);
        }
    }

    /// How far a newcomer is with his lease.
    pub(super) fn fresh_claim(&self) -> Claim {
        match self.lease {
            Some(_) => Claim::Unasked,
            None => Claim::Alone,
        }
    }

    /// Sessions that an open counts: those elsewhere as well, unless nobody can tell.
    pub(super) fn used(&self) -> usize {
        self.user.sessions.len() + self.foreign().len()
    }

    /// Those elsewhere, where the first waiter was denied because of them.
    fn foreign(&self) -> &[Foreign] {
        match self.user.waiting.first().map(|first| &first.claim) {
            Some(Claim::Denied) => self.user.foreign(),
            Some(Claim::Alone | Claim::Unasked | Claim::Asked(_) | Claim::Hearing | Claim::TooLate) | None => &[],
        }
    }

    /// The facts about every session that may make room for the first waiter: those of this node, then the others. No grant
    /// raises a node above the limit: one that is there already, because nobody could be asked for a while, takes its own.
    pub(super) fn facts(&self) -> Vec<Facts> {
        let mut facts = self.user.facts(&self.clock, self.limits);
        if facts.len() < self.limits.max_sessions_per_user {
            facts.extend(self.foreign().iter().map(|foreign| foreign.facts(self.clock.now)));
        }
        facts
    }

    /// Gives the first waiter its place: at once where this node's count decides, else it is asked for.
    pub(super) fn settle_first(&mut self, pick: Option<Pick>, path: AdmissionPath) -> Moved {
        let Some(first) = self.user.waiting.first() else {
            return Moved::No;
        };
        let thread = first.thread().clone();
        let victim = pick.and_then(|pick| Some((self.victim(pick.index)?, pick.level)));
        match first.claim {
            Claim::Unasked | Claim::Denied => {
                self.acquire(victim, path);
                return Moved::Asked;
            }
            Claim::Asked(_) | Claim::Hearing | Claim::TooLate => return Moved::Asked,
            Claim::Alone => {}
        }
        let unanswered = first.lease;
        // It waits while its own admission evicts: its socket is wanted.
        if let Some((Victim::Own(victim), level)) = victim {
            self.evict(&victim, level, Cause::Newcomer(thread));
        }
        if path == AdmissionPath::Reserve {
            self.open_reserve();
        }
        let waiter = self.user.waiting.remove(0);
        let key = waiter.askers[0].context.key().clone();
        let lease = unanswered.or_else(|| self.draw_lease());
        self.create(waiter.askers, path, lease);
        if let Some(lease) = lease
            && self.user.sessions.iter().any(|session| session.lease == Some(lease))
        {
            self.emit(Output::Wish(Wish::Keep { key, lease }));
        }
        Moved::Yes
    }

    fn victim(&self, index: usize) -> Option<Victim> {
        let own = self.user.sessions.len();
        match self.user.sessions.get(index) {
            Some(session) => Some(Victim::Own(session.thread.clone())),
            None => self.foreign().get(index - own).map(|foreign| Victim::Foreign(foreign.holder)),
        }
    }

    fn acquire(&mut self, victim: Option<(Victim, ReclaimLevel)>, path: AdmissionPath) {
        let Some(lease) = self.draw_lease() else { return };
        let limit = match path {
            AdmissionPath::Reserve => self.limit_with_reserve(),
            AdmissionPath::Shadow => self.limits.ceiling(),
            _ => self.limits.max_sessions_per_user,
        };
        let instead_of = match &victim {
            Some((Victim::Own(thread), _)) => {
                let session = self.user.session_index(thread).map(|index| &self.user.sessions[index]);
                session.and_then(|session| session.lease).map(Either::Own)
            }
            Some((Victim::Foreign(holder), _)) => Some(Either::Foreign(*holder)),
            None => None,
        };
        let first = &mut self.user.waiting[0];
        let key = first.askers[0].context.key().clone();
        first.asked = self.clock.now;
        let informed = matches!(first.claim, Claim::Denied);
        first.claim = Claim::Asked(Box::new(Pending { lease, victim, path, informed }));
        self.emit(Output::Wish(Wish::Acquire { key, lease, limit, instead_of }));
    }

    fn draw_lease(&mut self) -> Option<Lease> {
        let next = self.lease.as_deref_mut()?;
        let drawn = *next;
        *next = drawn.next();
        Some(drawn)
    }

    fn on_answered(&mut self, lease: Lease, answer: Answer) {
        let Some(place) = self.user.waiting.iter().position(|waiter| waiter.claim.asks_for(lease)) else {
            // Whoever asked is gone, or the lease was taken already.
            if !self.user.leases().contains(&lease) {
                self.give_back(Some(lease));
            }
            return;
        };
        let claim = std::mem::replace(&mut self.user.waiting[place].claim, Claim::Unasked);
        let Claim::Asked(pending) = claim else { return };
        match answer {
            Answer::Granted { used, made_room } => self.on_granted(place, *pending, used, made_room),
            Answer::Denied { holders, own } => {
                self.disown(&own);
                self.on_denied(place, &holders, pending.informed);
            }
            // Another one is asked for, by the step that this is part of.
            Answer::Over => {}
            // Should the question have arrived and have taken the place of a session here, that is told.
            Answer::Unknown => {
                self.user.waiting[place].claim = Claim::Alone;
                self.user.waiting[place].lease = Some(lease);
            }
        }
    }

    /// Gives back what counts as ours and is nobody's here: a lease that leaked would hold its place for ever (R14).
    fn disown(&mut self, own: &[Lease]) {
        let held = self.user.leases();
        for lease in own.iter().filter(|lease| !held.contains(lease)) {
            self.give_back(Some(*lease));
        }
    }

    fn on_granted(&mut self, place: usize, pending: Pending, used: usize, made_room: Room) {
        let Pending { lease, victim, path, informed: _ } = pending;
        self.granted += 1;
        let thread = self.user.waiting[place].thread().clone();
        match victim {
            // A place had come free meanwhile: nobody has to go.
            Some((Victim::Own(_), _)) if made_room == Room::Free => {}
            Some((Victim::Own(victim), level)) => self.evict(&victim, level, Cause::Newcomer(thread.clone())),
            Some((Victim::Foreign(gone), _)) => {
                let known = self.user.elsewhere.iter_mut();
                known.for_each(|known| known.foreign.retain(|foreign| foreign.holder != gone));
            }
            None => {}
        }
        // With the one that is about to be made.
        let own = 1 + self.user.sessions.iter().filter(|session| session.lease.is_some()).count();
        self.note_elsewhere(used.saturating_sub(own));
        if path == AdmissionPath::Reserve {
            self.open_reserve();
        }
        let askers = self.user.waiting.remove(place).askers;
        // It came over from another connection meanwhile.
        if self.user.session_index(&thread).is_some() {
            self.give_back(Some(lease));
            askers.into_iter().for_each(|asker| self.attach(asker));
        } else {
            self.create(askers, path, Some(lease));
        }
    }

    fn on_denied(&mut self, place: usize, holders: &[Holder], informed: bool) {
        let now = self.clock.now;
        self.note_elsewhere(holders.len());
        let foreign = holders.iter().map(|&holder| Foreign { holder, facts: None }).collect();
        let elsewhere = self.user.elsewhere.get_or_insert_default();
        elsewhere.foreign = foreign;
        elsewhere.silent.retain(|(_, since)| now.since(*since) < SILENT_FOR);
        // Who was silent a moment ago is not waited for once more, by one newcomer after the other.
        for foreign in &mut elsewhere.foreign {
            if elsewhere.silent.iter().any(|(node, _)| *node == foreign.holder.node) {
                foreign.facts = Some((Foreign::SUSPECT, now));
            }
        }
        let unknown = elsewhere.foreign.iter().filter(|foreign| foreign.facts.is_none());
        let mut nodes: Vec<_> = unknown.map(|foreign| foreign.holder.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let waiter = &mut self.user.waiting[place];
        waiter.claim = if nodes.is_empty() { Claim::Denied } else { Claim::Hearing };
        let asker = &waiter.askers[0].context;
        let (key, connection) = (asker.key().clone(), asker.connection());
        waiter.denials = waiter.denials.saturating_add(1);
        // What is known here and what counts there differ: time will tell, and not the next question.
        if informed && waiter.denials >= MAX_DENIALS {
            waiter.claim = Claim::TooLate;
            return;
        }
        if waiter.denials == 1 {
            self.tell(Event::Waiting { key, connection });
        }
        let user = self.user.id.clone();
        self.out.extend(nodes.into_iter().map(|node| Output::Wish(Wish::Ask { user: user.clone(), node })));
    }

    fn on_reported(&mut self, node: ForeignNode, told: &Told) {
        let now = self.clock.now;
        let Some(elsewhere) = &mut self.user.elsewhere else { return };
        elsewhere.silent.retain(|(silent, _)| *silent != node);
        if *told == Told::Silence {
            elsewhere.silent.push((node, now));
        }
        for foreign in elsewhere.foreign.iter_mut().filter(|foreign| foreign.holder.node == node) {
            let facts = match told {
                Told::Reports(reports) => match reports.iter().find(|report| report.lease == foreign.holder.lease) {
                    Some(report) => facts_of(report),
                    // Its node knows nothing of it: a place that nobody uses.
                    None => Facts { standing: Standing::Gone { by_probe: false }, ..Foreign::SUSPECT },
                },
                Told::Silence => Foreign::SUSPECT,
                Told::NotAsked => Foreign::UNKNOWN,
            };
            foreign.facts = Some((facts, now));
        }
        if elsewhere.foreign.iter().all(|foreign| foreign.facts.is_some()) {
            let hearing = self.user.waiting.iter_mut().filter(|waiter| matches!(waiter.claim, Claim::Hearing));
            hearing.for_each(|waiter| (waiter.claim, waiter.asked) = (Claim::Denied, now));
        }
    }

    fn on_taken(&mut self, lease: Lease) {
        if let Some(session) = self.user.sessions.iter_mut().find(|session| session.lease == Some(lease)) {
            session.lease = None;
            return;
        }
        for waiter in &mut self.user.waiting {
            waiter.lease.take_if(|held| *held == lease);
            // It was granted and taken before the grant was heard here: another one is asked for.
            if waiter.claim.asks_for(lease) {
                waiter.claim = Claim::Unasked;
            }
        }
    }

    /// Ends sessions whose places were taken. One whose place a newcomer of this node asks for waits for that answer, which says
    /// whether it was he.
    pub(super) fn end_unleased(&mut self) {
        if self.lease.is_none() {
            return;
        }
        let is_awaited = |thread: &ThreadId| self.user.waiting.iter().any(|waiter| waiter.claim.is_instead_of(thread));
        let unleased = self.user.sessions.iter().filter(|session| session.lease.is_none());
        let over: Vec<_> =
            unleased.map(|session| session.thread.clone()).filter(|thread| !is_awaited(thread)).collect();
        over.iter().for_each(|thread| self.evict(thread, ReclaimLevel::Force, Cause::OtherNode));
    }

    /// Whoever was denied asks again from time to time: nobody tells that a place came free on another node.
    pub(super) fn ask_again(&mut self) {
        let (now, limits) = (self.clock.now, self.limits);
        // Whose time is over is served with what is known. Of who came too late nothing is.
        let is_served = |first: &Waiter| !matches!(first.claim, Claim::TooLate) && self.is_overdue(first);
        if self.user.waiting.first().is_some_and(is_served) {
            return;
        }
        if let Some(first) = self.user.waiting.first_mut()
            && first.asks_again(limits).is_some_and(|at| at <= now)
        {
            first.claim = Claim::Unasked;
        }
    }

    /// Says that a place is free.
    pub(super) fn give_back(&mut self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            let user = self.user.id.clone();
            self.emit(Output::Wish(Wish::Release { user, lease }));
        }
    }

    /// Says of every lease that was held before, and is not any more, that its place is free: however its session or its
    /// waiter went, and once (I2). One that was taken is over already, and hears that once more.
    pub(super) fn give_back_all(&mut self, before: SmallVec<[Lease; 4]>) {
        // Every step of a gate that counts alone comes by here.
        if before.is_empty() {
            return;
        }
        let held = self.user.leases();
        before.into_iter().filter(|lease| !held.contains(lease)).for_each(|lease| self.give_back(Some(lease)));
    }

    fn note_elsewhere(&mut self, count: usize) {
        match (&mut self.user.elsewhere, count) {
            (None, 0) => {}
            (known, count) => known.get_or_insert_with(Box::<Elsewhere>::default).count = count,
        }
    }

    fn open_reserve(&mut self) {
        let now = self.clock.now;
        self.user.reserve.get_or_insert_with(|| Box::new(Reserve::open(now)));
    }
}

fn facts_of(report: &ForeignReport) -> Facts {
    let ForeignReport { standing, protected, health, idle, .. } = *report;
    Facts { standing, protected, health, unused_for: idle }
}

impl Gate {
    pub(super) fn on_news(&mut self, news: News) {
        match news {
            // Nothing is left of whoever asked, so nothing of his may be left with the others.
            News::Answered { user, lease, .. } if self.user(&user).is_none() => {
                self.outputs.push_back(Output::Wish(Wish::Release { user, lease }));
            }
            news => self.step(&news.user().clone(), Presence::Known, |step| step.on_news(news)),
        }
    }

    /// How the user's sessions are here at this time, for a node that asks; those that are about to be, too.
    #[must_use]
    pub fn own_reports(&self, user: &UserId, now: Time) -> Vec<OwnReport> {
        let Some(known) = self.user(user) else {
            return Vec::new();
        };
        let since = now.since(self.clock.now);
        let facts = known.facts(&self.clock, &self.limits_of(known));
        let leased = known.sessions.iter().zip(facts).filter_map(|(session, facts)| Some((session.lease?, facts)));
        let sessions = leased.map(|(lease, Facts { standing, protected, health, unused_for })| OwnReport {
            lease,
            standing,
            protected,
            health,
            idle: unused_for.saturating_add(since),
        });
        let about_to_be = known.waiting.iter().filter_map(|waiter| waiter.claim.asked_for().or(waiter.lease));
        let newcomers = about_to_be.map(|lease| OwnReport {
            lease,
            standing: Standing::Alive,
            protected: false,
            health: 100,
            idle: Duration::ZERO,
        });
        sessions.chain(newcomers).collect()
    }
}
