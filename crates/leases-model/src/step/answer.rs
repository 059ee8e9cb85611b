//! What a node makes of an answer, of the lack of one, and of the word that a lease of its was taken.

use super::{Answer, Broken, Command, Contact, Fault, Incarnation, Lease, Leases, Mutant, Phase, Step};
use crate::redis::Flight;

impl Step<'_> {
    pub(super) fn answer(&mut self, session: u8, victims: Leases) {
        let Some(flight) = self.awaited(session).take() else {
            return;
        };
        let asks = matches!(flight.command, Command::Acquire | Command::Swap { .. });
        match flight.answer {
            None => {}
            Some(Answer::Granted { victims }) => self.granted(session, &flight, victims),
            Some(Answer::Denied { .. } | Answer::Taken) if asks && flight.stale => self.ask_again(session),
            Some(Answer::Denied { holders }) => self.denied(session, holders, victims),
            Some(Answer::Fenced) => {
                self.ask_again(session);
                let node = self.node(self.protocol.owner(session));
                if node.contact == Contact::Steady {
                    node.contact = Contact::Settling;
                }
            }
            Some(Answer::Taken) if asks => self.end_newcomer(session),
            Some(Answer::Taken) => self.close(session),
            Some(Answer::Kept) => {
                let own = self.session(session);
                if own.phase == Phase::Serving {
                    own.incarnation = flight.lease.incarnation;
                    own.owes = flight.stale;
                    own.slack &= flight.stale;
                }
            }
            Some(Answer::Released) if flight.stale => {}
            Some(Answer::Released) => {
                self.session(session).unreleased = false;
                self.world.ended = self.world.ended.with(Leases::of_session(session));
            }
        }
    }

    fn granted(&mut self, session: u8, flight: &Flight, victims: Leases) {
        if self.protocol.is(Mutant::CallerTellsTheVictim) {
            self.publish(victims);
        }
        let owner = self.protocol.owner(session);
        // The gate closes a victim of its own in the same step in which it lets the newcomer in; also one whose grant
        // is still under way.
        for victim in victims.iter().filter(|victim| self.protocol.owner(victim.session) == owner) {
            self.fence(victim);
        }
        if flight.stale {
            self.doubt(session);
        } else if self.world.session(session).phase == Phase::Pending {
            let own = self.session(session);
            own.phase = Phase::Serving;
            own.owes = false;
        }
    }

    /// Reads the node table before it takes a place from anybody: whoever is dead goes first.
    fn denied(&mut self, session: u8, holders: Leases, victims: Leases) {
        let owner = self.protocol.owner(session);
        if self.world.node(owner).contact != Contact::Steady {
            return self.ask_again(session);
        }
        let marked = self.world.redis.declare(owner, self.protocol);
        let alive = |node: &u8| marked.has(self.world.incarnation(*node)) && !self.world.node(*node).out;
        if self.protocol.nodes().any(|node| alive(&node)) {
            self.world.broken = Some(Broken::BuriedAlive);
        }
        let dead = self.world.redis.dead;
        self.node(owner).dead = dead;
        let of_dead = |lease: Lease| {
            dead.has(Incarnation { node: self.protocol.owner(lease.session), number: lease.incarnation })
        };
        if self.world.session(session).phase != Phase::Pending {
            return;
        }
        if holders.iter().any(of_dead) {
            self.ask_again(session);
        } else if holders.is_empty() {
            self.send(self.world.lease(session), Command::Acquire);
        } else {
            self.send(self.world.lease(session), Command::Swap { victims });
        }
    }

    fn ask_again(&mut self, session: u8) {
        let own = self.session(session);
        if own.phase == Phase::Pending {
            own.phase = Phase::Waiting;
        }
    }

    pub(super) fn doubt(&mut self, session: u8) {
        let own = self.session(session);
        if own.phase == Phase::Pending {
            own.phase = Phase::Doubtful;
        }
    }

    fn end_newcomer(&mut self, session: u8) {
        if matches!(self.world.session(session).phase, Phase::Pending | Phase::Waiting | Phase::Doubtful) {
            self.end(session);
        }
    }

    /// Closes a session because its lease was taken.
    pub(super) fn close(&mut self, session: u8) {
        if self.world.session(session).phase != Phase::Serving {
            return;
        }
        if !self.world.ever_taken.meets(Leases::of_session(session)) {
            self.world.broken = Some(Broken::ClosedUntold);
        }
        self.end(session);
    }

    pub(super) fn hear(&mut self, lease: Lease) {
        self.world.notices = self.world.notices.without(Leases::of(lease));
        self.fence(lease);
    }

    /// A lease of this node was taken: perhaps one under which an assert would have it held, and whose answer is still
    /// under way.
    fn fence(&mut self, lease: Lease) {
        let blind = self.protocol.is(Mutant::FencedByTheOldIdAlone);
        let asked = self.awaited(lease.session).is_some_and(|flight| flight.lease == lease && !blind);
        if self.world.lease(lease.session) != lease && !asked {
            return;
        }
        match self.world.session(lease.session).phase {
            Phase::Serving => self.close(lease.session),
            // It came another way than the answer that grants the lease, and before it.
            Phase::Pending | Phase::Waiting | Phase::Doubtful if !self.protocol.is(Mutant::FenceBeforeGrantIgnored) => {
                self.end(lease.session);
            }
            Phase::Pending | Phase::Waiting | Phase::Doubtful | Phase::New | Phase::Gone => {}
        }
    }

    pub(super) fn time_out(&mut self, session: u8) {
        let owner = self.protocol.owner(session);
        if self.world.reaches(owner) {
            self.spend(Fault::Late);
        }
        self.give_up_waiting(session);
        self.node(owner).contact = Contact::Away;
    }

    /// Nobody waits for the answer any more; the command may still arrive.
    pub(super) fn give_up_waiting(&mut self, session: u8) {
        let flight = self.awaited(session).take();
        if let Some(flight) = flight.filter(|flight| flight.answer.is_none())
            && let Some(place) = self.world.late.iter_mut().find(|place| place.is_none())
        {
            *place = Some(flight);
            self.world.late.sort_unstable();
        }
        self.doubt(session);
    }
}
