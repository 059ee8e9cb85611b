//! What was decided about each user, and on what evidence: so that somebody can say why a tab was closed or had to wait.
//!
//! ```text
//!  Event --record--> Ledger: user -> ring of 32 decisions   one budget of bytes; who was active longest ago is dropped
//!            |                           '--explain--> oldest first, with what was dropped
//!            '-news--> Feed: everybody's, numbered          a budget of its own; the oldest are dropped, and counted
//! ```
//!
//! Both outlive the user's record in the gate, and decide nothing. [`Verdict::sentence`] says any of it to people.

use foldhash::quality::FixedState;
use hashlink::LinkedHashMap;

use crate::breaker::{BreakerState, ReclaimStep};
use crate::gate::io::{AdmissionPath, Cause, Event, Eviction};
use crate::id::{ConnectionId, ThreadId, UserId};
use crate::liveness::{Evidence, ZombieKind};
use crate::refusal::{EvictReason, Refusal};
use crate::timer::Time;
use crate::user::push_tight;

mod feed;
mod words;

pub use feed::{Feed, Filter, Stretch, Told};

/// Decisions of one user that are kept.
pub const DECISIONS_PER_USER: usize = 32;

/// What one user costs beside his decisions: the place in the table and in the list, and his ring's own fields.
const USER_BYTES: usize = 128;

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When, on the driver's clock.
    pub at: Time,
    /// The conversation that it is about; none where it is about a connection or the user.
    pub thread: Option<ThreadId>,
    /// The connection that it is about, if there is one.
    pub connection: Option<ConnectionId>,
    /// What.
    pub verdict: Verdict,
    /// How often more the same was decided in a row; `at` is the last time.
    pub again: u32,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// An open got its session.
    Admitted {
        /// Which way.
        path: AdmissionPath,
        /// From `open` until then, in milliseconds.
        waited_ms: u32,
    },
    /// An open waits for a probe.
    Waits,
    /// An open waits in the queue, at this position.
    Queued(usize),
    /// An open or a connect was refused.
    Refused(Refusal),
    /// A session ended without being reclaimed: on its own account, or because it was ended by hand.
    Released(EvictReason),
    /// A session was reclaimed.
    Evicted(EvictReason, Box<Reclaimed>),
    /// In shadow mode: it would have been.
    WouldEvict(Box<Eviction>),
    /// In shadow mode: an open would have had to wait.
    WouldWait,
    /// A connection was declared dead.
    Dead(ZombieKind, Box<Evidence>),
    /// The gateway closed a connection, for a reason that no other decision tells.
    Closed(EvictReason),
    /// A breaker moved: the user's, or where the decision names no user the node's.
    Breaker(ReclaimStep, BreakerState),
    /// A broken invariant was repaired.
    Repaired(&'static str),
}

/// Why and for whom a session was reclaimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Reclaimed {
    /// At which level, and on what evidence.
    pub eviction: Eviction,
    /// For whom.
    pub cause: Cause,
}

impl Reclaimed {
    fn bytes(&self) -> usize {
        let text = match &self.cause {
            Cause::Newcomer(thread) => thread.as_str().len(),
            Cause::Pressure | Cause::Order | Cause::OtherNode => 0,
        };
        size_of::<Self>() + text
    }
}

impl Verdict {
    fn boxed_bytes(&self) -> usize {
        match self {
            Self::Evicted(_, reclaimed) => reclaimed.bytes(),
            Self::WouldEvict(eviction) => size_of_val(&**eviction),
            Self::Dead(_, evidence) => size_of_val(&**evidence),
            Self::Admitted { .. }
            | Self::Waits
            | Self::Queued(_)
            | Self::Refused(_)
            | Self::Released(_)
            | Self::Closed(_)
            | Self::WouldWait
            | Self::Breaker(..)
            | Self::Repaired(_) => 0,
        }
    }
}

