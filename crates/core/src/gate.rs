//! Takes inputs and time, gives outputs and a deadline. All branching of the core starts here; the leaves that it asks
//! are pure.
//!
//! ```text
//!                     +-- connect   takeover, bounds on connections
//!  Input --> Gate ----+-- open      attach, admit --> admission
//!  time  -->          +-- climb     the ladder --> reclaim, health
//!                     +-- probe     who is asked, who answered --> liveness, breaker
//!                     +-- lease     places on all nodes: asked, granted, denied, taken
//!                     +-- wait      reserve, queue, takeover --> admission, queue
//!                     +-- depart    leave, disconnect, evict
//!                     +-- time      heartbeats, linger, expiry, background reclaim
//!                     +-- operate   reclaim by hand, another limit for a while, other plans
//!                     +-- audit     what does not hold is repaired --> check
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::breaker::NodeBreakers;
use crate::check;
use crate::id::{ConnectionId, SessionKey, UserId};
use crate::lease::{Counting, Lease};
use crate::limits::{Limits, Usage};
use crate::plans::{PlanId, Plans};
use crate::stats::Census;
use crate::timer::{Clock, Time, Timers};
use crate::user::{User, Worth};

mod audit;
mod climb;
mod connect;
mod depart;
mod efforts;
pub mod io;
mod lease;
mod open;
mod operate;
mod probe;
mod time;
mod wait;

#[cfg(test)]
mod tests;

use efforts::Efforts;
use io::{Input, Output};
use operate::{Lent, Shelf, laid};

/// Decides who may hold a session. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Gate {
    plans: Plans,
    node: Arc<NodeBreakers>,
    clock: Clock,
    /// Set by [`Input::Drain`].
    draining: Option<Duration>,
    /// Looked up, never iterated: its order depends on the seed.
    index: HashMap<UserId, usize, FixedState>,
    /// Users at stable places, so that timers can name them.
    users: Vec<Option<Box<User>>>,
    vacant: Vec<usize>,
    timers: Timers,
    outputs: VecDeque<Output>,
    random: u64,
    /// Whom [`Gate::audit`] looks at next.
    audited: usize,
    lent: Lent,
    /// The next lease; none for a gate that counts alone.
    lease: Option<Lease>,
}

impl Gate {
    /// An empty gate, with the same limits for everybody or with plans. The seed spreads hashes and the jitter of
    /// heartbeats; with the same seed and the same inputs a gate gives the same outputs.
    #[must_use]
    pub fn new(plans: impl Into<Plans>, seed: u64) -> Self {
        Self::of_node(plans, seed, Arc::default())
    }

    /// As [`Gate::new`], for one of several gates of a node: they share its breakers.
    #[must_use]
    pub fn of_node(plans: impl Into<Plans>, seed: u64, node: Arc<NodeBreakers>) -> Self {
        Self {
            plans: plans.into(),
            node,
            clock: Clock::default(),
            draining: None,
            index: HashMap::with_hasher(FixedState::with_seed(seed)),
            users: Vec::new(),
            vacant: Vec::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            random: seed,
            audited: 0,
            lent: Lent::default(),
            lease: None,
        }
    }

    /// Who counts; alone where nothing is said. To be said before the first input.
    #[must_use]
    pub fn counting(mut self, counting: Counting) -> Self {
        self.lease = match counting {
            Counting::Alone => None,
            Counting::Shared(first) => Some(Lease::from_number(first)),
        };
        self
    }

