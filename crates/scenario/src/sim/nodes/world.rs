//! Nodes, their tabs, the network and Redis, in one order of events: the same plan gives the same history.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use lychgate_core::{ConnectionId, LimitSpec, Limits, RunId, SessionKey, ThreadId, Time, UserId};

use super::mistake::Mistake;
use super::node::{Event, Node, Out};
use super::oracle::Oracle;
use super::plan::{Plan, Tab};
use super::server::{Mood, Order, Server};
use crate::random::Random;

/// Where a node runs: a machine with a clock and a cable.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) node: Option<Node>,
    /// The process that runs, or ran last.
    pub(super) life: u64,
    pub(super) clock: Clock,
    pub(super) latency: Duration,
    pub(super) is_cut: bool,
    /// Since when its process stands still.
    pub(super) stopped: Option<Time>,
    /// What happened to it meanwhile.
    pub(super) backlog: Vec<Event>,
    /// What its cable holds up.
    pub(super) held_up: Vec<Flight>,
    /// Commands arrive in the order in which they left.
    pub(super) last_arrival: Time,
    /// Since when it and Redis reach each other without delay.
    pub(super) calm_since: Option<Time>,
}

/// A clock that nobody sets, too fast or too slow by some thousandths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Time,
    /// Of its own seconds in ten thousand.
    rate: u64,
}

/// Where a node's clock begins.
const ORIGIN: Time = Time::from_micros(1_000_000);
const RATE: u64 = 10_000;

impl Clock {
    fn new(started: Time, rate: u64) -> Self {
        Self { started, rate }
    }

