//! Rings when an alert begins or ends: tells everybody who listens.
//!
//! ```text
//!  Event::Pressure (of any thread, in any order) ──> which band is he in now? ──> Users ──Change──> listeners
//!  now and then, of everybody in Users ─────────────^  (asks the gate)             '── one lock ──'
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use jiff::Timestamp;
use lychgate_core::{Event, Usage, UserId};

use super::{Certainty, Change, Listener, Users};

/// What a user holds at this moment; none where that cannot be said without waiting.
type Ask = Box<dyn Fn(&UserId) -> Option<Usage> + Send + Sync>;

/// Who listens, and the alerts of users, which need no scrape.
#[derive(Default)]
pub struct Bell {
    /// Locked until everybody was told, so that they hear of one user in order.
    users: Mutex<Users>,
    ask: OnceLock<Ask>,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

impl Bell {
    /// One more who is told, of what begins and ends from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Whom to ask what a user holds now; the first answer to that stays. Must not wait: it is asked by whoever decided
    /// about a user. Without it the events are believed, in the order in which they come.
    pub fn ask(&self, ask: impl Fn(&UserId) -> Option<Usage> + Send + Sync + 'static) {
        // Assembly says it once.
        let _ = self.ask.set(Box::new(ask));
    }

    /// Something was decided: of a user who moved into another band, whoever listens is told. Two threads may tell of one
    /// user in the wrong order, and an `Ok` before an older `Full` would stand for ever: what holds now decides.
    pub fn on_event(&self, event: &Event) {
        if let Event::Pressure { user, usage } = event {
            let mut users = self.users();
            let (usage, certainty) = match (self.ask.get(), self.now(user)) {
                (None, _) => (*usage, Certainty::Known),
                (Some(_), Some(now)) => (now, Certainty::Known),
                (Some(_), None) => (*usage, Certainty::Heard),
            };
            self.ring(&users.moved(user, usage, certainty, Timestamp::now()));
        }
    }

    /// Asks again of every user who is watched by name, as many as those are at most: what an event said that came too
    /// late, or in the wrong order, is put right. Nobody else waits meanwhile for longer than one of them takes.
    pub fn look(&self) {
        let watched = self.users().watched();
        for user in watched {
            let mut users = self.users();
            if let Some(usage) = self.now(&user) {
                self.ring(&users.moved(&user, usage, Certainty::Known, Timestamp::now()));
            }
        }
    }

    /// Tells everybody.
    pub fn ring(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            listeners.iter().for_each(|listener| listener.changed(change));
        }
    }

    fn now(&self, user: &UserId) -> Option<Usage> {
        self.ask.get().and_then(|ask| ask(user))
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