    /// Takes one input; drain [`Gate::poll_output`] after it. A time before the last one counts as the last one.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.clock.now = self.clock.now.max(now);
        match input {
            Input::Stalled { lag } => self.clock.stalled(lag),
            Input::Drain { retry_in } => self.on_drain(retry_in),
            Input::End { key, reason } => {
                self.step(key.user(), Presence::Known, |step| step.on_end(key.thread(), reason));
            }
            Input::Reclaim { user, level } => self.step(&user, Presence::Known, |step| step.on_reclaim(level)),
            Input::News(news) => self.on_news(news),
            Input::Lend { user, sessions, lasting } => self.on_lend(&user, sessions, lasting),
            Input::Connect { user, connection, prev, heartbeat, expires, plan } => {
                self.step(&user, Presence::Made, |step| {
                    step.on_connect(connection, prev, heartbeat, expires, plan);
                });
            }
            Input::Open { context, reference, resume } => {
                let user = context.user().clone();
                self.step(&user, Presence::Made, |step| step.on_open(context, reference, resume));
            }
            Input::Leave { user, connection, thread } => {
                self.step(&user, Presence::Known, |step| step.on_leave(connection, &thread));
            }
            Input::Disconnect { user, connection, end } => {
                self.step(&user, Presence::Known, |step| step.on_disconnect(connection, end));
            }
            Input::Heard { user, connection, sign } => {
                self.step(&user, Presence::Known, |step| step.on_heard(connection, sign));
            }
            Input::PingResult { user, connection, outcome, backlog } => {
                self.step(&user, Presence::Known, |step| step.on_ping_result(connection, outcome, backlog));
            }
            Input::Backlog { user, connection, progress } => {
                self.step(&user, Presence::Known, |step| step.on_backlog(connection, progress));
            }
            Input::RunStarted { key, run } => {
                self.step(key.user(), Presence::Made, |step| step.on_run_started(key.thread(), run));
            }
            Input::RunEnded { key, run } => {
                self.step(key.user(), Presence::Known, |step| step.on_run_ended(key.thread(), &run));
            }
            Input::Used { key } => self.step(key.user(), Presence::Known, |step| step.on_used(key.thread())),
            Input::Renew { user, connection, expires, plan } => {
                self.step(&user, Presence::Known, |step| step.on_renew(connection, expires, plan));
            }
            Input::Expel { user, connection, reason } => {
                self.step(&user, Presence::Known, |step| step.on_expel(connection, reason));
            }
            Input::EvictionDone { user, connection } => {
                self.step(&user, Presence::Known, |step| step.on_eviction_done(connection));
            }
            Input::EvictionFailed { user, connection } => {
                self.step(&user, Presence::Known, |step| step.on_eviction_failed(connection));
            }
        }
    }

    /// Lets every deadline up to `now` pass; drain [`Gate::poll_output`] after it.
    pub fn handle_timeout(&mut self, now: Time) {
        self.clock.now = self.clock.now.max(now);
        while let Some(slot) = self.timers.pop_due(self.clock.now) {
            if let Some(user) = self.users[slot].as_mut() {
                user.timer = None;
            }
            self.step_at(slot, |step| step.on_timeout());
        }
    }

    /// The next thing to do or to tell, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Gate::handle_timeout`] next; none while nothing can fall due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.earliest()
    }

    /// The user's sessions against his limit, recounted.
    #[must_use]
    pub fn usage(&self, user: &UserId) -> Usage {
        match self.user(user) {
            Some(known) => known.usage(&self.clock, &self.limits(user)),
            None => self.limits(user).usage(0),
        }
    }

    /// The limits that hold for a user: those of the plan that his newest token names, with what an operator lent him laid
    /// over them.
    #[must_use]
    pub fn limits(&self, user: &UserId) -> Cow<'_, Limits> {
        let plan = self.user(user).map_or_else(PlanId::default, |user| user.plan);
        self.limits_at(user, plan, self.clock.now)
    }

    pub(crate) fn limits_of(&self, user: &User) -> Cow<'_, Limits> {
        self.limits_at(&user.id, user.plan, self.clock.now)
    }

    fn limits_at(&self, user: &UserId, plan: PlanId, now: Time) -> Cow<'_, Limits> {
        let of_plan = self.plans.limits(plan);
        let lent = self.lent.to(user, now).and_then(|(sessions, _)| laid(of_plan, sessions));
        lent.map_or(Cow::Borrowed(of_plan), Cow::Owned)
    }

    /// The plan that a token names; none for a name that no plan has.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<PlanId> {
        self.plans.find(name)
    }

    /// Sessions that the user holds, recounted.
    #[must_use]
    pub fn session_count(&self, user: &UserId) -> usize {
        self.usage(user).used
    }

    /// Sessions that the user holds, by their keys.
    #[must_use]
    pub fn session_keys(&self, user: &UserId) -> Vec<SessionKey> {
        self.user(user)
            .map_or_else(Vec::new, |user| user.sessions.iter().map(|session| user.key(&session.thread)).collect())
    }

    /// The user's connections.
    #[must_use]
    pub fn connections_of(&self, user: &UserId) -> Vec<ConnectionId> {
        self.user(user).map_or_else(Vec::new, |user| user.connections.iter().map(|connection| connection.id).collect())
    }

    /// How much would be lost with a connection; none when it is not known. Bounds that reach across users (address,
    /// node) compare these: the lowest goes first.
    #[must_use]
    pub fn worth(&self, user: &UserId, connection: ConnectionId) -> Option<Worth> {
        let user = self.user(user)?;
        let limits = self.limits_of(user);
        user.connection(connection).map(|connection| user.worth(connection, &self.clock, &limits))
    }

    /// Whether a connection is attached to a session with a run in flight.
    #[must_use]
    pub fn shows_a_run(&self, user: &UserId, connection: ConnectionId) -> bool {
        self.user(user).is_some_and(|user| {
            let mut shown = user.sessions.iter().filter(|session| session.attachment(connection).is_some());
            shown.any(|session| user.has_run(&session.thread))
        })
    }

    /// Connections in the count; takes time in proportion to the number of users.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.users.iter().flatten().map(|user| user.connections.len()).sum()
    }

    /// Every connection with its user.
    #[must_use]
    pub fn connections(&self) -> Vec<(UserId, ConnectionId)> {
        let users = self.users.iter().flatten();
        users.flat_map(|user| user.connections.iter().map(|connection| (user.id.clone(), connection.id))).collect()
    }

    /// The least worthy connection but `spared` among `count` users from place `from` on (modulo their number).
    /// Bounded work: a node that is full must not scan everybody for each newcomer (hazard R13).
    #[must_use]
    pub fn least_worthy(&self, from: usize, count: usize, spared: ConnectionId) -> Option<(Worth, UserId)> {
        let places = self.users.len();
        let start = if places == 0 { 0 } else { from % places };
        let end = (start + count).min(places);
        self.users[start..end]
            .iter()
            .flatten()
            .flat_map(|user| user.connections.iter().map(move |connection| (user, connection)))
            .filter(|(_, connection)| connection.id != spared)
            .map(|(user, connection)| (user.worth(connection, &self.clock, &self.limits_of(user)), user))
            .min_by_key(|(worth, _)| *worth)
            .map(|(worth, user)| (worth, user.id.clone()))
    }

    /// Users with any record.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.index.len()
    }

    /// What the gate holds, recounted; takes time in proportion to the number of users.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census_of(0..usize::MAX, self.clock.now).0
    }

    /// As [`Gate::census`] at this time, of the users at some places, and whether there are places after them. Users keep
    /// their places, so that a gate with many of them can be counted a few at a time, and serve others in between.
    #[must_use]
    pub fn census_of(&self, places: Range<usize>, now: Time) -> (Census, bool) {
        let now = self.clock.now.max(now);
        let range = places.start.min(self.users.len())..places.end.min(self.users.len());
        let mut census = Census::default();
        let foretells = self.plans.foretell();
        for user in self.users[range].iter().flatten() {
            let limits = self.limits_at(&user.id, user.plan, now);
            let full_in = foretells.then(|| user.full_in(now, &limits)).flatten();
            census.count(user, &limits, now, full_in);
        }
        (census, places.end < self.users.len())
    }

    /// Recounts every invariant.
    ///
    /// # Errors
    /// Names the first one that does not hold. That is a defect of this crate, never of an input.
    pub fn check(&self) -> Result<(), String> {
        self.users
            .iter()
            .flatten()
            .try_for_each(|user| check::check(user).map_err(|broken| format!("{broken} (user {})", user.id)))
    }

    pub(crate) fn places(&self) -> &[Option<Box<User>>] {
        &self.users
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The limit that was lent to a user, and for how long still.
    pub(crate) fn lent_to(&self, user: &UserId) -> Option<(usize, Duration)> {
        let now = self.clock.now;
        self.lent.to(user, now).map(|(sessions, until)| (sessions, until.since(now)))
    }

    pub(crate) fn user(&self, user: &UserId) -> Option<&User> {
        self.users[*self.index.get(user)?].as_deref()
    }

    fn step(&mut self, user: &UserId, presence: Presence, change: impl FnOnce(&mut Step<'_>)) {
        let slot = match (self.index.get(user), presence) {
            (Some(slot), Presence::Made | Presence::Known) => *slot,
            (None, Presence::Made) => self.add_user(user),
            (None, Presence::Known) => return,
        };
        self.step_at(slot, change);
    }

    fn add_user(&mut self, user: &UserId) -> usize {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.users.push(None);
            self.users.len() - 1
        });
        self.users[slot] = Some(Box::new(User::new(user.clone())));
        self.index.insert(user.clone(), slot);
        slot
    }

    /// One change of one user, with everything that follows from it: those who wait are served, the pressure is told,
    /// the timer is set, the invariants are recounted.
    fn step_at(&mut self, slot: usize, change: impl FnOnce(&mut Step<'_>)) {
        let Some(user) = self.users[slot].as_deref_mut() else {
            return;
        };
        let held = check::Held::by(user);
        let lent = self.lent.to(&user.id, self.clock.now).map(|(sessions, _)| sessions);
        let shelf = Shelf::default();
        let leases = if self.lease.is_some() { user.leases() } else { SmallVec::new() };
        let mut step = Step {
            held: user.sessions.len(),
            limits: shelf.lay(self.plans.limits(user.plan), lent),
            lent,
            shelf: &shelf,
            user,
            plans: &self.plans,
            node: &self.node,
            clock: self.clock,
            draining: self.draining,
            told: SmallVec::new(),
            efforts: Efforts::default(),
            out: &mut self.outputs,
            random: &mut self.random,
            lease: self.lease.as_mut(),
            granted: 0,
        };
        step.forget_reserve();
        step.forget_claims();
        change(&mut step);
        step.end_unleased();
        // Not from within the change: an admission that an eviction sets off would take the slot of the one it serves.
        step.on_probe_answer();
        step.serve_waiters();
        step.note_reserve();
        step.tell_positions();
        step.note_trend();
        step.note_pressure();
        step.tell_efforts();
        step.give_back_all(leases);
        let (user, limits, granted) = (&mut *step.user, step.limits, step.granted);
        if cfg!(debug_assertions)
            && let Err(broken) =
                check::check(user).and_then(|()| check::check_rise(user, held, granted, &self.clock, limits))
        {
            panic!("a gate invariant does not hold: {broken} (user {})", user.id);
        }
        if user.is_idle() {
            self.timers.reset(slot, user.timer, None);
            self.index.remove(&user.id);
            self.users[slot] = None;
            self.vacant.push(slot);
            return;
        }
        // A deadline in the past would spin; a millisecond later the same step runs again and nothing is lost.
        let next = user.deadline(&self.clock, limits);
        let next = next.map(|at| at.max(self.clock.now + Duration::from_millis(1)));
        self.timers.reset(slot, user.timer, next);
        user.timer = next;
    }
}

