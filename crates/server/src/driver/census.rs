//! What the node holds, counted from the records when somebody asks (cause C9).

use std::sync::TryLockError;

use lychgate_core::{Census, Usage, UserId};

use super::{Driver, lock};

/// Users of a shard who are counted under one lock.
const CENSUS_USERS: usize = 512;

impl Driver {
    /// What the node holds, recounted; takes time in proportion to the number of users. No lock is held for longer than
    /// [`CENSUS_USERS`] take: whoever counts must not keep admissions waiting (hazard R13).
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        let now = self.now();
        for shard in &self.shards {
            let mut place = 0;
            loop {
                let (counted, more) = lock(shard).gate.census_of(place..place + CENSUS_USERS, now);
                census.add(&counted);
                if !more {
                    break;
                }
                place += CENSUS_USERS;
            }
        }
        census
    }

    /// Users with any record on this node. One shard is locked at a time, for a moment.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).gate.user_count()).sum()
    }

    /// What [`Driver::usage`] says; none where somebody holds the lock of this user's shard at this moment. Does not wait.
    #[must_use]
    pub fn usage_now(&self, user: &UserId) -> Option<Usage> {
        match self.shard_of(user).try_lock() {
            Ok(shard) => Some(shard.gate.usage(user)),
            Err(TryLockError::Poisoned(shard)) => Some(shard.into_inner().gate.usage(user)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Breakers of the node that have a step of reclaim skipped; 0 to 2.
    #[must_use]
    pub fn open_node_breakers(&self) -> usize {
        self.breakers.open(self.now())
    }

    /// How many connections the node may hold.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.bounds.per_node()
    }
}
