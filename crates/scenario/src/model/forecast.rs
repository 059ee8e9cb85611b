//! When a limit is in sight, as its rule reads: every change of the count has pulled at the trend since, by its size, most
//! when one smoothing time has passed, and less and less after that.

use std::time::Duration;

use lychgate_core::{Foresight, Time};

/// How much nearer than the horizon a gate that counts in ticks and short floats may see the limit.
const ROUNDING: f64 = 1.02;

/// The changes of one user's count since he last held no session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    held: usize,
    /// Seconds in which it changed, and the last of them.
    seconds: (u16, u64),
    changes: Vec<(Time, f64)>,
}

impl Moves {
    /// A turn ended with so many sessions.
    pub fn note(&mut self, now: Time, held: usize, foresight: &Foresight) {
        // About a second: 2^20 microseconds.
        let second = now.as_micros() >> 20;
        match held {
            0 => *self = Self::default(),
            held if held == self.held => {}
            held => {
                if self.seconds.0 == 0 || self.seconds.1 != second {
                    self.seconds = (self.seconds.0.saturating_add(1), second);
                }
                if self.seconds.0 > foresight.min_samples {
                    self.changes.push((now, held as f64 - self.held as f64));
                }
            }
        }
        self.held = held;
    }

    /// Sessions per second, now: the sum of what every change gives to it.
    #[must_use]
    pub fn slope(&self, now: Time, smoothing: Duration) -> f64 {
        let smoothing = smoothing.as_secs_f64();
        let pull = |(at, by): &(Time, f64)| {
            let passed = (ticks(now) - ticks(*at)) / smoothing;
            by * passed * (-passed).exp() / smoothing
        };
        self.changes.iter().map(pull).sum()
    }

    /// Whether the limit is reached within the horizon, at this slope.
    #[must_use]
    pub fn is_in_sight(&self, now: Time, limit: usize, foresight: &Foresight) -> bool {
        let left = limit.saturating_sub(self.held).max(1) as f64;
        let reached = self.slope(now, foresight.smoothing) * foresight.horizon.as_secs_f64() * ROUNDING;
        reached >= left
    }
}

/// Seconds, as coarse as they are remembered: 2^16 microseconds.
fn ticks(at: Time) -> f64 {
    ((at.as_micros() >> 16) << 16) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use lychgate_core::Trend;

    use super::*;

    #[test]
    fn the_sum_and_the_gates_recursion_agree() {
        let (mut trend, mut moves) = (Trend::default(), Moves::default());
        let smoothing = Duration::from_secs(7);
        let foresight = Foresight { smoothing, min_samples: 1, ..Foresight::default() };
        let mut held = 0;
        for (secs, count) in [(1, 3), (2, 4), (9, 12), (10, 6), (31, 9), (32, 18)] {
            let now = Time::from_micros(secs * 1_000_000);
            trend.change(now, (held, count), &foresight);
            moves.note(now, count, &foresight);
            held = count;
        }
        for secs in [32, 33, 40, 70] {
            let now = Time::from_micros(secs * 1_000_000);
            let (sum, recursion) = (moves.slope(now, smoothing), f64::from(trend.slope(now, smoothing)));
            assert!((sum - recursion).abs() < 0.01 * sum.abs().max(0.01), "after {secs} s: {sum} and {recursion}");
        }
    }

    #[test]
    fn who_holds_nothing_has_no_trend() {
        let mut moves = Moves::default();
        for (secs, held) in [(1, 5), (3, 9), (5, 7), (7, 9), (9, 12), (11, 0)] {
            moves.note(Time::from_micros(secs * 1_000_000), held, &Foresight::default());
        }
        assert!(moves.slope(Time::from_micros(14_000_000), Duration::from_secs(1)).abs() < f64::EPSILON);
    }
}