/// Whether a step may bring its user into being.
#[derive(Clone, Copy)]
enum Presence {
    Made,
    Known,
}

/// One change of one user: the record, what it may read, and where its outputs go.
struct Step<'a> {
    user: &'a mut User,
    /// Sessions that he held before.
    held: usize,
    /// Those that hold: lent ones, or the plan's.
    limits: &'a Limits,
    lent: Option<usize>,
    shelf: &'a Shelf,
    plans: &'a Plans,
    node: &'a NodeBreakers,
    clock: Clock,
    draining: Option<Duration>,
    /// Who was told in passing where his user stands: it may be otherwise when the step ends.
    told: SmallVec<[(ConnectionId, Usage); 2]>,
    /// What reclaim tried.
    efforts: Efforts,
    out: &'a mut VecDeque<Output>,
    random: &'a mut u64,
    lease: Option<&'a mut Lease>,
    /// Places that all nodes together gave.
    granted: usize,
}

impl Step<'_> {
    fn emit(&mut self, output: Output) {
        self.out.push_back(output);
    }

    fn tell(&mut self, event: io::Event) {
        self.emit(Output::Event(event));
    }

    fn usage(&self) -> Usage {
        self.user.usage(&self.clock, self.limits)
    }

    /// What a connection is told of its user's limit in the middle of a step.
    fn tell_usage(&mut self, connection: ConnectionId) -> Usage {
        let usage = self.usage();
        self.told.push((connection, usage));
        usage
    }

    /// The next 64 bits of SplitMix64 (Steele, Lea, Flood 2014): for jitter, never for secrets.
    fn draw(&mut self) -> u64 {
        *self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
