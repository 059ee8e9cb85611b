//! One action carried out: what the nodes do.
//!
//! ```text
//! node -> Ask, Assert, Release -> flight -> Arrive: the script runs -> Answer -> node
//!              the node gave up: TimeOut -> ArriveLate: nobody reads the answer
//! ```

use crate::action::Action;
use crate::bounds::Fault;
use crate::ids::{Incarnation, Lease, Leases};
use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::redis::{Answer, Command, Flight, Outcome, Redis};
use crate::world::{Broken, Contact, Life, Node, Phase, Session, World};

mod answer;
mod fault;
mod forget;
mod renew;

/// A state that is being changed by one action.
pub(crate) struct Step<'a> {
    protocol: &'a Protocol,
    world: World,
}

impl<'a> Step<'a> {
    pub(crate) fn new(protocol: &'a Protocol, world: World) -> Self {
        Self { protocol, world }
    }

    /// What the world is afterwards.
    pub(crate) fn act(mut self, action: Action) -> World {
        match action {
            Action::Ask(session) => self.ask(session),
            Action::AdmitLocally(session, victim) => self.admit_locally(session, victim),
            Action::GiveUp(session) => {
                self.end(session);
                self.session(session).unreleased = !self.protocol.is(Mutant::TimedOutNotReleased);
            }
            Action::Leave(session) => self.end(session),
            Action::Assert(session) => {
                let from = self.world.lease(session);
                let incarnation = self.world.node(self.protocol.owner(session)).incarnation;
                self.send(Lease { session, incarnation }, Command::Assert { from });
            }
            Action::Release(session) => self.send(self.world.lease(session), Command::Release),
            Action::Arrive(session) => self.arrive(session),
            Action::Answer(session, victims) => self.answer(session, victims),
            Action::TimeOut(session) => self.time_out(session),
            Action::ArriveLate(index) => {
                let flight = self.world.late[index].take();
                self.world.late.sort_unstable();
                if let Some(flight) = flight {
                    self.run(&flight);
                }
            }
            Action::Hear(lease) => self.hear(lease),
            Action::Renew(node) => self.renew(node),
            Action::FindAway(node) => self.find_away(node),
            Action::Tick => self.tick(),
            Action::Befall(event) => self.befall(event),
        }
        self.forget();
        self.world
    }

    fn session(&mut self, session: u8) -> &mut Session {
        &mut self.world.sessions[usize::from(session)]
    }

    fn node(&mut self, node: u8) -> &mut Node {
        &mut self.world.nodes[usize::from(node)]
    }

    fn awaited(&mut self, session: u8) -> &mut Option<Flight> {
        &mut self.world.awaited[usize::from(session)]
    }

    fn ask(&mut self, session: u8) {
        self.name(session);
        self.session(session).phase = Phase::Pending;
        self.send(self.world.lease(session), Command::Acquire);
    }

    /// A newcomer goes under the incarnation that its node has now. A lease that it was granted under an earlier one
    /// belongs to the dead, and anybody may have it.
    fn name(&mut self, session: u8) {
        self.session(session).incarnation = self.world.node(self.protocol.owner(session)).incarnation;
    }

    fn admit_locally(&mut self, session: u8, victim: Option<u8>) {
        if let Some(victim) = victim {
            self.end(victim);
        }
        if self.world.session(session).phase != Phase::Doubtful {
            self.name(session);
        }
        let owes = !self.protocol.is(Mutant::LocalNotAsserted);
        let own = self.session(session);
        own.phase = Phase::Serving;
        own.owes = owes;
        own.slack = true;
    }

    /// Whatever ends, ends by a release: also what was taken, because the word of it may be older than the data set.
    fn end(&mut self, session: u8) {
        let own = self.session(session);
        own.phase = Phase::Gone;
        own.owes = false;
        own.slack = false;
        own.unreleased = true;
    }

    fn send(&mut self, lease: Lease, command: Command) {
        let node = *self.world.node(self.protocol.owner(lease.session));
        let flight =
            Flight { lease, command, generation: node.generation, dead: node.dead, answer: None, stale: false };
        *self.awaited(lease.session) = Some(flight);
    }

    fn arrive(&mut self, session: u8) {
        if let Some(mut flight) = self.awaited(session).filter(|flight| flight.answer.is_none()) {
            flight.answer = Some(self.run(&flight));
            *self.awaited(session) = Some(flight);
            if flight.command == Command::Release {
                // Nobody waits for this answer: nothing that could happen before it is read makes a difference.
                self.answer(session, Leases::NONE);
            }
        }
    }

    /// Runs a script, has its notices published, and judges what it did.
    fn run(&mut self, flight: &Flight) -> Answer {
        let before = self.world.redis;
        let outcome = self.world.redis.run(flight, self.protocol);
        let taken = outcome.expired.with(outcome.swapped);
        self.world.ever_taken = self.world.ever_taken.with(taken);
        let published = if self.protocol.is(Mutant::CallerTellsTheVictim) { outcome.expired } else { taken };
        self.publish(published);
        self.judge(&before, flight, &outcome);
        outcome.answer
    }

    fn publish(&mut self, taken: Leases) {
        for lease in taken.iter() {
            let owner = self.world.node(self.protocol.owner(lease.session));
            if owner.subscribed && owner.life != Life::Killed {
                self.world.notices = self.world.notices.with(Leases::of(lease));
            }
        }
    }

    fn judge(&mut self, before: &Redis, flight: &Flight, outcome: &Outcome) {
        let added = self.world.redis.held.without(before.held);
        let over = before.taken.with(before.released).with(self.world.ended);
        if added.meets(over) {
            self.world.broken = Some(Broken::Revived);
        }
        let alive = |lease: Lease| {
            let owner = self.protocol.owner(lease.session);
            self.world.node(owner).incarnation == lease.incarnation && !self.world.node(owner).out
        };
        if outcome.expired.iter().any(alive) {
            self.world.broken = Some(Broken::BuriedAlive);
        }
        let held = before.held.without(outcome.expired);
        let needed = held.len() >= self.protocol.bounds.limit && !held.has(flight.lease);
        let comes = needed && added.has(flight.lease);
        if !comes && !outcome.swapped.is_empty() {
            self.world.broken = Some(Broken::TakenForNothing);
        }
        let granted = matches!(flight.command, Command::Acquire | Command::Swap { .. }) && added.has(flight.lease);
        if granted && self.truth().count_ones() > self.protocol.bounds.limit {
            self.world.broken = Some(Broken::OverTheLimit);
        }
    }

    /// Sessions that have a place, or are served and should have one: without those whose tombstone is on its way to
    /// their node, and without what the documentation allows for a time in which Redis did not answer.
    fn truth(&self) -> u8 {
        let taken = self.world.redis.taken.sessions();
        let served = self.world.served(self.protocol).sessions() & !taken;
        let due = self.protocol.sessions().filter(|&session| !self.world.session(session).slack);
        served & due.fold(0, |set, session| set | 1 << session) | self.world.redis.held.sessions()
    }
}
