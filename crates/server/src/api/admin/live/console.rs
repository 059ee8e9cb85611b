//! The socket's side of a console: what it says, and that it is there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lychgate_core::WriteProgress;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::vitals::Vitals;
use super::{Patience, close, complain};
use crate::close::{Close, ErrorCode};
use crate::outbox::Outbox;
use crate::ws::{Ending, Handler, Violation};

/// What is known of how a console does; the socket's task writes it, the teller reads it.
#[derive(Debug)]
pub(super) struct Signs(Mutex<Vitals>);

impl Signs {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vitals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One console; lives in its connection's task.
#[derive(Debug)]
pub(super) struct Console {
    outbox: Arc<Outbox>,
    pub(super) signs: Arc<Signs>,
    /// Given back as soon as nothing more is heard (hazard R4).
    place: Option<OwnedSemaphorePermit>,
    /// The teller ends with it.
    pub(super) gone: CancellationToken,
    max_bad_frames: u32,
    bad_frames: u32,
}

/// The one thing that a console says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Word {
    Ack {},
}

impl Console {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        patience: Patience,
        max_bad_frames: u32,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { place: Some(place), ..Self::dismissed(outbox, patience, max_bad_frames) }
    }

    /// One that was told to go.
    pub(super) fn dismissed(outbox: Arc<Outbox>, patience: Patience, max_bad_frames: u32) -> Self {
        let signs = Arc::new(Signs(Mutex::new(Vitals::new(patience))));
        Self { outbox, signs, place: None, gone: CancellationToken::new(), max_bad_frames, bad_frames: 0 }
    }

    fn complain(&mut self, code: ErrorCode, message: &str) {
        complain(&self.outbox, code, message);
        self.bad_frames += 1;
        if self.bad_frames >= self.max_bad_frames {
            close(&self.outbox, &Close::BadProtocol.closing());
        }
    }
}

impl Handler for Console {
    fn on_text(&mut self, text: &str) {
        self.signs.lock().on_word();
        match serde_json::from_str(text) {
            Ok(Word::Ack {}) => self.bad_frames = 0,
            Err(_) => self.complain(ErrorCode::BadFrame, "A console says {\"type\":\"ack\"} and nothing else."),
        }
    }

    fn on_binary(&mut self, _bytes: &[u8]) {
        self.complain(ErrorCode::BadFrame, "This protocol has text frames only.");
    }

    /// No sign of life: a browser answers for a page that is frozen, which would keep its place for nobody (hazard R9).
    fn on_pulse(&mut self) {}

    fn on_write(&mut self, progress: WriteProgress) {
        self.signs.lock().on_write(progress);
    }

    fn on_ping_written(&mut self) {
        self.signs.lock().on_ping_written();
    }

    fn is_identified(&self) -> bool {
        self.place.is_some()
    }

    fn on_hello_timeout(&mut self) {
        close(&self.outbox, &Close::HelloTimeout.closing());
    }

    fn on_violation(&mut self, violation: Violation) {
        complain(&self.outbox, ErrorCode::BadFrame, &format!("The connection is closed: {}.", violation.reason()));
    }

    fn on_end(&mut self, ending: Ending) {
        tracing::debug!(ending = ending.as_str(), "a console ended");
        self.place = None;
        self.gone.cancel();
    }
}
