//! Who is who: leases and incarnations, and sets of them as bits, so that a state is small and quick to compare.

use std::fmt;

/// The most nodes that a state has room for.
pub const NODES: usize = 3;
/// The most sessions that a state has room for.
pub const SESSIONS: usize = 5;
/// The most lives of one node: it is declared dead at most twice.
pub const INCARNATIONS: u8 = 3;

/// One session's place: the session's index and the incarnation of its node under which the lease was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Index of the session.
    pub session: u8,
    /// Incarnation of the session's node.
    pub incarnation: u8,
}

/// One life of one node as the cluster sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// Index of the node.
    pub node: u8,
    /// Counted from 0.
    pub number: u8,
}

/// A set of leases.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leases(u16);

/// A set of incarnations.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnations(u16);

impl Lease {
    const fn bit(self) -> u16 {
        1 << (self.session * INCARNATIONS + self.incarnation)
    }
}

impl Leases {
    /// No lease.
    pub const NONE: Self = Self(0);

    /// The set of one.
    pub const fn of(lease: Lease) -> Self {
        Self(lease.bit())
    }

    /// Every lease that this session can ever have had.
    pub const fn of_session(session: u8) -> Self {
        Self(((1 << INCARNATIONS) - 1) << (session * INCARNATIONS))
    }

    /// Whether it is in the set.
    pub const fn has(self, lease: Lease) -> bool {
        self.0 & lease.bit() != 0
    }

    /// Whether the sets share a lease.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lowest session first.
    pub fn iter(self) -> impl Iterator<Item = Lease> {
        let lease = |bit: u8| Lease { session: bit / INCARNATIONS, incarnation: bit % INCARNATIONS };
        (0..16).filter(move |bit| self.0 & (1 << bit) != 0).map(lease)
    }

    /// The sessions that these leases belong to, as a bit for each.
    pub fn sessions(self) -> u8 {
        self.iter().fold(0, |set, lease| set | 1 << lease.session)
    }

    /// Every way to choose `count` of them.
    pub fn choices(self, count: u32) -> impl Iterator<Item = Self> {
        // The subsets of a set of bits, from the set itself down to nothing.
        let subsets =
            std::iter::successors(Some(self.0), move |&subset| (subset != 0).then(|| subset.wrapping_sub(1) & self.0));
        subsets.map(Self).filter(move |subset| subset.len() == count)
    }
}

impl Incarnations {
    /// Whether it is in the set.
    pub const fn has(self, incarnation: Incarnation) -> bool {
        self.0 & Self::bit(incarnation) != 0
    }

    /// Puts it in.
    pub const fn insert(&mut self, incarnation: Incarnation) {
        self.0 |= Self::bit(incarnation);
    }

    /// Takes it out.
    pub const fn remove(&mut self, incarnation: Incarnation) {
        self.0 &= !Self::bit(incarnation);
    }

    const fn bit(incarnation: Incarnation) -> u16 {
        1 << (incarnation.node * INCARNATIONS + incarnation.number)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}.{}", self.session, self.incarnation)
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Incarnations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incarnation = |bit: u8| (bit / INCARNATIONS, bit % INCARNATIONS);
        f.debug_set().entries((0..16).filter(|bit| self.0 & (1 << bit) != 0).map(incarnation)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(sessions: &[u8]) -> Leases {
        let of = |&session: &u8| Leases::of(Lease { session, incarnation: 0 });
        sessions.iter().map(of).fold(Leases::NONE, Leases::with)
    }

    #[test]
    fn every_choice_is_made_once() {
        let pairs: Vec<Leases> = leases(&[0, 2, 4]).choices(2).collect();
        assert_eq!(pairs.len(), 3);
        for pair in [[0, 2], [0, 4], [2, 4]] {
            assert!(pairs.contains(&leases(&pair)), "{pair:?} is missing in {pairs:?}");
        }
        assert_eq!(leases(&[1]).choices(0).collect::<Vec<_>>(), [Leases::NONE]);
    }

    #[test]
    fn a_set_knows_its_sessions_whatever_the_incarnation() {
        let last = Leases::of(Lease { session: 4, incarnation: INCARNATIONS - 1 });
        assert_eq!(leases(&[0]).with(last).sessions(), 0b1_0001);
        assert_eq!(Leases::of_session(4).without(last).len(), u32::from(INCARNATIONS) - 1);
    }
}
