//! The nodes of a cluster, and what they say to each other.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::lease::{NoLease, Trouble};

/// One life of a node as the others see it: a node that was declared dead comes back as another one. As text: 16
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Incarnation {
    type Err = NoLease;

    fn from_str(text: &str) -> Result<Self, NoLease> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self).ok_or(NoLease)
    }
}

impl Serialize for Incarnation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A node that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Under which it holds its leases.
    pub incarnation: Incarnation,
    /// As its operator named it.
    pub name: String,
    /// Where people find it.
    pub address: String,
    /// Its version of Lychgate.
    pub version: String,
    /// When it started, in milliseconds since 1970 by its own clock; for people, nothing is decided by it.
    pub started: u64,
    /// Sessions that it holds, as of some seconds ago.
    pub sessions: u64,
    /// For how long its lease still holds if it does not renew it, by the last answer of the store; a living node renews it
    /// when a fifth is gone.
    pub lease_left: Duration,
}

/// Whether the store can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Healthy,
    /// It does not: admissions go by this node's own count.
    Unknown {
        /// For how long.
        since: Duration,
        /// Why.
        trouble: Trouble,
    },
}

/// To whom something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One node.
    One(Incarnation),
    /// All others.
    All,
}

/// A question of another node, to be answered by [`super::Cluster::reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub(super) from: Incarnation,
    pub(super) number: u64,
}
