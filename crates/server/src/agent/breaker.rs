//! "Ask it, or spare us the wait": failures and time in, a decision out. One per backend.
//!
//! ```text
//!          5 failures in a row, within 5 min       10 s pass, one trial
//!   Closed --------------------------------> Open ---------------------> Probing
//!     ^                                       ^   it fails               |  |  '-- it is given up: the next may try
//!     |                                       '--------------------------'  |
//!     '-------------------------------------------------------- it answers '
//! ```
//!
//! Without it every run of a dead backend would hold its thread for the whole deadline, and a backend that comes back would
//! meet everybody at once. How long it stays open is spread by a fifth, so that nodes do not try in step (R21).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::agents as config;

/// When whoever meets somebody else's trial may come back: a trial is over soon.
const DURING_TRIAL: Duration = Duration::from_secs(1);

/// Whether an agent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerState {
    /// It is.
    Closed,
    /// It counts as down; a run ends at once.
    Open,
    /// One run tries; every other one ends at once.
    Probing,
}

impl BreakerState {
    /// The word for operators.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// A run's leave to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// One of many.
    Usual,
    /// What comes of it decides for all.
    Trial,
}

/// What a run found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The backend answered, be it with an error.
    Up,
    /// It is unreachable, hung up, too slow to begin, or says that it has a fault.
    Down,
    /// Nobody waited for its answer.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

#[derive(Debug)]
pub(super) struct Breaker {
    config: config::Breaker,
    state: State,
    /// Failures in a row, oldest first; at most as many as open it.
    failures: VecDeque<Instant>,
}

impl Breaker {
    pub(super) fn new(config: config::Breaker) -> Self {
        Self { config, state: State::Closed, failures: VecDeque::new() }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing => BreakerState::Probing,
        }
    }

    /// How long an open one spares its backend still; zero where the next run tries.
    pub(super) fn opens_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until.saturating_duration_since(now)),
            State::Closed | State::Probing => None,
        }
    }

    /// Whether a run that came now would be asked for, be it as the trial. It leaves nothing changed: with nobody there who asks,
    /// a breaker stays open for ever, and an agent that is well would be called down for as long.
    pub(super) fn would_ask(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => until <= now,
            State::Probing => false,
        }
    }

    /// Leave to ask, or how long to wait. Whoever gets leave tells its verdict once, by [`Breaker::hear`].
    pub(super) fn ask(&mut self, now: Instant) -> Result<Leave, Duration> {
        match self.state {
            State::Closed => Ok(Leave::Usual),
            State::Open { until } if until > now => Err(until - now),
            State::Open { .. } => {
                self.state = State::Probing;
                Ok(Leave::Trial)
            }
            State::Probing => Err(DURING_TRIAL),
        }
    }

    /// Asks the backend again at once, as if it had never failed.
    pub(super) fn restart(&mut self) {
        self.state = State::Closed;
        self.failures.clear();
    }

    /// Takes a verdict. Once the breaker has opened, only the trial's counts: the others asked before.
    pub(super) fn hear(&mut self, leave: Leave, verdict: Verdict, now: Instant) {
        match (self.state, leave, verdict) {
            (State::Closed, _, Verdict::Up) => self.failures.clear(),
            (State::Closed, _, Verdict::Down) => {
                self.failures.retain(|at| now.duration_since(*at) < self.config.window);
                self.failures.push_back(now);
                if self.config.failures > 0 && self.failures.len() >= self.config.failures {
                    self.open(now);
                }
            }
            (State::Probing, Leave::Trial, Verdict::Up) => self.state = State::Closed,
            (State::Probing, Leave::Trial, Verdict::Down) => self.open(now),
            (State::Probing, Leave::Trial, Verdict::Unknown) => self.state = State::Open { until: now },
            (State::Closed, _, Verdict::Unknown) | (State::Open { .. }, _, _) | (State::Probing, Leave::Usual, _) => {}
        }
        // A breaker that never opens remembers nothing.
        self.failures.truncate(self.config.failures);
    }

    fn open(&mut self, now: Instant) {
        self.failures.clear();
        self.state = State::Open { until: now + spread(self.config.open) };
    }
}

