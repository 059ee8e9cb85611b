//! How much of the endless space of states is looked at.

use crate::ids::NODES;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed.
    Kill,
    /// A node is stopped, and perhaps continued.
    Stop,
    /// The network between one node and Redis is cut, and perhaps mended.
    Cut,
    /// Redis hangs for everybody, and perhaps goes on.
    Hang,
    /// FLUSHALL.
    Flush,
    /// Replication breaks; a failover to that replica may follow, which loses all writes since.
    Failover,
    /// The answer to one command does not come in time, and the command may be late.
    Late,
    /// A node loses its subscription with what was under way on it.
    Unsubscribe,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Kill, Self::Stop, Self::Cut, Self::Hang, Self::Flush, Self::Failover, Self::Late, Self::Unsubscribe];
}

/// The size of a model.
///
/// A tick is a renewal period and the deadline of a command: a node that reaches Redis renews at least once in every two,
/// and nothing waits for an answer over the end of one.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Nodes, 3 at most.
    pub nodes: usize,
    /// The node of each session, 5 at most.
    pub owners: Vec<u8>,
    /// Sessions that the user may have.
    pub limit: u32,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// How many times, of all kinds together.
    pub fault_count: u8,
    /// Ticks that a node lease lasts.
    pub ttl: u8,
    /// Ticks by which each node's wall clock is ahead of Redis'. The protocol never reads it.
    pub ahead: [u8; NODES],
    /// Ticks from a new generation, or a node's return, until what it does not see is not there.
    pub grace: u8,
}

impl Bounds {
    /// Any of all faults, so many times.
    pub fn new(owners: &[u8], limit: u32, fault_count: u8) -> Self {
        let nodes = owners.iter().map(|&owner| usize::from(owner) + 1).max().unwrap_or(0);
        Self {
            nodes,
            owners: owners.to_vec(),
            limit,
            faults: Fault::ALL.to_vec(),
            fault_count,
            ttl: 3,
            ahead: [3, 0, 0],
            grace: 2,
        }
    }

    /// The same with these faults alone.
    #[must_use]
    pub fn with_faults(mut self, faults: &[Fault]) -> Self {
        self.faults = faults.to_vec();
        self
    }

    /// The node of a session.
    pub(crate) fn owner(&self, session: u8) -> u8 {
        self.owners[usize::from(session)]
    }
}
