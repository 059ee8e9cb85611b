//! A world of peers round one gate, in virtual time and without I/O.
//!
//! ```text
//!   step --> peers --Input--> gate --Output--> peers     who answer pings and confirm closes, later
//!              ^                                 |
//!              +---- heap of what is due <-------+       time jumps to whatever is due first: it, or poll_timeout
//! ```
//!
//! Each input and each output passes the oracle on its way. What a peer does at once (the kernel took a ping) is fed
//! after the outputs are drained, never from within.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use lychgate_core::{ConnectionId, Gate, Heartbeat, Input, Output, PlanId, Sign, Time, UserId};

use crate::model::{Moment, user_id};
use crate::oracle::{Oracle, Rule};
use crate::random::Random;
use crate::step::Thread;

mod act;
mod peer;
mod react;

use peer::{Socket, Tabs};

/// What is tried: the gate, or a gate that was broken on purpose.
pub trait Subject {
    /// As [`Gate::handle_input`].
    fn handle_input(&mut self, now: Time, input: Input);
    /// As [`Gate::handle_timeout`].
    fn handle_timeout(&mut self, now: Time);
    /// As [`Gate::poll_output`].
    fn poll_output(&mut self) -> Option<Output>;
    /// As [`Gate::poll_timeout`].
    fn poll_timeout(&self) -> Option<Time>;
    /// As [`Gate::session_count`].
    fn session_count(&self, user: &UserId) -> usize;
}

impl Subject for Gate {
    fn handle_input(&mut self, now: Time, input: Input) {
        Self::handle_input(self, now, input);
    }

    fn handle_timeout(&mut self, now: Time) {
        Self::handle_timeout(self, now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        Self::poll_output(self)
    }

    fn poll_timeout(&self) -> Option<Time> {
        Self::poll_timeout(self)
    }

    fn session_count(&self, user: &UserId) -> usize {
        Self::session_count(self, user)
    }
}

/// Something that a peer or a socket does later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Later {
    /// The peer is heard.
    Speak { socket: usize, sign: Sign },
    /// The kernel took a ping that had to wait.
    PingLeaves { socket: usize },
    /// The socket is gone.
    Confirm { socket: usize },
    /// The socket cannot be closed.
    Fail { socket: usize },
    /// The socket's own task notices its end as well, after the gate ordered it.
    NoticeEnd { socket: usize },
}

/// A due time, then the order of creation: ties are settled the same way in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    at: Time,
    serial: u64,
    what: Later,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Most timeouts that a gate may ask for without time passing.
const MAX_TIMEOUTS_AT_ONE_INSTANT: u32 = 1_000;

/// The gate, its peers and the oracle that watches.
#[derive(Debug)]
pub struct World<S> {
    /// Judges.
    pub oracle: Oracle,
    subject: S,
    now: Time,
    /// How late deadlines are noticed.
    late: Duration,
    stalled: Duration,
    random: Random,
    serial: u64,
    due: BinaryHeap<Reverse<Due>>,
    at_once: VecDeque<Input>,
    sockets: Vec<Socket>,
    tabs: Tabs,
    /// Reused while draining.
    user_ids: Vec<UserId>,
}

impl<S: Subject> World<S> {
    /// Nobody has come yet.
    #[must_use]
    pub fn new(subject: S, oracle: Oracle, seed: u64, late: Duration) -> Self {
        Self {
            oracle,
            subject,
            // A driver's clock does not start at zero either.
            now: Time::from_micros(1_000_000),
            late,
            stalled: Duration::ZERO,
            random: Random::new(seed),
            serial: 0,
            due: BinaryHeap::new(),
            at_once: VecDeque::new(),
            sockets: Vec::new(),
            tabs: Tabs::default(),
            user_ids: Vec::new(),
        }
    }

