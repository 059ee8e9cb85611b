//! What this node holds, and what the store has yet to be told of it.
//!
//! ```text
//!            begin    declined  granted                        refresh, new term
//! (nothing) -------> Asked --------------------> Held <----------------------------.
//!                      | nobody answered           |  told                         |
//!                      v                           '-----------> Owed --assert-----'
//!                  Doubtful --keep-----------------------------> Owed
//!                      '--release--> undone --acknowledged--> (nothing) <--taken-- any
//! ```
//!
//! When a term begins, all that is held is owed; and a question that is on its way may yet be answered with a grant of the
//! data set before. Until it is, not all is told: others would count without it.
//!
//! It asks nobody and knows no clock: the simulation of many nodes (crates/scenario) drives it as it stands.

use std::collections::{BTreeMap, BTreeSet};

use lychgate_core::UserId;

use crate::cluster::lease::{Claim, Facts, LeaseId};

/// Leases that wait to be given back at most. Beyond it the oldest is forgotten: who is denied because of it finds that its
/// node does not know it.
const MAX_UNDONE: usize = 65_536;

/// Every lease of this node.
#[derive(Debug)]
pub struct Ledger {
    /// Counts the data sets and incarnations that this node went through.
    term: u64,
    leases: BTreeMap<LeaseId, Entry>,
    /// Those of `leases` that are `Owed`.
    owed: BTreeSet<LeaseId>,
    undone: BTreeMap<LeaseId, UserId>,
    /// Those of `leases` that the data set before may have granted: the answer is on its way.
    awaited: BTreeSet<LeaseId>,
    /// Whether everything that was held when the term began was told since.
    is_told: bool,
    /// Where the next refresh goes on.
    cursor: LeaseId,
}

#[derive(Debug)]
struct Entry {
    user: UserId,
    facts: Facts,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody waits for the answer.
    Asked(Sent),
    /// The answer did not come, and nobody has said yet what to do.
    Doubtful(Sent),
    /// The store has it.
    Held,
    /// The session lives, and the store has to be told.
    Owed,
}

/// Whether the store may have heard of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Never,
    Perhaps,
}

