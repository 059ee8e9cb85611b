//! What the middle needs of a connection: sessions and runs a place for frames, the driver a line that it can ask for a
//! sign of life and end. The smallest seams, so that all three can be tried without a socket and serve other readers
//! than WebSockets.
//!
//! ```text
//!  session, run --Sink--+-- Outbox (a WebSocket)
//!  driver ------Line----'-- the reader of an HTTP response
//! ```

use std::fmt;

use lychgate_core::{Backlog, PingOutcome};

use crate::close::Closing;
use crate::outbox::{Cork, Frame, Outbox, Sent};

#[cfg(test)]
pub(crate) mod recorder;

/// Where frames for one connection go. No call blocks.
///
/// Frames leave in the order in which they were taken, whichever of the two ways took them. After an answer of
/// [`Sent::Full`] the owner of the sink owes [`crate::session::Sessions::drained`] once there is room again, or a
/// `detach` when the connection ends; it must not call either from inside `send`. A sink with nothing waiting takes a
/// frame of any size: one larger than the bound would otherwise never leave.
pub trait Sink: Send + Sync + 'static {
    /// Sends an event; refuses beyond the bound.
    fn send(&self, frame: &Frame) -> Sent;

    /// Sends an answer or a notice; these have a bound of their own, beyond which the connection is closed as slow.
    fn send_control(&self, frame: &Frame) -> Sent;

    /// Gathers what is sent until the answer is dropped, so that it leaves in one write. None where nothing is gained.
    fn cork(&self) -> Option<Cork<'_>> {
        None
    }
}

/// One connection as the driver knows it. No call blocks: each is made under a shard's lock, and must not call back.
pub trait Line: Sink + fmt::Debug {
    /// Asks the peer for a sign of life. `Queued` when bytes wait before the question: its owner owes
    /// [`crate::driver::Registration::ping_written`] when they are gone. `Failed` when the line is closed.
    fn ping(&self) -> PingOutcome;

    /// What was sent and not taken; asked with each ping.
    fn backlog(&self) -> Backlog;

    /// Ends the line in order: what was sent before arrives, then the reason. A second close is ignored.
    fn close(&self, closing: &Closing);

    /// Tears the line down: nothing waits for the peer, and what was not sent is dropped (hazards R4 and R29).
    fn abort(&self);

    /// As [`Line::abort`], for a peer that was called dead; true where it takes bytes at this moment, though some wait. What
    /// it had said and nobody has read is read still, by the task of the connection, but for signs of life alone.
    fn bury(&self) -> bool {
        self.abort();
        false
    }
}

impl Sink for Outbox {
    fn send(&self, frame: &Frame) -> Sent {
        Self::send(self, frame)
    }

    fn send_control(&self, frame: &Frame) -> Sent {
        Self::send_control(self, frame)
    }

    fn cork(&self) -> Option<Cork<'_>> {
        Some(Self::cork(self))
    }
}

impl Line for Outbox {
    fn ping(&self) -> PingOutcome {
        Self::ping(self)
    }

    fn backlog(&self) -> Backlog {
        Self::backlog(self)
    }

    fn close(&self, closing: &Closing) {
        Self::close(self, closing.code, &closing.to_json());
    }

    fn abort(&self) {
        Self::abort(self);
    }

    fn bury(&self) -> bool {
        Self::bury(self)
    }
}
