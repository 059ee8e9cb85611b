//! What an observer can say about the gate: who holds what, by counting what was said aloud.
//!
//! It is plainly simpler than the gate. It decides nothing, has no timers and no ladder: it adds a session when one is
//! announced, takes it away when its end is announced, and knows from the world, not from the gate, who really lives.
//!
//! Two clocks run: `at` is the time of the world, `ran` leaves out what passed while the server was stalled, because
//! silence counts only while we ourselves ran (hazard R30).

use lychgate_core::{
    ConnectionId, Heartbeat, Limits, Mode, PlanId, Plans, Pressure, Sign, ThreadId, Time, Usage, UserId,
};

mod forecast;
mod queue;
mod reserve;
mod session;

pub use forecast::Moves;
pub use queue::{Ask, Place};
pub use reserve::Reserve;
pub use session::{Attachment, Claim, Session, Unsettled};

/// Now, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the clock of the world, which is the gate's.
    pub at: Time,
    /// On a clock that stands still while the server is stalled.
    pub ran: Time,
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Live,
    /// It answers protocol pings alone: a frozen page in a living browser.
    Frozen,
    /// It answers nothing.
    Silent,
}

/// Where a connection stands with the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The gate counts it.
    Registered,
    /// It ended on its own, or was never let in.
    Ended,
    /// The gate closed it, in this turn.
    Closed(u64),
}

/// One socket, as it really is.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Whose, by number.
    pub user: usize,
    /// Where it stands with the gate.
    pub standing: Standing,
    /// When its token expires.
    pub expires: Option<Time>,
    /// Since when it has taken no byte, on the clock that stalls do not move.
    pub blocked_since: Option<Time>,
    /// Since when it has been dead for certain, on the same clock.
    pub dead_since: Option<Time>,
    /// What it was told last about its user: his band, and whether his reserve takes newcomers.
    pub told: Option<(Pressure, bool)>,
    heartbeat: Heartbeat,
    mood: Mood,
    /// No ping can be written to it.
    unwritable: bool,
    /// Whether the gate heard it since it last began to answer.
    heard: bool,
}

impl Connection {
    /// Whether it would answer a ping that was written now.
    #[must_use]
    pub fn answers(&self) -> bool {
        let awake = match self.mood {
            Mood::Live => true,
            Mood::Frozen => self.heartbeat == Heartbeat::Protocol,
            Mood::Silent => false,
        };
        awake && !self.unwritable && self.blocked_since.is_none()
    }

    /// Whether the gate has every reason to call it alive: it answers, and was heard since it began to.
    #[must_use]
    pub fn is_proven_live(&self) -> bool {
        self.answers() && self.heard
    }

    /// Whether the gate counts it.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.standing == Standing::Registered
    }

    fn change(&mut self, ran: Time, apply: impl FnOnce(&mut Self)) {
        let answered = self.answers();
        apply(self);
        if self.answers() {
            self.dead_since = None;
            self.heard &= answered;
        } else if self.unwritable || self.blocked_since.is_some() {
            // Nobody can be asked whose questions do not leave: his silence proves nothing.
            self.dead_since = None;
        } else {
            self.dead_since.get_or_insert(ran);
        }
    }
}

/// One user, as an observer sees him.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The sessions that were announced and not yet taken back.
    pub sessions: Vec<Session>,
    /// The threads with a run in flight.
    pub runs: Vec<ThreadId>,
    /// By the newest token.
    pub plan: PlanId,
    /// The connections that the gate counts, by number.
    pub connections: Vec<usize>,
    /// What waits for a slot, first one first.
    pub places: Vec<Place>,
    /// The reserve, once it was opened and until it may open anew.
    pub reserve: Option<Reserve>,
    /// Since when the user has been at or above the mark of background reclaim, and whether he crossed it by a session:
    /// by another plan he may come to it without a crossing.
    pub pressed_since: Option<(Moment, bool)>,
    /// The turn in which he came to his plan.
    pub plan_since: u64,
    /// How his number of sessions moved since he last held none.
    pub moves: Moves,
}

impl User {
    /// How many sessions the user holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.sessions.iter().filter(|session| session.held).count()
    }

    /// The session of a thread, held or just ended.
    #[must_use]
    pub fn session(&self, thread: &ThreadId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.thread == *thread)
    }

    /// The same, to change it.
    pub fn session_mut(&mut self, thread: &ThreadId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.thread == *thread)
    }

    /// Whether a session goes only when no other choice is left: a run is in flight on it, or it is among the `pinned`
    /// most recently used ones; and a connection has it.
    #[must_use]
    pub fn is_protected(&self, session: &Session, pinned: usize, now: Moment) -> bool {
        let used_later = |other: &&Session| other.held && other.thread != session.thread && other.used >= session.used;
        // Of two that were used at one instant the older one is pinned: they stand in the order of their birth.
        let is_before = |other: &&Session| other.used > session.used || other.serial < session.serial;
        let is_pinned = || self.sessions.iter().filter(used_later).filter(is_before).count() < pinned;
        session.connections(now).next().is_some() && (self.has_run(&session.thread) || (pinned > 0 && is_pinned()))
    }

    /// Whether a run is in flight on a thread.
    #[must_use]
    pub fn has_run(&self, thread: &ThreadId) -> bool {
        self.runs.contains(thread)
    }
}

