//! Exponential smoothing as others have it: `augurs` searches among the ETS models, with and without a trend, for the one
//! that explains the last minutes best.

use augurs::ets::AutoETS;
use augurs::{Fit, Predict};
use lychgate_core::Foresight;

use super::detect::Detector;

/// Between two samples, as between two scrapes.
const EVERY_SECS: usize = 15;

/// Samples that a model is made from: ten minutes.
const SAMPLES: usize = 40;

/// Looks every quarter of a minute, and keeps to what it said in between.
pub(super) struct Ets {
    limit: usize,
    samples: Vec<f64>,
    says: bool,
}

impl Ets {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, samples: Vec::new(), says: false }
    }

    /// Whether the model's best guess reaches the limit within the horizon.
    fn is_in_sight(&self) -> bool {
        // Nothing moved: nothing is foretold, and some models cannot be fitted to it.
        let first = self.samples.first();
        if self.samples.len() < 8 || self.samples.iter().all(|sample| Some(sample) == first) {
            return false;
        }
        let steps = Foresight::default().horizon.as_secs() as usize / EVERY_SECS;
        let Ok(search) = AutoETS::new(1, "ZZN") else { return false };
        let forecast = search.fit(self.samples.as_slice()).and_then(|model| model.predict(steps, None));
        forecast.is_ok_and(|forecast| forecast.point.iter().any(|count| *count >= self.limit as f64))
    }
}

impl Detector for Ets {
    fn look(&mut self, second: usize, count: usize) -> bool {
        if second.is_multiple_of(EVERY_SECS) {
            if self.samples.len() == SAMPLES {
                self.samples.remove(0);
            }
            self.samples.push(count as f64);
            self.says = self.is_in_sight();
        }
        self.says || count >= self.limit
    }
}
