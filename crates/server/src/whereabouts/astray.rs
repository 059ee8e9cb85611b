//! Why no server was found.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why nobody can be asked at the moment.
#[derive(Debug)]
pub enum Astray {
    /// Nobody answered in time.
    Silent,
    /// What is there is not what the address says: trying again does not help.
    Misplaced(Misplaced),
    /// It answers, and cannot serve now.
    Unfit(&'static str),
    /// There was no connection, or a refusal.
    Failed(RedisError),
}

/// An address that means something else than what is there. Displayed as what follows the name of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// One sentinel where a server should be.
    #[error("names a sentinel, which holds no keys")]
    IsSentinel,
    /// A server where sentinels should be.
    #[error("names sentinels, and what answers there is none")]
    NoSentinel,
    /// The sentinels look after others.
    #[error("names the master {name:?}, and the sentinels know {}", quoted(known))]
    UnknownMaster {
        /// Ours.
        name: String,
        /// Theirs.
        known: Vec<String>,
    },
    /// The sentinels do not take who we are.
    #[error("names sentinels that refuse this user or password")]
    SentinelDenies,
    /// A node of a Redis Cluster where a single server should be.
    #[error("names a node of a Redis Cluster as if it were a server by itself")]
    IsCluster,
    /// A single server where a Redis Cluster should be.
    #[error("names a Redis Cluster, and what answers there is a server by itself")]
    NoCluster,
}

impl Misplaced {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::IsSentinel => "Write redis+sentinel://host:26379,host:26379/master with the name of the master.",
            Self::NoSentinel => {
                "Name the sentinels, which listen on 26379 unless told otherwise, or write redis://host:6379 for a server by itself."
            }
            Self::UnknownMaster { .. } => {
                "Write a name that they know behind the hosts: redis+sentinel://host:26379/NAME."
            }
            Self::SentinelDenies => {
                "Write theirs behind the name, ?sentinel_username=U&sentinel_password=P; those in front of the hosts are the server's."
            }
            Self::IsCluster => "Write redis+cluster://host:6379,host:6379 with some of its nodes.",
            Self::NoCluster => "Write redis://host:6379 for a server by itself.",
        }
    }
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "no master at all".to_owned(),
        names => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    }
}

impl Astray {
    /// The one that says more of the two.
    pub(super) fn or(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Silent => 0,
            Self::Failed(error) if error.is_io_error() => 1,
            Self::Unfit(_) => 2,
            Self::Failed(_) => 3,
            Self::Misplaced(_) => 4,
        }
    }
}

impl From<RedisError> for Astray {
    fn from(error: RedisError) -> Self {
        match error.is_timeout() {
            true => Self::Silent,
            false => Self::Failed(error),
        }
    }
}

/// Whether the server does not take who we are, or what we asked.
#[must_use]
pub fn is_denial(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        // The list of the library is open; the code is what the server said.
        _ => matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM")),
    }
}
