//! Pure: facts about a user's sessions in, an ordered and bounded plan of evictions out.
//!
//! There is one order of who goes first, and a level is how far down that order it may reach:
//!
//! ```text
//!  Conservative | gone                                  (dead, or its token expired)
//!  Moderate     | + detached, suspect                   (nobody attached, or nobody sure to be alive)
//!  Aggressive   | the same, after every connection was probed: what did not answer is now "gone"
//!  Force        | + alive
//! ```
//!
//! Beyond Force stand the protected: sessions with a run in flight, or pinned. [`takeover`] chooses among them, at the
//! end of the queue.

use std::cmp::Reverse;
use std::time::Duration;

use smallvec::SmallVec;

/// How far reclaim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReclaimLevel {
    /// What is already known to be gone.
    Conservative,
    /// Also what no connection is attached to, and what is only suspected to live.
    Moderate,
    /// Also what does not answer a probe.
    Aggressive,
    /// The least valuable live session.
    Force,
}

impl ReclaimLevel {
    /// Every level, in the order in which they are climbed.
    pub const ALL: [Self; 4] = [Self::Conservative, Self::Moderate, Self::Aggressive, Self::Force];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Moderate => "moderate",
            Self::Aggressive => "aggressive",
            Self::Force => "force",
        }
    }

    fn reaches(self) -> Rank {
        match self {
            Self::Conservative => Rank::Gone,
            Self::Moderate | Self::Aggressive => Rank::Suspect,
            Self::Force => Rank::Alive,
        }
    }
}

/// What is known of a session, from its best connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every connection is dead.
    Gone {
        /// Whether it took a probe to know.
        by_probe: bool,
    },
    /// No connection is attached; it lingers.
    Detached,
    /// No connection is sure to be alive.
    Suspect,
    /// A connection is alive.
    Alive,
}

/// The facts that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether anybody is there.
    pub standing: Standing,
    /// A run is in flight, or the plan pins it: it goes only when no other choice is left (I5). A session that is gone
    /// or detached is not protected, because the run is not the session's (M4).
    pub protected: bool,
    /// 0 to 100.
    pub health: u8,
    /// How long ago the last open, run, stop or visible acknowledgement was. No time of this process: a session of another
    /// node may not have been used since before this one started.
    pub unused_for: Duration,
}

/// Who goes first: lower goes earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Gone,
    Detached,
    Suspect,
    Alive,
    ProtectedSuspect,
    ProtectedAlive,
}

impl Facts {
    fn rank(&self) -> Rank {
        match (self.standing, self.protected) {
            (Standing::Gone { .. }, _) => Rank::Gone,
            (Standing::Detached, _) => Rank::Detached,
            (Standing::Suspect, false) => Rank::Suspect,
            (Standing::Alive, false) => Rank::Alive,
            (Standing::Suspect, true) => Rank::ProtectedSuspect,
            (Standing::Alive, true) => Rank::ProtectedAlive,
        }
    }

    /// The level at which this session goes, for logs and metrics.
    fn level(&self) -> ReclaimLevel {
        match (self.standing, self.rank()) {
            (Standing::Gone { by_probe: true }, _) => ReclaimLevel::Aggressive,
            (Standing::Gone { by_probe: false }, _) => ReclaimLevel::Conservative,
            (_, Rank::Gone | Rank::Detached | Rank::Suspect) => ReclaimLevel::Moderate,
            (_, Rank::Alive | Rank::ProtectedSuspect | Rank::ProtectedAlive) => ReclaimLevel::Force,
        }
    }
}

/// One session to evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place in the facts.
    pub index: usize,
    /// The level that it falls under.
    pub level: ReclaimLevel,
}

/// Whom to evict, first one first.
pub type EvictionPlan = SmallVec<[Pick; 2]>;

