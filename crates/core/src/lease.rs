//! A user's sessions on other nodes, and the leases by which all nodes count them together.
//!
//! ```text
//!  open --> Unasked --Acquire--> Asked --Granted--> admitted
//!              ^                  | '--Unknown--> Alone: this node's own count decides
//!              |                  '--Denied--> Hearing --every node reported, or was silent--> Denied
//!              '--------------- a place came free, or a victim was chosen <-------------------'
//! ```
//!
//! The gate asks and keeps the newcomer waiting; whoever drives it answers every question within a bounded time. A gate that
//! counts alone ([`Counting::Alone`]) asks nobody.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::gate::io::AdmissionPath;
use crate::id::{ConnectionId, SessionKey, ThreadId, UserId};
use crate::reclaim::{Facts, ReclaimLevel, Standing};
use crate::timer::Time;

/// Who counts a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// This gate alone.
    Alone,
    /// All nodes together. The lease numbers of this gate begin here; gates of one node begin far enough from each other.
    Shared(NonZeroU64),
}

/// Names a lease of this node: unique in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease(NonZeroU64);

impl Lease {
    /// As a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// The lease with this number, of those that a gate of this process drew.
    #[must_use]
    pub const fn from_number(number: NonZeroU64) -> Self {
        Self(number)
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names a lease of another node; opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignLease {
    /// The process that drew it.
    pub life: u64,
    /// Which of that process's.
    pub number: u64,
}

/// Names another node; opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignNode(pub u64);

/// A session of the user on another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its lease.
    pub lease: ForeignLease,
    /// Where it is.
    pub node: ForeignNode,
}

/// How a session is, as its node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<L> {
    /// Which.
    pub lease: L,
    /// Whether anybody is there.
    pub standing: Standing,
    /// A run is in flight, or a plan pins it.
    pub protected: bool,
    /// 0 to 100.
    pub health: u8,
    /// How long it was not used.
    pub idle: Duration,
}

/// Of a session of this node, for another node that asks.
pub type OwnReport = Report<Lease>;
/// Of a session on another node.
pub type ForeignReport = Report<ForeignLease>;

/// What became of a [`Wish::Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How the user's sessions there are. One that is not among them is no more.
    Reports(Vec<ForeignReport>),
    /// The node did not answer: its sessions are suspects.
    Silence,
    /// It was not asked, for want of ours: that says nothing of its sessions (hazard R30).
    NotAsked,
}

/// What became of a [`Wish::Acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The place is held, and the victim's, where one was named, is not.
    Granted {
        /// The user's sessions on all nodes, this one included.
        used: usize,
        /// Whether somebody had to go for it.
        made_room: Room,
    },
    /// Every place is held.
    Denied {
        /// By whom, on other nodes.
        holders: Vec<Holder>,
        /// By which leases of this node.
        own: Vec<Lease>,
    },
    /// The lease was over before it was granted; another one may be asked for.
    Over,
    /// Nobody could be asked: a session that is admitted all the same is told by [`Wish::Keep`].
    Unknown,
}

/// Where a place came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It was free.
    Free,
    /// It was the victim's, or that may be.
    Made,
}

/// What other nodes did or say; part of [`crate::gate::io::Input`].
#[derive(Clone, Debug)]
pub enum News {
    /// To a [`Wish::Acquire`]. Each one is answered, once.
    Answered {
        /// Whose.
        user: UserId,
        /// Which.
        lease: Lease,
        /// What became of it.
        answer: Answer,
    },
    /// To a [`Wish::Ask`]. Each one is answered, once.
    Reported {
        /// Whose.
        user: UserId,
        /// Of which node.
        node: ForeignNode,
        /// What it says.
        told: Told,
    },
    /// Another node took the place of this lease: its session goes, and the lease needs no release.
    Taken {
        /// Whose.
        user: UserId,
        /// Which.
        lease: Lease,
    },
    /// The tab that had this connection has another one on another node, see [`Wish::Supersede`].
    Superseded {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
    },
}

impl News {
    /// Whose.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Answered { user, .. }
            | Self::Reported { user, .. }
            | Self::Taken { user, .. }
            | Self::Superseded { user, .. } => user,
        }
    }
}

/// Who is to make room in the same step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// A session of this node, which goes when the place is granted.
    Own(ThreadId),
    /// A session of another node.
    Foreign(Holder),
}

