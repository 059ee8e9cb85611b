//! What sessions and runs need of an outbox: the smallest seam, so that both can be tried without a socket.

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
