//! Writes down what the driver tells the rest of the server, and holds it against itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lychgate_core::{ConnectionId, Event, SessionKey, UserId};

use super::super::{Admitted, Effects};
use crate::outbox::Frame;
use crate::sync::scheduled::Clock;

/// From `open` to its answer (I3).
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What happened so far. Its lock is held for a moment only and is none of shuttle's: looking changes no schedule.
#[derive(Default)]
struct Book {
    asked: BTreeMap<(ConnectionId, SessionKey), Duration>,
    attached: BTreeSet<(SessionKey, ConnectionId)>,
    sessions: BTreeMap<SessionKey, Span>,
    connections: BTreeMap<ConnectionId, Span>,
    /// Kept, because a panic on the reaper's thread is caught by the reaper.
    broken: Vec<String>,
}

/// How often something began and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    begun: u32,
    ended: u32,
}

/// The [`Effects`] of a schedule. It says `opened` where the server's sessions would.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Book>);

impl Ledger {
    fn book<T>(&self, read: impl FnOnce(&mut Book) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A tab is about to ask for a session.
    pub(super) fn asks(&self, connection: ConnectionId, key: SessionKey) {
        self.book(|book| book.asked.insert((connection, key), Clock::now()));
    }

    /// A promise does not hold.
    pub(super) fn breaks(&self, what: String) {
        self.book(|book| book.broken.push(what));
    }

    pub(super) fn is_attached(&self, key: &SessionKey, connection: ConnectionId) -> bool {
        self.book(|book| book.attached.contains(&(key.clone(), connection)))
    }

    /// Sessions of this user that a connection is attached to, as far as anybody was told.
    pub(super) fn sessions_of(&self, user: &UserId) -> usize {
        let keys = |book: &mut Book| -> BTreeSet<_> {
            book.attached.iter().map(|(key, _)| key).filter(|key| key.user() == user).cloned().collect()
        };
        self.book(keys).len()
    }

    /// What the driver has told so far breaks no promise.
    pub(super) fn check(&self) {
        self.book(|book| assert_eq!(book.broken, Vec::<String>::new()));
    }

    /// Everything that began has ended, once.
    pub(super) fn check_end(&self) {
        self.check();
        self.book(|book| {
            assert_eq!(book.attached, BTreeSet::new(), "sessions are attached that are gone");
            for (connection, span) in &book.connections {
                assert_eq!(*span, Span { begun: 1, ended: 1 }, "{connection} is released exactly once");
            }
            for (key, span) in &book.sessions {
                assert_eq!(span.begun, span.ended, "{key:?} is released exactly as often as it is made");
            }
        });
    }
}

impl Effects for Ledger {
    fn attach(&self, admitted: Admitted) {
        let (key, connection) = (admitted.context.key().clone(), admitted.context.connection());
        self.book(|book| {
            // After a takeover it is the connection before that asked.
            if let Some(asked) = book.asked.remove(&(connection, key.clone())) {
                let waited = Clock::now() - asked;
                if waited > ANSWERED_WITHIN {
                    book.broken.push(format!("{key:?} waited for {waited:?} (I3)"));
                }
            }
            book.attached.insert((key.clone(), connection));
        });
        let opened = serde_json::json!({ "type": "opened", "thread": key.thread().as_str() });
        admitted.line.send_control(&Frame::text(opened.to_string().as_bytes()));
    }

    fn detach(&self, key: &SessionKey, connection: ConnectionId) {
        self.book(|book| book.attached.remove(&(key.clone(), connection)));
    }

    fn event(&self, event: &Event) {
        self.book(|book| match event {
            Event::SessionCreated { key, .. } => book.sessions.entry(key.clone()).or_default().begun += 1,
            Event::SessionReleased { key, .. } | Event::SessionEvicted { key, .. } => {
                book.sessions.entry(key.clone()).or_default().ended += 1
            }
            Event::Connected { connection, .. } => book.connections.entry(*connection).or_default().begun += 1,
            Event::Disconnected { connection, .. } => book.connections.entry(*connection).or_default().ended += 1,
            _ => {}
        });
    }
}
