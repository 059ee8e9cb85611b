//! Rings when an alert begins or ends: tells everybody who listens.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use lychgate_core::Event;

use super::{Change, Listener, Users};

/// Who listens, and the alerts of users, which need no scrape.
#[derive(Default)]
pub struct Bell {
    users: Users,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

impl Bell {
    /// One more who is told, of what begins and ends from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Something was decided: of a user who moved into another band, whoever listens is told.
    pub fn on_event(&self, event: &Event) {
        if let Event::Pressure { user, usage } = event {
            self.ring(&self.users.moved(user, *usage, Timestamp::now()));
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
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}
