//! One state: Redis, its replica, the nodes, the sessions of one user, and what is under way between them.

use crate::ids::{Incarnation, Incarnations, Lease, Leases, NODES, SESSIONS};
use crate::protocol::Protocol;
use crate::redis::{Entry, Flight, Redis};

/// The most commands that arrive after their caller gave up.
pub const LATE: usize = 2;

/// A state of the model. What stands under *seen* is not part of the protocol: nobody acts on it, it is there to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The data set of the server that answers.
    pub redis: Redis,
    /// What the replica has, once replication has broken.
    pub replica: Option<Redis>,
    /// Which server process answers.
    pub server: u8,
    /// Whether it hangs, for everybody.
    pub hung: bool,
    /// The nodes; as many as the bounds say.
    pub nodes: [Node; NODES],
    /// The sessions; as many as the bounds say.
    pub sessions: [Session; SESSIONS],
    /// The command about each session whose answer its node waits for.
    pub awaited: [Option<Flight>; SESSIONS],
    /// Commands whose callers gave up and which may still arrive; sorted.
    pub late: [Option<Flight>; LATE],
    /// Words to nodes that a lease of theirs was taken, published and not delivered yet.
    pub notices: Leases,
    /// Faults that have happened.
    pub faults: u8,
    /// Generations that were ever made.
    pub generations: u8,
    /// *Seen*: leases that were ever taken.
    pub ever_taken: Leases,
    /// *Seen*: leases whose release was acknowledged.
    pub ended: Leases,
    /// *Seen*: a promise that a step has broken.
    pub broken: Option<Broken>,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What became of the process.
    pub life: Life,
    /// Whether the network between it and Redis works.
    pub linked: bool,
    /// What it thinks of Redis.
    pub contact: Contact,
    /// Whether it hears what is published for it.
    pub subscribed: bool,
    /// The generation that it knows.
    pub generation: u8,
    /// Its own.
    pub incarnation: u8,
    /// The marks of death that it knows.
    pub dead: Incarnations,
    /// Ticks for which a renewal that would change something has been due: one may pass, a second may not.
    pub lag: u8,
    /// *Seen*: killed, stopped or cut off by itself, and not renewed since.
    pub out: bool,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// As it should be.
    Running,
    /// SIGSTOP.
    Stopped,
    /// SIGKILL.
    Killed,
}

/// What a node thinks of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contact {
    /// It does not answer: newcomers are admitted by the local limit.
    Away,
    /// It answers, and the truth is being rebuilt: newcomers wait.
    Settling,
    /// Newcomers ask for a lease.
    Steady,
}

/// A session of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// How far it is.
    pub phase: Phase,
    /// The incarnation in its lease's id.
    pub incarnation: u8,
    /// Served, and not known to be held by Redis: must be asserted.
    pub owes: bool,
    /// *Seen*: admitted while Redis did not answer, or on a node that was out since it was last known to be held.
    pub slack: bool,
    /// Gone, and not known to be out of Redis: must be released.
    pub unreleased: bool,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not opened yet.
    New,
    /// Waits for an answer.
    Pending,
    /// Has asked and is not held, and may ask again.
    Waiting,
    /// Its answer was lost: it may be held. It is admitted locally under its lease, or that is released and the newcomer
    /// asks under another; never twice under the same.
    Doubtful,
    /// Its node serves it: this is the truth.
    Serving,
    /// Over.
    Gone,
}

/// A promise that one step can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A grant made more than the limit although Redis answered for everybody.
    OverTheLimit,
    /// A lease that is over is held again.
    Revived,
    /// A node that Redis could hear was declared dead, or lost a lease as if it were.
    BuriedAlive,
    /// A victim went, and no newcomer came for it, or none who needed its place.
    TakenForNothing,
    /// A session was closed whose lease nobody had taken.
    ClosedUntold,
}

impl World {
    /// Every node registered, settled, in contact since long, and nobody there.
    pub(crate) fn new(protocol: &Protocol) -> Self {
        let bounds = &protocol.bounds;
        let mut redis = Redis::empty(1);
        redis.generation = 1;
        redis.age = bounds.grace;
        redis.settled = true;
        for entry in redis.table.iter_mut().take(bounds.nodes) {
            *entry =
                Entry { registered: true, incarnation: 0, lease: bounds.ttl, contact: bounds.grace, settled: true };
        }
        let node = Node {
            life: Life::Running,
            linked: true,
            contact: Contact::Steady,
            subscribed: true,
            generation: 1,
            incarnation: 0,
            dead: Incarnations::default(),
            lag: 0,
            out: false,
        };
        let session = Session { phase: Phase::New, incarnation: 0, owes: false, slack: false, unreleased: false };
        Self {
            redis,
            replica: None,
            server: 1,
            hung: false,
            nodes: [node; NODES],
            sessions: [session; SESSIONS],
            awaited: [None; SESSIONS],
            late: [None; LATE],
            notices: Leases::NONE,
            faults: 0,
            generations: 1,
            ever_taken: Leases::NONE,
            ended: Leases::NONE,
            broken: None,
        }
    }

    /// The id under which a session is held, or would be.
    pub fn lease(&self, session: u8) -> Lease {
        Lease { session, incarnation: self.session(session).incarnation }
    }

    /// The session at an index.
    pub fn session(&self, session: u8) -> &Session {
        &self.sessions[usize::from(session)]
    }

    /// The node at an index.
    pub fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    /// Whether commands pass between a node and Redis.
    pub fn reaches(&self, node: u8) -> bool {
        self.node(node).linked && !self.hung
    }

    /// The incarnation under which a node goes.
    pub fn incarnation(&self, node: u8) -> Incarnation {
        Incarnation { node, number: self.node(node).incarnation }
    }

    /// Leases of the sessions that a process which was not killed serves.
    pub fn served(&self, protocol: &Protocol) -> Leases {
        let served = protocol.sessions().filter(|&session| {
            self.session(session).phase == Phase::Serving && self.node(protocol.owner(session)).life != Life::Killed
        });
        served.fold(Leases::NONE, |set, session| set.with(Leases::of(self.lease(session))))
    }
}
