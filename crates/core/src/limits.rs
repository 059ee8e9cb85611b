//! Every number that the gate decides by, built only through a checked constructor.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::forecast::Foresight;

/// The numbers as somebody wants them; [`Limits::new`] checks them.
///
/// Names are the keys of the `[limits]` and `[liveness]` sections of the configuration; `expiry_grace` stands in `[auth]`,
/// `forecast` is `[forecast]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSpec {
    /// Sessions that one user may hold. Default 20.
    pub max_sessions_per_user: usize,
    /// Connections attached to one session; the newest wins. Default 8.
    pub max_connections_per_session: usize,
    /// Connections of one user; the newest wins. Default 64.
    pub max_connections_per_user: usize,
    /// Threads of one user that wait for a slot at once; beyond it the oldest waits no longer. Default 32.
    pub max_waiting_opens_per_user: usize,
    /// Runs of one user in flight at once, whether their sessions are still open or not. Default 64.
    pub max_runs_per_user: usize,
    /// Sessions beyond the limit that may be admitted for a while, once Force finds only protected ones. Default 5.
    pub reserve_sessions: usize,
    /// How long the reserve takes newcomers from its first one on, and how long the user has to be back at his limit
    /// before it may open again. Default 60 s.
    pub reserve_window: Duration,
    /// Sessions, the most recently used ones, that are protected as if a run were in flight. Default 0.
    pub pinned_sessions: usize,
    /// Whether a live session may be taken at all. Default [`Force::Evict`].
    pub force: Force,
    /// Whether the limit on sessions acts, or only tells. Default [`Mode::Enforce`].
    pub mode: Mode,
    /// How long a session without a connection stays warm. Default 10 s.
    pub linger: Duration,
    /// Per cent of the limit at which the user is told. Default 50.
    pub watch_percent: usize,
    /// Per cent at which Conservative and Moderate run in the background. Default 60.
    pub warn_percent: usize,
    /// Per cent at which Aggressive runs in the background. Default 70.
    pub high_percent: usize,
    /// How often background reclaim repeats while the pressure lasts. Default 120 s.
    pub reclaim_interval: Duration,
    /// Between two heartbeats, before a jitter of 10 per cent either way. Default 20 s.
    pub ping_interval: Duration,
    /// How long a heartbeat may stay unanswered. Default 10 s.
    pub ping_answer: Duration,
    /// Unanswered heartbeats in a row that make a Zombie; one makes a Suspect. Default 3, at least 2 (hazard R7).
    pub missed_pings: u32,
    /// How long a probe may take. Default 1 s.
    pub probe_deadline: Duration,
    /// Between the two pings of a probe. Default 400 ms.
    pub probe_gap: Duration,
    /// From `open` to the end of the ladder. Default 3 s.
    pub ladder_deadline: Duration,
    /// From `open` to the end of the queue, where a protected session is taken over. Default 8 s.
    pub queue_deadline: Duration,
    /// From `open` to its answer, whatever happens, our own stalls included (I3). Default 10 s.
    pub admission_budget: Duration,
    /// How long bytes may wait while the kernel takes none. Default 30 s.
    pub write_stall: Duration,
    /// How long a connection goes on after its token has expired. Default 30 s.
    pub expiry_grace: Duration,
    /// How long a close that was ordered may stay unconfirmed before the socket is torn down. Default 5 s.
    pub close_confirm: Duration,
    /// Whether the trend of a user's sessions may start background reclaim one band early. Default none: it does not.
    pub forecast: Option<Foresight>,
}

impl Default for LimitSpec {
    fn default() -> Self {
        Self {
            max_sessions_per_user: 20,
            max_connections_per_session: 8,
            max_connections_per_user: 64,
            max_waiting_opens_per_user: 32,
            max_runs_per_user: 64,
            reserve_sessions: 5,
            reserve_window: Duration::from_secs(60),
            pinned_sessions: 0,
            force: Force::Evict,
            mode: Mode::Enforce,
            linger: Duration::from_secs(10),
            watch_percent: 50,
            warn_percent: 60,
            high_percent: 70,
            reclaim_interval: Duration::from_secs(120),
            ping_interval: Duration::from_secs(20),
            ping_answer: Duration::from_secs(10),
            missed_pings: 3,
            probe_deadline: Duration::from_secs(1),
            probe_gap: Duration::from_millis(400),
            ladder_deadline: Duration::from_secs(3),
            queue_deadline: Duration::from_secs(8),
            admission_budget: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            expiry_grace: Duration::from_secs(30),
            close_confirm: Duration::from_secs(5),
            forecast: None,
        }
    }
}

