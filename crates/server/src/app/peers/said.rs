//! What nodes say to each other about operators' deeds, as it stands in Redis. A node that knows less passes over what is new.

use lychgate_core::{ConnectionId, EvictReason, ReclaimLevel, SessionKey, ThreadId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Lending, Withdrawal};
use crate::auth::{Revocation, Revoked};
use crate::wire::admin::Level;

/// Keys in one hint at most.
const MAX_KEYS: usize = 256;

/// A hint to one or to all.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Hint {
    /// An operator ended these sessions.
    Ended { user: String, threads: Vec<String> },
    /// The tab that had this connection is somewhere else now.
    Superseded { user: String, connection: String },
    /// An operator wants this user's sessions reclaimed. The number tells one order from the next: a hint may come twice.
    Reclaim { user: String, level: Level, number: u64 },
}

/// A hint, read.
pub(in crate::app) enum Heard {
    /// Sessions are to end.
    Ended(Vec<SessionKey>),
    /// See [`lychgate_core::lease::News::Superseded`].
    Superseded { user: UserId, connection: ConnectionId },
    /// The user's sessions are to be reclaimed as far as this.
    Reclaim { user: UserId, level: ReclaimLevel, number: u64 },
}

/// None for what cannot be read.
pub(in crate::app) fn hint(what: Value) -> Option<Heard> {
    match serde_json::from_value(what).ok()? {
        Hint::Ended { user, threads } => {
            let user = UserId::parse(&user).ok()?;
            let threads = threads.iter().take(MAX_KEYS).filter_map(|thread| ThreadId::parse(thread).ok());
            Some(Heard::Ended(threads.map(|thread| SessionKey::new(user.clone(), thread)).collect()))
        }
        Hint::Superseded { user, connection } => {
            Some(Heard::Superseded { user: UserId::parse(&user).ok()?, connection: connection.parse().ok()? })
        }
        Hint::Reclaim { user, level, number } => {
            Some(Heard::Reclaim { user: UserId::parse(&user).ok()?, level: level.into(), number })
        }
    }
}

/// Of one user's sessions; none where there are none.
pub(super) fn ended(keys: &[SessionKey]) -> Option<Value> {
    let user = keys.first()?.user().as_str().to_owned();
    let threads = keys.iter().take(MAX_KEYS).map(|key| key.thread().as_str().to_owned()).collect();
    Some(text(&Hint::Ended { user, threads }))
}

pub(super) fn superseded(user: &UserId, connection: ConnectionId) -> Value {
    text(&Hint::Superseded { user: user.as_str().to_owned(), connection: connection.to_string() })
}

pub(super) fn reclaim(user: &UserId, level: ReclaimLevel, number: u64) -> Value {
    let level = match level {
        ReclaimLevel::Conservative => Level::Conservative,
        ReclaimLevel::Moderate => Level::Moderate,
        ReclaimLevel::Aggressive => Level::Aggressive,
        ReclaimLevel::Force => Level::Force,
    };
    text(&Hint::Reclaim { user: user.as_str().to_owned(), level, number })
}

fn text(said: &impl Serialize) -> Value {
    serde_json::to_value(said).expect("text and numbers always serialise")
}

/// A note on the board.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Note {
    Revoked {
        what: What,
        issued_before: u64,
        until: u64,
        #[serde(default)]
        ends_all: bool,
        #[serde(default)]
        logged_out: bool,
    },
    /// A limit that lasts until then, in milliseconds since 1970; without sessions it is taken back.
    Lent {
        user: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_sessions: Option<usize>,
        until: u64,
        number: u64,
    },
}

/// What is revoked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Token { jti: String, issuer: Option<String> },
    User(String),
    Everybody,
}

/// A note, read.
pub(super) enum Posted {
    Revoked(Withdrawal),
    Lent(Lending),
}

/// None for what cannot be read.
pub(super) fn note(note: Value) -> Option<Posted> {
    match serde_json::from_value(note).ok()? {
        Note::Revoked { what, issued_before, until, ends_all, logged_out } => {
            let what = match what {
                What::Token { jti, issuer } => Revoked::Token { jti, issuer },
                What::User(user) => Revoked::User(UserId::parse(&user).ok()?),
                What::Everybody => Revoked::Everybody,
            };
            let revocation = Revocation { what, issued_before: Some(issued_before), until: Some(until) };
            let reason = if logged_out { EvictReason::LoggedOut } else { EvictReason::Revoked };
            Some(Posted::Revoked(Withdrawal { revocation, ends_all, reason }))
        }
        Note::Lent { user, max_sessions, until, number } => {
            Some(Posted::Lent(Lending { user: UserId::parse(&user).ok()?, max_sessions, until, number }))
        }
    }
}

/// None for one without its times: without them it would be another revocation for each node.
pub(super) fn revoked(withdrawal: Withdrawal) -> Option<Value> {
    let Withdrawal { revocation: Revocation { what, issued_before, until }, ends_all, reason } = withdrawal;
    let what = match what {
        Revoked::Token { jti, issuer } => What::Token { jti, issuer },
        Revoked::User(user) => What::User(user.as_str().to_owned()),
        Revoked::Everybody => What::Everybody,
    };
    let logged_out = reason == EvictReason::LoggedOut;
    Some(text(&Note::Revoked { what, issued_before: issued_before?, until: until?, ends_all, logged_out }))
}

pub(super) fn lent(lending: &Lending) -> Value {
    let Lending { user, max_sessions, until, number } = lending;
    text(&Note::Lent { user: user.as_str().to_owned(), max_sessions: *max_sessions, until: *until, number: *number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_the_same_text_so_that_it_is_not_posted_twice() {
        for max_sessions in [Some(40), None] {
            let lending = Lending { user: UserId::parse("u: {ä}").unwrap(), max_sessions, until: 7, number: 3 };
            let Some(Posted::Lent(read)) = note(lent(&lending)) else { panic!("{lending:?}") };
            assert_eq!(read, lending);
            assert_eq!(lent(&read).to_string(), lent(&lending).to_string());
        }
    }

    #[test]
    fn what_a_later_version_says_is_not_read() {
        let later = serde_json::json!({"kind": "dance", "user": "ann"});
        assert!(hint(later.clone()).is_none() && note(later).is_none());
    }
}