/// All users and sockets.
#[derive(Clone, Debug)]
pub struct Model {
    /// What was promised to every user, by plan.
    pub plans: Plans,
    /// By number.
    pub users: Vec<User>,
    /// By number, which rises with the id.
    pub connections: Vec<Connection>,
    /// Counts the calls of the gate: what happened in one call happened at once.
    pub turn: u64,
}

/// The id of a user: a Google subject, larger than 64 bits, with a colon (hazard R28).
///
/// # Panics
/// Never: the text is always an id.
#[must_use]
pub fn user_id(number: usize) -> UserId {
    match UserId::parse(&format!("105945141827451681156:{number}")) {
        Ok(id) => id,
        Err(error) => unreachable!("a user id of the simulation {error}"),
    }
}

/// The number of a user that [`user_id`] made.
#[must_use]
pub fn user_number(id: &UserId) -> Option<usize> {
    id.as_str().rsplit_once(':')?.1.parse().ok()
}

impl Model {
    /// Nobody is there.
    #[must_use]
    pub fn new(plans: impl Into<Plans>) -> Self {
        Self { plans: plans.into(), users: Vec::new(), connections: Vec::new(), turn: 0 }
    }

    /// What was promised to a user.
    #[must_use]
    pub fn limits(&self, user: usize) -> &Limits {
        self.plans.limits(self.users.get(user).map_or_else(PlanId::default, |user| user.plan))
    }

    /// Whether whoever only checks and refuses would refuse this user a session of this thread.
    #[must_use]
    pub fn is_full_for(&self, user: usize, thread: &ThreadId) -> bool {
        let limits = self.limits(user);
        let known = self.users.get(user);
        let held = known.map_or(0, User::held);
        let acts = match limits.mode {
            Mode::Enforce => true,
            Mode::Shadow => held >= limits.ceiling(),
        };
        let is_there = known.and_then(|known| known.session(thread)).is_some_and(|session| session.held);
        acts && held >= limits.max_sessions_per_user && !is_there
    }

    /// Whether a user's reserve takes newcomers now, or would open for one.
    #[must_use]
    pub fn reserve_admits(&self, user: usize, now: Moment) -> bool {
        let window = self.limits(user).reserve_window;
        let open_or_over = |it: Reserve| it.is_open(now.at, window) || it.is_over(now.at, window);
        self.users[user].reserve.is_none_or(open_or_over)
    }

    /// A session was admitted into the reserve.
    pub fn enter_reserve(&mut self, user: usize, now: Moment) {
        let window = self.limits(user).reserve_window;
        let reserve = &mut self.users[user].reserve;
        if reserve.is_none_or(|it| it.is_over(now.at, window)) {
            *reserve = Some(Reserve::open(now.at));
        }
    }

    /// What a user has to be told about his limit now.
    #[must_use]
    pub fn usage(&self, user: usize, now: Moment) -> (Usage, bool) {
        let limits = self.limits(user);
        let is_open = self.users[user].reserve.is_some_and(|it| it.is_open(now.at, limits.reserve_window));
        (limits.usage(self.users[user].held()), is_open)
    }

    /// Whether a user's limit was in sight when this turn began, or by what happened in it.
    #[must_use]
    pub fn is_limit_in_sight(&self, user: usize, now: Moment) -> bool {
        let limits = self.limits(user);
        let foresight = limits.forecast.as_ref();
        foresight.is_some_and(|it| self.users[user].moves.is_in_sight(now.at, limits.max_sessions_per_user, it))
    }

    /// The user, who is known from now on.
    pub fn user(&mut self, number: usize) -> &mut User {
        if self.users.len() <= number {
            self.users.resize_with(number + 1, User::default);
        }
        &mut self.users[number]
    }

    /// A new socket, which answers; its id must be larger than all before.
    pub fn add_connection(&mut self, id: ConnectionId, user: usize, heartbeat: Heartbeat) -> usize {
        debug_assert!(self.connections.last().is_none_or(|last| last.id < id), "ids rise");
        self.user(user);
        self.connections.push(Connection {
            told: None,
            unwritable: false,
            id,
            user,
            standing: Standing::Registered,
            expires: None,
            blocked_since: None,
            dead_since: None,
            heartbeat,
            mood: Mood::Live,
            heard: true,
        });
        self.connections.len() - 1
    }