/// What the last step of an admission may do to sessions that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Force {
    /// Take the least valuable one; at the end of the queue a protected one, whose run goes on.
    #[default]
    Evict,
    /// Never take one. The end of the queue is a refusal with a time to come back: a user whose sessions are all alive
    /// is locked out until one of them ends.
    Never,
}

/// Whether the limit on sessions acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It decides, counts and tells what it would have done, and admits (hazard R27). Dead sockets are closed and
    /// connections are bounded as ever, and nobody holds more than [`SHADOW_CEILING`] sessions.
    Shadow,
}

/// Sessions of one user beyond which a limit in [`Mode::Shadow`] acts after all, because memory is bounded; a limit
/// that is itself higher acts at its own number.
pub const SHADOW_CEILING: usize = 1_000;

/// Two numbers that contradict each other, or one that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// The key that is wrong.
    pub key: &'static str,
    /// The key that it contradicts, if there is one.
    pub against: Option<&'static str>,
    /// What would be right, as the end of a sentence that starts with the key.
    pub rule: &'static str,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.rule)?;
        match self.against {
            Some(other) => write!(f, " {other}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LimitError {}

/// Numbers that do not contradict each other; the defaults do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(LimitSpec);

impl Limits {
    /// Checks a specification.
    ///
    /// # Errors
    /// [`LimitError`] names the key, the one that it contradicts and the rule.
    pub fn new(spec: LimitSpec) -> Result<Self, LimitError> {
        let fail = |key, against, rule| Err(LimitError { key, against, rule });
        let at_least_one = [
            ("max_sessions_per_user", spec.max_sessions_per_user),
            ("max_connections_per_session", spec.max_connections_per_session),
            ("max_waiting_opens_per_user", spec.max_waiting_opens_per_user),
            ("max_runs_per_user", spec.max_runs_per_user),
            ("watch_percent", spec.watch_percent),
        ];
        if let Some((key, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return fail(key, None, "must be at least 1");
        }
        let at_least_a_millisecond = [
            ("ping_interval", spec.ping_interval),
            ("ping_answer", spec.ping_answer),
            ("probe_gap", spec.probe_gap),
            ("write_stall", spec.write_stall),
            ("close_confirm", spec.close_confirm),
            ("reclaim_interval", spec.reclaim_interval),
            ("reserve_window", spec.reserve_window),
        ];
        if let Some((key, _)) = at_least_a_millisecond.into_iter().find(|(_, v)| *v < Duration::from_millis(1)) {
            return fail(key, None, "must be at least 1ms");
        }
        if spec.max_connections_per_user < spec.max_connections_per_session {
            return fail("max_connections_per_user", Some("max_connections_per_session"), "must not be below");
        }
        if spec.missed_pings < 2 {
            return fail("missed_pings", None, "must be at least 2: one missed answer proves nothing");
        }
        if spec.ping_answer >= spec.ping_interval {
            return fail("ping_answer", Some("ping_interval"), "must be shorter than");
        }
        if spec.probe_gap >= spec.probe_deadline {
            return fail("probe_gap", Some("probe_deadline"), "must be shorter than");
        }
        if spec.probe_deadline > spec.ladder_deadline {
            return fail("probe_deadline", Some("ladder_deadline"), "must not be longer than");
        }
        if spec.ladder_deadline > spec.queue_deadline {
            return fail("ladder_deadline", Some("queue_deadline"), "must not be longer than");
        }
        if spec.queue_deadline > spec.admission_budget {
            return fail("queue_deadline", Some("admission_budget"), "must not be longer than");
        }
        if spec.watch_percent > spec.warn_percent {
            return fail("watch_percent", Some("warn_percent"), "must not be above");
        }
        if spec.warn_percent > spec.high_percent {
            return fail("warn_percent", Some("high_percent"), "must not be above");
        }
        if spec.high_percent > 100 {
            return fail("high_percent", None, "must not be above 100");
        }
        match spec.forecast {
            Some(Foresight { smoothing, .. }) if smoothing < Duration::from_secs(1) => {
                return fail("forecast_smoothing", None, "must be at least 1s");
            }
            Some(Foresight { horizon, .. }) if horizon.is_zero() => {
                return fail("forecast_horizon", None, "must be at least 1ms");
            }
            Some(_) | None => {}
        }
        Ok(Self(spec))
    }

    /// The band that `used` sessions lie in.
    #[must_use]
    pub fn pressure(&self, used: usize) -> Pressure {
        let reached = |percent: usize| used.saturating_mul(100) >= self.max_sessions_per_user.saturating_mul(percent);
        match () {
            () if reached(100) => Pressure::Full,
            () if reached(self.high_percent) => Pressure::High,
            () if reached(self.warn_percent) => Pressure::Warn,
            () if reached(self.watch_percent) => Pressure::Watch,
            () => Pressure::Ok,
        }
    }

    /// The band by which background reclaim goes: that of [`Limits::pressure`], and one more between 50 % and 70 % while
    /// the limit is in sight. Nobody is told of it, and no admission goes by it.
    #[must_use]
    pub fn urgency(&self, used: usize, is_in_sight: bool) -> Pressure {
        match self.pressure(used) {
            Pressure::Watch if is_in_sight => Pressure::Warn,
            Pressure::Warn if is_in_sight => Pressure::High,
            pressure => pressure,
        }
    }

    /// What a user is told about his limit.
    #[must_use]
    pub fn usage(&self, used: usize) -> Usage {
        Usage { used, limit: self.max_sessions_per_user, level: self.pressure(used), reserve_left: None }
    }

    /// Sessions above which no admission raises a user, whatever the mode and the reserve.
    #[must_use]
    pub fn ceiling(&self) -> usize {
        match self.mode {
            Mode::Enforce => self.max_sessions_per_user.saturating_add(self.reserve_sessions),
            Mode::Shadow => SHADOW_CEILING.max(self.max_sessions_per_user),
        }
    }
}

impl Deref for Limits {
    type Target = LimitSpec;

    fn deref(&self) -> &LimitSpec {
        &self.0
    }
}

/// How near a user is to his limit; each band starts at its watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// Below every watermark.
    Ok,
    /// 50 %: the user is told.
    Watch,
    /// 60 %: Conservative and Moderate run in the background.
    Warn,
    /// 70 %: Aggressive runs in the background.
    High,
    /// 100 %: the next admission climbs the ladder.
    Full,
}

impl Pressure {
    /// Every band, from the lowest on.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Watch, Self::Warn, Self::High, Self::Full];

    /// The word on the wire, in logs and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Watch => "watch",
            Self::Warn => "warn",
            Self::High => "high",
            Self::Full => "full",
        }
    }
}

