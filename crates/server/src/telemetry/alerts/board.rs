//! Where every alert stands now, for whoever looks: of the node as it was judged last, of users as they move.
//!
//! ```text
//! Watch --judged, now and then--> node   \
//! Bell  --Change of a user------> users   }--> alerts(): the whole list      listen(): something changed
//! ```
//!
//! A user changes under a lock of the thread that decides about him, which waits for the one in here: under that nobody walks
//! through all users, and nobody writes a text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use lychgate_core::UserId;
use tokio::sync::watch;

use super::catalogue::{ALERTS, Alert, OF_USERS};
use super::watch::Judged;
use super::{Change, Listener, State};
use crate::wire::admin::{AlertState, rfc3339};

/// Users whom one alert names; the others are counted.
const NAMED: usize = 100;

/// The state of every alert. Bounded by the list of alerts and by the users who are watched by name.
#[derive(Debug)]
pub struct Board {
    posted: Mutex<Posted>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Posted {
    node: BTreeMap<&'static str, Judged>,
    users: BTreeMap<&'static str, Firing>,
}

/// For whom an alert of users fires.
#[derive(Debug, Default)]
struct Firing {
    since: BTreeMap<UserId, Timestamp>,
    /// The same, whoever has waited longest first.
    oldest: BTreeSet<(Timestamp, UserId)>,
}

/// What a look at one alert takes along. Bounded by [`NAMED`].
#[derive(Debug)]
struct Glance {
    judged: Option<Judged>,
    named: Vec<UserId>,
    firing: usize,
    /// Since when it has fired for whoever has waited longest.
    since: Option<Timestamp>,
}

impl Default for Board {
    fn default() -> Self {
        Self { posted: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Board {
    /// Notes where the alerts of the node stand. Whoever listens hears of it if one of them stands elsewhere than before; a
    /// value that moves is no change.
    pub fn post(&self, judged: impl Iterator<Item = Judged>) {
        let mut posted = self.posted();
        let mut has_moved = false;
        for judged in judged {
            let before = posted.node.insert(judged.alert.name, judged);
            has_moved |= before.and_then(|before| before.is_firing) != judged.is_firing;
        }
        drop(posted);
        if has_moved {
            self.tell();
        }
    }

    /// Every alert, in the order of the list.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertState> {
        let glances: Vec<_> = {
            let posted = self.posted();
            ALERTS.iter().map(|alert| (alert, posted.glance(alert))).collect()
        };
        glances.into_iter().map(|(alert, glance)| glance.state(alert)).collect()
    }

    /// Changes whenever an alert begins, ends or waits, for the node or for a user.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Board {
    fn changed(&self, change: &Change) {
        let Some(user) = &change.user else { return };
        {
            let mut posted = self.posted();
            let users = posted.users.entry(change.alert).or_default();
            match change.state {
                State::Firing => users.begin(user, change.since),
                State::Resolved => users.end(user),
            }
        }
        self.tell();
    }
}

impl Firing {
    fn begin(&mut self, user: &UserId, since: Timestamp) {
        self.end(user);
        self.since.insert(user.clone(), since);
        self.oldest.insert((since, user.clone()));
    }

    fn end(&mut self, user: &UserId) {
        if let Some(since) = self.since.remove(user) {
            self.oldest.remove(&(since, user.clone()));
        }
    }
}

impl Posted {
    fn glance(&self, alert: &Alert) -> Glance {
        let users = self.users.get(alert.name);
        Glance {
            judged: self.node.get(alert.name).copied(),
            named: users.into_iter().flat_map(|users| users.since.keys()).take(NAMED).cloned().collect(),
            firing: users.map_or(0, |users| users.since.len()),
            since: users.and_then(|users| users.oldest.first()).map(|(since, _)| *since),
        }
    }
}

impl Glance {
    fn state(self, alert: &Alert) -> AlertState {
        let Self { judged, named, firing, since: of_users } = self;
        let since = judged.as_ref().and_then(|judged| judged.since);
        // The user's own is told at once, that of all users at the next look.
        let (state, since) = match (of_users, judged.as_ref().and_then(|judged| judged.is_firing)) {
            (Some(_), _) => ("firing", of_users.into_iter().chain(since).min()),
            (None, Some(true)) => ("firing", since),
            (None, Some(false)) => ("pending", since),
            (None, None) => ("ok", None),
        };
        let is_of_users = OF_USERS.contains(&alert.name);
        AlertState {
            name: alert.name.to_owned(),
            severity: alert.severity.as_str().to_owned(),
            summary: alert.summary.to_owned(),
            meaning: alert.meaning.to_owned(),
            state: state.to_owned(),
            since: since.map(|since| rfc3339(u64::try_from(since.as_millisecond()).unwrap_or(0))),
            value: judged.and_then(|judged| judged.value),
            users: is_of_users.then(|| named.iter().map(|user| user.as_str().to_owned()).collect()),
            users_firing: is_of_users.then_some(firing as u64),
            runbook: alert.look_at.iter().chain(alert.press).map(|line| (*line).to_owned()).collect(),
            page: alert.runbook(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::catalogue::named;

    fn of_user(user: usize, state: State) -> Change {
        let alert = named(OF_USERS[3]).unwrap();
        let user = UserId::parse(&format!("u{user:03}")).unwrap();
        let since = Timestamp::UNIX_EPOCH;
        Change { alert: alert.name, severity: alert.severity, user: Some(user), state, value: 1.0, since }
    }

    fn judged(is_firing: Option<bool>, value: f64) -> Judged {
        let since = is_firing.map(|_| Timestamp::UNIX_EPOCH);
        Judged { alert: named("LychgateLockout").unwrap(), is_firing, since, value: Some(value) }
    }

    fn state(board: &Board, name: &str) -> AlertState {
        board.alerts().into_iter().find(|alert| alert.name == name).unwrap()
    }

    #[test]
    fn every_alert_is_on_the_board_from_the_start_and_none_fires() {
        let alerts = Board::default().alerts();
        assert_eq!(alerts.len(), ALERTS.len());
        assert!(alerts.iter().all(|alert| alert.state == "ok" && alert.since.is_none() && !alert.runbook.is_empty()));
    }

    #[test]
    fn users_are_named_up_to_a_bound_and_counted_beyond_it() {
        let board = Board::default();
        (0..NAMED + 20).for_each(|user| board.changed(&of_user(user, State::Firing)));
        let alert = state(&board, OF_USERS[3]);
        assert_eq!(
            (alert.state.as_str(), alert.users.unwrap().len(), alert.users_firing),
            ("firing", NAMED, Some(120))
        );
        (0..NAMED + 20).for_each(|user| board.changed(&of_user(user, State::Resolved)));
        let alert = state(&board, OF_USERS[3]);
        assert_eq!((alert.state.as_str(), alert.users, alert.users_firing), ("ok", Some(Vec::new()), Some(0)));
    }

    #[test]
    fn an_alert_of_users_fires_since_it_began_for_whoever_has_it_longest() {
        let board = Board::default();
        let since = |seconds| Timestamp::from_second(seconds).unwrap();
        let fires = |user, seconds| board.changed(&Change { since: since(seconds), ..of_user(user, State::Firing) });
        let begun = || state(&board, OF_USERS[3]).since;
        fires(1, 20);
        fires(2, 10);
        assert_eq!(begun().as_deref(), Some("1970-01-01T00:00:10.000Z"));
        // It ends for the one and begins anew for the other.
        board.changed(&of_user(2, State::Resolved));
        assert_eq!(begun().as_deref(), Some("1970-01-01T00:00:20.000Z"));
        fires(1, 30);
        assert_eq!(begun().as_deref(), Some("1970-01-01T00:00:30.000Z"));
        board.changed(&of_user(1, State::Resolved));
        board.changed(&of_user(1, State::Resolved));
        assert_eq!(begun(), None);
        assert!(board.posted().users.values().all(|users| users.since.is_empty() && users.oldest.is_empty()));
    }

    #[test]
    fn whoever_listens_hears_of_what_begins_and_ends_and_not_of_a_value_that_moves() {
        let board = Board::default();
        let mut changes = board.listen();
        let mut told = |is_firing, value| {
            board.post([judged(is_firing, value)].into_iter());
            let has_changed = changes.has_changed().unwrap();
            changes.mark_unchanged();
            has_changed
        };
        let heard =
            [told(None, 0.0), told(Some(false), 1.0), told(Some(true), 2.0), told(Some(true), 3.0), told(None, 0.0)];
        assert_eq!(heard, [false, true, true, false, true]);
        board.post([judged(Some(true), 3.0)].into_iter());
        let alert = state(&board, "LychgateLockout");
        assert_eq!((alert.state.as_str(), alert.value, alert.users), ("firing", Some(3.0), None));
        assert_eq!(alert.since.as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }
}
