//! Ways to start background reclaim: by a mark, or by a mark and a forecast.

use lychgate_core::{Foresight, LimitSpec};

use crate::oracle::{Reach, Tally};

/// Makes the numbers of a policy.
type Make = fn() -> LimitSpec;

/// Names, and the numbers of each.
pub(super) const POLICIES: [(&str, Make); 4] = [
    ("from 50 %", || marks(50, 60)),
    ("from 60 % (without a forecast)", plain),
    ("from 70 %", || marks(70, 80)),
    ("from 60 %, with the forecast", || LimitSpec { forecast: Some(Foresight::default()), ..plain() }),
];

/// A gateway as it is by default, without its forecast.
pub(super) fn plain() -> LimitSpec {
    LimitSpec::default()
}

fn marks(warn_percent: usize, high_percent: usize) -> LimitSpec {
    LimitSpec { warn_percent, high_percent, ..plain() }
}

/// Sessions that were reclaimed inside an admission, and in the background.
pub(super) fn reclaimed(tally: &Tally) -> (u64, u64) {
    let background = tally.reached[Reach::Background as usize];
    (tally.evicted.iter().sum::<u64>() - background, background)
}
