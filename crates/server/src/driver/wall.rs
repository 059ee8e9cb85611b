//! What people's clock said when something was decided.

use lychgate_core::Time;

use super::Driver;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Further off than this, somebody has set the clock.
const SET_MICROS: u64 = 500_000;

/// How far people's clock is ahead of the driver's, in microseconds; 0 until somebody asks. Kept, because it is never read
/// twice alike: a moment has one name, whoever asks and when.
#[derive(Debug, Default)]
pub(super) struct Wall(AtomicU64);

impl Wall {
    /// Kept unless the clock was set.
    fn ahead(&self, unix_micros: u64, now: Time) -> u64 {
        let ahead = unix_micros.saturating_sub(now.as_micros());
        let kept = self.0.load(Ordering::Relaxed);
        if kept.abs_diff(ahead) <= SET_MICROS {
            return kept;
        }
        self.0.store(ahead, Ordering::Relaxed);
        ahead
    }
}

impl Driver {
    /// That moment in milliseconds since 1970: the same each time, unless somebody sets the clock by more than half a
    /// second.
    #[must_use]
    pub fn unix_ms(&self, at: Time) -> u64 {
        (at.as_micros() + self.ahead()) / 1_000
    }

    /// The moment at so many milliseconds since 1970; the beginning where that is before it.
    #[must_use]
    pub fn at(&self, unix_ms: u64) -> Time {
        Time::from_micros(unix_ms.saturating_mul(1_000).saturating_sub(self.ahead()))
    }

    fn ahead(&self) -> u64 {
        let unix_micros = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
        self.wall.ahead(unix_micros, self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_name_until_the_clock_is_set() {
        let wall = Wall::default();
        let at = Time::from_micros;
        assert_eq!(wall.ahead(5_000_000_000, at(1_000)), 4_999_999_000);
        assert_eq!(wall.ahead(5_000_000_999, at(2_100)), 4_999_999_000, "read a little later than the other clock");
        assert_eq!(wall.ahead(5_900_000_000, at(3_000)), 5_899_997_000, "set forward");
    }
}
