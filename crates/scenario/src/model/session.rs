//! The sessions of the model: created, attached, left, ended.

use std::time::Duration;

use lychgate_core::{ThreadId, Time};

use super::{Model, Moment};

/// A connection in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Which connection.
    pub connection: usize,
    /// It left in this turn: what is decided in one turn is judged by how things stood before it.
    pub gone: bool,
}

/// A connection that took a session over by `prev` and has not opened it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which connection.
    pub connection: usize,
    /// From then on it has no claim; nobody is told.
    pub until: Time,
    /// It left in this turn.
    pub gone: bool,
}

impl Claim {
    fn holds(&self, now: Moment) -> bool {
        self.until > now.at
    }
}

/// One session, as it was announced.
#[derive(Clone, Debug)]
pub struct Session {
    /// Which thread.
    pub thread: ThreadId,
    /// Announced and not yet taken back.
    pub held: bool,
    /// The turn in which it was announced.
    pub born: u64,
    /// Rises with every session that was announced.
    pub serial: u64,
    /// The last open, run or look.
    pub used: Time,
    /// The connections that were told `opened`.
    pub attached: Vec<Attachment>,
    /// The connections that took it over and have not opened it yet.
    pub claims: Vec<Claim>,
    /// Somebody took it over and has not opened it: it lingers by his claim, and ends with it.
    pub is_claimed: bool,
    /// How long it lingers.
    pub linger: Duration,
    /// Since when no connection has had it open, on the clock that stalls do not move; anew when a connection that
    /// took it over went away without opening it.
    pub bare_since: Option<Time>,
}

impl Session {
    /// The connections that have it, by being attached or by a claim that holds.
    pub fn connections(&self, now: Moment) -> impl Iterator<Item = usize> + Clone {
        let claimed = self.claims.iter().filter(move |it| it.holds(now)).map(|it| it.connection);
        self.attached.iter().map(|it| it.connection).chain(claimed)
    }

    /// Whether this is the only connection that has it.
    #[must_use]
    pub fn is_only(&self, connection: usize, now: Moment) -> bool {
        let mut all = self.connections(now);
        all.clone().any(|it| it == connection) && all.all(|it| it == connection)
    }

    fn forget(&mut self, connection: usize, now: Moment) {
        let had = self.connections(now).any(|it| it == connection);
        self.attached.retain(|it| it.connection != connection);
        self.claims.retain(|it| it.connection != connection);
        if had {
            self.lost_one(now);
        }
    }

    /// A connection that had it is gone. If nobody else has it open, it lingers from now on, and so long do the claims
    /// of those who took it over hold.
    fn lost_one(&mut self, now: Moment) {
        if self.attached.is_empty() {
            self.is_claimed |= !self.claims.is_empty();
            self.bare_since = Some(now.ran);
            let until = now.at + self.linger;
            self.claims.iter_mut().filter(|it| it.holds(now)).for_each(|it| it.until = until);
        }
    }
}

/// What does not fit at the end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// A session ended and this connection, which had it open, was not told.
    Untold(ThreadId, usize),
    /// A connection was told `opened` for a session that does not exist.
    Unborn(ThreadId, usize),
}

impl Model {
    /// A session was announced; false if it was there already.
    pub fn create(&mut self, user: usize, thread: &ThreadId, now: Moment) -> bool {
        let turn = self.turn;
        let serial = self.users[user].sessions.iter().map(|session| session.serial).max().map_or(0, |last| last + 1);
        let session = self.session_entry(user, thread);
        let fresh = !session.held;
        session.held = true;
        session.born = turn;
        session.serial = serial;
        session.used = now.at;
        fresh
    }

    /// Somebody used a session.
    pub fn used(&mut self, user: usize, thread: &ThreadId, now: Moment) {
        if let Some(session) = self.user(user).session_mut(thread) {
            session.used = now.at;
        }
    }

    /// Somebody looks at a tab: he uses every session that it shows.
    pub fn looked(&mut self, connection: usize, now: Moment) {
        let user = self.connections[connection].user;
        for session in &mut self.user(user).sessions {
            if session.connections(now).any(|it| it == connection) {
                session.used = now.at;
            }
        }
    }

    /// The end of a session was announced; false if there was none.
    pub fn end(&mut self, user: usize, thread: &ThreadId) -> bool {
        match self.user(user).session_mut(thread) {
            Some(session) => std::mem::replace(&mut session.held, false),
            None => false,
        }
    }

    /// A connection was told `opened`.
    pub fn attach(&mut self, user: usize, thread: &ThreadId, connection: usize, now: Moment) {
        let session = self.session_entry(user, thread);
        session.used = now.at;
        session.bare_since = None;
        session.is_claimed = false;
        session.claims.retain(|it| it.connection != connection);
        session.attached.retain(|it| it.connection != connection);
        session.attached.push(Attachment { connection, gone: false });
    }

    /// A connection was told `closed`, for one session; it counts as attached until the turn ends.
    pub fn detach(&mut self, user: usize, thread: &ThreadId, connection: usize) {
        if let Some(session) = self.user(user).session_mut(thread) {
            let attached = session.attached.iter_mut().filter(|it| it.connection == connection);
            attached.for_each(|it| it.gone = true);
            let claims = session.claims.iter_mut().filter(|it| it.connection == connection);
            claims.for_each(|it| it.gone = true);
        }
    }

