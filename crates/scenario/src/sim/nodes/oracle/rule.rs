//! What is promised, how it broke, and what was counted.

use std::fmt;
use std::time::Duration;

use lychgate_core::Time;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// I1: no grant raises the places of a user that Redis can know of above the limit, or above what they were.
    Limit,
    /// R14, R16: what is over is never held again in the same data set.
    Over,
    /// R33: no grant before every node that reaches Redis has said what it holds.
    Told,
    /// A node that reaches Redis hears within seconds that a place of it was taken.
    Heard,
    /// A place is taken in the step that grants it to somebody, and as a dead node's only where the node is out of the table.
    Swap,
    /// R15, R33: nobody who lives is closed, but for a newcomer who got the place.
    Closed,
    /// A node goes by its own count only while Redis, or its way there, is disturbed.
    Alone,
    /// Nobody is refused.
    Refusal,
    /// I3: every open ends in bounded time, whatever Redis does.
    Answer,
    /// I5: a session with a run in flight is not taken while another choice was left.
    Run,
    /// R30: nobody is found silent who was not asked, or while we were deaf.
    Silence,
    /// In the end Redis holds what the nodes do, and then nothing.
    Agreement,
    /// Nothing panics.
    Panic,
}

impl Rule {
    /// The word on the page of mutants and in a failure.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "I1 limit",
            Self::Over => "over is over",
            Self::Told => "told before granted",
            Self::Heard => "heard",
            Self::Swap => "a place for a place",
            Self::Closed => "closed for a place",
            Self::Alone => "counted together",
            Self::Refusal => "refusal",
            Self::Answer => "I3 answer",
            Self::Run => "I5 protection",
            Self::Silence => "silence",
            Self::Agreement => "agreement",
            Self::Panic => "panic",
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// In which step of the plan, counted from 1; one more than there are for what comes after the last.
    pub step: usize,
    /// When.
    pub at: Time,
    /// How.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, step, at, detail } = self;
        write!(f, "{} in step {step}, after {} ms: {detail}", rule.as_str(), at.as_micros() / 1_000)
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Histories.
    pub plans: u64,
    /// Opens, and those that were answered.
    pub opens: u64,
    /// With a place.
    pub opened: u64,
    /// Places that Redis granted.
    pub granted: u64,
    /// Places that were another node's, or another session's.
    pub swapped: u64,
    /// Of nodes that were out of the table.
    pub buried: u64,
    /// By a node's own count.
    pub alone: u64,
    /// Data sets that were lost.
    pub lost: u64,
    /// The longest wait of an open, in time that its node ran.
    pub longest_wait: Duration,
    /// Promises that were broken.
    pub violations: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.plans += other.plans;
        self.opens += other.opens;
        self.opened += other.opened;
        self.granted += other.granted;
        self.swapped += other.swapped;
        self.buried += other.buried;
        self.alone += other.alone;
        self.lost += other.lost;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.violations += other.violations;
    }
}