/// Chooses at most `need` sessions that `level` reaches: most certainly dead first, then least healthy, then least
/// recently used; the lower index breaks a tie. Fewer than `need` means that the level does not suffice.
#[must_use]
pub fn plan(level: ReclaimLevel, facts: &[Facts], need: usize) -> EvictionPlan {
    let key = |facts: &Facts, index| (facts.rank(), facts.health, Reverse(facts.unused_for), index);
    let mut order: SmallVec<[_; 32]> = facts
        .iter()
        .enumerate()
        .filter(|(_, facts)| facts.rank() <= level.reaches())
        .map(|(index, facts)| key(facts, index))
        .collect();
    order.sort_unstable();
    order.into_iter().take(need).map(|(_, _, _, index)| Pick { index, level: facts[index].level() }).collect()
}

/// Chooses the protected session that goes when nothing else is left: suspects first, then the least recently used.
#[must_use]
pub fn takeover(facts: &[Facts]) -> Option<Pick> {
    let protected = facts.iter().enumerate().filter(|(_, facts)| facts.rank() >= Rank::ProtectedSuspect);
    let (index, _) = protected.min_by_key(|(index, facts)| (facts.rank(), Reverse(facts.unused_for), *index))?;
    Some(Pick { index, level: ReclaimLevel::Force })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a session that was used at that second of the last hundred.
    fn facts(standing: Standing, protected: bool, used: u64) -> Facts {
        Facts { standing, protected, health: 100, unused_for: Duration::from_secs(100 - used) }
    }

    fn order(level: ReclaimLevel, facts: &[Facts]) -> Vec<usize> {
        plan(level, facts, usize::MAX).iter().map(|pick| pick.index).collect()
    }

    #[test]
    fn each_level_reaches_further_down_one_order() {
        let all = [
            facts(Standing::Alive, true, 1),
            facts(Standing::Suspect, true, 1),
            facts(Standing::Alive, false, 1),
            facts(Standing::Suspect, false, 1),
            facts(Standing::Detached, true, 1),
            facts(Standing::Gone { by_probe: false }, true, 1),
        ];
        assert_eq!(order(ReclaimLevel::Conservative, &all), [5]);
        assert_eq!(order(ReclaimLevel::Moderate, &all), [5, 4, 3]);
        assert_eq!(order(ReclaimLevel::Force, &all), [5, 4, 3, 2]);
    }

    #[test]
    fn moderate_never_takes_a_session_with_a_live_connection() {
        let all = [facts(Standing::Alive, false, 0); 20];
        assert!(plan(ReclaimLevel::Moderate, &all, 1).is_empty());
        assert!(plan(ReclaimLevel::Aggressive, &all, 1).is_empty());
    }

    #[test]
    fn force_takes_a_suspect_before_a_live_session_and_never_a_protected_one() {
        let all =
            [facts(Standing::Alive, false, 9), facts(Standing::Alive, true, 1), facts(Standing::Suspect, false, 99)];
        assert_eq!(order(ReclaimLevel::Force, &all), [2, 0]);
    }

    #[test]
    fn a_takeover_chooses_among_the_protected_alone_the_least_recently_used_one() {
        let all = [facts(Standing::Alive, true, 9), facts(Standing::Alive, false, 0), facts(Standing::Alive, true, 3)];
        assert_eq!(takeover(&all).map(|pick| pick.index), Some(2));
        assert_eq!(takeover(&all[1..2]), None);
    }

    #[test]
    fn equals_go_by_health_and_then_by_least_recent_use() {
        let mut all =
            [facts(Standing::Alive, false, 5), facts(Standing::Alive, false, 3), facts(Standing::Alive, false, 9)];
        assert_eq!(order(ReclaimLevel::Force, &all), [1, 0, 2]);
        all[2].health = 40;
        assert_eq!(order(ReclaimLevel::Force, &all), [2, 1, 0]);
    }

    #[test]
    fn a_plan_takes_no_more_than_is_needed() {
        let all = [facts(Standing::Gone { by_probe: true }, false, 0); 20];
        let plan = plan(ReclaimLevel::Aggressive, &all, 1);
        assert_eq!(plan.as_slice(), [Pick { index: 0, level: ReclaimLevel::Aggressive }]);
    }
}
