//! Remediation: rules from alerts to actions, bounded, told, and written down before anything is done.
//!
//! ```text
//!  Bell --Change--> Keeper (which rule, now or later, or held) --Use--> Hands: audit log, deed, audit log
//!                                                                          '--> metrics, log
//! ```
//!
//! It acts from a task of its own; whoever rings the bell never waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::Remediation;
use crate::telemetry::alerts::{Change, Listener};

mod hands;
mod keeper;

pub(super) use hands::Hands;
use keeper::Keeper;

/// The rules in force.
#[derive(Debug)]
pub(super) struct Remedies {
    keeper: Mutex<Keeper>,
    woken: Notify,
}

impl Remedies {
    pub(super) fn new(config: &Remediation) -> Arc<Self> {
        Arc::new(Self { keeper: Mutex::new(Keeper::new(&config.rules)), woken: Notify::new() })
    }

    /// Other rules from now on; what fires already counts for those of the same alert.
    pub(super) fn renew(&self, config: &Remediation) {
        self.lock().renew(&config.rules);
        self.woken.notify_one();
    }

    /// Acts for ever, one use after the other.
    pub(super) async fn run(self: Arc<Self>, hands: Hands) {
        loop {
            if hands.is_draining() {
                self.lock().drains();
            }
            let due = self.lock().due(Instant::now());
            for wanted in due {
                hands.take(wanted).await;
            }
            let next = self.lock().next_at();
            tokio::select! {
                () = self.woken.notified() => {}
                () = async {
                    match next {
                        // Not at once, or an alert whose rule is held would be asked about without a pause.
                        Some(at) => sleep_until(at.max(Instant::now() + PAUSE)).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two looks at what is due.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

impl Listener for Remedies {
    fn changed(&self, change: &Change) {
        if self.lock().changed(change, Instant::now()) {
            self.woken.notify_one();
        }
    }
}
