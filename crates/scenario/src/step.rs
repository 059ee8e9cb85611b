//! The vocabulary: everything that a plan can let happen, one word each, for both drivers.
//!
//! A step is total. One that makes no sense where it stands (waking a tab that was never opened) does nothing, so that
//! shrinking a plan may drop any step before it.

use std::time::Duration;

use lychgate_core::{BreakerState, End, Heartbeat, Pressure, ReclaimStep};

mod text;

pub use text::StepError;
pub(crate) use text::{duration_from_text, duration_to_text};

/// A browser tab of a user, both by number. Written `u0 c3`: `c` for client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tab {
    /// Whose.
    pub user: u32,
    /// Which of the user's tabs.
    pub number: u32,
}

/// How a tab names the conversation that it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thread {
    /// By its id. Written `t5`.
    Named(u32),
    /// By no id: the gateway makes one. The number is the client's reference, so that the same one again is the same
    /// open. Written `new5`.
    New(u32),
}

/// How a tab comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Naming its old socket as `prev`.
    Prev,
    /// As if it had never been here.
    Fresh,
    /// Naming the socket of a tab that may belong to somebody else.
    Stolen(Tab),
}

/// What has to be true at this point of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The user holds exactly so many sessions.
    Sessions {
        /// Whose.
        user: u32,
        /// How many.
        count: u32,
    },
    /// The tab has the thread open.
    Open {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
    },
    /// The tab does not have the thread open.
    NotOpen {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
    },
    /// The tab was told last that its open of the thread stands at this place of the queue.
    Queued {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
        /// 1 is next.
        position: u32,
    },
    /// The tab was told last that its user is in this band.
    Told {
        /// Which tab.
        tab: Tab,
        /// Which band.
        level: Pressure,
    },
    /// The user's reserve takes newcomers (`open`), or it does not (`closed`).
    Reserve {
        /// Whose.
        user: u32,
        /// Whether it takes newcomers.
        is_open: bool,
    },
    /// The breaker of a user or of the node round a step says this. Written `breaker u0 probe open`, or with `node`.
    Breaker {
        /// Whose; none for the node's.
        user: Option<u32>,
        /// Round which step.
        step: ReclaimStep,
        /// What it says.
        state: BreakerState,
    },
    /// No open has waited longer than this.
    Waited(Duration),
    /// Exactly so many sessions were reclaimed, at whatever level.
    Evicted(u32),
    /// Force took exactly so many sessions.
    Forced(u32),
    /// Exactly so many opens and sockets were refused.
    Refused(u32),
}

/// The plan that a token names, as the head of the plan file defines it; none for a token without one.
pub type TokenPlan = Option<Box<str>>;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A tab connects, unless it is connected, and opens a thread.
    OpenTab {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
        /// What counts as life on its sockets.
        heartbeat: Heartbeat,
        /// What its token names, from its next socket on.
        plan: TokenPlan,
    },
    /// A connected tab opens one more thread.
    OpenThread {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
    },
    /// A tab's socket ends and the server notices.
    CloseTab {
        /// Which tab.
        tab: Tab,
        /// With code 1000 or in any other way.
        end: End,
    },
    /// A tab answers nothing any more, and the server is not told: a closed lid, a tunnel, a SIGSTOP.
    GoSilent(Tab),
    /// The browser freezes the page: it still answers protocol pings, but no application ping (hazard R9).
    Freeze(Tab),
    /// A silent or frozen tab answers again.
    WakeUp(Tab),
    /// The tab reads no more: what we write waits.
    StopReading(Tab),
    /// The tab reads a little, and stops again.
    ReadSome(Tab),
    /// The tab reads all that waited.
    ReadAgain(Tab),
    /// The tab leaves its socket behind, half-open, and opens its threads again on a new one.
    Reconnect {
        /// Which tab.
        tab: Tab,
        /// How.
        way: Way,
    },
    /// The tab lets a thread go.
    Leave {
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: Thread,
    },
    /// A run starts on a thread, unless one is in flight.
    Prompt {
        /// Whose.
        user: u32,
        /// Which thread.
        thread: Thread,
    },
    /// The run of a thread ends.
    RunEnds {
        /// Whose.
        user: u32,
        /// Which thread.
        thread: Thread,
    },
    /// A person looks at the tab: it counts as use of every thread that it shows.
    Look(Tab),
    /// The server itself does not run for so long, and knows it afterwards.
    StallRuntime(Duration),
    /// The socket that the tab has now cannot be closed: the server is told so.
    CloseFails(Tab),
    /// The socket that the tab has now never confirms its close.
    CloseHangs(Tab),
    /// The tab's token expires after so long.
    Expire {
        /// Which tab.
        tab: Tab,
        /// From now.
        after: Duration,
    },
    /// The tab brings a new token, which does not expire.
    Renew {
        /// Which tab.
        tab: Tab,
        /// What the token names.
        plan: TokenPlan,
    },
    /// No ping can be written to the socket that the tab has now, and its task does not notice; `wake-up` mends it.
    PingsFail(Tab),
    /// An operator closes the tab's socket.
    Expel(Tab),
    /// The node is told to stop.
    Drain(Duration),
    /// Time passes.
    Advance(Duration),
    /// Something has to be true now.
    Expect(Expectation),
}
