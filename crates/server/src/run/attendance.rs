//! Whether anybody still listens to a run, for gateways that end answers which nobody waits for.

use std::time::Duration;

use lychgate_core::SessionKey;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Runs;

/// Looks per grace: a run ends at most an eighth of the grace late.
const LOOKS: u32 = 8;

/// Watches one run under `runs.detach_grace`; without one it never ends anything.
pub(super) struct Attendance<'a> {
    runs: &'a Runs,
    key: &'a SessionKey,
    watch: Option<Watch>,
}

struct Watch {
    grace: Duration,
    looks: Interval,
    /// When somebody was last seen. A run that was started without a socket waits for nobody.
    last_seen: Option<Instant>,
}

impl<'a> Attendance<'a> {
    pub(super) fn new(runs: &'a Runs, key: &'a SessionKey) -> Self {
        let watch = runs.bounds.detach_grace.map(|grace| {
            let mut looks = interval((grace / LOOKS).max(Duration::from_millis(1)));
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Watch { grace, looks, last_seen: None }
        });
        Self { runs, key, watch }
    }

    /// Waits until somebody listened once and nobody has for the grace. May be dropped and called again.
    pub(super) async fn is_over(&mut self) {
        let Some(watch) = &mut self.watch else {
            return std::future::pending().await;
        };
        loop {
            let now = watch.looks.tick().await;
            if self.runs.around.is_attended(self.key) {
                watch.last_seen = Some(now);
            } else if watch.last_seen.is_some_and(|seen| now - seen >= watch.grace) {
                return;
            }
        }
    }
}
