//! Pure: evidence in, verdict out. It may kill; health only ranks.

use std::time::Duration;

/// In which way something is dead that looks alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZombieKind {
    /// The peer answers nothing.
    HalfOpen,
    /// The peer takes no bytes.
    Stalled,
    /// A record without a task.
    Ghost,
    /// A session without a connection, past its linger.
    Orphan,
    /// A slot of a dead node.
    StaleLease,
}

impl ZombieKind {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HalfOpen => "half_open",
            Self::Stalled => "stalled",
            Self::Ghost => "ghost",
            Self::Orphan => "orphan",
            Self::StaleLease => "stale_lease",
        }
    }
}

/// The verdict over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It answered the last question.
    Alive,
    /// It missed one answer.
    Suspect,
    /// It is dead.
    Zombie(ZombieKind),
}

/// What was known when somebody was declared dead or chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Heartbeats in a row without an answer.
    pub missed_pings: u32,
    /// Pings of the last probe without an answer.
    pub missed_probes: u32,
    /// Since it was last heard.
    pub silent_for: Duration,
    /// How long bytes have been waiting for the kernel.
    pub blocked_for: Option<Duration>,
}