/// What is wanted of other nodes; part of [`crate::gate::io::Output`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A place, to be answered by [`News::Answered`].
    Acquire {
        /// For which session.
        key: SessionKey,
        /// The lease that it would be.
        lease: Lease,
        /// Places that the user has on all nodes.
        limit: usize,
        /// Whose place it takes, where no other is free: the lease of a session of this node, or of another.
        instead_of: Option<Either>,
    },
    /// The session lives although nobody could be asked: to be told to whoever counts as soon as that is possible.
    Keep {
        /// Which session.
        key: SessionKey,
        /// Its lease.
        lease: Lease,
    },
    /// The place is free.
    Release {
        /// Whose.
        user: UserId,
        /// Which.
        lease: Lease,
    },
    /// A connection of this node replaces one that is not here: whichever node has it lets it go. A hint that nobody
    /// answers; unheard, the old one lingers, and is the first to make room.
    Supersede {
        /// Whose.
        user: UserId,
        /// The old one.
        connection: ConnectionId,
    },
    /// How this user's sessions are there: to be answered by [`News::Reported`], within the deadline of a probe.
    Ask {
        /// Whose.
        user: UserId,
        /// Which node.
        node: ForeignNode,
    },
}

/// A lease of this node, or of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either {
    /// Of this node.
    Own(Lease),
    /// Of another.
    Foreign(Holder),
}

/// How far a waiter is with his lease.
#[derive(Clone, Debug, Default)]
pub(crate) enum Claim {
    /// This node's own count decides. With a lease that nobody could be asked about.
    #[default]
    Alone,
    /// He has asked nobody yet.
    Unasked,
    /// He asked.
    Asked(Box<Pending>),
    /// Denied, and the other nodes are asked how their sessions are.
    Hearing,
    /// Denied: he needs the place of somebody.
    Denied,
    /// Denied again and again, because the place that he asked for had gone to somebody else each time. Not the same as
    /// to find everybody protected: he asks once more in a moment, and does not queue for it.
    TooLate,
}

impl Claim {
    /// The lease that is asked for.
    pub(crate) fn asked_for(&self) -> Option<Lease> {
        let Self::Asked(pending) = self else { return None };
        Some(pending.lease)
    }

    pub(crate) fn asks_for(&self, lease: Lease) -> bool {
        self.asked_for() == Some(lease)
    }

    /// Whether the place of this session of this node is asked for.
    pub(crate) fn is_instead_of(&self, thread: &ThreadId) -> bool {
        let Self::Asked(pending) = self else { return false };
        matches!(&pending.victim, Some((Victim::Own(victim), _)) if victim == thread)
    }
}

/// A question that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) lease: Lease,
    pub(crate) victim: Option<(Victim, ReclaimLevel)>,
    pub(crate) path: AdmissionPath,
    /// Whether it was asked by somebody who had heard who holds the places: to be denied then is to have come too late.
    pub(crate) informed: bool,
}

/// A session on another node, as it is known here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    pub(crate) holder: Holder,
    /// None until its node says how it is; and when it said so.
    pub(crate) facts: Option<(Facts, Time)>,
}

impl Foreign {
    /// What the plan goes by. Of whom nothing is known yet nobody takes anything.
    pub(crate) fn facts(&self, now: Time) -> Facts {
        let Some((facts, heard)) = self.facts else { return Self::UNKNOWN };
        Facts { unused_for: facts.unused_for.saturating_add(now.since(heard)), ..facts }
    }

    /// Of a node that was not asked.
    pub(crate) const UNKNOWN: Facts =
        Facts { standing: Standing::Alive, protected: true, health: 100, unused_for: Duration::MAX };

    /// Of a node that did not answer: as good as dead, and still after whoever is proven to be (hazard R15).
    pub(crate) const SUSPECT: Facts =
        Facts { standing: Standing::Suspect, protected: false, health: 0, unused_for: Duration::ZERO };
}

/// What the gate knows of a user's sessions on other nodes.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// How many there are, by the last answer.
    pub(crate) count: usize,
    /// Those of the last denial.
    pub(crate) foreign: Vec<Foreign>,
    /// Nodes that did not answer, and when.
    pub(crate) silent: Vec<(ForeignNode, Time)>,
}
