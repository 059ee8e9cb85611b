//! What one webhook was told, and what there is to tell it.
//!
//! ```text
//! changed(Change) -> standings: what is, what the webhook believes --news()--> reports -> posted, or given up
//!                                                               ^---settle(report, told or not)---'
//! ```
//!
//! Not a queue of messages but what is the case: it cannot overflow, what was not told is part of the next message, and
//! what began and ended in between is not told at all.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lychgate_core::UserId;

use super::catalogue::{Alert, OF_USERS, named};
use super::{Change, State};
use crate::config::Severity;

/// The standings of one webhook. Bounded by the list of alerts and by the users that are watched by name.
#[derive(Debug)]
pub(super) struct Desk {
    min_severity: Severity,
    /// Whether alerts of users name them.
    users: bool,
    repeat_after: Duration,
    topics: BTreeMap<&'static str, Topic>,
}

/// One alert: of the node under no name, of users under theirs.
#[derive(Debug, Default)]
struct Topic {
    standings: BTreeMap<Option<UserId>, Standing>,
    /// When it was last told that it fires, since any fixed moment; none: never.
    told_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    is_firing: bool,
    /// Whether the webhook believes that it fires.
    is_believed: bool,
    /// What it is being told at this moment.
    said: Option<State>,
    since: Timestamp,
    value: f64,
}

impl Standing {
    /// Nothing fires, and the webhook knows it.
    fn is_over(&self) -> bool {
        !self.is_firing && !self.is_believed && self.said.is_none()
    }
}

/// One thing to tell: an alert that began, or ended, for the node or for some users.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    pub(super) alert: &'static Alert,
    pub(super) state: State,
    /// The greatest of its values.
    pub(super) value: f64,
    /// When the first of them began.
    pub(super) since: Timestamp,
    /// Whom it is about: nobody but the node, or users.
    pub(super) about: Vec<Option<UserId>>,
    /// For how many it fires now.
    pub(super) firing: usize,
}

impl Report {
    /// The users that it is about; empty: the node.
    pub(super) fn users(&self) -> impl ExactSizeIterator<Item = &UserId> + Clone {
        let users: Vec<&UserId> = self.about.iter().flatten().collect();
        users.into_iter()
    }
}

impl Desk {
    pub(super) fn new(min_severity: Severity, users: bool, repeat_after: Duration) -> Self {
        Self { min_severity, users, repeat_after, topics: BTreeMap::new() }
    }

    /// Notes a change; says whether the webhook wants to hear of it.
    pub(super) fn changed(&mut self, change: &Change) -> bool {
        let is_wanted = match (&change.user, self.users) {
            (Some(_), users) => users,
            // Told with the names of the users.
            (None, true) => !OF_USERS.contains(&change.alert),
            (None, false) => true,
        };
        if !is_wanted || change.severity < self.min_severity {
            return false;
        }
        let standings = &mut self.topics.entry(change.alert).or_default().standings;
        let unknown =
            Standing { is_firing: false, is_believed: false, said: None, since: change.since, value: change.value };
        let standing = standings.entry(change.user.clone()).or_insert(unknown);
        standing.is_firing = change.state == State::Firing;
        standing.since = change.since;
        standing.value = change.value;
        // It may be over before anybody was told that it began.
        if standing.is_over() {
            standings.remove(&change.user);
        }
        true
    }

    /// What there is to tell at `now`, since any fixed moment, without what is being told already. Each report has to be settled.
    pub(super) fn news(&mut self, now: Duration) -> Vec<Report> {
        let repeat_after = self.repeat_after;
        let report = |(name, topic): (&&'static str, &mut Topic)| {
            let Some(alert) = named(name) else { return Vec::new() };
            let is_due = topic.told_at.is_some_and(|at| now.saturating_sub(at) >= repeat_after);
            let begun = topic.take(alert, State::Firing, |it| it.is_firing && (!it.is_believed || is_due));
            let ended = topic.take(alert, State::Resolved, |it| !it.is_firing && it.is_believed);
            begun.into_iter().chain(ended).collect()
        };
        self.topics.iter_mut().flat_map(report).collect()
    }

    /// A report was told at `now`, or given up (none).
    pub(super) fn settle(&mut self, report: &Report, told_at: Option<Duration>) {
        let Some(topic) = self.topics.get_mut(report.alert.name) else { return };
        for about in &report.about {
            let Some(standing) = topic.standings.get_mut(about) else { continue };
            standing.said = None;
            if told_at.is_some() {
                standing.is_believed = report.state == State::Firing;
            }
            if standing.is_over() {
                topic.standings.remove(about);
            }
        }
        match (report.state, told_at) {
            (State::Firing, Some(_)) => topic.told_at = told_at,
            (State::Firing, None) | (State::Resolved, _) => {}
        }
        if topic.standings.is_empty() {
            self.topics.remove(report.alert.name);
        }
    }

    /// When there will be something to tell although nothing changes. What was never told is no repetition: it waits for
    /// what comes together with it.
    pub(super) fn repeats_at(&self) -> Option<Duration> {
        let is_firing = |topic: &&Topic| topic.standings.values().any(|standing| standing.is_firing);
        self.topics.values().filter(is_firing).filter_map(|topic| Some(topic.told_at? + self.repeat_after)).min()
    }
}

impl Topic {
    fn take(&mut self, alert: &'static Alert, state: State, wanted: impl Fn(&Standing) -> bool) -> Option<Report> {
        let firing = self.standings.values().filter(|standing| standing.is_firing).count();
        let (mut about, mut since, mut value) = (Vec::new(), Timestamp::MAX, f64::NAN);
        for (whom, standing) in self.standings.iter_mut().filter(|(_, it)| it.said.is_none() && wanted(it)) {
            standing.said = Some(state);
            since = since.min(standing.since);
            value = f64::max(value, standing.value);
            about.push(whom.clone());
        }
        (!about.is_empty()).then_some(Report { alert, state, value, since, about, firing })
    }
}

#[cfg(test)]
mod tests;