    /// The number of a connection.
    #[must_use]
    pub fn connection_number(&self, id: ConnectionId) -> Option<usize> {
        self.connections.binary_search_by_key(&id, |connection| connection.id).ok()
    }

    /// A peer changes its behaviour.
    pub fn set_mood(&mut self, connection: usize, mood: Mood, now: Moment) {
        self.connections[connection].change(now.ran, |it| it.mood = mood);
    }

    /// A peer stops reading (`true`; again, if it took some bytes) or has read all.
    pub fn set_blocked(&mut self, connection: usize, blocked: bool, now: Moment) {
        self.connections[connection].change(now.ran, |it| it.blocked_since = blocked.then_some(now.ran));
    }

    /// From now on no ping can be written to a connection, or it can again.
    pub fn set_unwritable(&mut self, connection: usize, unwritable: bool, now: Moment) {
        self.connections[connection].change(now.ran, |it| it.unwritable = unwritable);
    }

    /// The gate hears a connection. The pong of a frozen page is no life where the page should have answered.
    pub fn hear(&mut self, connection: usize, sign: Sign, now: Moment) {
        let connection = &mut self.connections[connection];
        if connection.heartbeat == Heartbeat::Protocol || sign != Sign::Pong {
            connection.heard = true;
            if let Some(since) = &mut connection.dead_since {
                *since = now.ran;
            }
        }
    }

    /// A turn ended: what follows from a user's count.
    pub fn settle_degradation(&mut self, user: usize, now: Moment) {
        let Self { plans, users, connections, turn } = self;
        let user = &mut users[user];
        let limits = plans.limits(user.plan);
        let held = user.held();
        user.connections.retain(|it| connections[*it].is_registered());
        if let Some(foresight) = &limits.forecast {
            user.moves.note(now.at, held, foresight);
        }
        user.reserve.take_if(|it| it.is_over(now.at, limits.reserve_window));
        if let Some(reserve) = &mut user.reserve {
            reserve.note(held > limits.max_sessions_per_user, now.at);
        }
        match (limits.mode, limits.pressure(held)) {
            (Mode::Shadow, _) | (Mode::Enforce, Pressure::Ok | Pressure::Watch) => user.pressed_since = None,
            (Mode::Enforce, Pressure::Warn | Pressure::High | Pressure::Full) => {
                let by_session = user.plan_since < *turn;
                user.pressed_since.get_or_insert((now, by_session));
            }
        }
    }

    /// Whether a connection was counted when this turn began.
    #[must_use]
    pub fn was_registered(&self, connection: usize) -> bool {
        match self.connections[connection].standing {
            Standing::Registered => true,
            Standing::Ended => false,
            Standing::Closed(turn) => turn == self.turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> Moment {
        let at = Time::from_micros(seconds * 1_000_000);
        Moment { at, ran: at }
    }

    #[test]
    fn user_ids_of_the_simulation_are_larger_than_64_bits_and_read_back() {
        assert_eq!(user_number(&user_id(17)), Some(17));
        assert!(user_id(0).as_str().contains(':'));
    }

    #[test]
    fn a_peer_that_wakes_is_proven_live_only_once_it_was_heard() {
        let mut model = Model::new(Limits::default());
        let peer = model.add_connection(ConnectionId::from_random(1), 0, Heartbeat::Protocol);
        assert!(model.connections[peer].is_proven_live());
        model.set_mood(peer, Mood::Silent, moment(1));
        assert_eq!(model.connections[peer].dead_since, Some(moment(1).ran));
        model.set_mood(peer, Mood::Live, moment(2));
        assert!(!model.connections[peer].is_proven_live());
        model.hear(peer, Sign::Pong, moment(3));
        assert!(model.connections[peer].is_proven_live());
    }

    #[test]
    fn a_frozen_page_lives_by_protocol_pongs_alone() {
        let mut model = Model::new(Limits::default());
        let plain = model.add_connection(ConnectionId::from_random(1), 0, Heartbeat::Protocol);
        let page = model.add_connection(ConnectionId::from_random(2), 0, Heartbeat::Application);
        for peer in [plain, page] {
            model.set_mood(peer, Mood::Frozen, moment(1));
        }
        assert!(model.connections[plain].is_proven_live());
        assert_eq!(model.connections[page].dead_since, Some(moment(1).ran));
    }

    #[test]
    fn a_peer_that_takes_no_bytes_is_neither_live_nor_dead() {
        let mut model = Model::new(Limits::default());
        let peer = model.add_connection(ConnectionId::from_random(1), 0, Heartbeat::Protocol);
        model.set_blocked(peer, true, moment(1));
        model.set_mood(peer, Mood::Silent, moment(2));
        assert!(!model.connections[peer].answers());
        assert_eq!(model.connections[peer].dead_since, None);
        model.set_blocked(peer, false, moment(3));
        assert_eq!(model.connections[peer].dead_since, Some(moment(3).ran));
    }
}
