//! A lease, what is known of its session, and the answers to whoever asks for one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lychgate_core::{ThreadId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::node::Incarnation;

/// Names one session's place among its user's: unique for ever, on all nodes. As text: `life.number`, the first part 16
/// hexadecimal digits that a process draws at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    /// The process that drew it.
    pub life: u64,
    /// Which of that process's.
    pub number: u64,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.life, self.number)
    }
}

/// A text that names no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease is named by 16 hexadecimal digits, a dot and a number")]
pub struct NoLease;

impl FromStr for LeaseId {
    type Err = NoLease;

    fn from_str(text: &str) -> Result<Self, NoLease> {
        let (life, number) = text.split_once('.').ok_or(NoLease)?;
        let life = (life.len() == 16).then(|| u64::from_str_radix(life, 16).ok()).flatten().ok_or(NoLease)?;
        Ok(Self { life, number: number.parse().map_err(|_| NoLease)? })
    }
}

impl Serialize for LeaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Whether a session may be taken while another choice is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It may.
    #[default]
    Plain,
    /// It may not: it has a run in flight, or its plan protects it.
    Protected,
}

/// What is known of a session where its lease is, as of when it was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which conversation it shows.
    pub thread: ThreadId,
    /// Whether it was protected.
    pub standing: Standing,
}

/// What somebody wants who asks for a place. Cloning it costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The lease that it would be, from [`super::Cluster::new_lease`]; the same when it is asked again.
    pub lease: LeaseId,
    /// Whose session it is.
    pub user: UserId,
    /// What others are told of it.
    pub facts: Facts,
    /// Places that the user has, on all nodes, at least 1.
    pub limit: u32,
}

/// Who holds a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The lease.
    pub lease: LeaseId,
    /// The node that has the session.
    pub node: Incarnation,
    /// What was known of it then; [`super::Cluster::ask`] tells how it is now.
    pub facts: Facts,
    /// When it was granted or last refreshed, in milliseconds since 1970 by the store's clock.
    pub since: u64,
}

/// Who holds a user's places, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Those of whom the store knows.
    pub known: Vec<Holder>,
    /// Whether there are no others. There may be while the store cannot be asked, or some node has yet to say what it holds.
    pub is_all: bool,
}

/// Whether anybody is there, as a session's node judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Nobody: its connections are proven dead.
    Gone,
    /// Nobody; it lingers.
    Detached,
    /// Nobody for sure.
    Suspect,
    /// Somebody.
    Alive,
}

/// How a session is, as its node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its lease.
    pub lease: LeaseId,
    /// Whether it is protected now.
    pub standing: Standing,
    /// Its health, 0 to 100; 0 for one without a connection.
    pub health: u8,
    /// Whether anybody is there.
    pub presence: Presence,
    /// How long it was not used.
    #[serde(with = "millis")]
    pub idle: Duration,
}

/// What became of a question about a user's sessions on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How they are.
    Reports(Vec<Report>),
    /// It did not answer within a second: they are as good as dead, and a swap may take their places.
    Silence,
    /// The question did not leave this node, or its answer could not arrive: that says nothing of the other one.
    NotAsked,
}

/// Where a place came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It was free, or that of a dead node.
    Free,
    /// It was a victim's, or that may be: the answer to the first question was lost.
    Made,
}

/// What became of an acquire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The place is held.
    Granted {
        /// How many the user holds now, this one included; sessions of dead nodes may still be among them.
        used: u32,
        /// When, in the order of this user's epochs: they rise, also over a loss of the store.
        epoch: u64,
        /// Whether a victim had to go for it.
        room: Room,
    },
    /// Every place is held, by living nodes.
    Denied {
        /// All who hold one.
        holders: Vec<Holder>,
    },
    /// This lease is over already: released, or taken before the question arrived. Another may be asked for.
    Taken {
        /// When it ended, in the order of this user's epochs.
        epoch: u64,
    },
    /// Nobody could be asked in time. The question may have arrived: say whether the session lives, by
    /// [`super::Cluster::keep`] or [`super::Cluster::release`].
    Unknown(Trouble),
}

/// Why the store gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Trouble {
    /// It did not answer within `cluster.command_timeout`.
    #[error("Redis did not answer within cluster.command_timeout")]
    Silent,
    /// No connection, or it broke.
    #[error("Redis cannot be reached")]
    Unreachable,
    /// It answered that it cannot serve: loading, read-only, out of memory, a cluster without all of its slots.
    #[error("Redis answers that it cannot serve now")]
    Unfit,
    /// It refused who we are, or what we asked.
    #[error("Redis refuses our commands: look at user, password and access rules")]
    Forbidden,
    /// It is new to us, or lost what it held, and not all nodes have said what they hold.
    #[error("Redis is new to this node or lost its data, and not all nodes have told it yet what they hold")]
    Unsettled,
    /// What lies under our prefix is not ours.
    #[error("the keys under cluster.prefix belong to another program or cluster")]
    Foreign,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(crate::wire::millis(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_back_from_its_text() {
        let lease = LeaseId { life: 0xab, number: u64::MAX };
        assert_eq!(lease.to_string(), "00000000000000ab.18446744073709551615");
        assert_eq!(lease.to_string().parse(), Ok(lease));
        for text in ["", "ab.1", "00000000000000ab", "00000000000000ab.", "00000000000000zz.1", "00000000000000ab.-1"] {
            assert_eq!(text.parse::<LeaseId>(), Err(NoLease), "{text}");
        }
    }
}
