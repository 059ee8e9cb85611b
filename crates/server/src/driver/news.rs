//! What other nodes did and say, and what they are told of this one.

use std::num::NonZeroU64;

use lychgate_core::lease::{Counting, News, OwnReport};
use lychgate_core::{Input, UserId};

use super::Driver;

/// Who counts the sessions of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// This node, by itself.
    #[default]
    ByThisNode,
    /// All nodes together: what the gates want of the others goes to [`super::Effects::wish`].
    ByAll,
}

/// Leases that one shard may draw: enough for a million a second, for nine years.
const LEASES_PER_SHARD: u64 = 1 << 48;

impl Counted {
    pub(super) fn in_shard(self, shard: usize) -> Counting {
        match self {
            Self::ByThisNode => Counting::Alone,
            Self::ByAll => Counting::Shared(NonZeroU64::MIN.saturating_add(shard as u64 * LEASES_PER_SHARD)),
        }
    }
}

impl Driver {
    /// Hears what became of a wish, or what another node did. Every acquire and every question is answered once.
    pub fn news(&self, news: News) {
        let user = news.user().clone();
        self.input(&user, Input::News(news));
    }

    /// How the user's sessions are here, for another node that asks.
    #[must_use]
    pub fn own_reports(&self, user: &UserId) -> Vec<OwnReport> {
        self.shard(user).gate.own_reports(user, self.now())
    }
}
