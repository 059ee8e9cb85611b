//! Whether this node can deliver anything, seen from outside of the runtime that delivers (hazard R26).
//!
//! ```text
//!  runtime --beat--> Vigil <--round-- reaper thread
//!                      '--trouble?--> whoever asks, on any thread
//! ```

use std::fmt;
use std::time::Duration;

use lychgate_core::Time;

use crate::sync::Instant;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Signs of life of the two that must run: the async runtime and the reaper thread. Reading it needs neither.
#[derive(Debug)]
pub struct Vigil {
    /// The driver's.
    origin: Instant,
    stuck_after: Duration,
    beat: AtomicU64,
    round: AtomicU64,
    gone: AtomicBool,
}

/// Why nothing can be delivered, or nobody dead can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The reaper thread has ended: deadlines do not pass any more.
    ReaperGone,
    /// The reaper thread has not come round for so long: something holds it.
    ReaperStuck(Duration),
    /// The async runtime has run nothing for so long.
    RuntimeStuck(Duration),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReaperGone => f.write_str("reaper gone"),
            Self::ReaperStuck(lag) => write!(f, "reaper stuck for {} s", lag.as_secs()),
            Self::RuntimeStuck(lag) => write!(f, "runtime stuck for {} s", lag.as_secs()),
        }
    }
}

impl Vigil {
    /// Both are taken to have shown themselves just now.
    pub(super) fn new(origin: Instant, stuck_after: Duration) -> Self {
        let vigil = Self {
            origin,
            stuck_after,
            beat: AtomicU64::new(0),
            round: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        };
        vigil.show_beat(vigil.now());
        vigil.show_round();
        vigil
    }

    /// What is wrong; none while both have shown themselves within `liveness.runtime_stuck_after`.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let now = self.now();
        let silent = |last: &AtomicU64| {
            let silence = now.since(Time::from_micros(last.load(Ordering::Acquire)));
            Some(silence).filter(|silence| *silence >= self.stuck_after)
        };
        match (self.gone.load(Ordering::Acquire), silent(&self.round), silent(&self.beat)) {
            (true, _, _) => Some(Trouble::ReaperGone),
            (false, Some(lag), _) => Some(Trouble::ReaperStuck(lag)),
            (false, None, Some(lag)) => Some(Trouble::RuntimeStuck(lag)),
            (false, None, None) => None,
        }
    }

    /// The runtime runs, at this time.
    pub(super) fn show_beat(&self, at: Time) {
        self.beat.store(at.as_micros(), Ordering::Release);
    }

    /// The thread comes round.
    pub(super) fn show_round(&self) {
        self.round.store(self.now().as_micros(), Ordering::Release);
    }

    /// When the runtime last ran.
    pub(super) fn last_beat(&self) -> Time {
        Time::from_micros(self.beat.load(Ordering::Acquire))
    }

    /// Whether being so late is more than lateness.
    pub(super) fn is_stuck(&self, lag: Duration) -> bool {
        lag >= self.stuck_after
    }

    pub(super) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Held by the reaper thread: however that ends, it is known.
#[derive(Debug)]
pub(super) struct OnDuty(pub(super) std::sync::Arc<Vigil>);

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
        if std::thread::panicking() {
            tracing::error!("the reaper thread panicked: no deadline passes any more, the node is not ready");
        }
    }
}
