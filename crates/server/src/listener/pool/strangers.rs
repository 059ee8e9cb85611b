//! The sockets that have not said who they are, by where they come from.
//!
//! ```text
//!  2001:db8:1::/48             x x x x x x x   <- the site with most of them
//!    2001:db8:1:7::/64           x x x         <- of its networks the one with most, so its oldest goes next
//!    2001:db8:1:8::/64 to :b::   x  x  x  x
//!  198.51.100.7                x x x x x
//!  203.0.113.9                 x               <- a newcomer from here keeps his seat
//! ```
//!
//! A site is an IPv4 address, or an IPv6 /48: somebody commonly gets a whole one for the asking, and 65,536 networks with
//! it. Were these not counted together, one socket from each of them would make an honest NAT the largest crowd.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// Seats of strangers. Every question and every change costs the logarithm of their number at most.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Whose silence began when, and which network he comes from.
    seats: HashMap<u64, (u64, IpAddr)>,
    sites: Crowds,
    /// Of each site that anybody comes from.
    networks: HashMap<IpAddr, Crowds>,
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
        let site = site(network);
        self.sites.insert(site, age, seat);
        self.networks.entry(site).or_default().insert(network, age, seat);
    }

    pub(super) fn remove(&mut self, seat: u64) {
        let Some((age, network)) = self.seats.remove(&seat) else { return };
        let site = site(network);
        self.sites.remove(site, age);
        if let Some(networks) = self.networks.get_mut(&site) {
            networks.remove(network, age);
            if networks.crowds.is_empty() {
                self.networks.remove(&site);
            }
        }
    }

    /// A stranger turns out to come from somewhere else; his age stays.
    pub(super) fn relocate(&mut self, seat: u64, network: IpAddr) {
        if let Some((age, _)) = self.seats.get(&seat).copied() {
            self.insert(seat, age, network);
        }
    }

    /// Who goes first: the oldest of the network with the most strangers, of the site with the most. Whoever fills the
    /// pool from a few sites pushes out himself, and nobody who comes from elsewhere.
    pub(super) fn least_welcome(&self) -> Option<u64> {
        let networks = self.networks.get(&self.sites.largest()?)?;
        let crowd = networks.crowds.get(&networks.largest()?)?;
        crowd.first_key_value().map(|(_, seat)| *seat)
    }
}

/// Where a network, which is an IPv4 address or an IPv6 /64, belongs to.
fn site(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(network) => {
            let [a, b, c, ..] = network.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// Seats in groups, by where they come from.
#[derive(Debug, Default)]
struct Crowds {
    /// Of each origin that anybody comes from, the seats by age.
    crowds: HashMap<IpAddr, BTreeMap<u64, u64>>,
    /// The origins: the one with the most strangers last, and of equal ones the one with the oldest.
    ranking: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
}

impl Crowds {
    fn insert(&mut self, origin: IpAddr, age: u64, seat: u64) {
        self.change(origin, |crowd| {
            crowd.insert(age, seat);
        });
    }

    fn remove(&mut self, origin: IpAddr, age: u64) {
        self.change(origin, |crowd| {
            crowd.remove(&age);
        });
    }

    fn largest(&self) -> Option<IpAddr> {
        self.ranking.last().map(|(_, _, origin)| *origin)
    }

    fn change(&mut self, origin: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, u64>)) {
        let crowd = self.crowds.entry(origin).or_default();
        if let Some(rank) = rank(crowd, origin) {
            self.ranking.remove(&rank);
        }
        change(crowd);
        match rank(crowd, origin) {
            Some(rank) => {
                self.ranking.insert(rank);
            }
            None => {
                self.crowds.remove(&origin);
            }
        }
    }
}

/// None for an origin that nobody comes from.
fn rank(crowd: &BTreeMap<u64, u64>, origin: IpAddr) -> Option<(usize, Reverse<u64>, IpAddr)> {
    let (oldest, _) = crowd.first_key_value()?;
    Some((crowd.len(), Reverse(*oldest), origin))
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
        assert_eq!((strangers.len(), strangers.networks.len()), (0, 0));
        assert_eq!((strangers.sites.crowds.len(), strangers.sites.ranking.len()), (0, 0));
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

    #[test]
    fn of_the_largest_site_the_largest_network_loses_its_oldest() {
        let mut strangers = Strangers::default();
        let within = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, last, 0, 0, 0, 0]);
        let networks = [within(1), within(2), within(2), within(3), network(1), network(1), network(1)];
        for (seat, network) in (0..).zip(networks) {
            strangers.insert(seat, seat, network);
        }
        let order = std::iter::from_fn(|| {
            let seat = strangers.least_welcome()?;
            strangers.remove(seat);
            Some(seat)
        });
        assert_eq!(order.collect::<Vec<_>>(), [1, 0, 4, 2, 5, 3, 6]);
    }
}
