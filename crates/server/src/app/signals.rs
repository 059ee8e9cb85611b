//! Who tells the node to stop, and who cannot wait.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|source| Error::System { what: "listen for signals", source });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whether somebody cannot wait for the drain: who has heard of it already and says so once more.
pub(super) struct Hurry {
    pub(super) signals: Signals,
    /// Whether a signal began the drain: who drains by the API and then sends SIGTERM, as orchestrators do, is in no hurry.
    pub(super) heard_already: bool,
}

impl Hurry {
    pub(super) async fn wanted(&mut self) {
        self.signals.next().await;
        if !std::mem::replace(&mut self.heard_already, true) {
            tracing::info!("told to stop, as the node does already");
            self.signals.next().await;
        }
    }
}