/// A user's sessions against his limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Sessions that he holds.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
    /// The band that this is.
    pub level: Pressure,
    /// While the reserve is open: for how long it takes newcomers still.
    pub reserve_left: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_each_other() {
        assert_eq!(Limits::new(LimitSpec::default()), Ok(Limits::default()));
    }

    #[test]
    fn a_contradiction_names_both_keys() {
        let spec = LimitSpec { probe_deadline: Duration::from_secs(4), ..LimitSpec::default() };
        let error = Limits::new(spec).unwrap_err();
        assert_eq!(error.to_string(), "probe_deadline must not be longer than ladder_deadline");
    }

    #[test]
    fn bands_start_exactly_at_their_watermarks() {
        let limits = Limits::default();
        let band = |used| limits.pressure(used);
        assert_eq!(
            [band(9), band(10), band(11), band(12)],
            [Pressure::Ok, Pressure::Watch, Pressure::Watch, Pressure::Warn]
        );
        assert_eq!(
            [band(13), band(14), band(19), band(20)],
            [Pressure::Warn, Pressure::High, Pressure::High, Pressure::Full]
        );
    }

    #[test]
    fn a_limit_in_sight_raises_the_urgency_from_the_first_mark_to_the_third_and_nowhere_else() {
        let limits = Limits::default();
        let raised: Vec<_> = (0..=25).filter(|used| limits.urgency(*used, true) > limits.pressure(*used)).collect();
        assert_eq!(raised, [10, 11, 12, 13]);
        assert!((0..=25).all(|used| limits.urgency(used, false) == limits.pressure(used)));
    }
}
