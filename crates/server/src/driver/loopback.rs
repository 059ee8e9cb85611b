//! The gateway as its own guest: it goes the way of a user, through the same functions, and is none.
//!
//! ```text
//!  connect_self --> act --> a shard beside those of users --> Effects::attach, the line      (no count, no list, no event)
//!  held         --> each shard of users: does somebody hold its lock?
//! ```

use std::net::Ipv4Addr;
use std::sync::{Arc, TryLockError};

use lychgate_core::{ConnectionId, End, Heartbeat, Input, PlanId, Proof, UserId};

use super::{Driver, Link, Registration, random_bits};
use crate::sink::Line;

impl Driver {
    /// Registers a connection of [`UserId::of_gateway`]: no bound of addresses or of the node counts it, no list shows it,
    /// no event tells of it. For one at a time, and for a moment: its deadlines do not pass.
    #[must_use = "dropping the registration disconnects"]
    pub fn connect_self(self: &Arc<Self>, line: Arc<dyn Line>) -> Registration {
        let user = UserId::of_gateway();
        let connection = ConnectionId::from_random(random_bits());
        let heartbeat = Heartbeat::Protocol;
        self.with_shard(&user, |shard| {
            shard.links.insert(connection, Link::new(line, heartbeat, Proof::default()));
            let (user, plan) = (user.clone(), PlanId::default());
            Some(Input::Connect { user, connection, prev: None, heartbeat, expires: None, plan })
        });
        Registration {
            driver: Arc::clone(self),
            user,
            connection,
            // Nobody comes from there, and nobody is counted there.
            address: Ipv4Addr::UNSPECIFIED.into(),
            heartbeat,
            end: End::ClientClosed,
        }
    }

    /// The first shard from this place on whose lock somebody holds at this moment; none where all could be had. Does not
    /// wait.
    #[must_use]
    pub fn held(&self, from: usize) -> Option<usize> {
        let shards = self.shards.iter().enumerate().skip(from);
        let mut held = shards.filter(|(_, shard)| matches!(shard.try_lock(), Err(TryLockError::WouldBlock)));
        held.next().map(|(place, _)| place)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }
}
