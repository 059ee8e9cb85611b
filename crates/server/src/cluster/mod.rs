//! Who holds which of a user's places, over all nodes: leases, behind one trait.
//!
//! ```text
//! driver --acquire, keep, release, ask--> Cluster --+--> single   everything is granted at once
//!    ^                                              '--> redis    scripts; beat, clerk and ear in the background
//!    '---taken, asked, told------ Follower <-------------'
//! ```
//!
//! A node that cannot ask is told [`Outcome::Unknown`] and goes by its own count: an answer that fails to come refuses
//! nobody (R15), and a session is only closed where its lease was read to be over (R33).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lychgate_core::UserId;
use serde_json::Value;

mod lease;
mod measured;
mod node;
pub mod redis;
pub mod single;

pub use lease::{Claim, Facts, Holder, Holders, LeaseId, Outcome, Presence, Report, Room, Standing, Told, Trouble};
pub use measured::Measured;
pub use node::{Audience, Health, Incarnation, Node, Question};

/// An answer that is there at once, or comes later. The first costs no allocation, so that a gateway by itself pays
/// nothing for a cluster that it has not got.
#[must_use]
pub enum Answer<T> {
    /// It is there.
    Now(T),
    /// Somebody has to be asked. Whoever drops it before its end has asked for nothing: what it may have taken is given
    /// back.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Answer<T> {
    /// Waits for it. Every wait inside has a deadline.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Hears what other nodes did and want. Must not block; what it has to do at length it does elsewhere.
pub trait Follower: Send + Sync + 'static {
    /// This lease is over: another node took its place at `epoch`, or declared this node dead. Its session is to be
    /// closed; the lease needs no release. Told once for each lease, and only after it was read in the store.
    fn taken(&self, user: &UserId, lease: LeaseId, epoch: u64);

    /// Another node wants to know how the sessions of this user are, here: to be answered by [`Cluster::reply`] within
    /// a second. A question may be lost on its way, and come twice.
    fn asked(&self, user: &UserId, question: Question);

    /// Another node says something to this one, or to all: for instance that a user's tokens are revoked. A hint: it may
    /// be lost, and come twice.
    fn told(&self, from: Incarnation, what: Value);

    /// The store went away or came back.
    fn health(&self, health: Health);

    /// A note of the board, from whichever node; in their order, and all of them again in a new data set and in a new
    /// process. The next one is read when this one is done.
    fn posted(&self, note: Value) -> Answer<()>;

    /// The board of this data set was read to its end for the first time: what this node knows and it lacks is to be
    /// posted now.
    fn caught_up(&self);
}

/// The leases of all nodes.
///
/// Who acquired a lease, or was told `Unknown` and admitted its session all the same ([`Cluster::keep`]), holds it until
/// he releases it or hears that it was taken. After `Unknown` one of `keep` and `release` has to be called.
pub trait Cluster: Send + Sync + fmt::Debug + 'static {
    /// An id that no other lease has, on any node, ever.
    fn new_lease(&self) -> LeaseId;

    /// Asks for a place among the user's sessions on all nodes. With `victims` (holders of an earlier
    /// [`Outcome::Denied`]) it takes their places in the same step, of as many as are needed, the first ones first. A user
    /// who is above his limit already gets a place for a place: nobody is shut out by an excess, and it does not grow.
    /// Asking again for a lease that is held changes nothing. Sessions of nodes that are dead are out before anybody who
    /// lives.
    fn acquire(&self, claim: Claim, victims: &[Holder]) -> Answer<Outcome>;

    /// The session lives on this node although nobody could be asked: it is told to the store as soon as that answers.
    fn keep(&self, claim: Claim);

    /// Gives a place back. Does not wait; it is repeated until the store has it.
    fn release(&self, user: &UserId, lease: LeaseId);

    /// Asks a node how this user's sessions are, there; a second at most.
    fn ask(&self, user: UserId, of: Incarnation) -> Answer<Told>;

    /// Answers a question.
    fn reply(&self, question: Question, reports: Vec<Report>);

    /// Says something to other nodes. Nobody learns whether it was heard: what must not be lost is posted.
    fn tell(&self, audience: Audience, what: Value);

    /// Puts a note on the board that every node reads: those that are there within a second, others when they come back.
    /// It is repeated until the store has it; one that is on the board already is not put there again.
    fn post(&self, note: Value);

    /// Who holds the user's places on all nodes, this one included. Waits for nodes that have yet to say so, as long as a newcomer.
    fn holders(&self, user: UserId) -> Answer<Holders>;

    /// Whether the store can be asked.
    fn health(&self) -> Health;

    /// The nodes that live, this one included, as of the last answer of the store. Empty where there is no other one to
    /// meet, and before the first answer.
    fn nodes(&self) -> Vec<Node>;

    /// How long ago the last question left this node that the store answered, of those that are asked every second at most;
    /// none before the first one, and where there is no store.
    fn answered(&self) -> Option<Duration>;

    /// Leases of this node, those included that the store has yet to be told of; 0 where nobody else counts.
    fn leases(&self) -> usize;

    /// This node, as the others see it; all zeros before it has met them.
    fn incarnation(&self) -> Incarnation;

    /// Sets the one follower; called once, at assembly. What happens before is told to nobody.
    fn follow(&self, follower: Arc<dyn Follower>);

    /// Leaves: whatever this node still holds is free at the others' next beat, within a second. Takes no longer than a
    /// command may.
    fn leave(&self) -> Answer<()>;
}
