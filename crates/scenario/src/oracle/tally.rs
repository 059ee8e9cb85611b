//! What was counted while a plan ran, and how the counts of many plans add up.

use std::time::Duration;

use lychgate_core::ReclaimLevel;

/// Corners of the gate that plans have to reach: what a blind generator would miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An open attached to a session that was there.
    Attach,
    /// An open confirmed a takeover by `prev`.
    Takeover,
    /// A session took a free slot.
    Free,
    /// A session took a slot that was reclaimed.
    Reclaimed,
    /// A session took a slot of the reserve.
    Reserve,
    /// A session was admitted from the queue.
    Queue,
    /// A session was admitted above a limit that only tells.
    Shadow,
    /// An open was told its first position.
    Queued,
    /// An open was told another position.
    MovedUp,
    /// A protected session was taken over.
    TakeOver,
    /// An open was refused where force is `never`.
    NoSlot,
    /// Shadow mode told whom it would have evicted.
    WouldEvict,
    /// Shadow mode told that somebody would have had to wait.
    WouldWait,
    /// A session was reclaimed in the background.
    Background,
    /// A session was reclaimed below 60 %, because the limit was in sight.
    Early,
    /// A user moved to another plan.
    PlanChange,
    /// A probe breaker opened.
    ProbeBreakerOpened,
    /// A close breaker opened.
    CloseBreakerOpened,
    /// A breaker of the node opened.
    NodeBreakerOpened,
    /// A breaker let a trial through.
    BreakerTried,
    /// A breaker closed.
    BreakerClosed,
}

impl Reach {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Attach,
        Self::Takeover,
        Self::Free,
        Self::Reclaimed,
        Self::Reserve,
        Self::Queue,
        Self::Shadow,
        Self::Queued,
        Self::MovedUp,
        Self::TakeOver,
        Self::NoSlot,
        Self::WouldEvict,
        Self::WouldWait,
        Self::Background,
        Self::Early,
        Self::PlanChange,
        Self::ProbeBreakerOpened,
        Self::CloseBreakerOpened,
        Self::NodeBreakerOpened,
        Self::BreakerTried,
        Self::BreakerClosed,
    ];

    /// The words in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attached",
            Self::Takeover => "taken over by prev",
            Self::Free => "admitted: free slot",
            Self::Reclaimed => "admitted: reclaimed",
            Self::Reserve => "admitted: reserve",
            Self::Queue => "admitted: queue",
            Self::Shadow => "admitted: shadow",
            Self::Queued => "queued",
            Self::MovedUp => "told another position",
            Self::TakeOver => "protected session taken",
            Self::NoSlot => "refused: no slot",
            Self::WouldEvict => "shadow would evict",
            Self::WouldWait => "shadow would wait",
            Self::Background => "background reclaim",
            Self::Early => "limit in sight",
            Self::PlanChange => "plan changed",
            Self::ProbeBreakerOpened => "probe breaker opened",
            Self::CloseBreakerOpened => "close breaker opened",
            Self::NodeBreakerOpened => "node breaker opened",
            Self::BreakerTried => "breaker tried",
            Self::BreakerClosed => "breaker closed",
        }
    }
}

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
    /// How often each corner was reached, by [`Reach`].
    pub reached: [u64; Reach::ALL.len()],
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
    /// Counts a corner.
    pub fn reach(&mut self, corner: Reach) {
        self.reached[corner as usize] += 1;
    }

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
        for (sum, count) in self.reached.iter_mut().zip(other.reached) {
            *sum += count;
        }
        self.zombies += other.zombies;
        self.pings += other.pings;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.violations += other.violations;
    }
}
