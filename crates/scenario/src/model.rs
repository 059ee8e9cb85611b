//! What an observer can say about the gate: who holds what, by counting what was said aloud.
//!
//! It is plainly simpler than the gate. It decides nothing, has no timers and no ladder: it adds a session when one is
//! announced, takes it away when its end is announced, and knows from the world, not from the gate, who really lives.
//!
//! Two clocks run: `at` is the time of the world, `ran` leaves out what passed while the server was stalled, because
//! silence counts only while we ourselves ran (hazard R30).

use lychgate_core::{ConnectionId, Heartbeat, Limits, Sign, ThreadId, Time, UserId};

mod session;

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
    heartbeat: Heartbeat,
    mood: Mood,
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
        awake && self.blocked_since.is_none()
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
        } else if self.blocked_since.is_some() {
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

    /// Whether a run is in flight on a thread.
    #[must_use]
    pub fn has_run(&self, thread: &ThreadId) -> bool {
        self.runs.contains(thread)
    }
}

/// All users and sockets.
#[derive(Clone, Debug)]
pub struct Model {
    /// What was promised to every user.
    pub limits: Limits,
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
    pub fn new(limits: Limits) -> Self {
        Self { limits, users: Vec::new(), connections: Vec::new(), turn: 0 }
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
