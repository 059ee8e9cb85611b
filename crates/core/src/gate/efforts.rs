//! What reclaim tried in one step of the gate, and what that freed: told once for each level, so that attempts, successes
//! and failures can be counted without knowing the ladder.
//!
//! ```text
//!  climb      Conservative; Moderate where that did not suffice      end_round   Aggressive
//!  conclude   Force where nobody dead was left to take               background  Conservative; Moderate as above
//! ```
//!
//! Whoever waits is looked at again whenever something changes for his user; such a look is told only if it freed something.
//! A level that is skipped, because its breaker is open or the limit only tells, was not tried.

use crate::gate::Step;
use crate::gate::io::Event;
use crate::reclaim::ReclaimLevel;

/// By level, in the order of [`ReclaimLevel::ALL`]: whether it was tried, and how many sessions went.
#[derive(Debug, Default)]
pub(super) struct Efforts([Option<usize>; ReclaimLevel::ALL.len()]);

impl Efforts {
    /// A level is tried.
    pub(super) fn tried(&mut self, level: ReclaimLevel) {
        self.of(level).get_or_insert(0);
    }

    /// A session went at this level.
    pub(super) fn freed(&mut self, level: ReclaimLevel) {
        *self.of(level).get_or_insert(0) += 1;
    }

    fn of(&mut self, level: ReclaimLevel) -> &mut Option<usize> {
        &mut self.0[match level {
            ReclaimLevel::Conservative => 0,
            ReclaimLevel::Moderate => 1,
            ReclaimLevel::Aggressive => 2,
            ReclaimLevel::Force => 3,
        }]
    }
}

impl Step<'_> {
    pub(super) fn tell_efforts(&mut self) {
        for (level, freed) in ReclaimLevel::ALL.into_iter().zip(std::mem::take(&mut self.efforts).0) {
            if let Some(freed) = freed {
                self.tell(Event::Reclaimed { user: self.user.id.clone(), level, freed });
            }
        }
    }
}
