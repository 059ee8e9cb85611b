//! The names of what lies in Redis; docs/cluster.md lists them.

use lychgate_core::UserId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cluster::node::Incarnation;

/// Left as they are in a user's id; every other sign is encoded, braces among them: they would move the hash tag.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// All keys begin with the prefix. In a Redis Cluster it stands in braces: the first hash tag of a key counts, so that each
/// script finds its keys, those of a user and those of the nodes, on one server (decision 25).
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// The keys of one user.
#[derive(Debug)]
pub(super) struct UserKeys {
    pub(super) held: String,
    pub(super) facts: String,
    pub(super) fence: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn user(&self, user: &UserId) -> UserKeys {
        let stem = format!("{}:u:{{{}}}:", self.prefix, utf8_percent_encode(user.as_str(), &PLAIN));
        UserKeys { held: format!("{stem}held"), facts: format!("{stem}facts"), fence: format!("{stem}fence") }
    }

    /// Schema, name, generation.
    pub(super) fn cluster(&self) -> String {
        format!("{}:{{cluster}}", self.prefix)
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:{{cluster}}:nodes", self.prefix)
    }

    pub(super) fn buried(&self) -> String {
        format!("{}:{{cluster}}:buried", self.prefix)
    }

    /// What the node leases begin with; the incarnation follows.
    pub(super) fn node_stem(&self) -> String {
        format!("{}:{{cluster}}:node:", self.prefix)
    }

    pub(super) fn node(&self, node: Incarnation) -> String {
        format!("{}:{{cluster}}:node:{node}", self.prefix)
    }

    pub(super) fn mail(&self, node: Incarnation) -> String {
        format!("{}:{{cluster}}:mail:{node}", self.prefix)
    }

    pub(super) fn board(&self) -> String {
        format!("{}:{{cluster}}:board", self.prefix)
    }

    pub(super) fn channel(&self, node: Incarnation) -> String {
        format!("{}:n:{node}", self.prefix)
    }

    pub(super) fn everybody(&self) -> String {
        format!("{}:all", self.prefix)
    }

    /// Everything under the prefix, for SCAN.
    pub(super) fn pattern(&self) -> String {
        format!("{}:*", self.prefix)
    }

    /// Whether a key under the prefix may be there before the first node: the cluster's own, which another node founds at
    /// the same time, and those of the journal, which may have the same prefix.
    pub(super) fn is_expected(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.prefix).unwrap_or_default();
        [":{cluster}", ":journal", ":j:"].iter().any(|stem| rest.starts_with(stem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_journal_are_no_strangers() {
        let keys = Keys::new("p");
        let expected = ["p:{cluster}", "p:{cluster}:nodes", "p:journal", "p:j:{u}:i"].map(|key| keys.is_expected(key));
        assert_eq!(expected, [true; 4]);
        assert!(!keys.is_expected("p:u:{u}:held") && !keys.is_expected("p:jobs"));
        assert!(Keys::new("{p}").is_expected("{p}:j:{u}:i"));
    }

    #[test]
    fn users_with_braces_colons_and_percent_signs_share_no_key_and_no_tag() {
        let keys = Keys::new("p");
        let held = |user: &str| keys.user(&UserId::parse(user).unwrap()).held;
        assert_eq!(held("105945141827451681156"), "p:u:{105945141827451681156}:held");
        assert_eq!(held("a}:held{"), "p:u:{a%7D%3Aheld%7B}:held");
        assert_ne!(held("a%7D"), held("a}"));
        assert_eq!(held("ä"), "p:u:{%C3%A4}:held");
    }
}