    pub(super) fn read(self, now: Time) -> Time {
        let micros = now.since(self.started).as_micros() * u128::from(self.rate) / u128::from(RATE);
        ORIGIN + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// When it will show this.
    fn when(self, shown: Time) -> Time {
        self.started + self.lasts(shown.since(ORIGIN))
    }

    /// How long a span of its own is.
    pub(super) fn lasts(self, span: Duration) -> Duration {
        let micros = (span.as_micros() * u128::from(RATE)).div_ceil(u128::from(self.rate));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Something under way.
#[derive(Clone, Debug)]
pub(super) enum Flight {
    ToRedis(Order),
    ToNode { seat: usize, life: u64, event: Event },
}

/// A due time, then the order of creation: ties are settled the same way in every run.
#[derive(Debug)]
struct Due {
    at: Time,
    serial: u64,
    what: Flight,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Due {}

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

/// A tab that is connected.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) seat: usize,
    pub(super) life: u64,
    pub(super) connection: ConnectionId,
    /// What it shows, or asks for.
    pub(super) thread: Option<ThreadId>,
    pub(super) is_silent: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) server: Server,
    pub(super) seats: Vec<Seat>,
    pub(super) tabs: BTreeMap<Tab, Shown>,
    /// Runs in flight, by the tab that began them, with the process that runs them.
    pub(super) runs: BTreeMap<Tab, (usize, u64, SessionKey, RunId)>,
    pub(super) lossy: u32,
    pub(super) random: Random,
    pub(super) oracle: Oracle,
    /// What happened, where somebody wants to read it.
    pub(super) history: Option<Vec<String>>,
    pub(super) drawn: u128,
    /// By how much Redis' clock was put back: what runs out there lasts so much longer.
    pub(super) put_back: Duration,
    limits: Limits,
    mistake: Option<Mistake>,
    last_life: u64,
    due: BinaryHeap<Reverse<Due>>,
    serial: u64,
}

impl World {
    pub(super) fn new(plan: &Plan, mistake: Option<Mistake>) -> Self {
        let spec = LimitSpec {
            max_sessions_per_user: plan.sessions.max(1),
            reserve_sessions: plan.reserve,
            ..LimitSpec::default()
        };
        let mut world = Self {
            now: Time::from_micros(1),
            server: Server::new(mistake),
            seats: Vec::new(),
            tabs: BTreeMap::new(),
            runs: BTreeMap::new(),
            lossy: 0,
            random: Random::new(plan.seed),
            oracle: Oracle::new(&spec),
            history: None,
            drawn: 0,
            put_back: Duration::ZERO,
            limits: Limits::new(spec).unwrap_or_default(),
            mistake,
            last_life: 0,
            due: BinaryHeap::new(),
            serial: 0,
        };
        for _ in 0..plan.nodes {
            world.add_seat();
        }
        world
    }

    fn add_seat(&mut self) {
        let latency = Duration::from_micros(u64::from(self.random.between(200, 15_000)));
        self.seats.push(Seat {
            node: None,
            life: 0,
            clock: Clock::new(self.now, RATE),
            latency,
            is_cut: false,
            stopped: None,
            backlog: Vec::new(),
            held_up: Vec::new(),
            last_arrival: self.now,
            calm_since: None,
        });
        self.start(self.seats.len() - 1);
    }

    /// Starts a process where none runs.
    pub(super) fn start(&mut self, seat: usize) {
        if self.seats[seat].node.is_some() {
            return;
        }
        self.last_life += 1;
        let clock = Clock::new(self.now, u64::from(self.random.between(9_970, 10_030)));
        // So that the ids of two plans differ.
        let life = self.last_life << 32 | self.random.bits() >> 32;
        let it = &mut self.seats[seat];
        (it.life, it.clock) = (life, clock);
        it.node = Some(Node::new(life, self.limits.clone(), clock.read(self.now), self.mistake));
        self.oracle.lives(life, seat);
        self.flush(seat);
    }

    /// Lets time pass until then, stopping at whatever is due.
    pub(super) fn advance_to(&mut self, target: Time) {
        while self.oracle.violation.is_none() {
            let due = self.due.peek().map(|Reverse(due)| due.at);
            let gate = self.next_deadline();
            let (at, seat) = match (due, gate) {
                (None, None) => break,
                (Some(due), None) => (due, None),
                (Some(due), Some((at, _))) if due <= at => (due, None),
                (_, Some((at, seat))) => (at, Some(seat)),
            };
            if at > target {
                break;
            }
            self.now = self.now.max(at);
            match seat {
                Some(seat) => self.happen(seat, Event::Due),
                None => self.pop(),
            }
            self.watch();
        }
        self.now = self.now.max(target);
        self.watch();
    }

    fn watch(&mut self) {
        self.oracle.watch(self.now);
    }

    /// The first deadline of a gate that runs.
    fn next_deadline(&self) -> Option<(Time, usize)> {
        let deadline = |(index, seat): (usize, &Seat)| {
            let node = seat.node.as_ref().filter(|_| seat.stopped.is_none())?;
            Some((seat.clock.when(node.gate.poll_timeout()?), index))
        };
        self.seats.iter().enumerate().filter_map(deadline).min()
    }

    fn pop(&mut self) {
        let Some(Reverse(Due { what, .. })) = self.due.pop() else { return };
        match what {
            Flight::ToRedis(order) => self.on_arrived(order),
            Flight::ToNode { seat, life, event } => self.deliver(seat, life, event),
        }
    }

    pub(super) fn later(&mut self, after: Duration, what: Flight) {
        self.at(self.now + after, what);
    }

    pub(super) fn at(&mut self, at: Time, what: Flight) {
        self.serial += 1;
        self.due.push(Reverse(Due { at, serial: self.serial, what }));
    }

    /// Something happens to a process, if it is there still.
    pub(super) fn deliver(&mut self, seat: usize, life: u64, event: Event) {
        let it = &mut self.seats[seat];
        match it.stopped {
            _ if it.life != life || it.node.is_none() => {}
            Some(_) => it.backlog.push(event),
            None => self.happen(seat, event),
        }
    }

    pub(super) fn happen(&mut self, seat: usize, event: Event) {
        self.note(|| format!("n{seat} <- {event:?}"));
        if let Event::Input(input) = &event {
            self.oracle.input(self.now, seat, input);
        }
        let Seat { node, clock, .. } = &mut self.seats[seat];
        let Some(node) = node else { return };
        node.handle(clock.read(self.now), event);
        self.flush(seat);
    }

    /// Does what a node wants done.
    fn flush(&mut self, seat: usize) {
        let Seat { node, life, clock, .. } = &mut self.seats[seat];
        let (life, clock) = (*life, *clock);
        let out = node.as_mut().map(|node| std::mem::take(&mut node.out)).unwrap_or_default();
        for out in out {
            match out {
                Out::Send { call, run, command } => self.send(Order { node: seat, life, call, run, command }),
                Out::After(wait, timer) => {
                    let event = Event::Timer(timer);
                    self.later(clock.lasts(wait), Flight::ToNode { seat, life, event });
                }
                Out::Gate(output) => {
                    self.note(|| format!("n{seat} -> {output:?}"));
                    self.oracle.output(self.now, seat, life, &output);
                    self.react(seat, output);
                }
                Out::FoundSilent { was_asked } => self.oracle.found_silent(self.now, seat, was_asked),
            }
        }
    }

    /// Notes who and Redis reach each other without delay.
    pub(super) fn note_calm(&mut self) {
        let is_disturbed = self.server.mood != Mood::Answers || !self.server.slow.is_zero() || self.lossy > 0;
        for seat in &mut self.seats {
            let is_out = is_disturbed || seat.is_cut || seat.stopped.is_some() || seat.node.is_none();
            seat.calm_since = match (is_out, seat.calm_since) {
                (true, _) => None,
                (false, since) => since.or(Some(self.now)),
            };
        }
        let seats = self.seats.iter().map(|seat| seat.calm_since).collect();
        self.oracle.disturbed(self.now, is_disturbed, seats);
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(history) = &mut self.history {
            history.push(format!("{:>12} {}", self.now.as_micros(), what()));
        }
    }

    pub(super) fn millis(&mut self, low: u32, high: u32) -> Duration {
        Duration::from_millis(u64::from(self.random.between(low, high)))
    }
}

/// The id of a user.
///
/// # Panics
/// Never: a letter and digits are an id.
pub(super) fn user_id(user: u32) -> UserId {
    UserId::parse(&format!("u{user}")).expect("a letter and digits are a user id")
}