    /// Now, on both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { at: self.now, ran: self.now - self.stalled }
    }

    /// Gives the gate one input, and all that follows from it at this instant.
    fn feed(&mut self, input: Input) {
        self.flush();
        self.give(input);
        self.flush();
    }

    /// Gives the gate what the peers did at once.
    fn flush(&mut self) {
        while let Some(input) = self.at_once.pop_front() {
            self.give(input);
        }
    }

    fn give(&mut self, input: Input) {
        self.oracle.input(self.moment(), &input);
        self.subject.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.oracle.tally.calls += 1;
        while let Some(output) = self.subject.poll_output() {
            self.oracle.output(self.moment(), &output);
            self.react(&output);
        }
        let Self { oracle, subject, .. } = self;
        let moment = Moment { at: self.now, ran: self.now - self.stalled };
        oracle.settle(moment, |user| subject.session_count(user));
    }

    /// Lets time pass until `target`, stopping at whatever is due.
    fn advance_to(&mut self, target: Time) {
        let mut at_one_instant = 0;
        while self.oracle.violation().is_none() {
            let peer = self.due.peek().map(|Reverse(due)| due.at);
            let gate = self.subject.poll_timeout().map(|due| due + self.late);
            let next = match (peer, gate) {
                (Some(peer), Some(gate)) => peer.min(gate),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => break,
            };
            if next > target {
                break;
            }
            if next > self.now {
                self.now = next;
                at_one_instant = 0;
            }
            // After a stall both are late. Deadlines come first then: it is the order that is hardest on the peers.
            if gate.is_some_and(|gate| gate <= self.now && peer.is_none_or(|peer| gate <= peer)) {
                at_one_instant += 1;
                self.time_out(at_one_instant);
            } else if let Some(Reverse(due)) = self.due.pop() {
                self.happen(due.what);
            }
        }
        self.now = self.now.max(target);
        self.oracle.overdue(self.moment());
    }

    fn time_out(&mut self, at_one_instant: u32) {
        self.subject.handle_timeout(self.now);
        self.drain();
        self.flush();
        if at_one_instant > MAX_TIMEOUTS_AT_ONE_INSTANT {
            let moment = self.moment();
            self.oracle.fail(Rule::Timer, moment, || "the same deadline falls due for ever".to_owned());
        }
    }

    fn later(&mut self, after: Duration, what: Later) {
        self.serial += 1;
        self.due.push(Reverse(Due { at: self.now + after, serial: self.serial, what }));
    }

    fn millis(&mut self, low: u32, high: u32) -> Duration {
        Duration::from_millis(u64::from(self.random.between(low, high)))
    }

    /// The id of a user, made once.
    fn user_id(&mut self, user: u32) -> UserId {
        let user = user as usize;
        while self.user_ids.len() <= user {
            self.user_ids.push(user_id(self.user_ids.len()));
        }
        self.user_ids[user].clone()
    }

    fn new_socket(&mut self, tab: crate::step::Tab, heartbeat: Heartbeat) -> usize {
        let number = self.sockets.len();
        let id = ConnectionId::from_random((number as u128 + 1) << 64 | u128::from(self.random.bits()));
        let user = self.user_id(tab.user);
        let latency = self.millis(1, 150);
        self.oracle.model.add_connection(id, tab.user as usize, heartbeat);
        self.sockets.push(Socket::new(id, user, tab, heartbeat, latency));
        number
    }

    /// The gate's own count, for an `expect`.
    fn held(&self, user: u32) -> usize {
        self.subject.session_count(&user_id(user as usize))
    }

    /// Everybody goes, the linger ends, and nothing may be left.
    pub fn everybody_leaves(&mut self) {
        for socket in 0..self.sockets.len() {
            self.end_socket(socket, lychgate_core::End::Lost);
        }
        let linger = self.oracle.model.plans.limits(PlanId::default()).linger;
        self.advance_to(self.now + linger + Duration::from_secs(1));
        let moment = self.moment();
        let Self { oracle, subject, .. } = self;
        oracle.finished(moment, |user| subject.session_count(user));
    }
}

/// The name that a client gives to the open of a thread.
fn reference_of(thread: Thread) -> Box<str> {
    thread.to_string().into_boxed_str()
}
