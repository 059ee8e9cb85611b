//! What the task of a run is told from outside of it: to end, and that something was published on its thread.

use std::sync::OnceLock;

use tokio::sync::Notify;

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
#[derive(Debug, Default)]
pub(super) struct Orders {
    why: OnceLock<Why>,
    given: Notify,
    bell: Notify,
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

    /// Something was published; kept for the task if it does not wait at this moment.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
