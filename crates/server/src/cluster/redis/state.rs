//! What this node knows of the store at the moment: one value, watched by everybody who waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::link::Link;
use crate::cluster::lease::Trouble;
use crate::cluster::node::{Health, Incarnation, Node};

/// One data set, and this node's incarnation in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// Rises with each.
    pub(super) number: u64,
    pub(super) me: Incarnation,
    pub(super) generation: String,
}

/// As of the last beat.
#[derive(Clone)]
pub(super) struct State {
    pub(super) link: Option<Link>,
    /// Why the store cannot be asked, and since when.
    pub(super) trouble: Option<(Instant, Trouble)>,
    /// When the last trouble ended.
    pub(super) clear_since: Instant,
    /// As whom this node listens, and since when.
    pub(super) listens: Option<(Incarnation, Instant)>,
    pub(super) term: Option<Arc<Term>>,
    /// When the last beat that was answered left.
    pub(super) beaten: Option<Instant>,
    pub(super) settled: Settled,
    pub(super) table: Arc<BTreeMap<Incarnation, Member>>,
}

/// Whether every node has said what it holds since the data set began (R33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// Not yet; newcomers wait until then, afterwards it counts as unknown.
    Until(Instant),
}

/// A node as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The generation for which it has said everything that it holds.
    pub(super) settled: String,
    /// The process: the same under all incarnations of it.
    pub(super) life: u64,
    pub(super) card: Card,
    /// For how long its lease held when the table was read, in milliseconds; no part of the entry.
    pub(super) left_ms: u64,
}

/// What a node tells people about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) name: String,
    #[serde(default)]
    pub(super) address: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) started: u64,
    #[serde(default)]
    pub(super) sessions: u64,
}

impl Member {
    pub(super) fn to_text(&self) -> String {
        let card = serde_json::to_string(&self.card).expect("text and numbers always serialise");
        format!("{} {:016x} {card}", self.settled, self.life)
    }

    /// An entry that cannot be read is a node all the same: one that has said nothing.
    pub(super) fn from_text(text: &str, left_ms: u64) -> Self {
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().unwrap_or_default();
        Self {
            settled: next().to_owned(),
            life: u64::from_str_radix(next(), 16).unwrap_or_default(),
            card: serde_json::from_str(next()).unwrap_or_default(),
            left_ms,
        }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            link: None,
            trouble: None,
            clear_since: Instant::now(),
            listens: None,
            term: None,
            beaten: None,
            settled: Settled::Until(Instant::now()),
            table: Arc::default(),
        }
    }

    pub(super) fn health(&self) -> Health {
        let since = match (self.trouble, self.settled) {
            (Some((since, trouble)), _) => (since, trouble),
            (None, Settled::Until(until)) if self.term.is_some() && until < Instant::now() => {
                (until, Trouble::Unsettled)
            }
            (None, Settled::Until(_) | Settled::Yes) => return Health::Healthy,
        };
        Health::Unknown { since: since.0.elapsed(), trouble: since.1 }
    }

    /// Whether scripts may be run under the term: the last beat left after `after`, and is not so old that others may
    /// have buried this node since (it was stopped, or its clock jumped).
    pub(super) fn is_fresh(&self, after: Instant, lease: Duration) -> bool {
        self.beaten.is_some_and(|beaten| beaten >= after && beaten.elapsed() < lease)
    }

    /// How long ago the last beat left that was answered.
    pub(super) fn answered(&self) -> Option<Duration> {
        self.beaten.map(|beaten| beaten.elapsed())
    }

    /// Whether a question that this incarnation asked then could leave, and its answer could arrive (hazard R30).
    pub(super) fn could_hear(&self, me: Incarnation, asked: Instant) -> bool {
        let is_clear = self.trouble.is_none() && self.clear_since <= asked;
        is_clear && self.listens.is_some_and(|(listener, since)| listener == me && since <= asked)
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        let since = self.answered().unwrap_or_default();
        let node = |(incarnation, member): (&Incarnation, &Member)| Node {
            incarnation: *incarnation,
            name: member.card.name.clone(),
            address: member.card.address.clone(),
            version: member.card.version.clone(),
            started: member.card.started,
            sessions: member.card.sessions,
            lease_left: Duration::from_millis(member.left_ms).saturating_sub(since),
        };
        self.table.iter().map(node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_in_trouble_or_while_nobody_listened_here_says_nothing_of_who_was_asked() {
        let (me, begun) = (Incarnation(1), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut state = State { clear_since: at(1), listens: Some((me, at(2))), ..State::new() };
        assert_eq!([1, 2, 3].map(|second| state.could_hear(me, at(second))), [false, true, true]);
        assert!(!state.could_hear(Incarnation(2), at(3)), "it listens under another name");
        state.clear_since = at(4);
        assert!(!state.could_hear(me, at(3)), "there was trouble since");
        state.trouble = Some((at(5), Trouble::Silent));
        assert!(!state.could_hear(me, at(5)));
    }
}
