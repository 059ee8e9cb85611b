//! Which users are in which band of their limit: an alert for each of them, from 50 % on.

use std::collections::HashMap;

use jiff::Timestamp;
use lychgate_core::{Pressure, Usage, UserId};

use super::catalogue::{OF_USERS, named};
use super::{Change, State};

/// Users that are watched by name. One beyond that is one of the node's alert, and nobody is told his name.
const MAX_USERS: usize = 10_000;

/// The users at half of their limit or more.
#[derive(Debug, Default)]
pub struct Users {
    /// When each of the alerts of a user began, from the lowest band on.
    above: HashMap<UserId, [Option<Timestamp>; OF_USERS.len()]>,
}

/// What a usage is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is the case now.
    Known,
    /// It was once; something newer may have been told before it.
    Heard,
}

impl Users {
    /// A user moved into another band: what begins and what ends, for him alone. He is watched for as long as he is above
    /// half of his limit, and until that is known to be over.
    pub fn moved(&mut self, user: &UserId, usage: Usage, certainty: Certainty, now: Timestamp) -> Vec<Change> {
        let reached = bands(usage.level);
        let above = &mut self.above;
        if !above.contains_key(user) && (reached == 0 || above.len() >= MAX_USERS) {
            return Vec::new();
        }
        let standing = above.entry(user.clone()).or_default();
        let value = usage.used as f64 / usage.limit.max(1) as f64;
        let changes = OF_USERS.iter().zip(standing.iter_mut()).enumerate().filter_map(|(band, (name, since))| {
            let (state, since) = match (*since, band < reached) {
                (None, true) => (State::Firing, *since.insert(now)),
                (Some(began), false) => {
                    *since = None;
                    (State::Resolved, began)
                }
                (None, false) | (Some(_), true) => return None,
            };
            let alert = named(name)?;
            let (alert, severity) = (alert.name, alert.severity);
            Some(Change { alert, severity, user: Some(user.clone()), state, value, since })
        });
        let changes = changes.collect();
        if reached == 0 && certainty == Certainty::Known {
            above.remove(user);
        }
        changes
    }

    /// Everybody who is watched by name.
    #[must_use]
    pub fn watched(&self) -> Vec<UserId> {
        self.above.keys().cloned().collect()
    }
}

/// How many of the alerts of users a band means.
fn bands(level: Pressure) -> usize {
    match level {
        Pressure::Ok => 0,
        Pressure::Watch => 1,
        Pressure::Warn => 2,
        Pressure::High => 3,
        Pressure::Full => 4,
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::Limits;

    use super::*;

    fn moved(users: &mut Users, name: &str, used: usize) -> Vec<(&'static str, State)> {
        let user = UserId::parse(name).unwrap();
        let changes = users.moved(&user, Limits::default().usage(used), Certainty::Known, Timestamp::UNIX_EPOCH);
        assert!(changes.iter().all(|change| change.user.as_ref() == Some(&user)));
        changes.into_iter().map(|change| (change.alert, change.state)).collect()
    }

    #[test]
    fn a_user_is_told_of_from_half_of_his_limit_and_again_when_he_falls_below() {
        use State::{Firing, Resolved};
        let mut users = Users::default();
        assert_eq!(moved(&mut users, "ann", 9), []);
        assert_eq!(moved(&mut users, "ann", 10), [("LychgateUserAt50", Firing)]);
        assert_eq!(
            moved(&mut users, "ann", 20),
            [("LychgateUserAt60", Firing), ("LychgateUserAt70", Firing), ("LychgateUserAt100", Firing)]
        );
        assert_eq!(moved(&mut users, "ann", 20), [], "the reserve opened: the same band once more");
        assert_eq!(moved(&mut users, "ann", 12), [("LychgateUserAt70", Resolved), ("LychgateUserAt100", Resolved)]);
        assert_eq!(moved(&mut users, "ann", 0), [("LychgateUserAt50", Resolved), ("LychgateUserAt60", Resolved)]);
        assert!(users.above.is_empty(), "who is below half of his limit is not remembered");
    }

    #[test]
    fn a_crowd_is_bounded_and_those_who_are_watched_stay_watched() {
        let mut users = Users::default();
        for n in 0..MAX_USERS + 10 {
            moved(&mut users, &format!("u{n}"), 10);
        }
        assert_eq!(users.above.len(), MAX_USERS);
        assert_eq!(moved(&mut users, "u0", 9), [("LychgateUserAt50", State::Resolved)]);
        assert_eq!(moved(&mut users, "late", 10), [("LychgateUserAt50", State::Firing)], "a place is free again");
    }
}
