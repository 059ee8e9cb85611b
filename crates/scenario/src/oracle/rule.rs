//! The promises, and how a broken one is reported.

use std::fmt;

use lychgate_core::Time;

use crate::step::duration_to_text;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// I1: no admission raises a user's sessions above his limit and what his reserve has room for, at no point within a
    /// call. Above it, after a limit was lowered, one newcomer costs one session.
    Limit,
    /// I2: every session that is announced ends exactly once, at once where its last connection let it go, and none
    /// is left when all have left and the linger is over.
    Pairing,
    /// I3: every open is answered within the admission budget of ten seconds, our own stalls included, unless its socket
    /// died.
    Answer,
    /// I4: no live session is evicted while a dead one holds a slot; only Force takes live ones, only inside an
    /// admission, and no more than it needs.
    LiveBeforeDead,
    /// I5: no session that is protected (by a run in flight, or pinned) and has a live connection is evicted while another
    /// choice is left; then the least recently used one goes.
    Protection,
    /// I6: the gate's count is the number of sessions that were announced.
    Count,
    /// I8: nobody is told of another user's session.
    Privacy,
    /// The per-user limit never ends in a refusal, unless the operator chose `force = "never"`: then at the end of the
    /// queue, and only where nothing that does not live holds a slot.
    Refusal,
    /// M25: an admission is told as a lockout that was prevented where whoever only checks and refuses would have refused
    /// it, and nowhere else.
    Lockout,
    /// M14: the reserve takes newcomers only when every session is protected, for one window that nobody extends, and
    /// opens again a window after its user came back to his limit.
    Reserve,
    /// M14, M15: whoever waits is told his position, at once after the ladder and whenever it changes; the queue is
    /// served in its order, it is bounded, and nobody is taken over before its deadline.
    Queue,
    /// `force = "never"` takes no live session, a limit in shadow mode takes none at all and tells what it would have
    /// done.
    Policy,
    /// M11: background reclaim starts within a second, repeats each interval and stops below its mark, which is one band
    /// lower while the limit is in sight (M27) and nowhere else.
    Background,
    /// M12: a breaker moves only along its three states, and an open one skips.
    Breaker,
    /// R7, R8, R30: who answers is never declared dead, whatever the server's own lag, and nobody is after one
    /// missed answer.
    Verdict,
    /// C3, C6: a dead socket, one that takes no bytes, and one whose token expired are found in time.
    Found,
    /// M5: a takeover by `prev` happens, for its own user alone, without raising the count; the loser is told.
    Takeover,
    /// Every connection leaves exactly once: by its own end, or by one `CloseSocket` for a reason that holds.
    Close,
    /// M15: who loses a session is told, and everybody knows his user's band and whether the reserve is open.
    Told,
    /// M4: a session that lost its last connection lingers as long as promised, and no longer.
    Linger,
    /// M3: connections per session and per user are bounded.
    Bounds,
    /// A deadline that is due makes progress.
    Timer,
    /// The gate found itself broken.
    Panic,
    /// An `expect` of the plan.
    Expectation,
}

impl Rule {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "I1 limit",
            Self::Pairing => "I2 pairing",
            Self::Answer => "I3 answer",
            Self::LiveBeforeDead => "I4 live before dead",
            Self::Protection => "I5 protection",
            Self::Count => "I6 count",
            Self::Privacy => "I8 privacy",
            Self::Refusal => "refusal",
            Self::Lockout => "lockout",
            Self::Reserve => "reserve",
            Self::Queue => "queue",
            Self::Policy => "policy",
            Self::Background => "background",
            Self::Breaker => "breaker",
            Self::Verdict => "verdict",
            Self::Found => "found",
            Self::Takeover => "takeover",
            Self::Close => "close",
            Self::Told => "told",
            Self::Linger => "linger",
            Self::Bounds => "bounds",
            Self::Timer => "timer",
            Self::Panic => "panic",
            Self::Expectation => "expectation",
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// At which step of the plan, counted from 1; one past the last while everybody leaves.
    pub step: usize,
    /// When.
    pub at: Time,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = duration_to_text(self.at.since(Time::ZERO));
        write!(f, "{} broken at step {} ({at}): {}", self.rule.as_str(), self.step, self.detail)
    }
}
