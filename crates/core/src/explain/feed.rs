//! What was decided lately, about everybody, in order and numbered: for whoever watches a node.
//!
//! ```text
//!  note --> [ 41 42 43 44 ]      41 gives way when 45 comes and the bytes are spent
//!              after(40) --> 41 42 .., next = 44     after(12) --> the same, missed = 28
//! ```

use std::collections::VecDeque;

use super::Decision;
use crate::id::UserId;
use crate::reclaim::ReclaimLevel;
use crate::timer::Time;

/// What one decision is taken to cost when the ring is made: its record, and usual ids and evidence.
const USUAL_BYTES: usize = size_of::<Told>() + 160;

/// Decisions that one call looks at: it is made under a lock that every admission of the node takes.
const LOOKED_AT: usize = 1_024;

/// One decision of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Rises by one with each decision; 1 for the first of a node's life.
    pub sequence: u64,
    /// Whom it is about; none for the node itself.
    pub user: Option<UserId>,
    /// What.
    pub decision: Decision,
}

impl Told {
    fn texts(&self) -> usize {
        self.user.as_ref().map_or(0, |user| user.as_str().len()) + self.decision.bytes()
    }
}

/// Which decisions are wanted; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those about this user.
    pub user: Option<UserId>,
    /// Those for which reclaim went as far as this.
    pub level: Option<ReclaimLevel>,
    /// Those of these kinds ([`super::Verdict::kind`]); of any where it is empty.
    pub kinds: Vec<String>,
    /// Not before this.
    pub since: Option<Time>,
    /// Those alone that somebody may ask about: no session that found a free slot, none that its own client ended.
    pub interesting: bool,
}

impl Filter {
    fn wants(&self, told: &Told) -> bool {
        let verdict = &told.decision.verdict;
        (self.user.is_none() || self.user == told.user)
            && (self.level.is_none() || self.level == verdict.level())
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == verdict.kind()))
            && self.since.is_none_or(|since| told.decision.at >= since)
            && (!self.interesting || verdict.is_interesting())
    }
}

/// What a call found, and where the next one goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stretch {
    /// In the order in which they were looked at.
    pub told: Vec<Told>,
    /// The last number that was looked at.
    pub next: u64,
    /// Decisions that were asked for and had given way already, whether the filter wanted them or not.
    pub missed: u64,
    /// Whether there is nothing further in this direction.
    pub is_end: bool,
}

/// The decisions of a node within a budget, oldest first.
#[derive(Debug)]
pub struct Feed {
    budget: usize,
    /// Of what hangs on the entries.
    texts: usize,
    last: u64,
    /// Made once, so that it never costs more than it was made for.
    entries: VecDeque<Told>,
}

impl Feed {
    /// Empty. `budget` is in bytes, of the records and their texts together; one that holds not even one decision holds
    /// none.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self { budget, texts: 0, last: 0, entries: VecDeque::with_capacity(budget / USUAL_BYTES) }
    }

    /// Appends a decision, and lets the oldest ones go that the budget has no room for.
    pub fn note(&mut self, user: Option<UserId>, decision: Decision) {
        self.last += 1;
        let told = Told { sequence: self.last, user, decision };
        let wanted = told.texts();
        let capacity = self.budget / USUAL_BYTES;
        let room = self.budget.saturating_sub(capacity * size_of::<Told>());
        while self.entries.len() >= capacity || self.texts + wanted > room {
            match self.entries.pop_front() {
                Some(oldest) => self.texts -= oldest.texts(),
                // Not even alone does it fit.
                None => return,
            }
        }
        self.texts += wanted;
        self.entries.push_back(told);
    }

    /// The number of the newest decision; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Up to `limit` decisions after the one with this number, oldest first. Bounded work: where little is found there is
    /// more after [`Stretch::next`], unless it says that this is the end.
    #[must_use]
    pub fn after(&self, sequence: u64, limit: usize, filter: &Filter) -> Stretch {
        let oldest = self.oldest();
        let start = sequence.saturating_add(1).max(oldest);
        let missed = oldest.saturating_sub(sequence.saturating_add(1));
        let mut found = Stretch { told: Vec::new(), next: start - 1, missed, is_end: false };
        for told in self.entries.iter().skip(places(start - oldest)).take(LOOKED_AT) {
            if found.told.len() == limit {
                return found;
            }
            found.next = told.sequence;
            found.told.extend(filter.wants(told).then(|| told.clone()));
        }
        // What is asked for from beyond the end is not there yet.
        found.next = found.next.min(self.last);
        found.is_end = found.next == self.last;
        found
    }

    /// Up to `limit` decisions before the one with this number, newest first, with the same bound.
    #[must_use]
    pub fn before(&self, sequence: u64, limit: usize, filter: &Filter) -> Stretch {
        let oldest = self.oldest();
        let end = places(sequence.saturating_sub(oldest)).min(self.entries.len());
        let mut found = Stretch { next: sequence, ..Stretch::default() };
        for told in self.entries.iter().take(end).rev().take(LOOKED_AT) {
            if found.told.len() == limit {
                return found;
            }
            found.next = told.sequence;
            found.told.extend(filter.wants(told).then(|| told.clone()));
        }
        found.is_end = end == 0 || found.next == oldest;
        found
    }

    /// The number of the oldest decision that is held, or that the next one will have.
    fn oldest(&self) -> u64 {
        self.entries.front().map_or(self.last + 1, |told| told.sequence)
    }

    /// Bytes that count against the budget.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Told>() + self.texts
    }
}

fn places(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
