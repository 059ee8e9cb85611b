//! When a rule acts: pure, by alerts and time. What it does is [`super::hands`].
//!
//! ```text
//!  alert fires --- `for` passes ---> due --> used, unless  the last use for the same user is younger than `cooldown`
//!        '-- resolved: forgotten            (held)         or `at_most` uses lie within an hour
//!                                                          or the node drains already
//! ```
//!
//! An alert that still fires when the cooldown is over is acted on again: what was done did not help, or not for long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lychgate_core::UserId;
use tokio::time::Instant;

use crate::config::{Acting, Action, Rule};
use crate::telemetry::alerts::{Change, State};

const HOUR: Duration = Duration::from_secs(3600);

/// Users of whom a rule remembers when it last acted: memory is bounded, and `at_most` uses an hour stay far below.
const MAX_REMEMBERED: usize = 10_000;

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Use {
    pub(super) rule: Rule,
    pub(super) user: Option<UserId>,
    /// Whether it is done, told, or held back.
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Act,
    /// Dry run.
    Tell,
    /// It would have acted, were it not for its bounds. Said once for each time that the alert fires.
    Hold,
}

/// Which alerts fire, and what was done about them.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    rules: Vec<Kept>,
    /// Since when, and for whom: also what no rule is about, because a reload may bring one. Bounded by the alerts and by
    /// the users that are watched by name.
    firing: BTreeMap<&'static str, BTreeMap<Option<UserId>, Instant>>,
    /// Nothing else is done by a node that stops.
    drains: bool,
}

#[derive(Debug)]
struct Kept {
    rule: Rule,
    /// Within the last hour.
    uses: VecDeque<Instant>,
    last: BTreeMap<Option<UserId>, Instant>,
    /// Those of whom it was said that it holds back.
    held: BTreeSet<Option<UserId>>,
}

impl Keeper {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut keeper = Self::default();
        keeper.renew(rules);
        keeper
    }

    /// Other rules from now on. One of the same name keeps its uses, so that no reload gives it more of them.
    pub(super) fn renew(&mut self, rules: &[Rule]) {
        let mut old = std::mem::take(&mut self.rules);
        self.rules = rules
            .iter()
            .map(|rule| match old.iter().position(|kept| kept.rule.name == rule.name) {
                Some(place) => Kept { rule: rule.clone(), ..old.swap_remove(place) },
                None => {
                    Kept { rule: rule.clone(), uses: VecDeque::new(), last: BTreeMap::new(), held: BTreeSet::new() }
                }
            })
            .collect();
    }

    /// Notes an alert; says whether a rule may have something to do.
    pub(super) fn changed(&mut self, change: &Change, now: Instant) -> bool {
        let firing = self.firing.entry(change.alert).or_default();
        match change.state {
            State::Firing => _ = firing.entry(change.user.clone()).or_insert(now),
            State::Resolved => {
                firing.remove(&change.user);
                for kept in self.rules.iter_mut().filter(|kept| kept.rule.when == change.alert) {
                    kept.held.remove(&change.user);
                }
            }
        }
        self.rules.iter().any(|kept| kept.rule.when == change.alert)
    }

    /// The node drains; nothing is done any more.
    pub(super) fn drains(&mut self) {
        self.drains = true;
    }

    /// What is to be done now; it counts as done. A drain among it holds whatever stands behind it, this once: whether the
    /// node drains says [`Keeper::drains`], because a drain may fail or be held in its turn.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Use> {
        let Self { rules, firing, drains } = self;
        let (mut due, mut drains) = (Vec::new(), *drains);
        for kept in rules.iter_mut() {
            kept.forget(now);
            for (user, since) in firing.get(kept.rule.when.as_str()).into_iter().flatten() {
                if !kept.acts_on(user) || now.duration_since(*since) < kept.rule.holds_for {
                    continue;
                }
                let Some(verdict) = kept.verdict(user, drains) else { continue };
                kept.note(user, verdict, now);
                drains |= verdict == Verdict::Act && kept.rule.action == Action::Drain;
                due.push(Use { rule: kept.rule.clone(), user: user.clone(), verdict });
            }
        }
        due
    }

    /// When to ask again although no alert changes.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let ready = |kept: &Kept| {
            let rule = &kept.rule;
            let full = (kept.uses.len() >= rule.at_most).then(|| kept.uses.front().map(|at| *at + HOUR)).flatten();
            let firing = self.firing.get(rule.when.as_str()).into_iter().flatten();
            firing
                .filter(|(user, _)| kept.acts_on(user))
                .map(|(user, since)| {
                    let rested = kept.last.get(user).map(|at| *at + rule.cooldown);
                    [rested, full].into_iter().flatten().fold(*since + rule.holds_for, Instant::max)
                })
                .min()
        };
        match self.drains {
            true => None,
            false => self.rules.iter().filter_map(ready).min(),
        }
    }
}

impl Kept {
    /// An alert of users is told of each of them, and once of the node, which is nobody to do it to.
    fn acts_on(&self, user: &Option<UserId>) -> bool {
        self.rule.mode > Acting::Off && self.rule.action.is_of_user() == user.is_some()
    }

    /// What lies back longer than an hour, or the cooldown, holds nothing.
    fn forget(&mut self, now: Instant) {
        let cooldown = self.rule.cooldown;
        self.uses.retain(|at| now.duration_since(*at) < HOUR);
        self.last.retain(|_, at| now.duration_since(*at) < cooldown);
    }

    /// None where it holds back and has said so.
    fn verdict(&self, user: &Option<UserId>, drains: bool) -> Option<Verdict> {
        let is_full = self.uses.len() >= self.rule.at_most || self.last.len() >= MAX_REMEMBERED;
        let is_held = drains || is_full || self.last.contains_key(user);
        match (self.rule.mode, is_held) {
            (Acting::Off, _) => None,
            (Acting::DryRun | Acting::On, true) => (!self.held.contains(user)).then_some(Verdict::Hold),
            (Acting::DryRun, false) => Some(Verdict::Tell),
            (Acting::On, false) => Some(Verdict::Act),
        }
    }

    fn note(&mut self, user: &Option<UserId>, verdict: Verdict, now: Instant) {
        // Whoever was acted upon waits for the cooldown as it should be: nothing is to be said of that.
        self.held.insert(user.clone());
        match verdict {
            Verdict::Hold => {}
            Verdict::Act | Verdict::Tell => {
                self.uses.push_back(now);
                self.last.insert(user.clone(), now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