    /// A connection left a session by its own word; true if it was the only one.
    pub fn leave(&mut self, user: usize, thread: &ThreadId, connection: usize, now: Moment) -> bool {
        match self.user(user).session_mut(thread) {
            Some(session) => {
                let alone = session.is_only(connection, now);
                session.forget(connection, now);
                alone
            }
            None => false,
        }
    }

    /// A connection ended: it leaves all sessions. Those that it alone had are returned.
    pub fn leave_all(&mut self, connection: usize, now: Moment) -> Vec<ThreadId> {
        let user = self.connections[connection].user;
        let mut alone = Vec::new();
        for session in &mut self.user(user).sessions {
            if session.is_only(connection, now) {
                alone.push(session.thread.clone());
            }
            session.forget(connection, now);
        }
        alone
    }

    /// A new connection takes over what an old one had. What left the old one in this turn left because of it.
    pub fn take_over(&mut self, old: usize, new: usize, now: Moment) {
        let user = self.connections[old].user;
        let until = now.at + self.limits(user).linger;
        for session in &mut self.user(user).sessions {
            if session.connections(now).any(|it| it == old) {
                session.attached.retain(|it| it.connection != old);
                session.claims.retain(|it| it.connection != old);
                session.claims.push(Claim { connection: new, until, gone: false });
                session.is_claimed = true;
                // Every takeover gives the linger anew, one of a claim as well.
                session.bare_since = session.attached.is_empty().then_some(now.ran);
            }
        }
    }

    /// A turn ended: who left is gone. Says what does not fit.
    pub fn settle(&mut self, user: usize, now: Moment) -> Option<Unsettled> {
        let turn = self.turn;
        let Self { users, connections, .. } = self;
        let mut unsettled = None;
        for session in &mut users[user].sessions {
            let had = session.connections(now).count();
            session.attached.retain(|it| !it.gone && connections[it.connection].is_registered());
            session.claims.retain(|it| it.holds(now));
            session.claims.retain(|it| !it.gone && connections[it.connection].is_registered());
            if session.attached.len() + session.claims.len() < had {
                session.lost_one(now);
            }
            match session.attached.first() {
                Some(left) if !session.held => {
                    let thread = session.thread.clone();
                    unsettled = Some(match session.born == turn {
                        true => Unsettled::Unborn(thread, left.connection),
                        false => Unsettled::Untold(thread, left.connection),
                    });
                }
                Some(_) => session.bare_since = None,
                None => {
                    session.bare_since.get_or_insert(now.ran);
                }
            }
        }
        users[user].sessions.retain(|session| session.held);
        unsettled
    }

    fn session_entry(&mut self, user: usize, thread: &ThreadId) -> &mut Session {
        let linger = self.limits(user).linger;
        let turn = self.turn;
        let sessions = &mut self.user(user).sessions;
        let at = sessions.iter().position(|session| session.thread == *thread);
        let at = at.unwrap_or_else(|| {
            sessions.push(Session {
                thread: thread.clone(),
                held: false,
                born: turn,
                serial: 0,
                used: Time::ZERO,
                attached: Vec::new(),
                claims: Vec::new(),
                is_claimed: false,
                linger,
                bare_since: None,
            });
            sessions.len() - 1
        });
        &mut sessions[at]
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::{ConnectionId, Heartbeat, Limits};

    use super::*;

    const NOW: Moment = Moment { at: Time::ZERO, ran: Time::ZERO };

    fn with_one_session() -> (Model, usize, ThreadId) {
        let mut model = Model::new(Limits::default());
        let thread = ThreadId::parse("t0").unwrap();
        let peer = model.add_connection(ConnectionId::from_random(1), 0, Heartbeat::Protocol);
        assert!(model.create(0, &thread, NOW));
        model.attach(0, &thread, peer, NOW);
        assert_eq!(model.settle(0, NOW), None);
        model.turn += 1;
        (model, peer, thread)
    }

    #[test]
    fn a_session_is_announced_once_and_ends_once() {
        let (mut model, peer, thread) = with_one_session();
        assert!(!model.create(0, &thread, NOW));
        assert_eq!(model.users[0].held(), 1);
        model.detach(0, &thread, peer);
        assert!(model.end(0, &thread));
        assert!(!model.end(0, &thread));
        assert_eq!(model.settle(0, NOW), None);
        assert_eq!(model.users[0].held(), 0);
    }

    #[test]
    fn a_connection_that_was_not_told_of_the_end_is_found() {
        let (mut model, peer, thread) = with_one_session();
        assert!(model.end(0, &thread));
        assert_eq!(model.settle(0, NOW), Some(Unsettled::Untold(thread, peer)));
    }

    #[test]
    fn opened_without_a_session_is_found() {
        let (mut model, peer, _) = with_one_session();
        let other = ThreadId::parse("t1").unwrap();
        model.attach(0, &other, peer, NOW);
        assert_eq!(model.settle(0, NOW), Some(Unsettled::Unborn(other, peer)));
    }

    #[test]
    fn a_session_that_was_taken_over_waits_for_its_new_connection() {
        let (mut model, old, thread) = with_one_session();
        let new = model.add_connection(ConnectionId::from_random(2), 0, Heartbeat::Protocol);
        model.take_over(old, new, NOW);
        model.settle(0, NOW);
        let session = model.users[0].session(&thread).unwrap();
        assert!(session.attached.is_empty());
        assert!(session.is_only(new, NOW));
        let later = Moment { at: NOW.at + model.limits(0).linger, ..NOW };
        assert!(!session.is_only(new, later));
    }
}
