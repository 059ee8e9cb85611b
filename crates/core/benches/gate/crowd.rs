//! A gate full of users.

use std::time::Duration;

use lychgate_core::{
    ConnectionId, Entropy, Gate, Heartbeat, Input, LimitSpec, Limits, PlanId, SessionContext, ThreadId, Time, UserId,
    WebSocketRequest,
};

/// Users with one connection for each of their sessions, as tabs are.
pub(crate) struct Crowd {
    pub(crate) gate: Gate,
    pub(crate) users: Vec<UserId>,
    sessions: usize,
    now: u64,
    random: u64,
    next_connection: u128,
}

/// The connection of one session of one user.
fn connection(user: usize, session: usize) -> ConnectionId {
    ConnectionId::from_random(((user as u128) << 32) | session as u128)
}

impl Crowd {
    /// Everybody arrives within the first ten seconds; then the clock stands where the first heartbeat is not yet due.
    pub(crate) fn new(users: usize, sessions: usize, spec: LimitSpec) -> Self {
        let gate = Gate::new(Limits::new(spec).expect("these limits do not contradict each other"), 1);
        let names = (0..users).map(|user| UserId::parse(&format!("user-{user:07}")).expect("a legal id")).collect();
        let mut crowd = Self { gate, users: names, sessions, now: 0, random: 1, next_connection: 1 << 96 };
        for user in 0..users {
            crowd.now = (user as u64) * 10_000_000 / users as u64;
            for session in 0..sessions {
                crowd.connect(user, connection(user, session));
                let context = crowd.context(user, connection(user, session), &thread(session));
                crowd.take(Input::Open { context, reference: None, resume: None });
            }
        }
        crowd.now = 10_000_000;
        crowd
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_micros(self.now)
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_micros()).expect("a short time");
    }

    /// One input that nobody times.
    pub(crate) fn take(&mut self, input: Input) {
        self.gate.handle_input(self.now(), input);
        while self.gate.poll_output().is_some() {}
    }

    /// Any user, a little later than the last one (xorshift, Marsaglia 2003).
    pub(crate) fn anybody(&mut self) -> usize {
        self.now += 5;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % self.users.len() as u64) as usize
    }

    pub(crate) fn connections(&self, user: usize) -> impl Iterator<Item = ConnectionId> + use<> {
        (0..self.sessions).map(move |session| connection(user, session))
    }

    pub(crate) fn first(&self, user: usize) -> ConnectionId {
        connection(user, 0)
    }

    /// An id that no connection has.
    pub(crate) fn new_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId::from_random(self.next_connection)
    }

    pub(crate) fn connecting(&self, user: usize, connection: ConnectionId) -> Input {
        let heartbeat = Heartbeat::Protocol;
        Input::Connect {
            user: self.users[user].clone(),
            connection,
            prev: None,
            heartbeat,
            expires: None,
            plan: PlanId::default(),
        }
    }

    pub(crate) fn connect(&mut self, user: usize, connection: ConnectionId) {
        let input = self.connecting(user, connection);
        self.take(input);
    }

    pub(crate) fn opening(&self, user: usize, connection: ConnectionId, thread: &str) -> Input {
        Input::Open { context: self.context(user, connection, thread), reference: None, resume: None }
    }

    pub(crate) fn leaving(&self, user: usize, connection: ConnectionId, thread: &str) -> Input {
        let thread = ThreadId::parse(thread).expect("a legal id");
        Input::Leave { user: self.users[user].clone(), connection, thread }
    }

    fn context(&self, user: usize, connection: ConnectionId, thread: &str) -> SessionContext {
        let request = WebSocketRequest {
            user: &self.users[user],
            thread: Some(thread),
            client: None,
            connection,
            operation: "open",
            component: "bench",
            unix_ms: 0,
        };
        let entropy = Entropy { sequence: 0, random: u128::from(self.random) };
        SessionContext::from_websocket_request(&request, entropy).expect("a legal request")
    }
}

fn thread(session: usize) -> String {
    format!("thread-{session:02}")
}
