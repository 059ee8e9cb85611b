//! What the task of a run is told from outside of it: to end, and that something was published on its thread.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::sink::Sink;

/// Who asked for one run again before it was accepted, at most; more of them hear nothing (R24).
const MAX_ASKERS: usize = 8;

/// Why a run has to end before its agent is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The user said stop.
    Stopped,
    /// Nobody has listened for `runs.detach_grace`.
    Detached,
    /// The gateway stops.
    GatewayStopping,
}

/// The order to end is given once, the first one counts; the bell may ring often.
#[derive(Default)]
pub(super) struct Orders {
    why: OnceLock<Why>,
    given: Notify,
    bell: Notify,
    /// Who asked for the run again, on another socket perhaps, and would wait in vain if it were refused.
    askers: Mutex<Vec<Arc<dyn Sink>>>,
}

impl Orders {
    /// Orders the end. Later orders change nothing.
    pub(super) fn end(&self, why: Why) {
        if self.why.set(why).is_ok() {
            // Kept for the task if it does not wait at this moment: nobody else waits on this.
            self.given.notify_one();
        }
    }

    /// Waits for the order.
    pub(super) async fn ordered(&self) -> Why {
        loop {
            if let Some(why) = self.why.get() {
                return *why;
            }
            self.given.notified().await;
        }
    }

    /// Somebody asked for the run again: he hears what becomes of it, too.
    pub(super) fn join(&self, asker: Arc<dyn Sink>) {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() < MAX_ASKERS && !askers.iter().any(|known| Arc::ptr_eq(known, &asker)) {
            askers.push(asker);
        }
    }

    /// Everybody who joined, once.
    pub(super) fn askers(&self) -> Vec<Arc<dyn Sink>> {
        std::mem::take(&mut *self.askers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something was published; kept for the task if it does not wait at this moment.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
