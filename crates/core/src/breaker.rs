//! Failures and time in, "try it or skip it" out. Round every step of reclaim that can fail, per user and per
//! node.
//!
//! ```text
//!            5 failures in 30 s               10 s pass, one trial
//!   Closed ---------------------> Open -----------------------------> Probing
//!     ^                            ^  the trial fails                  |   |
//!     |                            '-----------------------------------'   |
//!     '--------------------------------------------------------------------'  it succeeds
//! ```
//!
//! An open breaker skips a step; it never refuses anybody (M12). Where a trial comes to no end, another one is made after
//! the same 10 s.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;

use crate::timer::Time;

/// Failures that open a breaker.
const FAILURES: usize = 5;
/// The time in which they have to fall.
const WINDOW: Duration = Duration::from_secs(30);
/// How long a breaker stays open, and how long a trial may take.
const OPEN: Duration = Duration::from_secs(10);
/// Users that failures have to come from before the node's breaker opens: one user with a broken network is no reason
/// to skip a step for everybody.
const USERS: usize = 10;

/// A step of reclaim that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReclaimStep {
    /// Asking a connection for a sign of life. It fails where the question cannot be written; an answer that does not
    /// come is a verdict, no failure. While it is skipped, the ladder goes on without Aggressive.
    Probe,
    /// Closing a socket with its handshake. It fails where the end is not confirmed in time. While it is skipped,
    /// sockets are torn down at once.
    Close,
}

impl ReclaimStep {
    /// Every step.
    pub const ALL: [Self; 2] = [Self::Probe, Self::Close];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Close => "close",
        }
    }
}

/// What a breaker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// The step is taken.
    Closed,
    /// The step is skipped.
    Open,
    /// One trial is under way; everybody else skips.
    Probing,
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Probing];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Time },
    Probing { until: Time },
}

/// One breaker. Each method returns the state that it moved to, if it moved, so that moves are told.
#[derive(Debug)]
struct Breaker {
    state: State,
    /// The failures that count, oldest first, each with the user it fell to; at most as many as open the breaker.
    failures: SmallVec<[(Time, u64); FAILURES]>,
    /// How many open it.
    enough: usize,
    /// Whether only failures of different users count.
    by_user: bool,
}

impl Breaker {
    fn new(enough: usize, by_user: bool) -> Self {
        Self { state: State::Closed, failures: SmallVec::new(), enough, by_user }
    }

    /// Whether the step may be taken now; taking it while the breaker was open is its trial.
    fn may_try(&mut self, now: Time) -> (bool, Option<BreakerState>) {
        match self.state {
            State::Closed => (true, None),
            State::Open { until } | State::Probing { until } if until > now => (false, None),
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { until: now + OPEN };
                (true, Some(BreakerState::Probing))
            }
        }
    }

    fn on_failure(&mut self, now: Time, user: u64) -> Option<BreakerState> {
        match self.state {
            State::Open { .. } => None,
            State::Probing { .. } => self.open(now),
            State::Closed => {
                self.failures.retain(|(at, other)| now.since(*at) < WINDOW && !(self.by_user && *other == user));
                self.failures.push((now, user));
                if self.failures.len() >= self.enough { self.open(now) } else { None }
            }
        }
    }

    fn on_success(&mut self) -> Option<BreakerState> {
        match self.state {
            State::Closed | State::Open { .. } => None,
            State::Probing { .. } => {
                self.state = State::Closed;
                Some(BreakerState::Closed)
            }
        }
    }

    fn open(&mut self, now: Time) -> Option<BreakerState> {
        self.failures.clear();
        self.state = State::Open { until: now + OPEN };
        Some(BreakerState::Open)
    }

    /// Whether the step is skipped now: it is open, or somebody else's trial is under way.
    fn is_open(&self, now: Time) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until } | State::Probing { until } => until > now,
        }
    }

    /// Nothing is remembered that could still matter.
    fn is_at_rest(&self, now: Time) -> bool {
        self.state == State::Closed && self.failures.iter().all(|(at, _)| now.since(*at) >= WINDOW)
    }
}

/// One breaker for each step.
#[derive(Debug)]
struct Board {
    probe: Breaker,
    close: Breaker,
}

impl Board {
    fn new(enough: usize, by_user: bool) -> Self {
        Self { probe: Breaker::new(enough, by_user), close: Breaker::new(enough, by_user) }
    }

    fn breaker(&mut self, step: ReclaimStep) -> &mut Breaker {
        match step {
            ReclaimStep::Probe => &mut self.probe,
            ReclaimStep::Close => &mut self.close,
        }
    }

    fn open(&self, now: Time) -> usize {
        usize::from(self.probe.is_open(now)) + usize::from(self.close.is_open(now))
    }

    fn is_at_rest(&self, now: Time) -> bool {
        self.probe.is_at_rest(now) && self.close.is_at_rest(now)
    }
}

/// The breakers of one user. They take no memory before the first failure.
#[derive(Debug, Default)]
pub(crate) struct UserBreakers(Option<Box<Board>>);

impl UserBreakers {
    /// Whether [`UserBreakers::may_try`] would say yes: nobody's trial is begun.
    pub(crate) fn would_try(&mut self, step: ReclaimStep, now: Time) -> bool {
        match self.0.as_mut().map(|board| board.breaker(step).state) {
            None | Some(State::Closed) => true,
            Some(State::Open { until } | State::Probing { until }) => until <= now,
        }
    }

    /// Breakers that have their step skipped now.
    pub(crate) fn open(&self, now: Time) -> usize {
        self.0.as_ref().map_or(0, |board| board.open(now))
    }

