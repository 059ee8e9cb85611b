//! `cluster/redis/admit.rs`: one admission, until it is granted, denied, or nobody can tell.

use std::num::NonZeroU64;

use lychgate::cluster::{Claim, Incarnation, LeaseId, Trouble};
use lychgate_core::Time;
use lychgate_core::lease::{Answer, ForeignLease, ForeignNode, Holder, Lease, Room};

use super::mistake::Mistake;
use super::node::{NODE_LEASE, Node, Purpose, Settled, Timer};
use super::redis::{Gone, Reply, Speaker, Wanted};
use super::server::{Command, Done};

const MAX_ASKS: u32 = 6;

#[derive(Clone, Debug)]
pub(super) struct Admission {
    claim: Claim,
    limit: usize,
    victims: Vec<(LeaseId, Incarnation)>,
    gone: Vec<Gone>,
    until: Time,
    /// Only a beat that left after this counts.
    after: Option<Time>,
    asks: u32,
    waits: Waits,
    /// When it looks again by itself.
    looks: Option<Time>,
}

/// For what.
#[derive(Clone, Debug)]
enum Waits {
    /// To ask.
    Ready,
    /// For the answer, to a question of this term.
    Answer(u64),
    /// For a table that knows all these holders.
    Table(Vec<(LeaseId, Incarnation)>),
}

/// Whether scripts may be run.
enum Ready {
    Yes(u64),
    At(Time),
    No,
}

impl Admission {
    pub(super) fn new(claim: Claim, limit: usize, victim: Option<(LeaseId, Incarnation)>, until: Time) -> Self {
        let victims = victim.into_iter().collect();
        let waits = Waits::Ready;
        Self { claim, limit, victims, gone: Vec::new(), until, after: None, asks: 0, waits, looks: None }
    }
}

impl Node {
    /// Whether one of them went a step further.
    pub(super) fn move_admissions(&mut self) -> bool {
        let waiting: Vec<_> = self
            .admissions
            .iter()
            .filter(|(_, admission)| !matches!(admission.waits, Waits::Answer(_)))
            .map(|(lease, _)| *lease)
            .collect();
        let mut moved = false;
        for lease in waiting {
            moved |= self.move_admission(lease);
        }
        moved
    }

    fn move_admission(&mut self, lease: LeaseId) -> bool {
        let Some(admission) = self.admissions.get(&lease) else { return false };
        let Admission { after, until, looks, waits, .. } = admission.clone();
        match (self.ready(after, until), waits) {
            (Ready::No, _) => self.give_up(lease),
            (Ready::At(at), _) => {
                if looks != Some(at) {
                    self.after(at.since(self.now), Timer::Look);
                    self.admissions.entry(lease).and_modify(|it| it.looks = Some(at));
                }
                return false;
            }
            (Ready::Yes(run), Waits::Ready) => self.ask_for(lease, run),
            (Ready::Yes(_), Waits::Table(holders)) => self.on_holders(lease, holders),
            (Ready::Yes(_), Waits::Answer(_)) => return false,
        }
        true
    }

    fn ready(&mut self, after: Option<Time>, until: Time) -> Ready {
        if self.state.trouble.is_some() {
            return Ready::No;
        }
        let after = after.or(self.state.beaten).unwrap_or(until);
        let is_fresh = self.state.beaten.is_some_and(|it| it >= after && self.now.since(it) < NODE_LEASE);
        let waits_not = self.mistake == Some(Mistake::DoesNotWaitForTheOthers) && self.state.term.is_some();
        let until = match (self.state.settled, self.state.run) {
            (Settled::Yes, Some(run)) if is_fresh => return Ready::Yes(run),
            (Settled::Until(_), Some(run)) if is_fresh && waits_not => return Ready::Yes(run),
            (Settled::Until(settled), _) if self.state.term.is_some() => settled.min(until),
            (Settled::Yes | Settled::Until(_), _) => until,
        };
        if until <= self.now {
            return Ready::No;
        }
        self.wake |= !is_fresh;
        Ready::At(until)
    }