impl Decision {
    /// The decision that an event tells of, and whom it is about (none for the node); none where it tells of none.
    #[must_use]
    pub fn of(now: Time, event: &Event) -> Option<(Option<UserId>, Self)> {
        if let Event::Breaker { user, step, state } = event {
            let verdict = Verdict::Breaker(*step, *state);
            return Some((user.clone(), Self { at: now, thread: None, connection: None, verdict, again: 0 }));
        }
        let (user, thread, connection, verdict) = match event {
            Event::SessionCreated { key, connection, path, waited, was_full: _ } => {
                let waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
                (key.user(), Some(key.thread()), Some(*connection), Verdict::Admitted { path: *path, waited_ms })
            }
            Event::SessionAttached { key, connection, path, waited } => {
                let waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
                let verdict = Verdict::Admitted { path: *path, waited_ms };
                (key.user(), Some(key.thread()), Some(*connection), verdict)
            }
            Event::SessionReleased { key, reason } => {
                (key.user(), Some(key.thread()), None, Verdict::Released(*reason))
            }
            Event::SessionEvicted { key, reason, eviction, cause } => {
                let reclaimed = Reclaimed { eviction: *eviction, cause: cause.clone() };
                (key.user(), Some(key.thread()), None, Verdict::Evicted(*reason, Box::new(reclaimed)))
            }
            Event::WouldEvict { key, eviction } => {
                (key.user(), Some(key.thread()), None, Verdict::WouldEvict(Box::new(*eviction)))
            }
            Event::WouldWait { key } => (key.user(), Some(key.thread()), None, Verdict::WouldWait),
            Event::Waiting { key, connection } => (key.user(), Some(key.thread()), Some(*connection), Verdict::Waits),
            Event::Queued { key, position } => (key.user(), Some(key.thread()), None, Verdict::Queued(*position)),
            Event::Zombie { user, connection, kind, evidence } => {
                (user, None, Some(*connection), Verdict::Dead(*kind, Box::new(*evidence)))
            }
            Event::Disconnected { user, connection, reason: Some(reason) } if is_ours(*reason) => {
                (user, None, Some(*connection), Verdict::Closed(*reason))
            }
            Event::Refused { user, connection, thread, refusal, waited: _ } => {
                (user, thread.as_ref(), Some(*connection), Verdict::Refused(*refusal))
            }
            Event::Repaired { user, broken } => (user, None, None, Verdict::Repaired(broken)),
            Event::SessionLingers { .. }
            | Event::Reclaimed { .. }
            | Event::ProbeFailed { .. }
            | Event::VerdictDisproved { .. }
            | Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Pressure { .. }
            | Event::Breaker { .. }
            | Event::CloseUnconfirmed { .. } => return None,
        };
        Some((Some(user.clone()), Self { at: now, thread: thread.cloned(), connection, verdict, again: 0 }))
    }

    /// A tab that opens what it has open already says nothing new, and must not push out what matters.
    fn is_said_again_by(&self, next: &Self) -> bool {
        let is_attach = matches!(next.verdict, Verdict::Admitted { path: AdmissionPath::Attach, .. });
        let same_place = self.thread == next.thread && self.connection == next.connection;
        let was_admitted = matches!(self.verdict, Verdict::Admitted { .. });
        same_place && (self.verdict == next.verdict || (is_attach && was_admitted))
    }

    /// Whoever is declared dead is closed in the next breath; that says nothing new.
    fn follows_from(&self, earlier: &Self) -> bool {
        let is_close = matches!(self.verdict, Verdict::Closed(EvictReason::Unresponsive | EvictReason::Slow));
        is_close && matches!(earlier.verdict, Verdict::Dead(..)) && self.connection == earlier.connection
    }

    /// What it takes beside its own record.
    fn bytes(&self) -> usize {
        let text = self.thread.as_ref().map_or(0, |thread| thread.as_str().len());
        text + self.verdict.boxed_bytes()
    }
}

/// Whether a connection that was closed so was closed by us, and nothing else tells of it.
fn is_ours(reason: EvictReason) -> bool {
    match reason {
        EvictReason::Unresponsive
        | EvictReason::Slow
        | EvictReason::TokenExpired
        | EvictReason::MadeRoomForConnection
        | EvictReason::ByAdmin
        | EvictReason::LoggedOut
        | EvictReason::Revoked
        | EvictReason::Draining => true,
        // The client did it, or what took its place was admitted.
        EvictReason::Left
        | EvictReason::ClientClosed
        | EvictReason::LingerEnded
        | EvictReason::Superseded
        | EvictReason::MadeRoom => false,
    }
}