    pub(crate) fn may_try(&mut self, step: ReclaimStep, now: Time) -> (bool, Option<BreakerState>) {
        match &mut self.0 {
            None => (true, None),
            Some(board) => board.breaker(step).may_try(now),
        }
    }

    pub(crate) fn on_failure(&mut self, step: ReclaimStep, now: Time) -> Option<BreakerState> {
        self.0.get_or_insert_with(|| Box::new(Board::new(FAILURES, false))).breaker(step).on_failure(now, 0)
    }

    pub(crate) fn on_success(&mut self, step: ReclaimStep, now: Time) -> Option<BreakerState> {
        let moved = self.0.as_mut()?.breaker(step).on_success();
        if self.0.as_ref().is_some_and(|board| board.is_at_rest(now)) {
            self.0 = None;
        }
        moved
    }
}

/// The breakers of the node, shared by its gates: gates are sharded by user, and a node's trouble shows across users.
///
/// Its lock is the innermost one and is held for a few instructions.
#[derive(Debug)]
pub struct NodeBreakers {
    board: Mutex<Board>,
    /// Something failed since the start; until then nobody takes the lock.
    stirred: AtomicBool,
}

impl Default for NodeBreakers {
    fn default() -> Self {
        Self { board: Mutex::new(Board::new(USERS, true)), stirred: AtomicBool::new(false) }
    }
}

impl NodeBreakers {
    /// Breakers that have their step skipped now; 0 to 2.
    #[must_use]
    pub fn open(&self, now: Time) -> usize {
        match self.stirred.load(Ordering::Acquire) {
            true => self.lock().open(now),
            false => 0,
        }
    }

    pub(crate) fn may_try(&self, step: ReclaimStep, now: Time) -> (bool, Option<BreakerState>) {
        match self.stirred.load(Ordering::Acquire) {
            true => self.lock().breaker(step).may_try(now),
            false => (true, None),
        }
    }

    /// `user` is any number that tells users apart.
    pub(crate) fn on_failure(&self, step: ReclaimStep, now: Time, user: u64) -> Option<BreakerState> {
        self.stirred.store(true, Ordering::Release);
        self.lock().breaker(step).on_failure(now, user)
    }

    pub(crate) fn on_success(&self, step: ReclaimStep) -> Option<BreakerState> {
        match self.stirred.load(Ordering::Acquire) {
            true => self.lock().breaker(step).on_success(),
            false => None,
        }
    }

    /// A breaker is a few plain values, whole after every step: a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    fn tripped() -> Breaker {
        let mut breaker = Breaker::new(FAILURES, false);
        for n in 0..4 {
            assert_eq!(breaker.on_failure(at(n), 0), None);
        }
        assert_eq!(breaker.on_failure(at(4), 0), Some(BreakerState::Open));
        breaker
    }

    #[test]
    fn five_failures_in_thirty_seconds_open_it_and_slower_ones_do_not() {
        tripped();
        let mut breaker = Breaker::new(FAILURES, false);
        for n in 0..100 {
            assert_eq!(breaker.on_failure(at(n * 7_500), 0), None, "four in any thirty seconds");
        }
    }

    #[test]
    fn an_open_breaker_skips_for_ten_seconds_and_then_lets_one_trial_through() {
        let mut breaker = tripped();
        assert_eq!(breaker.may_try(at(9_000)), (false, None));
        assert_eq!(breaker.may_try(at(10_004)), (true, Some(BreakerState::Probing)));
        assert_eq!(breaker.may_try(at(10_004)), (false, None), "one trial at a time");
    }

    #[test]
    fn a_trial_that_succeeds_closes_it_and_one_that_fails_opens_it_again() {
        let mut breaker = tripped();
        breaker.may_try(at(11_000));
        assert_eq!(breaker.on_failure(at(11_001), 0), Some(BreakerState::Open));
        assert_eq!(breaker.may_try(at(12_000)), (false, None));
        breaker.may_try(at(22_000));
        assert_eq!(breaker.on_success(), Some(BreakerState::Closed));
        assert_eq!(breaker.may_try(at(22_001)), (true, None));
    }

    #[test]
    fn a_trial_without_an_end_does_not_hold_the_breaker_for_ever() {
        let mut breaker = tripped();
        breaker.may_try(at(11_000));
        assert_eq!(breaker.may_try(at(21_000)), (true, Some(BreakerState::Probing)));
    }

    #[test]
    fn the_nodes_breaker_needs_ten_users() {
        let node = NodeBreakers::default();
        for n in 0..100 {
            assert_eq!(node.on_failure(ReclaimStep::Close, at(n), n % 9), None);
        }
        assert_eq!(node.on_failure(ReclaimStep::Close, at(101), 9), Some(BreakerState::Open));
        assert_eq!(node.may_try(ReclaimStep::Close, at(102)), (false, None));
        assert_eq!(node.may_try(ReclaimStep::Probe, at(102)), (true, None), "each step has its own");
    }

    #[test]
    fn a_user_without_failures_takes_no_memory_for_breakers() {
        let mut user = UserBreakers::default();
        assert_eq!(user.may_try(ReclaimStep::Probe, at(0)), (true, None));
        assert_eq!(user.on_success(ReclaimStep::Probe, at(0)), None);
        assert!(user.0.is_none());
        user.on_failure(ReclaimStep::Probe, at(0));
        assert!(user.0.is_some());
        user.on_success(ReclaimStep::Probe, at(31_000));
        assert!(user.0.is_none());
    }
}
