//! Bounds on connections that reach across users: per address and per node. The newest wins and the least worthy of
//! the others goes, but never the last living reader of a running answer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::PoisonError;
use std::time::Duration;

use lychgate_core::{ConnectionId, Event, EvictReason, Input, Refusal, UserId, Worth};

use super::{Driver, SHARDS, come_back_after, lock};
use crate::close::Closing;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Users that are looked at, per shard, when a full node has to choose.
const SCAN_USERS: usize = 32;

/// Shards that are looked at when a full node has to choose.
const SCAN_SHARDS: usize = 4;

/// How many connections may be held.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionBounds {
    /// From one address; IPv6 counts by /64, which one customer commonly holds.
    pub per_address: usize,
    /// By the node.
    pub per_node: usize,
}

/// Who came from where.
pub(super) struct Addresses {
    bounds: ConnectionBounds,
    held: Mutex<HashMap<IpAddr, Vec<(UserId, ConnectionId)>>>,
    cursor: AtomicUsize,
}

impl Addresses {
    pub(super) fn new(bounds: ConnectionBounds) -> Self {
        Self { bounds, held: Mutex::default(), cursor: AtomicUsize::new(0) }
    }

    /// Notes a connection; everybody else from its address, if they are too many now.
    fn add(&self, address: IpAddr, user: &UserId, connection: ConnectionId) -> Option<Vec<(UserId, ConnectionId)>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let list = held.entry(network(address)).or_default();
        let crowd = (list.len() >= self.bounds.per_address).then(|| list.clone());
        if list.len() == list.capacity() {
            list.reserve_exact((list.len() / 2).max(1));
        }
        list.push((user.clone(), connection));
        crowd
    }

    pub(super) fn per_node(&self) -> usize {
        self.bounds.per_node
    }

    /// Nobody is held.
    #[cfg(all(test, feature = "shuttle"))]
    pub(super) fn is_empty(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn remove(&self, address: IpAddr, connection: ConnectionId) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(address);
        let Some(list) = held.get_mut(&network) else { return };
        list.retain(|(_, other)| *other != connection);
        if list.is_empty() {
            held.remove(&network);
        }
    }
}

/// The unit that is counted: an IPv4 address, or the /64 of an IPv6 address, which one customer commonly holds.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Driver {
    pub(super) fn bound_address(&self, address: IpAddr, user: &UserId, newest: ConnectionId) {
        let Some(crowd) = self.bounds.add(address, user, newest) else { return };
        // Two newcomers at once may choose the same victim, which makes room for one of them: whoever still finds too
        // many chooses again. Each turn lets one of the crowd go.
        loop {
            // Whoever was replaced or buried has left the gate's count, even while his socket is still closing (R1).
            let counted: Vec<_> = crowd
                .iter()
                .filter_map(|(user, connection)| {
                    let worth = self.shard(user).gate.worth(user, *connection)?;
                    Some((worth, user.clone()))
                })
                .collect();
            if counted.len() < self.bounds.bounds.per_address {
                return;
            }
            if !self.expel_least_worthy(counted.into_iter().min_by_key(|(worth, _)| *worth), user, newest) {
                return;
            }
        }
    }

    /// A full node looks at a few users of a few shards, further on each time: bounded work for each newcomer, and a
    /// victim that is nearly the least worthy one.
    pub(super) fn bound_node(&self, user: &UserId, newest: ConnectionId) {
        if self.shed.is_on(self.now()) && self.is_stranger(user, newest) {
            return self.turn_away(user, newest, |retry_in| Refusal::Shed { retry_in });
        }
        let sockets = || self.shards.iter().map(|shard| lock(shard).links.len()).sum::<usize>();
        // Sockets that are closing have left the gate's count (hazard R1); counting exactly is for the full node alone.
        while sockets() > self.bounds.bounds.per_node && self.connection_count() > self.bounds.bounds.per_node {
            let start = self.bounds.cursor.fetch_add(1, Ordering::Relaxed);
            let worst = (0..SHARDS)
                .filter_map(|step| {
                    let shard = lock(&self.shards[(start + step) % SHARDS]);
                    let from = (start / SHARDS) * SCAN_USERS;
                    shard.gate.least_worthy(from, SCAN_USERS, newest)
                })
                .take(SCAN_SHARDS)
                .min_by_key(|(worth, _)| *worth);
            if !self.expel_least_worthy(worst, user, newest) {
                return;
            }
        }
    }

    /// From now on for so long, whoever comes and has nothing here is told to come back later. Whoever is here stays, and
    /// comes back as he likes.
    pub fn shed_for(&self, lasting: Duration) {
        self.shed.begin(self.now() + lasting);
    }

    /// Whether this connection is all that there is of its user.
    fn is_stranger(&self, user: &UserId, newest: ConnectionId) -> bool {
        let report = self.shard(user).gate.report(user);
        report.is_none_or(|report| {
            let is_alone = report.connections.iter().all(|other| other.connection == newest);
            // Whose answer runs on comes back for it; whoever waits is here.
            is_alone && report.sessions.is_empty() && report.runs.is_empty() && report.waiting == 0
        })
    }

    /// Whether somebody was expelled; otherwise nobody can be.
    fn expel_least_worthy(&self, worst: Option<(Worth, UserId)>, user: &UserId, newest: ConnectionId) -> bool {
        match worst {
            Some((worth, user)) if !worth.is_last_reader => {
                let connection = worth.connection;
                let reason = EvictReason::MadeRoomForConnection;
                self.input(&user.clone(), Input::Expel { user, connection, reason });
                self.full.measure(self.now(), false);
                true
            }
            // Everybody else is the last reader of a running answer: the newcomer is told when to come back.
            Some(_) => {
                self.turn_away(user, newest, |retry_in| Refusal::Overload { retry_in });
                false
            }
            None => false,
        }
    }

    fn turn_away(&self, user: &UserId, connection: ConnectionId, why: impl FnOnce(Duration) -> Refusal) {
        let now = self.now();
        self.full.measure(now, true);
        let refusal = why(come_back_after(self.full.lasting(now).unwrap_or_default()));
        let closing = Closing::from(refusal);
        let event = Event::Refused { user: user.clone(), connection, thread: None, refusal, waited: Duration::ZERO };
        {
            let mut shard = self.shard(user);
            if let Some(link) = shard.links.get(&connection) {
                link.line.close(&closing);
            }
            self.note(&mut shard, now, &event);
        }
        // Nobody may be sent away without a line in the log, a count and an explanation (mission C10).
        self.effects.event(&event);
    }

    fn connection_count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).gate.connection_count()).sum()
    }
}
