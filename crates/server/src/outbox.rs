//! (to come) bounded per-connection sending.

use bytes::Bytes;
use lychgate_core::PingOutcome;

/// One or more complete, unmasked WebSocket frames, ready to be written. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Frame(Bytes);

impl Frame {
    /// A text message in one frame.
    #[must_use]
    pub fn text(_payload: &[u8]) -> Self {
        todo!()
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has it, or it waits in the queue within its bound.
    Accepted,
    /// The queue is at its bound; nothing was taken.
    Full,
    /// The socket is closed or closing; nothing was taken.
    Closed,
}

/// The sending half of a connection; shared.
#[derive(Debug)]
pub struct Outbox {}

impl Outbox {
    /// Sends an event; refuses beyond the bound.
    pub fn send(&self, _frame: &Frame) -> Sent {
        todo!()
    }
    /// Sends an answer or a notice; beyond a second bound the connection is closed as slow.
    pub fn send_control(&self, _frame: &Frame) -> Sent {
        todo!()
    }
    /// Writes the application ping and the protocol ping.
    pub fn ping(&self) -> PingOutcome {
        todo!()
    }
    /// Starts the close handshake; the connection task ends within its deadline.
    pub fn close(&self, _code: u16, _reason: &str) {
        todo!()
    }
    /// Tears the socket down now.
    pub fn abort(&self) {
        todo!()
    }
    /// Bytes that still fit before `send` answers `Full`.
    #[must_use]
    pub fn room(&self) -> usize {
        todo!()
    }
    /// All bytes that the kernel accepted since the beginning.
    #[must_use]
    pub fn bytes_accepted(&self) -> u64 {
        todo!()
    }
    /// All bytes ever handed to this outbox (accepted by the kernel or waiting).
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        todo!()
    }
}
