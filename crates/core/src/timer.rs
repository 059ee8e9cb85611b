//! Time as a number that the caller brings, and the one queue of deadlines.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the driver's monotonic clock, in microseconds since an origin of the driver's choice.
///
/// It is not `std::time::Instant`: a simulation makes it up. It holds one microsecond more than it says, so that "no
/// time" takes no room of its own in the records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// From microseconds since the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// How long ago `earlier` was; zero where it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// How far a time lies from now, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It comes after so long.
    Ahead(Duration),
    /// It was so long ago.
    Past(Duration),
}

impl Until {
    /// What is left until then; zero for what is past.
    #[must_use]
    pub fn left(self) -> Duration {
        match self {
            Self::Ahead(left) => left,
            Self::Past(_) => Duration::ZERO,
        }
    }
}

impl Add<Until> for Time {
    type Output = Self;

    /// What lies before the origin is taken for the origin.
    fn add(self, until: Until) -> Self {
        match until {
            Until::Ahead(left) => self + left,
            Until::Past(ago) => self - ago,
        }
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({} us)", self.as_micros())
    }
}

/// Time during which we ourselves ran: the clock of silence.
///
/// Whoever judges a peer by its silence subtracts the time in which he was deaf (hazards R7, R30). A point on this
/// clock is a point on the driver's clock less all stalls that were reported before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Awake(Time);

impl Awake {
    /// How long we ran since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }
}

impl Add<Duration> for Awake {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0 + by)
    }
}

/// What time it is, on both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// The driver's clock.
    pub(crate) now: Time,
    stalled: Duration,
}

impl Clock {
    /// The clock of silence.
    pub(crate) fn awake(&self) -> Awake {
        Awake(self.now - self.stalled)
    }

    /// When `at` will be on the driver's clock if we do not stall again.
    pub(crate) fn wall(&self, at: Awake) -> Time {
        at.0 + self.stalled
    }

    /// Takes a stall off the clock of silence.
    pub(crate) fn stalled(&mut self, lag: Duration) {
        self.stalled += lag;
    }
}

/// At most one deadline per slot, earliest first. Ties go to the lower slot, so that two runs with the same inputs
/// fire in the same order.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Time, usize)>,
}

impl Timers {
    /// Moves the deadline of `slot` from `old` to `new`; `None` is "no deadline".
    pub(crate) fn reset(&mut self, slot: usize, old: Option<Time>, new: Option<Time>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.queue.remove(&(at, slot));
        }
        if let Some(at) = new {
            self.queue.insert((at, slot));
        }
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the earliest slot whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<usize> {
        let &(at, slot) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        Some(slot)
    }
}
