//! The cluster of one: everything is granted at once, and nobody else is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lychgate_core::UserId;
use serde_json::Value;

use super::{
    Answer, Audience, Claim, Cluster, Follower, Health, Holder, Holders, Incarnation, LeaseId, Node, Outcome, Question,
    Report, Room, Told,
};

/// A gateway by itself. Its driver's own count is the whole truth, so this one keeps none: an acquire costs a number and
/// no allocation.
#[derive(Debug, Default)]
pub struct Single {
    number: AtomicU64,
}

impl Single {
    /// One that has granted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Cluster for Single {
    fn new_lease(&self) -> LeaseId {
        LeaseId { life: 0, number: self.number.fetch_add(1, Ordering::Relaxed) }
    }

    /// Granted, with a use of 1: the driver knows better how many there are.
    fn acquire(&self, _: Claim, _: &[Holder]) -> Answer<Outcome> {
        Answer::Now(Outcome::Granted { used: 1, epoch: 0, room: Room::Free })
    }

    fn keep(&self, _: Claim) {}

    fn release(&self, _: &UserId, _: LeaseId) {}

    fn ask(&self, _: UserId, _: Incarnation) -> Answer<Told> {
        Answer::Now(Told::NotAsked)
    }

    fn reply(&self, _: Question, _: Vec<Report>) {}

    fn tell(&self, _: Audience, _: Value) {}

    fn post(&self, _: Value) {}

    fn holders(&self, _: UserId) -> Answer<Holders> {
        Answer::Now(Holders::default())
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn nodes(&self) -> Vec<Node> {
        Vec::new()
    }

    fn answered(&self) -> Option<Duration> {
        None
    }

    fn leases(&self) -> usize {
        0
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(0)
    }

    fn follow(&self, _: Arc<dyn Follower>) {}

    fn leave(&self) -> Answer<()> {
        Answer::Now(())
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::ThreadId;

    use super::*;
    use crate::cluster::{Facts, Standing};

    #[test]
    fn a_gateway_by_itself_is_granted_everything_at_once_under_ids_of_its_own() {
        let single = Single::new();
        let leases = [single.new_lease(), single.new_lease()];
        assert_ne!(leases[0], leases[1]);
        for lease in leases {
            let facts = Facts { thread: ThreadId::parse("t").unwrap(), standing: Standing::Plain };
            let claim = Claim { lease, user: UserId::parse("u").unwrap(), facts, limit: 1 };
            assert!(matches!(single.acquire(claim, &[]), Answer::Now(Outcome::Granted { .. })));
        }
        assert_eq!(single.health(), Health::Healthy);
    }
}
