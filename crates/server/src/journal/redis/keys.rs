//! Names of keys. Everything of a user stands behind the hash tag `{user}`; in a Redis Cluster the prefix `P` is a tag itself,
//! and the first one counts: all keys lie in one slot (decision 25).
//!
//! ```text
//! P:journal                    schema and generation           P:j:{user}            epoch and last rank of a user
//! P:j:writers                  nodes that ever wrote           P:j:{user}:i          threads by rank
//! P:j:writer:W                 there while W lives             P:j:{user}:t:THREAD   what is known of a thread
//! P:j:open:W                   threads with a run of W         P:j:{user}:s:THREAD   its events, a stream
//!                                                              P:j:{user}:m:THREAD   its messages
//!                      runs, keys of publications, last sequence of each writer: r, o, q
//! ```

use lychgate_core::{SessionKey, ThreadId, UserId};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Makes names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// The keys of one thread.
#[derive(Debug)]
pub(super) struct ThreadKeys {
    pub(super) user: String,
    pub(super) index: String,
    pub(super) thread: String,
    pub(super) stream: String,
    pub(super) messages: String,
    pub(super) runs: String,
    pub(super) onces: String,
    pub(super) sequences: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What the journal is, for whoever opens it.
    pub(super) fn journal(&self) -> String {
        format!("{}:journal", self.prefix)
    }

    pub(super) fn writers(&self) -> String {
        format!("{}:j:writers", self.prefix)
    }

    pub(super) fn lease(&self, writer: &str) -> String {
        format!("{}:j:writer:{writer}", self.prefix)
    }

    pub(super) fn open(&self, writer: &str) -> String {
        format!("{}:j:open:{writer}", self.prefix)
    }

    pub(super) fn user(&self, user: &UserId) -> String {
        // Braces of a user id would end the tag, and two users might share a name.
        format!("{}:j:{{{}}}", self.prefix, escaped(user.as_str()))
    }

    pub(super) fn index(&self, user: &UserId) -> String {
        format!("{}:i", self.user(user))
    }

    pub(super) fn thread(&self, user: &UserId, thread: &ThreadId) -> String {
        format!("{}:t:{}", self.user(user), thread.as_str())
    }

    pub(super) fn of(&self, key: &SessionKey) -> ThreadKeys {
        let user = self.user(key.user());
        let of = |kind: &str| format!("{user}:{kind}:{}", key.thread().as_str());
        ThreadKeys {
            index: format!("{user}:i"),
            thread: of("t"),
            stream: of("s"),
            messages: of("m"),
            runs: of("r"),
            onces: of("o"),
            sequences: of("q"),
            user,
        }
    }
}

/// A thread as it stands among the open ones of a writer.
pub(super) fn member(key: &SessionKey) -> String {
    format!("{}:{}", escaped(key.user().as_str()), key.thread().as_str())
}

/// What [`member`] made; none for what it did not make.
pub(super) fn parse_member(text: &str) -> Option<SessionKey> {
    let (user, thread) = text.split_once(':')?;
    let user = percent_decode_str(user).decode_utf8().ok()?;
    Some(SessionKey::new(UserId::parse(&user).ok()?, ThreadId::parse(thread).ok()?))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::conformance::key;

    #[test]
    fn whatever_a_user_id_contains_its_keys_share_one_tag_with_no_other_user() {
        let keys = Keys::new("p");
        let names = ["ann", "{ann}", "ann}", "a:n:n", "änn", "ann:t", "105945141827451681156"];
        let mut seen = std::collections::BTreeSet::new();
        for user in names {
            let of = keys.of(&key(user, "t:{1}"));
            let tag = &of.stream[of.stream.find('{').unwrap() + 1..of.stream.find('}').unwrap()];
            assert!(!tag.is_empty() && seen.insert(tag.to_owned()), "{tag}");
            for name in [&of.user, &of.index, &of.thread, &of.messages, &of.runs, &of.onces, &of.sequences] {
                assert!(name.contains(&format!("{{{tag}}}")), "{name}");
            }
            assert_eq!(parse_member(&member(&key(user, "t:{1}"))), Some(key(user, "t:{1}")));
        }
    }
}
