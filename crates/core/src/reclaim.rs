//! Pure: facts about sessions in, an ordered and bounded plan of evictions out.

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
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Moderate => "moderate",
            Self::Aggressive => "aggressive",
            Self::Force => "force",
        }
    }
}
