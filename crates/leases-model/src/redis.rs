//! What Redis holds for one user, the node table, and the scripts, each of which is one step.
//!
//! A script never looks at anything but its arguments and this.

use crate::ids::{Incarnation, Incarnations, Lease, Leases, NODES};
use crate::mutant::Mutant;
use crate::protocol::Protocol;

/// The data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    /// Which data set this is; 0 where nobody has made one since a flush.
    pub generation: u8,
    /// The server process for which the generation was made.
    pub server: u8,
    /// Ticks since the generation was made, as far as they matter.
    pub age: u8,
    /// Whether somebody who could tell has found that everybody has asserted what he holds; then for good.
    pub settled: bool,
    /// The user's members.
    pub held: Leases,
    /// Tombstones of leases that were taken. Reading one is what "reads a higher epoch" stands for here.
    pub taken: Leases,
    /// Tombstones of leases that were released.
    pub released: Leases,
    /// `P:nodes` with the node leases.
    pub table: [Entry; NODES],
    /// Incarnations with the permanent mark of death.
    pub dead: Incarnations,
}

/// One node's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Whether the node has registered in this data set.
    pub registered: bool,
    /// Under which incarnation.
    pub incarnation: u8,
    /// Ticks until its node lease expires; 0 where it has.
    pub lease: u8,
    /// Ticks since it came (back) into contact, as far as they matter.
    pub contact: u8,
    /// Whether it has asserted all that it holds in this generation.
    pub settled: bool,
}

/// A command about one lease on its way to Redis, or its answer on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flight {
    /// Whom it is about; for an assert, the id under which the session shall be held.
    pub lease: Lease,
    /// What is asked.
    pub command: Command,
    /// The generation that the node knew when it sent this.
    pub generation: u8,
    /// The incarnations that the node knew to be marked as dead.
    pub dead: Incarnations,
    /// Set once the script has run.
    pub answer: Option<Answer>,
    /// The node has begun a resynchronisation since: the answer proves nothing any more.
    pub stale: bool,
}

/// The scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// A place for a newcomer, if there is room.
    Acquire,
    /// A place for a newcomer, if need be that of these victims.
    Swap {
        /// As many as must go.
        victims: Leases,
    },
    /// Puts a session back, whatever the limit; `from` is the lease under which its node held it before.
    Assert {
        /// Equal to the flight's lease where the node's incarnation has not changed.
        from: Lease,
    },
    /// The session is over.
    Release,
}

/// What a script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// The newcomer has a place.
    Granted {
        /// Victims that went for it.
        victims: Leases,
    },
    /// No room.
    Denied {
        /// Who has the places.
        holders: Leases,
    },
    /// Another generation: ask again when it has settled.
    Fenced,
    /// The lease has a tombstone.
    Taken,
    /// The session is held.
    Kept,
    /// It is out, and stays out.
    Released,
}

/// An answer, and what the script took out on the way.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// Members of incarnations that the caller named as dead.
    pub(crate) expired: Leases,
    /// Victims of a swap.
    pub(crate) swapped: Leases,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self { answer, expired: Leases::NONE, swapped: Leases::NONE }
    }
}

impl Redis {
    /// After FLUSHALL: the process is the same, and nothing is in it.
    pub(crate) fn empty(server: u8) -> Self {
        Self {
            generation: 0,
            server,
            age: 0,
            settled: false,
            held: Leases::NONE,
            taken: Leases::NONE,
            released: Leases::NONE,
            table: [Entry::default(); NODES],
            dead: Incarnations::default(),
        }
    }

    /// What a node may conclude at its renewal: that nobody who can be counted on has leases that are missing here.
    ///
    /// The data set, and the node's contact with it, are so old that every node that reaches Redis has registered; and
    /// each of those has asserted what it holds.
    pub(crate) fn is_complete(&self, node: u8, protocol: &Protocol) -> bool {
        let contact = self.table[usize::from(node)].contact;
        let old = self.age.min(contact) >= protocol.bounds.grace || protocol.is(Mutant::SettledByTheTableAlone);
        old && !self.table.iter().any(|entry| entry.registered && entry.lease > 0 && !entry.settled)
    }

    /// Marks as dead whose node lease has expired, if the caller may tell: who was away, or did nothing, for so long
    /// that he could have missed that Redis was away for everybody, may not.
    pub(crate) fn declare(&mut self, caller: u8, protocol: &Protocol) -> Incarnations {
        let bounds = &protocol.bounds;
        let own = self.table[usize::from(caller)];
        let known = own.contact >= bounds.grace && own.lease + 1 >= bounds.ttl;
        let may = own.registered && own.lease > 0 && (known || protocol.is(Mutant::DeclaresDeadOnReturn));
        let ahead = if protocol.is(Mutant::TrustsItsOwnClock) { bounds.ahead[usize::from(caller)] } else { 0 };
        let mut marked = Incarnations::default();
        for (node, entry) in protocol.nodes().zip(self.table) {
            let incarnation = Incarnation { node, number: entry.incarnation };
            if may && node != caller && entry.registered && entry.lease <= ahead && !self.dead.has(incarnation) {
                self.dead.insert(incarnation);
                marked.insert(incarnation);
            }
        }
        marked
    }

