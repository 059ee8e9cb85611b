//! Ways to get the protocol wrong, each a switch: a model that lets one of them pass proves nothing.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A late acquire brings back a lease that is over.
    AcquireIgnoresTombstones,
    /// A node that returns puts back what was taken from it.
    AssertIgnoresTombstones,
    /// Released is forgotten at once.
    ReleaseLeavesNoTombstone,
    /// The scripts take a command of before a flush for one of after it.
    NoGenerationInScripts,
    /// A node whose renewal fails closes what it serves.
    ClosesWhenItCannotRenew,
    /// A node refuses newcomers while Redis is away.
    RefusesWhenUnknown,
    /// Newcomers are granted places although another node has not asserted its own yet.
    AdmitsUnsettled,
    /// A new generation counts as settled when everybody in the node table is: after a flush that is nobody else.
    SettledByTheTableAlone,
    /// A node counts as settled while it still waits for an answer of before the loss, and believes that answer.
    TrustsAnswersOfBeforeTheLoss,
    /// Whether a node lease has expired is judged by the caller's clock.
    TrustsItsOwnClock,
    /// A node that has only just come back into contact declares others dead.
    DeclaresDeadOnReturn,
    /// A node that was declared dead takes the mark away and goes on under the same incarnation.
    ReturnsUnderTheOldIncarnation,
    /// The victim goes in one step, and the newcomer comes in another.
    SwapInTwoSteps,
    /// A swap takes its victims although the newcomer is in, or gone, or needs no victim.
    LateSwapTakesAnyway,
    /// A swap takes one victim, also where there is an excess.
    SwapOfOneVictim,
    /// A newcomer whose answer was lost asks again under the same lease.
    AsksTwiceUnderOneLease,
    /// The word that a lease was taken counts only for the id under which the session was last known to be held.
    FencedByTheOldIdAlone,
    /// The victim's node is told by the caller, after the answer.
    CallerTellsTheVictim,
    /// A node that lost its subscription subscribes again and asks nothing.
    LostSubscriptionIgnored,
    /// A node that lost its subscription asserts first, and subscribes afterwards.
    AssertsBeforeItSubscribes,
    /// The word that a lease was taken is ignored while the answer that granted it is under way.
    FenceBeforeGrantIgnored,
    /// A server that took over with lost writes is taken for the old one.
    FailoverKeepsTheGeneration,
    /// After a loss a node asserts what it serves, and leaves what it released before.
    ForgetsTheDeparted,
    /// A newcomer that left after a timeout is not released.
    TimedOutNotReleased,
    /// What was admitted while Redis was away is not asserted.
    LocalNotAsserted,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::AcquireIgnoresTombstones,
        Self::AssertIgnoresTombstones,
        Self::ReleaseLeavesNoTombstone,
        Self::NoGenerationInScripts,
        Self::ClosesWhenItCannotRenew,
        Self::RefusesWhenUnknown,
        Self::AdmitsUnsettled,
        Self::SettledByTheTableAlone,
        Self::TrustsAnswersOfBeforeTheLoss,
        Self::TrustsItsOwnClock,
        Self::DeclaresDeadOnReturn,
        Self::ReturnsUnderTheOldIncarnation,
        Self::SwapInTwoSteps,
        Self::LateSwapTakesAnyway,
        Self::SwapOfOneVictim,
        Self::AsksTwiceUnderOneLease,
        Self::FencedByTheOldIdAlone,
        Self::CallerTellsTheVictim,
        Self::LostSubscriptionIgnored,
        Self::AssertsBeforeItSubscribes,
        Self::FenceBeforeGrantIgnored,
        Self::FailoverKeepsTheGeneration,
        Self::ForgetsTheDeparted,
        Self::TimedOutNotReleased,
        Self::LocalNotAsserted,
    ];
}
