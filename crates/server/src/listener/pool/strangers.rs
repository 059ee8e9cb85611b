//! The sockets that have not said who they are, by the network that they come from.
//!
//! ```text
//!  198.51.100.7      x x x x x x   <- most of them, so its oldest goes next
//!  2001:db8:1:2::/64 x x
//!  203.0.113.9       x             <- a newcomer from here keeps his seat
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Seats of strangers. Every question and every change costs the logarithm of their number at most.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Whose silence began when, and where he comes from.
    seats: HashMap<u64, (u64, IpAddr)>,
    /// Of each network that anybody comes from, the seats by age.
    crowds: HashMap<IpAddr, BTreeMap<u64, u64>>,
    /// The networks: the one with the most strangers last, and of equal ones the one with the oldest.
    ranking: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
}

impl Strangers {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn contains(&self, seat: u64) -> bool {
        self.seats.contains_key(&seat)
    }

    /// Ages grow, so the lowest is the oldest; no two seats have the same.
    pub(super) fn insert(&mut self, seat: u64, age: u64, network: IpAddr) {
        self.remove(seat);
        self.seats.insert(seat, (age, network));
        self.change(network, |crowd| {
            crowd.insert(age, seat);
        });
    }

    pub(super) fn remove(&mut self, seat: u64) {
        if let Some((age, network)) = self.seats.remove(&seat) {
            self.change(network, |crowd| {
                crowd.remove(&age);
            });
        }
    }

    /// A stranger turns out to come from somewhere else; his age stays.
    pub(super) fn relocate(&mut self, seat: u64, network: IpAddr) {
        if let Some((age, _)) = self.seats.get(&seat).copied() {
            self.insert(seat, age, network);
        }
    }

    /// Who goes first: the oldest of the network with the most strangers. Whoever fills the pool from a few addresses
    /// pushes out himself, and nobody who comes from elsewhere.
    pub(super) fn least_welcome(&self) -> Option<u64> {
        let (_, _, network) = self.ranking.last()?;
        self.crowds.get(network)?.first_key_value().map(|(_, seat)| *seat)
    }

    fn change(&mut self, network: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, u64>)) {
        let crowd = self.crowds.entry(network).or_default();
        if let Some(rank) = rank(crowd, network) {
            self.ranking.remove(&rank);
        }
        change(crowd);
        match rank(crowd, network) {
            Some(rank) => {
                self.ranking.insert(rank);
            }
            None => {
                self.crowds.remove(&network);
            }
        }
    }
}

/// None for a network that nobody comes from.
fn rank(crowd: &BTreeMap<u64, u64>, network: IpAddr) -> Option<(usize, Reverse<u64>, IpAddr)> {
    let (oldest, _) = crowd.first_key_value()?;
    Some((crowd.len(), Reverse(*oldest), network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 1, last])
    }

    #[test]
    fn the_oldest_of_the_largest_crowd_goes_first_and_of_equal_crowds_the_oldest() {
        let mut strangers = Strangers::default();
        for (seat, last) in [(0, 1), (1, 2), (2, 2), (3, 1), (4, 3)] {
            strangers.insert(seat, seat, network(last));
        }
        let order = std::iter::from_fn(|| {
            let seat = strangers.least_welcome()?;
            strangers.remove(seat);
            Some(seat)
        });
        assert_eq!(order.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!((strangers.len(), strangers.crowds.len(), strangers.ranking.len()), (0, 0, 0));
    }

    #[test]
    fn whoever_turns_out_to_come_from_elsewhere_keeps_his_age() {
        let mut strangers = Strangers::default();
        for seat in 0..3 {
            strangers.insert(seat, seat, network(1));
        }
        strangers.relocate(0, network(2));
        strangers.relocate(7, network(2));
        assert_eq!(strangers.least_welcome(), Some(1));
        strangers.remove(1);
        assert_eq!(strangers.least_welcome(), Some(0), "two crowds of one: the older goes");
        assert_eq!(strangers.len(), 2);
    }
}
