//! Who raises the alarm: plain thresholds, Holt's trend as the gate has it, and an exponential smoothing of others.

use lychgate_core::{Foresight, Trend};

use super::replay::at;

/// Looks at the count once a second.
pub(super) trait Detector {
    /// Whether it raises the alarm now.
    fn look(&mut self, second: usize, count: usize) -> bool;
}

/// Makes a detector for a limit.
type Make = fn(usize) -> Box<dyn Detector>;

/// Names, and how each is made.
pub(super) const DETECTORS: &[(&str, Make)] = &[
    ("50 %", |limit| Box::new(Threshold(limit * 50))),
    ("60 %", |limit| Box::new(Threshold(limit * 60))),
    ("70 %", |limit| Box::new(Threshold(limit * 70))),
    ("Holt", |limit| Box::new(Holt { limit, held: 0, trend: Trend::default() })),
    #[cfg(feature = "augurs")]
    ("augurs ETS", |limit| Box::new(super::ets::Ets::new(limit))),
];

/// The alarm is on from a hundredth of so many sessions on.
struct Threshold(usize);

impl Detector for Threshold {
    fn look(&mut self, _: usize, count: usize) -> bool {
        count * 100 >= self.0
    }
}

/// The alarm is on while the limit is in sight.
struct Holt {
    limit: usize,
    held: usize,
    trend: Trend,
}

impl Detector for Holt {
    fn look(&mut self, second: usize, count: usize) -> bool {
        let (now, foresight) = (at(second), Foresight::default());
        match (self.held, count) {
            (_, 0) => self.trend = Trend::default(),
            (held, count) if held == count => {}
            change => self.trend.change(now, change, &foresight),
        }
        self.held = count;
        // Who is at his limit is an alarm of its own.
        count >= self.limit || self.trend.is_in_sight(now, (count, self.limit), &foresight)
    }
}
