//! Who has a run in flight, and whether he was taken while another choice was left.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate::cluster::LeaseId;
use lychgate_core::{RunId, SessionKey, Time};

use super::{Mark, Oracle, Rule, Session};

/// Whoever chooses may know how a session was so long ago, where nothing was disturbed: he was denied, asked, waited in the
/// queue and asked once more.
const KNOWS_AFTER: Duration = Duration::from_secs(14);

impl Oracle {
    /// A run is the thread's, whether its session is open or not.
    pub(super) fn run_started(&mut self, now: Time, seat: usize, key: &SessionKey, run: &RunId) {
        self.runs.entry((seat, key.clone())).or_default().insert(run.clone(), now);
        self.used(now, seat, key);
    }

    pub(super) fn run_ended(&mut self, now: Time, seat: usize, key: &SessionKey, run: &RunId) {
        if let Some(runs) = self.runs.get_mut(&(seat, key.clone())) {
            runs.remove(run);
        }
        self.used(now, seat, key);
    }

    fn used(&mut self, now: Time, seat: usize, key: &SessionKey) {
        if let Some(session) = self.sessions.get_mut(&(seat, key.clone())) {
            session.changed = now;
        }
    }

    /// A place is about to be taken by somebody of another node, or for a newcomer of its own.
    pub(super) fn judge_choice(&mut self, now: Time, taken: LeaseId) {
        if !self.calm.is_quiet_for(now, KNOWS_AFTER) {
            return;
        }
        let has_lease = |session: &Session, lease: LeaseId| session.lease == Some(lease);
        let is_guarded = |(at, session): &(&(usize, SessionKey), &Session)| {
            let is_heard = |connection: &_| !self.silent.contains(connection);
            let is_busy =
                self.runs.get(at).is_some_and(|runs| runs.values().any(|since| now.since(*since) >= KNOWS_AFTER));
            // A run is the thread's, and may be older than the tab that came back to it.
            let is_known = now.since(session.attended) >= KNOWS_AFTER;
            is_busy && is_known && session.connections.iter().any(is_heard)
        };
        let mut sessions = self.sessions.iter();
        let Some((at, _)) = sessions.find(|it| has_lease(it.1, taken) && is_guarded(it)) else {
            return;
        };
        // A node that has as many as the limit by itself takes its own.
        let of_user = |seat: usize| {
            self.sessions.keys().filter(|(other, key)| *other == seat && key.user() == at.1.user()).count()
        };
        let is_choice = |(other, session): &(&(usize, SessionKey), &Session)| {
            other.1.user() == at.1.user()
                && self.runs.get(*other).is_none_or(BTreeMap::is_empty)
                && now.since(session.changed) >= KNOWS_AFTER
                && of_user(other.0) < self.limit
                && session.lease.and_then(|lease| self.places.get(&lease)).is_some_and(|it| it.mark == Mark::Known)
        };
        let is_alone = (0..=at.0).any(|seat| of_user(seat) >= self.limit);
        let choice = self.sessions.iter().find(is_choice).map(|(other, _)| other.clone());
        if let (Some((seat, other)), false) = (choice, is_alone) {
            let key = at.1.clone();
            self.fail(Rule::Run, now, || {
                format!("{key} was taken with a run in flight, and n{seat} had {other} without")
            });
        }
    }
}
