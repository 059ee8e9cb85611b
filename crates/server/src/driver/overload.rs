//! For how long a node has had more to do than it can, and when somebody for whom it has no room is to come back.
//!
//! ```text
//!  measured:   fine   over   over   over ........ over   fine
//!  asked:       -      -      -     5 s, 10 s, 20 s ..    -
//!                     '- a bad moment is none -'
//! ```

use std::sync::PoisonError;
use std::time::Duration;

use lychgate_core::Time;

use super::random_bits;
use crate::sync::Mutex;

/// When somebody is to come back at first; twice as long after each [`DOUBLES_EVERY`], up to [`LONGEST`].
const COME_BACK: Duration = Duration::from_secs(5);
const DOUBLES_EVERY: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

/// What has not been too much for so long is over, whether anybody measured that or not.
const CALM: Duration = Duration::from_secs(10);

/// Since when it has lasted, and when it was last seen.
#[derive(Debug, Default)]
pub struct Overload {
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Time,
    latest: Time,
}

impl Overload {
    /// Whether the node has too much to do at this time.
    pub fn measure(&self, now: Time, is_over: bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = seen.filter(|seen| now.since(seen.latest) < CALM);
        *seen = is_over.then(|| Seen { since: lasting.map_or(now, |seen| seen.since), latest: now });
    }

    /// For how long it has had too much to do without a pause; none while it has not.
    #[must_use]
    pub fn lasting(&self, now: Time) -> Option<Duration> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|seen| now.since(seen.latest) < CALM).map(|seen| now.since(seen.since))
    }
}

/// Until when newcomers are turned away although there is room.
#[derive(Debug, Default)]
pub struct Shed(Mutex<Option<Time>>);

impl Shed {
    /// Until then, unless it lasts longer already.
    pub fn begin(&self, until: Time) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *ends = (*ends).max(Some(until));
    }

    /// Whether it lasts.
    #[must_use]
    pub fn is_on(&self, now: Time) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }
}

/// When to come back to a node that has been full for so long: later, the longer it lasts, from 5 s to 60 s, and spread, so
/// that those who were sent away together do not come back together (hazard R21).
#[must_use]
pub fn come_back_after(lasting: Duration) -> Duration {
    let doublings = u32::try_from(lasting.as_secs() / DOUBLES_EVERY.as_secs()).unwrap_or(u32::MAX).min(4);
    jittered((COME_BACK * (1 << doublings)).min(LONGEST))
}

/// Three quarters to the whole of it: twice the time is still longer.
#[must_use]
pub fn jittered(time: Duration) -> Duration {
    let share = u32::from(random_bits().to_le_bytes()[0]);
    time * 3 / 4 + time * share / (4 * 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_overload_lasts_from_its_first_measurement_to_the_first_fine_one() {
        let overload = Overload::default();
        assert_eq!(overload.lasting(at(1)), None);
        for seconds in 2..9 {
            overload.measure(at(seconds), true);
        }
        assert_eq!(overload.lasting(at(9)), Some(Duration::from_secs(7)));
        overload.measure(at(10), false);
        assert_eq!(overload.lasting(at(10)), None);
        overload.measure(at(11), true);
        assert_eq!(overload.lasting(at(22)), None, "nobody has seen it for long");
        overload.measure(at(23), true);
        assert_eq!(overload.lasting(at(23)), Some(Duration::ZERO));
    }

    #[test]
    fn the_time_to_come_back_grows_with_the_overload_to_a_minute_and_is_spread() {
        let after = |seconds| come_back_after(Duration::from_secs(seconds));
        let grown = [0, 10, 20, 30].map(after);
        assert!(grown.windows(2).all(|pair| pair[0] < pair[1]), "{grown:?}");
        assert!((45..=60).contains(&after(3600).as_secs()));
        assert!(after(0) >= Duration::from_millis(3_750) && after(0) <= COME_BACK);
        let spread: std::collections::BTreeSet<_> = (0..64).map(|_| after(5)).collect();
        assert!(spread.len() > 16, "{spread:?}");
    }
}
