//! The rules about breakers: they move along their three states and are told, and an open one skips its step.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::{BreakerState, Manner, ReclaimStep, Time, UserId};

use super::{Oracle, Reach, Rule};
use crate::model::{Moment, User, user_number};

/// How long an open breaker skips its step (M12).
const OPEN: Duration = Duration::from_secs(10);

/// What a breaker said last.
#[derive(Clone, Copy, Debug)]
struct Said {
    state: BreakerState,
    since: Time,
    /// Its user had nothing left since: it may have been forgotten with him.
    is_old: bool,
}

/// What the breakers said last; nothing where nothing ever failed.
#[derive(Debug, Default)]
pub(super) struct Breakers(BTreeMap<(Option<usize>, ReclaimStep), Said>);

impl Breakers {
    /// What the breaker of a user (or, with none, of the node) says.
    fn said(&self, user: Option<usize>, step: ReclaimStep) -> Said {
        let closed = Said { state: BreakerState::Closed, since: Time::ZERO, is_old: false };
        self.0.get(&(user, step)).copied().unwrap_or(closed)
    }

    /// Whether a step is skipped for a user, at least for others than the one who tries it, or was until so short a time
    /// ago that not everybody who waits has had it taken for his sake.
    pub(super) fn is_skipped(&self, now: Moment, user: usize, step: ReclaimStep, lately: Duration) -> bool {
        let is_skipped = |said: &Said| said.state != BreakerState::Closed || now.at.since(said.since) < lately;
        [Some(user), None].into_iter().filter_map(|owner| self.0.get(&(owner, step))).any(is_skipped)
    }

    /// Whoever has nothing left may be forgotten, with his breakers.
    pub(super) fn settle(&mut self, number: usize, user: &User) {
        if !self.0.is_empty() && user.sessions.is_empty() && user.connections.is_empty() {
            let own = self.0.iter_mut().filter(|((owner, _), _)| *owner == Some(number));
            own.for_each(|(_, said)| said.is_old = true);
        }
    }
}

impl Oracle {
    /// What a breaker of a user, or with none of the node, says, for an `expect`.
    #[must_use]
    pub fn breaker(&self, user: Option<usize>, step: ReclaimStep) -> BreakerState {
        self.breakers.said(user, step).state
    }

    pub(super) fn breaker_moved(&mut self, now: Moment, user: Option<usize>, step: ReclaimStep, state: BreakerState) {
        let Said { state: was, since, is_old } = self.breakers.said(user, step);
        let is_legal = match (was, state) {
            _ if is_old => true,
            (BreakerState::Closed | BreakerState::Probing, BreakerState::Open)
            | (BreakerState::Probing, BreakerState::Closed) => true,
            (BreakerState::Open | BreakerState::Probing, BreakerState::Probing) => now.at.since(since) >= OPEN,
            (BreakerState::Closed, BreakerState::Closed | BreakerState::Probing)
            | (BreakerState::Open, BreakerState::Open | BreakerState::Closed) => false,
        };
        if !is_legal {
            self.fail(Rule::Breaker, now, || {
                format!("the breaker of {user:?} round {step:?} went from {was:?} to {state:?}")
            });
        }
        let said = Said { state, since: now.at, is_old: false };
        self.breakers.0.insert((user, step), said);
        self.tally.reach(match (step, state) {
            (_, BreakerState::Open) if user.is_none() => Reach::NodeBreakerOpened,
            (ReclaimStep::Probe, BreakerState::Open) => Reach::ProbeBreakerOpened,
            (ReclaimStep::Close, BreakerState::Open) => Reach::CloseBreakerOpened,
            (_, BreakerState::Probing) => Reach::BreakerTried,
            (_, BreakerState::Closed) => Reach::BreakerClosed,
        });
    }

    /// Where closes keep failing nobody waits for another handshake.
    pub(super) fn closed_in_a_manner(&mut self, now: Moment, user: &UserId, manner: Manner) {
        if self.breakers.0.is_empty() || manner != Manner::Handshake {
            return;
        }
        let is_open = |user| {
            let Said { state, since, is_old } = self.breakers.said(user, ReclaimStep::Close);
            !is_old && state == BreakerState::Open && now.at.since(since) < OPEN
        };
        let Some(user) = user_number(user) else { return };
        if is_open(Some(user)) || is_open(None) {
            self.fail(Rule::Breaker, now, || {
                format!("a handshake for user {user} while the breaker round closes is open")
            });
        }
    }
}