#[derive(Debug, Default)]
struct Ring {
    /// Oldest first. Moving 31 of them once the ring is full costs less than a deque's fields for every idle user.
    decisions: Vec<Decision>,
    dropped: u32,
}

impl Ring {
    fn bytes(&self) -> usize {
        self.decisions.capacity() * size_of::<Decision>() + self.decisions.iter().map(Decision::bytes).sum::<usize>()
    }
}

/// What is known of one user, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// At most [`DECISIONS_PER_USER`].
    pub decisions: Vec<Decision>,
    /// Older ones of this user that gave way to newer ones.
    pub dropped: u32,
}

/// The decisions of many users within one budget.
#[derive(Debug)]
pub struct Ledger {
    budget: usize,
    bytes: usize,
    /// Least recently active first.
    rings: LinkedHashMap<UserId, Ring, FixedState>,
    dropped_users: u64,
}

impl Ledger {
    /// Empty. `budget` is in bytes of the decisions, their texts and the users' places; a user who alone takes more is
    /// dropped as well.
    #[must_use]
    pub fn new(budget: usize, seed: u64) -> Self {
        let rings = LinkedHashMap::with_hasher(FixedState::with_seed(seed));
        Self { budget, bytes: 0, rings, dropped_users: 0 }
    }

    /// Notes what an event tells, if it tells of a decision. Answers it, with whom it is about, where it is news: a tab that
    /// opens what it has open is none, nor is the close of a connection that was declared dead.
    pub fn record(&mut self, now: Time, event: &Event) -> Option<(Option<UserId>, Decision)> {
        let (user, decision) = Decision::of(now, event)?;
        let is_news = user.as_ref().is_none_or(|user| self.note(user, &decision));
        is_news.then_some((user, decision))
    }

    fn note(&mut self, user: &UserId, decision: &Decision) -> bool {
        if self.rings.to_back(user).is_none() {
            self.bytes += user_bytes(user);
            self.rings.insert(user.clone(), Ring::default());
        }
        let Some(ring) = self.rings.get_mut(user) else { return true };
        if ring.decisions.iter().any(|earlier| decision.follows_from(earlier)) {
            return false;
        }
        if let Some(last) = ring.decisions.last_mut()
            && last.is_said_again_by(decision)
        {
            last.at = decision.at;
            last.again = last.again.saturating_add(1);
            return false;
        }
        if ring.decisions.len() == DECISIONS_PER_USER {
            self.bytes -= ring.decisions.remove(0).bytes();
            ring.dropped = ring.dropped.saturating_add(1);
        }
        self.bytes += decision.bytes();
        let before = ring.decisions.capacity();
        push_tight(&mut ring.decisions, decision.clone());
        self.bytes += (ring.decisions.capacity() - before) * size_of::<Decision>();
        while self.bytes > self.budget {
            self.drop_least_recent();
        }
        true
    }

    fn drop_least_recent(&mut self) {
        let Some((user, ring)) = self.rings.pop_front() else {
            self.bytes = 0;
            return;
        };
        self.bytes -= user_bytes(&user) + ring.bytes();
        self.dropped_users += 1;
    }

    /// What is known of a user; none when nothing is, or no longer.
    #[must_use]
    pub fn explain(&self, user: &UserId) -> Option<Explanation> {
        let ring = self.rings.get(user)?;
        Some(Explanation { decisions: ring.decisions.clone(), dropped: ring.dropped })
    }

    /// Users who were dropped to stay within the budget.
    #[must_use]
    pub fn dropped_users(&self) -> u64 {
        self.dropped_users
    }

    /// Bytes that count against the budget.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn user_bytes(user: &UserId) -> usize {
    USER_BYTES + user.as_str().len()
}

#[cfg(test)]
mod tests;