    /// Runs the script of a command.
    pub(crate) fn run(&mut self, flight: &Flight, protocol: &Protocol) -> Outcome {
        if let Some(answer) = self.turns_away(flight, protocol) {
            return answer.into();
        }
        match flight.command {
            Command::Release => self.release(flight.lease.session, protocol),
            Command::Acquire => self.acquire(flight, protocol),
            Command::Swap { victims } => self.swap(flight, victims, protocol),
            Command::Assert { .. } => self.assert(flight.lease),
        }
    }

    /// The answer to a command that has no effect any more, and never will have one in this data set.
    pub(crate) fn turns_away(&self, flight: &Flight, protocol: &Protocol) -> Option<Answer> {
        let over = self.has_tombstone(flight.lease);
        let over = match flight.command {
            Command::Release => return None,
            Command::Acquire => over && !protocol.is(Mutant::AcquireIgnoresTombstones),
            Command::Swap { .. } => over && !protocol.is(Mutant::LateSwapTakesAnyway),
            Command::Assert { from } => (over || self.taken.has(from)) && !protocol.is(Mutant::AssertIgnoresTombstones),
        };
        let fenced = flight.generation != self.generation && !protocol.is(Mutant::NoGenerationInScripts);
        match (fenced, over) {
            (true, _) => Some(Answer::Fenced),
            (false, true) => Some(Answer::Taken),
            (false, false) => None,
        }
    }

    fn has_tombstone(&self, lease: Lease) -> bool {
        self.taken.has(lease) || self.released.has(lease)
    }

    fn acquire(&mut self, flight: &Flight, protocol: &Protocol) -> Outcome {
        if self.held.has(flight.lease) {
            return Answer::Granted { victims: Leases::NONE }.into();
        }
        let expired = self.bury(flight.dead, protocol);
        let answer = if self.held.len() < protocol.bounds.limit {
            self.held = self.held.with(Leases::of(flight.lease));
            Answer::Granted { victims: Leases::NONE }
        } else {
            Answer::Denied { holders: self.held }
        };
        Outcome { answer, expired, swapped: Leases::NONE }
    }

    fn swap(&mut self, flight: &Flight, victims: Leases, protocol: &Protocol) -> Outcome {
        // A late swap must not take a victim for a newcomer who is in already, or who has room without.
        let careless = protocol.is(Mutant::LateSwapTakesAnyway);
        if self.held.has(flight.lease) && !careless {
            return Answer::Granted { victims: Leases::NONE }.into();
        }
        let expired = self.bury(flight.dead, protocol);
        let victims = self.held.and(victims);
        let room = self.held.len() < protocol.bounds.limit;
        if !room && self.held.len() - victims.len() >= protocol.bounds.limit {
            return Outcome { answer: Answer::Denied { holders: self.held }, expired, swapped: Leases::NONE };
        }
        let swapped = if room && !careless { Leases::NONE } else { victims };
        self.take(swapped);
        if self.has_tombstone(flight.lease) {
            // Turned away before, unless carelessly.
            return Outcome { answer: Answer::Taken, expired, swapped };
        }
        if protocol.is(Mutant::SwapInTwoSteps) {
            return Outcome { answer: Answer::Denied { holders: Leases::NONE }, expired, swapped };
        }
        self.held = self.held.with(Leases::of(flight.lease));
        Outcome { answer: Answer::Granted { victims: swapped }, expired, swapped }
    }

    fn assert(&mut self, lease: Lease) -> Outcome {
        // Every earlier id of this session goes: a failover may have brought back one of before the last.
        let earlier = Leases::of_session(lease.session).without(Leases::of(lease));
        self.released = self.released.with(self.held.and(earlier));
        self.held = self.held.without(earlier).with(Leases::of(lease));
        Answer::Kept.into()
    }

    fn release(&mut self, session: u8, protocol: &Protocol) -> Outcome {
        let leases = Leases::of_session(session);
        self.held = self.held.without(leases);
        if !protocol.is(Mutant::ReleaseLeavesNoTombstone) {
            // Where it was taken there is a tombstone already.
            self.released = self.released.with(leases.without(self.taken));
        }
        Answer::Released.into()
    }

    /// Takes out the members of incarnations that the caller knows to be marked.
    fn bury(&mut self, dead: Incarnations, protocol: &Protocol) -> Leases {
        let owner =
            |lease: Lease| Incarnation { node: protocol.bounds.owner(lease.session), number: lease.incarnation };
        let expired = self.held.iter().filter(|&lease| dead.has(owner(lease)));
        let expired = expired.fold(Leases::NONE, |set, lease| set.with(Leases::of(lease)));
        self.take(expired);
        expired
    }

    fn take(&mut self, leases: Leases) {
        self.held = self.held.without(leases);
        self.taken = self.taken.with(leases);
    }
}