    fn ask_for(&mut self, lease: LeaseId, run: u64) {
        let Some(term) = self.state.term else { return };
        let Some(admission) = self.admissions.get_mut(&lease) else { return };
        admission.asks += 1;
        if admission.asks > MAX_ASKS {
            return self.give_up(lease);
        }
        admission.waits = Waits::Answer(term.number);
        let Claim { user, facts, .. } = admission.claim.clone();
        let speaker = Speaker { me: term.me, generation: term.generation, user, lease, thread: facts.thread };
        let Admission { limit, gone, victims, .. } = admission.clone();
        let mut wanted = Wanted { limit, gone, victims };
        self.ledger.sent(lease);
        if self.mistake == Some(Mistake::SwapsInTwoSteps) {
            for (victim, _) in std::mem::take(&mut wanted.victims) {
                let command = Command::Release(speaker.user.clone(), victim, speaker.thread.clone());
                self.call(Some(run), command, Purpose::Nothing);
            }
        }
        self.call(Some(run), Command::Acquire(speaker, wanted), Purpose::Acquire(lease));
    }

    pub(super) fn on_acquired(&mut self, lease: LeaseId, answer: Result<Done, Trouble>) {
        let Some(Admission { waits: Waits::Answer(term), .. }) = self.admissions.get(&lease) else { return };
        let term = *term;
        match answer {
            Err(trouble) => {
                self.suspect(trouble);
                self.give_up(lease);
            }
            Ok(Done::Leased(Reply::Granted { used, went })) => {
                self.has_jobs |= !self.ledger.granted(lease, term);
                let made_room = if went == 0 { Room::Free } else { Room::Made };
                self.finish(lease, Answer::Granted { used, made_room });
            }
            Ok(Done::Leased(Reply::Taken)) => {
                self.ledger.taken(lease);
                self.finish(lease, Answer::Over);
            }
            Ok(Done::Leased(Reply::Fenced)) => {
                self.ledger.declined(lease);
                self.wake = true;
                let now = self.now;
                self.admissions.entry(lease).and_modify(|it| (it.after, it.waits) = (Some(now), Waits::Ready));
            }
            Ok(Done::Leased(Reply::Denied(holders))) => {
                self.ledger.declined(lease);
                let is_known = holders.iter().all(|(_, node)| self.state.table.contains_key(node));
                if is_known {
                    return self.on_holders(lease, holders);
                }
                self.wake = true;
                let now = self.now;
                self.admissions.entry(lease).and_modify(|it| (it.after, it.waits) = (Some(now), Waits::Table(holders)));
            }
            Ok(Done::Looked(_) | Done::Beaten(_) | Done::Said) => self.give_up(lease),
        }
    }

    /// `Shared::gone`, with a table that is new enough.
    fn on_holders(&mut self, lease: LeaseId, holders: Vec<(LeaseId, Incarnation)>) {
        let me = self.state.term.map(|term| term.me);
        let gone = holders.iter().filter_map(|(held, node)| {
            let is_own = Some(*node) == me || held.life == self.life;
            match (is_own, self.state.table.contains_key(node)) {
                (true, _) => (!self.ledger.holds(*held)).then_some(Gone::Lease(*held)),
                (false, false) => Some(Gone::Owner(*node)),
                (false, true) => None,
            }
        });
        let gone: Vec<_> = gone.collect();
        if !gone.is_empty() {
            self.admissions.entry(lease).and_modify(|it| (it.gone, it.waits) = (gone, Waits::Ready));
            return;
        }
        self.ledger.denied(lease);
        let (own, others): (Vec<_>, Vec<_>) = holders.into_iter().partition(|(held, _)| held.life == self.life);
        let own = own.into_iter().filter_map(|(held, _)| NonZeroU64::new(held.number)).map(Lease::from_number);
        let rival = |(held, node): (LeaseId, Incarnation)| Holder {
            lease: ForeignLease { life: held.life, number: held.number },
            node: ForeignNode(node.0),
        };
        let holders = others.into_iter().map(rival).collect();
        self.finish(lease, Answer::Denied { holders, own: own.collect() });
    }

    fn give_up(&mut self, lease: LeaseId) {
        self.ledger.doubt(lease);
        self.finish(lease, Answer::Unknown);
    }

    fn finish(&mut self, lease: LeaseId, answer: Answer) {
        let (Some(admission), Some(number)) = (self.admissions.remove(&lease), NonZeroU64::new(lease.number)) else {
            return;
        };
        self.answer(admission.claim.user, Lease::from_number(number), answer);
    }
}
