//! Pure: how a count moves, and when it reaches its limit if it goes on like that.
//!
//! ```text
//!  limit ------------------------------------------x--   the line reaches it after `full_in`
//!                                              . '
//!  count             ___+---+...+---+ ' ' '            extrapolated from the count by its trend
//!        ___+---+---'            now
//! ```
//!
//! The trend is Holt's (C. C. Holt, *Forecasting seasonals and trends by exponentially weighted moving averages*, ONR
//! 52/1957; International Journal of Forecasting 20, 2004, 5-10): a level that follows the count, a slope that follows the
//! level. Its two constants are coupled as R. G. Brown coupled them (*Smoothing, Forecasting and Prediction*, 1963), and
//! what lies back decays by elapsed time, not by the number of observations (D. J. Wright, *Forecasting data published
//! at irregular time intervals*, Management Science 32, 1986, 499-510).
//!
//! A count is known at every moment, because it holds until it changes. So the recursion is taken to its limit of endlessly
//! many observations, which has a solution: with `s` the time since the last change in units of the smoothing time, `e` what
//! the count is ahead of the level and `v` the slope per smoothing time,
//!
//! ```text
//!  e(s) = exp(-s) (e - s (e + v))
//!  v(s) = exp(-s) (v + s (e + v))
//! ```
//!
//! It makes no difference how often anybody looks, and nothing has to be sampled by a timer.

use std::time::Duration;

use crate::timer::Time;

/// How far ahead is looked, and from how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foresight {
    /// A limit that is reached within this time is in sight. Default 10 min.
    pub horizon: Duration,
    /// How long a change of the count is remembered: after so long its weight has passed its peak. Default 2 min, at least
    /// 1 s.
    pub smoothing: Duration,
    /// Changes of the count that only say where it starts: a browser that restores ten tabs in a moment is no rise. Those
    /// within about a second (2^20 microseconds) are one. Default 3.
    pub min_samples: u16,
}

impl Default for Foresight {
    fn default() -> Self {
        Self { horizon: Duration::from_secs(600), smoothing: Duration::from_secs(120), min_samples: 3 }
    }
}

/// What lies further ahead is not in sight of anybody.
const NEVER: f32 = 365.0 * 24.0 * 3600.0;

/// How a count has moved until now. Sixteen bytes; it stands in the record of every user.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trend {
    /// What the count was ahead of the level, right after it changed.
    ahead: f32,
    /// Per second.
    slope: f32,
    /// When the count last changed, in ticks.
    at: u32,
    /// In how many seconds it changed.
    samples: u16,
}

const _: () = assert!(size_of::<Trend>() <= 16);

/// A tick is 2^16 microseconds, about a fifteenth of a second: 32 bits of them are nine years.
const TICK_BITS: u32 = 16;
const TICKS_PER_SAMPLE: u32 = 16;
const TICK_SECS: f32 = (1u32 << TICK_BITS) as f32 / 1e6;

impl Trend {
    /// The count was `from` until now, and is `to` from now on.
    pub fn change(&mut self, now: Time, (from, to): (usize, usize), foresight: &Foresight) {
        let at = ticks(now);
        let is_new = self.samples == 0 || at / TICKS_PER_SAMPLE != self.at / TICKS_PER_SAMPLE;
        let samples = self.samples.saturating_add(u16::from(is_new));
        *self = match samples <= foresight.min_samples {
            true => Self { ahead: 0.0, slope: 0.0, at, samples },
            false => {
                let Self { ahead, slope, .. } = self.at(now, foresight.smoothing);
                Self { ahead: ahead + to as f32 - from as f32, slope, at, samples }
            }
        };
    }

    /// By how much the count rises per second, at the present trend; it falls if negative.
    #[must_use]
    pub fn slope(&self, now: Time, smoothing: Duration) -> f32 {
        self.at(now, smoothing).slope
    }

    /// After how long a count that is `used` now reaches `limit`, at the present trend: zero if it has reached it, none
    /// while it does not rise, or in a year or more.
    #[must_use]
    pub fn full_in(&self, now: Time, (used, limit): (usize, usize), foresight: &Foresight) -> Option<Duration> {
        match limit.saturating_sub(used) {
            0 => Some(Duration::ZERO),
            left => self.rises_by(now, left, foresight),
        }
    }

    /// Whether the count reaches `limit` within the horizon. One that is there has to rise by one more.
    #[must_use]
    pub fn is_in_sight(&self, now: Time, (used, limit): (usize, usize), foresight: &Foresight) -> bool {
        self.rises_by(now, limit.saturating_sub(used).max(1), foresight).is_some_and(|after| after <= foresight.horizon)
    }

    fn rises_by(&self, now: Time, left: usize, foresight: &Foresight) -> Option<Duration> {
        let slope = self.slope(now, foresight.smoothing);
        let after = left as f32 / slope;
        (slope > 0.0 && after < NEVER).then(|| Duration::from_secs_f32(after))
    }

    /// By how much the count rises within the horizon, at the present trend: negative where it falls.
    #[must_use]
    pub fn rise_ahead(&self, now: Time, foresight: &Foresight) -> f32 {
        self.slope(now, foresight.smoothing) * foresight.horizon.as_secs_f32()
    }

    /// What becomes of it while the count holds.
    fn at(&self, now: Time, smoothing: Duration) -> Self {
        // Half a tick at least, so that nothing is divided by nothing.
        let smoothing = smoothing.as_secs_f32().max(TICK_SECS / 2.0);
        let held = ticks(now).saturating_sub(self.at) as f32 * TICK_SECS / smoothing;
        let per_smoothing = self.slope * smoothing;
        let (decay, pull) = ((-held).exp(), held * (self.ahead + per_smoothing));
        let slope = decay * (per_smoothing + pull) / smoothing;
        Self { ahead: decay * (self.ahead - pull), slope, at: self.at.max(ticks(now)), ..*self }
    }
}

fn ticks(now: Time) -> u32 {
    u32::try_from(now.as_micros() >> TICK_BITS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
