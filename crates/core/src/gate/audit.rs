//! A running gate looks over a few users at a time, and repairs what cannot be: a record without a task, or records that
//! contradict each other. Both are defects, so they are told as such; neither may cost the user his slot.

use crate::check;
use crate::gate::io::{Event, Output};
use crate::gate::{Gate, Step};
use crate::id::ConnectionId;
use crate::liveness::ZombieKind;
use crate::timer::Time;

impl Gate {
    /// Looks over the next `count` places of users; drain [`Gate::poll_output`] after it. `is_linked` says whether the
    /// driver knows the socket of a connection: one that it does not know is a ghost, and is buried.
    ///
    /// The work is bounded by `count` users; call it again for the next ones.
    pub fn audit(&mut self, now: Time, count: usize, is_linked: impl Fn(ConnectionId) -> bool) {
        self.clock.now = self.clock.now.max(now);
        for _ in 0..count.min(self.users.len()) {
            let slot = self.audited % self.users.len();
            self.audited = slot + 1;
            let Some(user) = self.users[slot].as_deref() else { continue };
            let is_broken = check::check(user).is_err();
            if is_broken || user.connections.iter().any(|connection| !is_linked(connection.id)) {
                self.step_at(slot, |step| step.repair(&is_linked));
            }
        }
    }
}

impl Step<'_> {
    fn repair(&mut self, is_linked: &impl Fn(ConnectionId) -> bool) {
        if let Err(broken) = check::check(self.user) {
            for (thread, connection) in check::mend(self.user, self.clock.now, self.limits) {
                let key = self.user.key(&thread);
                self.emit(Output::Detached { key, connection });
            }
            let user = self.user.id.clone();
            self.tell(Event::Repaired { user, broken });
        }
        let ghosts: Vec<_> =
            self.user.connections.iter().map(|connection| connection.id).filter(|id| !is_linked(*id)).collect();
        for ghost in ghosts {
            let user = self.user.id.clone();
            self.tell(Event::Repaired { user, broken: "a connection counts whose socket is gone" });
            self.bury(ghost, ZombieKind::Ghost);
        }
    }
}
