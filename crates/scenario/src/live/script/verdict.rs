//! Pure: was it just to end a session? What a client can prove of I4 and I5, with room for what it cannot know.
//!
//! ```text
//! unresponsive, slow   -> wrong if a tab of the session answers
//! evicted, a tab lives -> wrong if a dead session surely held a slot since before the gateway asked   (I4)
//!                      -> wrong if it had a run in flight and another live session had none           (I5)
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::{Ledger, Line, Session};

/// A tab that woke up is sure to be heard after so long: longer than a probe takes.
const HEARD_AFTER: Duration = Duration::from_millis(1_200);

/// Between what a client does and when the gateway knows it, on a busy machine.
const UNDERWAY: Duration = Duration::from_millis(300);

/// Who has been dead for so long is known to every admission, whenever it began to ask: the ladder and half a second.
const KNOWN_AFTER: Duration = Duration::from_millis(3_500);

/// A session whose end a client was told.
pub(super) struct Case<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) session: &'a Session,
    /// The socket that was told; it is attached no longer.
    pub(super) told: &'a Line,
    /// When the oldest open that waits, or was answered a moment ago, was sent.
    pub(super) asked: Option<Instant>,
    pub(super) now: Instant,
}

impl Case<'_> {
    /// Whether a tab of the session surely answered while the gateway decided.
    pub(super) fn is_live(&self) -> bool {
        let attached = self.ledger.attached(self.session.number);
        attached.chain([self.told]).any(|line| self.surely_answers(line))
    }

    /// Why it was wrong to end the session, if it was.
    pub(super) fn ruling(&self, reason: &str) -> Option<String> {
        match reason {
            "unresponsive" | "slow" if self.surely_answers(self.told) => Some("its tab answers".to_owned()),
            "evicted" if self.is_live() => self.dead_one().or_else(|| self.idle_one()),
            _ => None,
        }
    }

    fn surely_answers(&self, line: &Line) -> bool {
        line.answers() && (line.never_changed || self.since(line.since) >= HEARD_AFTER)
    }

    fn since(&self, then: Instant) -> Duration {
        self.now.saturating_duration_since(then)
    }

    /// Whether something that changed then was known to the admission that took the session.
    fn was_known(&self, then: Instant) -> bool {
        self.since(then) >= KNOWN_AFTER || self.asked.is_some_and(|asked| then + UNDERWAY < asked)
    }

    fn others(&self) -> impl Iterator<Item = &Session> {
        let was_there = |it: &&Session| it.number != self.session.number && self.was_known(it.created);
        self.ledger.sessions().iter().filter(was_there)
    }

    fn is_dead(&self, session: &Session) -> bool {
        match session.bare_since {
            Some(since) => self.was_known(since),
            None => self.ledger.attached(session.number).all(|line| !line.answers() && self.was_known(line.since)),
        }
    }

    fn lives(&self, session: &Session) -> bool {
        self.ledger.attached(session.number).any(|line| self.surely_answers(line))
    }

    /// I4. A dead session may have been taken without anybody being told, so one is accused only while those that live
    /// cannot fill the limit.
    fn dead_one(&self) -> Option<String> {
        let alive =
            1 + self.ledger.sessions().iter().filter(|it| it.number != self.session.number && self.lives(it)).count();
        if self.ledger.limit().is_none_or(|limit| alive >= limit) {
            return None;
        }
        let dead = self.others().find(|it| self.is_dead(it))?;
        Some(format!("it lives, and {} is dead", dead.thread))
    }

    /// I5.
    fn idle_one(&self) -> Option<String> {
        let run = self.ledger.run_in_flight(&self.session.thread)?;
        if run.started.is_none_or(|started| self.since(started) < UNDERWAY) {
            return None;
        }
        let is_idle = |it: &&Session| match self.ledger.run_of(&it.thread) {
            None => true,
            Some(run) => run.ended.is_some_and(|ended| self.since(ended) >= UNDERWAY),
        };
        let idle = self.others().filter(|it| self.lives(it)).find(is_idle)?;
        Some(format!("its run is in flight, and {} has none", idle.thread))
    }
}
