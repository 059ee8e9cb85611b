//! Why somebody is not served, or no longer: closed lists, which one table of the server turns into codes.

use std::time::Duration;

/// Why an open or a connection was not admitted. The per-user limit is not among the reasons, unless the operator chose
/// [`crate::limits::Force::Never`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node is being drained; come back after this long, to another node.
    Draining {
        /// When to come back.
        retry_in: Duration,
    },
    /// The node or the address holds as many connections as it can and every one of them is protected.
    Overload {
        /// When to come back.
        retry_in: Duration,
    },
    /// The node turns away whoever has nothing on it for a while, because it was told to; it need not be full.
    Shed {
        /// When to come back.
        retry_in: Duration,
    },
    /// No slot came free in the queue's time, and no live session may be taken.
    NoSlot {
        /// When to come back.
        retry_in: Duration,
    },
    /// The socket is not known to the gate: it was closed, or it never proved who it is.
    NotConnected,
}

impl Refusal {
    /// The words of all reasons.
    pub const WORDS: [&str; 5] = ["draining", "overload", "shed", "no_slot", "not_connected"];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining { .. } => "draining",
            Self::Overload { .. } => "overload",
            Self::Shed { .. } => "shed",
            Self::NoSlot { .. } => "no_slot",
            Self::NotConnected => "not_connected",
        }
    }
}

/// Why a session or a connection was ended by the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictReason {
    /// The client asked for it with `leave`.
    Left,
    /// The client closed its socket with code 1000.
    ClientClosed,
    /// No connection came back within the linger.
    LingerEnded,
    /// It stopped answering: heartbeats or both pings of a probe.
    Unresponsive,
    /// It took no byte for as long as `write_stall`.
    Slow,
    /// Its token expired.
    TokenExpired,
    /// A newer connection of the same tab took over.
    Superseded,
    /// It made room for a newer session of the same user.
    MadeRoom,
    /// It made room for a newer connection of the same session, user, address or node.
    MadeRoomForConnection,
    /// An operator closed it.
    ByAdmin,
    /// The user logged out, here or everywhere, by himself or by an operator.
    LoggedOut,
    /// What let it in was revoked.
    Revoked,
    /// The node is being drained.
    Draining,
}

impl EvictReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Left,
        Self::ClientClosed,
        Self::LingerEnded,
        Self::Unresponsive,
        Self::Slow,
        Self::TokenExpired,
        Self::Superseded,
        Self::MadeRoom,
        Self::MadeRoomForConnection,
        Self::ByAdmin,
        Self::LoggedOut,
        Self::Revoked,
        Self::Draining,
    ];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::ClientClosed => "client_closed",
            Self::LingerEnded => "linger_ended",
            Self::Unresponsive => "unresponsive",
            Self::Slow => "slow",
            Self::TokenExpired => "token_expired",
            Self::Superseded => "superseded",
            Self::MadeRoom => "made_room",
            Self::MadeRoomForConnection => "made_room_for_connection",
            Self::ByAdmin => "by_admin",
            Self::LoggedOut => "logged_out",
            Self::Revoked => "revoked",
            Self::Draining => "draining",
        }
    }
}
