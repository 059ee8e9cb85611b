//! A node's renewal, what it finds at that, and the passing of time.

use super::{Contact, Life, Mutant, Phase, Step};
use crate::redis::Entry;

/// Why a node asserts what it serves once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Redis lost writes.
    Loss,
    /// The node lost what was published for it, or its incarnation.
    Gap,
}

impl Step<'_> {
    /// One script: renews, and returns generation, marks and table.
    pub(super) fn renew(&mut self, node: u8) {
        self.make_generation();
        if self.world.node(node).generation != self.world.redis.generation {
            self.node(node).generation = self.world.redis.generation;
            self.resync(node, Cause::Loss);
        }
        self.return_from_the_dead(node);
        self.subscribe(node);
        let owes = self.sessions_owe(node);
        self.register(node, owes);
        let complete = self.world.redis.is_complete(node, self.protocol);
        self.world.redis.settled |= complete;
        let steady = !owes && (self.world.redis.settled || self.protocol.is(Mutant::AdmitsUnsettled));
        let dead = self.world.redis.dead;
        let own = self.node(node);
        own.dead = dead;
        own.contact = if steady { Contact::Steady } else { Contact::Settling };
        own.lag = 0;
        own.out = false;
    }

    /// Whoever finds none, or one that was made for another server process, makes one.
    fn make_generation(&mut self) {
        let other = self.world.redis.server != self.world.server;
        let lost = other && !self.protocol.is(Mutant::FailoverKeepsTheGeneration);
        if self.world.redis.generation != 0 && !lost {
            return;
        }
        self.world.generations += 1;
        let redis = &mut self.world.redis;
        redis.generation = self.world.generations;
        redis.server = self.world.server;
        redis.age = 0;
        redis.settled = false;
        for entry in &mut redis.table {
            entry.settled = false;
        }
    }

    fn return_from_the_dead(&mut self, node: u8) {
        let incarnation = self.world.incarnation(node);
        if !self.world.redis.dead.has(incarnation) {
            return;
        }
        if self.protocol.is(Mutant::ReturnsUnderTheOldIncarnation) {
            self.world.redis.dead.remove(incarnation);
        } else {
            self.node(node).incarnation += 1;
        }
        self.resync(node, Cause::Gap);
    }

    /// Subscribes first and asserts afterwards: what is taken in between is then heard.
    fn subscribe(&mut self, node: u8) {
        if self.world.node(node).subscribed {
            return;
        }
        let late = self.protocol.is(Mutant::AssertsBeforeItSubscribes);
        if late && self.world.node(node).contact == Contact::Settling {
            self.node(node).subscribed = !self.sessions_owe(node);
            return;
        }
        self.drop_notices(node);
        self.node(node).subscribed = !late;
        if !self.protocol.is(Mutant::LostSubscriptionIgnored) {
            self.resync(node, Cause::Gap);
        }
    }

    fn resync(&mut self, node: u8, cause: Cause) {
        for session in self.protocol.sessions_of(node) {
            let trusts = self.protocol.is(Mutant::TrustsAnswersOfBeforeTheLoss);
            if let Some(flight) = self.awaited(session) {
                flight.stale = !trusts;
            }
            let forgets = self.protocol.is(Mutant::ForgetsTheDeparted);
            let own = self.session(session);
            match own.phase {
                Phase::Serving => own.owes = true,
                Phase::Gone if cause == Cause::Loss && !forgets => own.unreleased = true,
                Phase::Gone | Phase::New | Phase::Pending | Phase::Waiting | Phase::Doubtful => {}
            }
        }
    }

    /// Whether Redis may not know yet of something that this node has.
    fn sessions_owe(&self, node: u8) -> bool {
        self.protocol.sessions_of(node).any(|session| {
            let stale = self.world.awaited[usize::from(session)].is_some_and(|flight| flight.stale);
            stale || self.world.session(session).owes
        })
    }

    fn register(&mut self, node: u8, owes: bool) {
        let (ttl, own) = (self.protocol.bounds.ttl, *self.world.node(node));
        let entry = &mut self.world.redis.table[usize::from(node)];
        // Whoever has missed a renewal may have missed that Redis was away for everybody.
        let same = entry.registered && entry.incarnation == own.incarnation && entry.lease + 1 >= ttl;
        let contact = if same && own.contact != Contact::Away { entry.contact } else { 0 };
        *entry = Entry { registered: true, incarnation: own.incarnation, lease: ttl, contact, settled: !owes };
    }

    pub(super) fn find_away(&mut self, node: u8) {
        let linked = self.world.node(node).linked;
        let own = self.node(node);
        own.contact = Contact::Away;
        own.subscribed &= linked;
        if !linked {
            self.drop_notices(node);
        }
        if self.protocol.is(Mutant::ClosesWhenItCannotRenew) {
            for session in self.protocol.sessions_of(node) {
                self.close(session);
            }
        }
    }

    /// Redis' clock goes on, also while it hangs. A node that has nothing to find out just renews.
    pub(super) fn tick(&mut self) {
        let (grace, ttl) = (self.protocol.bounds.grace, self.protocol.bounds.ttl);
        let dead = self.world.redis.dead;
        self.world.redis.age = grace.min(self.world.redis.age + 1);
        for entry in self.world.redis.table.iter_mut().filter(|entry| entry.registered) {
            entry.lease = entry.lease.saturating_sub(1);
            entry.contact = grace.min(entry.contact + 1);
        }
        for node in self.protocol.nodes() {
            if self.world.node(node).life != Life::Running || !self.world.reaches(node) {
                continue;
            }
            if self.protocol.is_due(&self.world, node) {
                self.node(node).lag += 1;
                continue;
            }
            self.world.redis.table[usize::from(node)].lease = ttl;
            let own = self.node(node);
            own.lag = 0;
            own.out = false;
            own.dead = dead;
            for session in self.protocol.sessions_of(node) {
                self.session(session).slack &= self.world.session(session).owes;
            }
        }
    }
}
