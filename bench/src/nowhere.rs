//! Connections that are no sockets.

use lychgate::close::Closing;
use lychgate::outbox::{Frame, Sent};
use lychgate::sink::{Line, Sink};
use lychgate_core::{Backlog, PingOutcome};

/// Takes everything and keeps nothing.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn send(&self, _frame: &Frame) -> Sent {
        Sent::Accepted
    }

    fn send_control(&self, _frame: &Frame) -> Sent {
        Sent::Accepted
    }
}

impl Line for Nowhere {
    fn ping(&self) -> PingOutcome {
        PingOutcome::Written
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn close(&self, _closing: &Closing) {}

    fn abort(&self) {}
}