/// What the store has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// That a session holds it.
    Assert {
        /// Which.
        lease: LeaseId,
        /// Whose.
        user: UserId,
        /// What others are told of its session.
        facts: Facts,
    },
    /// That its place is free.
    Release {
        /// Which.
        lease: LeaseId,
        /// Whose.
        user: UserId,
    },
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// Nothing is held, and nothing is to be told.
    #[must_use]
    pub fn new() -> Self {
        Self {
            term: 0,
            leases: BTreeMap::new(),
            owed: BTreeSet::new(),
            undone: BTreeMap::new(),
            awaited: BTreeSet::new(),
            is_told: true,
            cursor: LeaseId { life: 0, number: 0 },
        }
    }

    /// Another data set, or another incarnation of this node: all that is held has to be told anew.
    pub fn begin_term(&mut self, term: u64) {
        self.term = term;
        for (lease, entry) in &mut self.leases {
            match entry.state {
                State::Held => {
                    entry.state = State::Owed;
                    self.owed.insert(*lease);
                }
                State::Asked(Sent::Perhaps) => _ = self.awaited.insert(*lease),
                State::Asked(Sent::Never) | State::Doubtful(_) | State::Owed => {}
            }
        }
        self.is_told = self.owed.is_empty() && self.awaited.is_empty();
    }

    /// Somebody is about to ask for it, and waits for the answer.
    pub fn begin(&mut self, claim: &Claim) {
        let entry = || Entry { user: claim.user.clone(), facts: claim.facts.clone(), state: State::Asked(Sent::Never) };
        self.leases.entry(claim.lease).or_insert_with(entry);
    }

    /// The question leaves now.
    pub fn sent(&mut self, lease: LeaseId) {
        if let Some(entry) = self.leases.get_mut(&lease)
            && let State::Asked(sent) = &mut entry.state
        {
            *sent = Sent::Perhaps;
        }
    }

    /// It was granted by the data set of `term`. Whether that is the one of now; otherwise whoever still holds it has to say so
    /// in this one: a job, for which others wait.
    #[must_use]
    pub fn granted(&mut self, lease: LeaseId, term: u64) -> bool {
        let is_now = term == self.term;
        if let Some(entry) = self.leases.get_mut(&lease) {
            entry.state = if is_now { State::Held } else { State::Owed };
            match is_now {
                true => self.owed.remove(&lease),
                false => self.owed.insert(lease),
            };
            self.is_answered(lease);
        }
        is_now
    }

    /// The answer was that nothing is held: fenced, or denied for now. Whoever wants it may ask again.
    pub fn declined(&mut self, lease: LeaseId) {
        if let Some(entry) = self.leases.get_mut(&lease)
            && let State::Asked(sent) = &mut entry.state
        {
            *sent = Sent::Never;
        }
        self.is_answered(lease);
    }

    /// Nobody answered whoever asked for it.
    pub fn doubt(&mut self, lease: LeaseId) {
        if let Some(entry) = self.leases.get_mut(&lease)
            && let State::Asked(sent) = entry.state
        {
            entry.state = State::Doubtful(sent);
        }
        self.is_answered(lease);
    }

    /// There is nothing to wait for any more.
    fn is_answered(&mut self, lease: LeaseId) {
        self.awaited.remove(&lease);
        self.is_told |= self.owed.is_empty() && self.awaited.is_empty();
    }

    /// Whoever asked does not wait any more. What the store may have heard is to be given back. Whether the answer was
    /// still to come.
    pub fn abandon(&mut self, lease: LeaseId) -> bool {
        let is_asked = matches!(self.leases.get(&lease), Some(Entry { state: State::Asked(_), .. }));
        if is_asked {
            self.release(lease);
        }
        is_asked
    }

    /// It was denied: nothing is held.
    pub fn denied(&mut self, lease: LeaseId) {
        match self.leases.get(&lease).map(|entry| entry.state) {
            Some(State::Asked(_)) => drop(self.leases.remove(&lease)),
            // An earlier question about it went unanswered, and may still arrive.
            Some(State::Doubtful(_)) => self.release(lease),
            Some(State::Held | State::Owed) | None => {}
        }
        self.is_answered(lease);
    }

    /// The session lives without an answer.
    pub fn keep(&mut self, claim: Claim) {
        let Claim { lease, user, facts, limit: _ } = claim;
        self.leases.insert(lease, Entry { user, facts, state: State::Owed });
        self.owed.insert(lease);
    }

    /// The session is over. One that the store never heard of is forgotten.
    pub fn release(&mut self, lease: LeaseId) {
        self.owed.remove(&lease);
        let Some(entry) = self.leases.remove(&lease) else {
            return;
        };
        match entry.state {
            State::Asked(Sent::Never) | State::Doubtful(Sent::Never) => {}
            State::Asked(Sent::Perhaps) | State::Doubtful(Sent::Perhaps) | State::Held | State::Owed => {
                self.undone.insert(lease, entry.user);
                if self.undone.len() > MAX_UNDONE {
                    self.undone.pop_first();
                }
            }
        }
        self.is_answered(lease);
    }

    /// The store has it that this lease is over. Whose it was, where this node still held it.
    pub fn taken(&mut self, lease: LeaseId) -> Option<UserId> {
        self.owed.remove(&lease);
        self.is_answered(lease);
        self.leases.remove(&lease).map(|entry| entry.user)
    }

    /// The store has it that a place is free.
    pub fn released(&mut self, lease: LeaseId) {
        self.undone.remove(&lease);
    }

    /// Marks the next `count` leases for being told again, round and round: so all of them are, spread over the time that
    /// a round takes, and none is looked at twice.
    pub fn refresh(&mut self, count: usize) {
        let after = (std::ops::Bound::Excluded(self.cursor), std::ops::Bound::Unbounded);
        let mut last = None;
        for (lease, entry) in self.leases.range_mut(after).take(count) {
            if entry.state == State::Held {
                entry.state = State::Owed;
                self.owed.insert(*lease);
            }
            last = Some(*lease);
        }
        self.cursor = last.unwrap_or(LeaseId { life: 0, number: 0 });
    }

    /// The next things to say, places that come free first; each is in the answer until it is acknowledged.
    #[must_use]
    pub fn jobs(&self, limit: usize) -> Vec<Job> {
        let releases = self.undone.iter().map(|(lease, user)| Job::Release { lease: *lease, user: user.clone() });
        let asserts = self.owed.iter().filter_map(|lease| {
            let entry = self.leases.get(lease)?;
            Some(Job::Assert { lease: *lease, user: entry.user.clone(), facts: entry.facts.clone() })
        });
        releases.chain(asserts).take(limit).collect()
    }

    /// Whether anybody here has it, or waits for it.
    #[must_use]
    pub fn holds(&self, lease: LeaseId) -> bool {
        self.leases.contains_key(&lease)
    }

    /// Whether everything that was held when the term began, or that a question on its way then brought, was told since.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Leases that are held, or waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether nobody here has any, or waits for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    #[cfg(test)]
    pub(super) fn undone(&self) -> usize {
        self.undone.len()
    }
}

#[cfg(test)]
mod tests;