/// This long, give or take a fifth.
pub(super) fn spread(duration: Duration) -> Duration {
    // Without random numbers nothing is spread, which is no reason to fail.
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    duration.mul_f64(0.8 + 0.4 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A breaker, and a clock that stands until it is moved.
    struct World {
        breaker: Breaker,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self { breaker: Breaker::new(config::Breaker::default()), now: Instant::now() }
        }

        fn run(&mut self, verdict: Verdict) {
            let leave = self.breaker.ask(self.now).unwrap();
            self.breaker.hear(leave, verdict, self.now);
        }

        fn state(&self) -> BreakerState {
            self.breaker.state()
        }

        fn opened() -> Self {
            let mut world = Self::new();
            (0..5).for_each(|_| world.run(Verdict::Down));
            assert_eq!(world.state(), BreakerState::Open);
            world
        }

        /// Lets the time pass after which it tries.
        fn wait(&mut self) {
            let left = self.breaker.ask(self.now).unwrap_err();
            assert!((8 * SECOND..=12 * SECOND).contains(&left), "{left:?}");
            self.now += left;
        }
    }

    #[test]
    fn one_that_is_restarted_asks_at_once_and_has_forgotten_its_failures() {
        let (mut breaker, now) =
            (Breaker::new(config::Breaker { failures: 2, ..config::Breaker::default() }), Instant::now());
        (0..2).for_each(|_| breaker.hear(Leave::Usual, Verdict::Down, now));
        assert!(breaker.ask(now).is_err());
        breaker.restart();
        assert_eq!(breaker.ask(now), Ok(Leave::Usual));
        breaker.hear(Leave::Usual, Verdict::Down, now);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_others_do_not() {
        let mut world = World::new();
        for _ in 0..3 {
            (0..4).for_each(|_| world.run(Verdict::Down));
            world.run(Verdict::Unknown);
            world.run(Verdict::Up);
        }
        for _ in 0..20 {
            world.now += 75 * SECOND;
            world.run(Verdict::Down);
        }
        assert_eq!(world.state(), BreakerState::Closed, "four within 5 min are not five");
        world.run(Verdict::Down);
        assert_eq!(world.state(), BreakerState::Open);
    }

    #[test]
    fn somebody_alone_with_a_backend_that_stays_silent_opens_it() {
        let mut world = World::new();
        let secret = "[auth.jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"";
        let config = crate::config::Config::from_toml(secret).unwrap();
        let deadline = config.agents.named["demo"].first_event_timeout;
        for _ in 0..5 {
            // The wait for the deadline, and the time to read why and to ask again.
            world.now += deadline + 10 * SECOND;
            world.run(Verdict::Down);
        }
        assert_eq!(world.state(), BreakerState::Open);
    }

    #[test]
    fn an_open_one_whose_time_is_over_would_ask_although_nobody_does_and_is_not_changed_by_the_question() {
        let mut world = World::opened();
        assert!(!world.breaker.would_ask(world.now));
        world.wait();
        assert!(world.breaker.would_ask(world.now));
        assert_eq!(world.state(), BreakerState::Open, "only a run changes it");
        assert_eq!(world.breaker.ask(world.now), Ok(Leave::Trial));
        assert!(!world.breaker.would_ask(world.now), "one trial at a time");
        world.breaker.hear(Leave::Trial, Verdict::Up, world.now);
        assert!(world.breaker.would_ask(world.now));
    }

    #[test]
    fn one_trial_decides_for_all() {
        for (verdict, then) in [(Verdict::Up, BreakerState::Closed), (Verdict::Down, BreakerState::Open)] {
            let mut world = World::opened();
            world.wait();
            assert_eq!(world.breaker.ask(world.now), Ok(Leave::Trial));
            assert_eq!(world.breaker.ask(world.now), Err(DURING_TRIAL));
            for late in [Verdict::Up, Verdict::Down] {
                world.breaker.hear(Leave::Usual, late, world.now);
                assert_eq!(world.state(), BreakerState::Probing, "a run from before says nothing");
            }
            world.breaker.hear(Leave::Trial, verdict, world.now);
            assert_eq!(world.state(), then);
        }
    }

    #[test]
    fn a_trial_that_nobody_waited_for_leaves_the_next_one_to_try() {
        let mut world = World::opened();
        world.wait();
        world.run(Verdict::Unknown);
        assert_eq!(world.breaker.ask(world.now), Ok(Leave::Trial));
    }

    #[test]
    fn runs_from_before_do_not_close_it_or_keep_it_open() {
        let mut world = World::opened();
        world.breaker.hear(Leave::Usual, Verdict::Up, world.now);
        world.breaker.hear(Leave::Usual, Verdict::Down, world.now);
        assert_eq!(world.state(), BreakerState::Open);
        world.wait();
        assert_eq!(world.breaker.ask(world.now), Ok(Leave::Trial));
    }

    #[test]
    fn a_breaker_of_no_failures_never_opens_and_remembers_nothing() {
        let mut breaker = Breaker::new(config::Breaker { failures: 0, ..Default::default() });
        let now = Instant::now();
        (0..1000).for_each(|_| breaker.hear(Leave::Usual, Verdict::Down, now));
        assert_eq!((breaker.state(), breaker.failures.len()), (BreakerState::Closed, 0));
    }
}
