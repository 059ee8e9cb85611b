//! Why a journal in Redis cannot be opened, and why one command of it failed.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::server::explain;
use crate::config::{ConfigError, Place};
use crate::error::Error;
use crate::journal::JournalError;
use crate::whereabouts::{Astray, Misplaced};

/// Why a journal was not opened. Nothing was changed. None of the texts holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No server answers there in time, or it cannot be used at the moment.
    #[error("names a Redis that cannot be reached: {0}")]
    Unreachable(String),
    /// The server does not take the password, or the user may not do what a journal does.
    #[error("names a Redis that denies this: {0}")]
    Denied(String),
    /// The address means something else than what is there.
    #[error("{0}")]
    Misplaced(Misplaced),
    /// The address is none.
    #[error("is no address of a Redis (it may hold a password and is not shown)")]
    Address,
    /// The server is older than the scripts need.
    #[error("names a Redis of version {0}; 7.0 is the oldest that this works with")]
    TooOld(String),
    /// The server may throw away what it acknowledged.
    #[error("names a Redis with maxmemory-policy {0}, which may throw away conversations")]
    Evicts(String),
    /// A key is not ours.
    #[error("names a Redis in which the key {key} {what}")]
    Foreign {
        /// The whole name of the key.
        key: String,
        /// What it is, as the end of a sentence.
        what: String,
    },
    /// A later version of Lychgate wrote there.
    #[error("names a Redis in which {key} has schema {found}, and this program knows {known}")]
    Newer {
        /// The whole name of the key.
        key: String,
        /// Its schema.
        found: String,
        /// Ours.
        known: u32,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "Start it, or name another one; the way there must be open from this machine.",
            Self::Denied(_) => {
                "Write the user and the password into the address, redis://user:password@host:6379, and let the user run scripts and all commands on keys of the prefix."
            }
            Self::Misplaced(misplaced) => misplaced.remedy(),
            Self::Address => {
                "Write redis://[user:password@]host:6379[/database], rediss:// for TLS, or unix:///path/of/socket."
            }
            Self::TooOld(_) => "Use Redis 7.0 or later, or Valkey.",
            Self::Evicts(_) => "Set `maxmemory-policy noeviction` there (redis.conf, or CONFIG SET).",
            Self::Foreign { .. } => "Give the gateway a prefix of its own with journal.prefix.",
            Self::Newer { .. } => {
                "Start the version of Lychgate that wrote it or a later one, or set another journal.prefix."
            }
        }
    }

    /// The same as an error of the program; `place` is where `journal.url` was set. Exit code 1 where the server has to
    /// come back first, 2 where something has to be set otherwise.
    #[must_use]
    pub fn at(self, place: Place) -> Error {
        let remedy = self.remedy().to_owned();
        let wrong = ConfigError::Value { place, key: "journal.url".to_owned(), what: self.to_string(), remedy };
        match self {
            Self::Unreachable(_) => Error::Failed(wrong.to_string()),
            Self::Denied(_)
            | Self::Misplaced(_)
            | Self::Address
            | Self::TooOld(_)
            | Self::Evicts(_)
            | Self::Foreign { .. }
            | Self::Newer { .. } => wrong.into(),
        }
    }
}

/// Why a command was not answered as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answered in time, or the server cannot at the moment: what was asked may have been done all the same (R16).
    Unknown(String),
    /// The server said no, and will say so again.
    Refused(String),
    /// What lies there is not what we wrote.
    Damaged(String),
}

impl Failure {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Unknown(text) | Self::Refused(text) | Self::Damaged(text) => text,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Io => Self::Unknown(text),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::NoScript,
            ) => Self::Unknown(text),
            // Fewer replicas than min-replicas-to-write asks for: they may be there again in a moment.
            _ if error.code() == Some("NOREPLICAS") => Self::Unknown(text),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Damaged(text),
            // The list of the library is open; what it does not name is an answer of the server.
            _ => Self::Refused(text),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unreachable(why) => Self::Unknown(why),
            other @ (OpenError::Denied(_)
            | OpenError::Misplaced(_)
            | OpenError::Address
            | OpenError::TooOld(_)
            | OpenError::Evicts(_)
            | OpenError::Foreign { .. }
            | OpenError::Newer { .. }) => Self::Refused(format!("journal.url {other}. {}", other.remedy())),
        }
    }
}

impl From<Astray> for OpenError {
    fn from(astray: Astray) -> Self {
        match astray {
            Astray::Silent => Self::Unreachable("no answer in 500 ms".to_owned()),
            Astray::Unfit(why) => Self::Unreachable(why.to_owned()),
            Astray::Misplaced(misplaced) => Self::Misplaced(misplaced),
            Astray::Failed(error) => explain(&error),
        }
    }
}

impl From<Failure> for JournalError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(format!("Redis: {}", failure.text()))
    }
}
