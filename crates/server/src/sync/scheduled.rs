//! Time, waiting and hashing as the schedule decides them: nothing here differs between two runs of one schedule.
//!
//! One clock stands for the machine's. Reading it moves it by a microsecond, so that no two readings are equal; else it
//! moves when the test says so, to the moment at which the earliest sleeper wants to wake, or far past it as if the process had been frozen.
//! All of shuttle's threads run on one thread of the operating system, which is why the state may be its own.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::sync::MutexGuard;

/// Hashes alike in every run.
pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static SLEEPERS: RefCell<Vec<Sleeper>> = const { RefCell::new(Vec::new()) };
}

struct Sleeper {
    wakes: Duration,
    /// Somebody called him: he is as good as awake, though he may not have run yet.
    called: bool,
    bell: Arc<shuttle::sync::Condvar>,
}

impl Sleeper {
    fn is_awake(&self) -> bool {
        self.called || self.wakes <= NOW.get()
    }
}

/// The clock of the schedule that runs on this thread.
pub(crate) struct Clock;

impl Clock {
    /// Sets the clock to zero; a schedule begins.
    pub(crate) fn begin() {
        NOW.set(Duration::ZERO);
        SLEEPERS.take();
    }

    /// What it shows; looking does not move it.
    pub(crate) fn now() -> Duration {
        NOW.get()
    }

    /// When the earliest sleeper wants to wake; none while somebody is awake or about to be, so that time does not pass
    /// over his head.
    pub(crate) fn next() -> Option<Duration> {
        SLEEPERS.with_borrow(|sleepers| match sleepers.iter().any(Sleeper::is_awake) {
            true => None,
            false => sleepers.iter().map(|sleeper| sleeper.wakes).min(),
        })
    }

    /// Lets time pass until `until` and wakes whoever wanted to sleep no longer than that, and once more whoever was
    /// called: he may have been about to fall asleep, and waking for nothing is allowed.
    pub(crate) fn pass(until: Duration) {
        NOW.set(NOW.get().max(until));
        let bells: Vec<_> = SLEEPERS.with_borrow(|sleepers| {
            sleepers.iter().filter(|sleeper| sleeper.is_awake()).map(|sleeper| sleeper.bell.clone()).collect()
        });
        bells.iter().for_each(|bell| bell.notify_all());
    }
}

/// A reading of [`Clock`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        NOW.set(NOW.get() + Duration::from_micros(1));
        Self(NOW.get())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0 - self.0
    }
}

/// Shuttle's condition variable, whose waits end with the clock as well.
#[derive(Debug, Default)]
pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
        SLEEPERS.with_borrow_mut(|sleepers| {
            let here = sleepers.iter_mut().filter(|sleeper| Arc::ptr_eq(&sleeper.bell, &self.0));
            here.for_each(|sleeper| sleeper.called = true);
        });
    }

    /// As the standard library's, whose answer also says whether the time was over.
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        at_most: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let wakes = NOW.get() + at_most;
        let mut guard = guard;
        while condition(&mut guard) && NOW.get() < wakes {
            SLEEPERS.with_borrow_mut(|sleepers| sleepers.push(Sleeper { wakes, called: false, bell: self.0.clone() }));
            guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
            SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|sleeper| !Arc::ptr_eq(&sleeper.bell, &self.0)));
        }
        Ok((guard, NOW.get() >= wakes))
    }
}
