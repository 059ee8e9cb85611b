//! What was counted while a plan ran, and how the counts of many plans add up.

use std::time::Duration;

use lychgate_core::ReclaimLevel;

/// Counts of one plan, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Plans that ran.
    pub plans: u64,
    /// Steps that ran.
    pub steps: u64,
    /// Calls of the gate.
    pub calls: u64,
    /// Sockets that asked to be let in.
    pub connects: u64,
    /// Opens that were asked for.
    pub opens: u64,
    /// Opens that were answered with `opened`.
    pub opened: u64,
    /// Sessions that came into being.
    pub created: u64,
    /// Refusals of every kind.
    pub refused: u64,
    /// Sessions that ended on their own account.
    pub released: u64,
    /// Sessions that were reclaimed, by level: Conservative, Moderate, Aggressive, Force.
    pub evicted: [u64; 4],
    /// Connections that were declared dead.
    pub zombies: u64,
    /// Pings that were ordered.
    pub pings: u64,
    /// The longest wait of an open for its answer.
    pub longest_wait: Duration,
    /// Broken promises: one at most for each plan, because a run ends at its first.
    pub violations: u64,
}

impl Tally {
    /// Counts an eviction.
    pub fn evicted(&mut self, level: ReclaimLevel) {
        self.evicted[level as usize] += 1;
    }

    /// How many Force took.
    #[must_use]
    pub fn forced(&self) -> u64 {
        self.evicted[ReclaimLevel::Force as usize]
    }

    /// Counts the wait of an open.
    pub fn waited(&mut self, wait: Duration) {
        self.longest_wait = self.longest_wait.max(wait);
    }

    /// Adds the counts of another plan.
    pub fn add(&mut self, other: &Self) {
        self.plans += other.plans;
        self.steps += other.steps;
        self.calls += other.calls;
        self.connects += other.connects;
        self.opens += other.opens;
        self.opened += other.opened;
        self.created += other.created;
        self.refused += other.refused;
        self.released += other.released;
        for (sum, count) in self.evicted.iter_mut().zip(other.evicted) {
            *sum += count;
        }
        self.zombies += other.zombies;
        self.pings += other.pings;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.violations += other.violations;
    }
}
