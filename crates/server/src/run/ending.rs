//! The order to end a run, given from outside of its task; the first one counts.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// Why a run has to end before its agent is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The user said stop.
    Stopped,
    /// The gateway stops.
    GatewayStopping,
}

#[derive(Debug, Default)]
pub(super) struct Ending {
    why: OnceLock<Why>,
    given: Notify,
}

impl Ending {
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
}
