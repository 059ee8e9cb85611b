//! What was decided: of one user, and of everybody in order.
//!
//! ```text
//!  act --note--> ledger of the shard (32 of each user) --explain--> one user's
//!           '--> feed of the node (numbered)  --decisions, last_decisions--> everybody's
//! ```

use std::sync::PoisonError;

use lychgate_core::explain::{Filter, Stretch, Told};
use lychgate_core::{Event, Explanation, Feed, Time, UserId};

use super::{Driver, Shard, lock};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;

/// What a node remembers of its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of the last decisions about each user. Default 64 MiB.
    pub ledger_bytes: usize,
    /// Bytes of everybody's decisions in order. Default 8 MiB.
    pub feed_bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { ledger_bytes: 64 * 1_024 * 1_024, feed_bytes: 8 * 1_024 * 1_024 }
    }
}

/// Some decisions of this node, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// At most as many as were asked for.
    pub told: Vec<Told>,
    /// The number after which to ask for more.
    pub next: u64,
    /// Decisions after the number that was given that had been dropped already.
    pub missed: u64,
}

impl Driver {
    /// Notes what an event tells. In the order of the decisions, because the shard is locked.
    pub(super) fn note(&self, shard: &mut Shard, now: Time, event: &Event) {
        if let Some((user, decision)) = shard.ledger.record(now, event) {
            let mut feed = self.feed();
            feed.note(user, decision);
            self.heard.store(feed.last(), Ordering::Release);
        }
    }

    /// What was decided about a user lately, and on what evidence; none when nothing is known, or no longer.
    #[must_use]
    pub fn explain(&self, user: &UserId) -> Option<Explanation> {
        self.shard(user).ledger.explain(user)
    }

    /// What the record of decisions holds: bytes, the feed's among them, and users who were dropped to stay within its
    /// budget.
    #[must_use]
    pub fn explained(&self) -> (usize, u64) {
        // Let go of before the first shard: whoever decides holds his shard and wants the feed.
        let feed = self.feed().bytes();
        let ledgers = self.shards.iter().map(|shard| {
            let shard = lock(shard);
            (shard.ledger.bytes(), shard.ledger.dropped_users())
        });
        ledgers.fold((feed, 0), |(bytes, users), (more, dropped)| (bytes + more, users + dropped))
    }

    /// Up to `limit` decisions after the one with this number that `filter` wants. The feed is let go of now and then, so
    /// that a long search holds up no admission (hazard R13).
    #[must_use]
    pub fn decisions(&self, after: u64, limit: usize, filter: &Filter) -> Decisions {
        let mut found = Decisions { next: after, ..Decisions::default() };
        loop {
            let wanted = limit - found.told.len();
            let Stretch { told, next, missed, is_end } = self.feed().after(found.next, wanted, filter);
            found.told.extend(told);
            found.next = next;
            found.missed += missed;
            if is_end || found.told.len() >= limit {
                return found;
            }
        }
    }

    /// The newest `limit` decisions that `filter` wants, oldest first.
    #[must_use]
    pub fn last_decisions(&self, limit: usize, filter: &Filter) -> Decisions {
        let last = self.feed().last();
        let mut before = last + 1;
        let mut told = Vec::new();
        loop {
            let stretch = self.feed().before(before, limit - told.len(), filter);
            told.extend(stretch.told);
            before = stretch.next;
            if stretch.is_end || told.len() >= limit {
                break;
            }
        }
        told.reverse();
        Decisions { told, next: last, missed: 0 }
    }

    /// The number of the newest decision. Takes no lock.
    #[must_use]
    pub fn last_decision(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// Names this life of the node: numbers of decisions begin anew with the next one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        // It is whole after every step of its own, whoever panicked.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
