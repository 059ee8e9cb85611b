//! What a connection tells its owner, and how it ends.

use lychgate_core::{End, Sign, WriteProgress};

use super::violation::Violation;

/// The owner of a connection's meaning. The connection's task owns it and calls it, one call at a time.
///
/// Callbacks do not block: they run between two reads, with the [`crate::outbox::Outbox`] corked, so that all they send
/// leaves in one write. The order is: any number of the others, then [`Handler::on_end`] exactly once, then
/// [`Handler::on_gone`] exactly once; also when a callback panics or the task is aborted.
pub trait Handler: Send + 'static {
    /// A text message, whole and valid UTF-8. It is borrowed from the read buffer.
    fn on_text(&mut self, text: &str);

    /// A binary message, whole.
    fn on_binary(&mut self, bytes: &[u8]);

    /// One or more protocol pings or pongs came; at most once per read. A ping is answered already.
    fn on_pulse(&mut self);

    /// Bytes began to wait, the kernel took some, or nothing waits any more.
    ///
    /// After [`crate::outbox::Sent::Full`] a `Moved` or `Cleared` follows, unless the connection ends.
    fn on_write(&mut self, progress: WriteProgress);

    /// A ping that [`crate::outbox::Outbox::ping`] answered with `Queued` is written: from now on silence counts.
    fn on_ping_written(&mut self);

    /// The peer was called dead, its socket is gone, and this it had said before: nothing is to be done about it, but the
    /// verdict was wrong. Comes before [`Handler::on_end`], once at most.
    fn on_last_words(&mut self, _sign: Sign) {}

    /// Whether the peer has said who it is. Asked after every read until it is true: then the hello deadline is
    /// freed and the connection leaves the listener's pool of strangers.
    fn is_identified(&self) -> bool;

    /// `websocket.hello_timeout` passed without identity. Close the outbox here; if it is left open, it is aborted.
    fn on_hello_timeout(&mut self);

    /// The peer broke RFC 6455 or a bound. What is sent here still goes out before the close frame.
    fn on_violation(&mut self, violation: Violation);

    /// Nothing more will be heard, and nothing more is taken for sending. The socket may linger for the close
    /// handshake, `websocket.close_timeout` at most; give the slot back now (hazard R4).
    fn on_end(&mut self, ending: Ending);

    /// The descriptor is closed.
    fn on_gone(&mut self) {}
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client sent the first close frame; the code, if it gave one.
    ClosedByClient(Option<u16>),
    /// We sent the first close frame.
    ClosedByServer,
    /// The client broke the protocol or a bound, and was told so by the close code.
    Failed(Violation),
    /// FIN without a close frame, RST, an error of the socket, or [`crate::outbox::Outbox::abort`].
    Lost,
    /// The task ended before the connection: a callback panicked, or the task was aborted.
    TaskEnded,
}

impl Ending {
    /// What the gate is told: only a client's close 1000 is a goodbye (mission M4).
    #[must_use]
    pub fn end(self) -> End {
        match self {
            Self::ClosedByClient(Some(1000)) => End::ClientClosed,
            Self::ClosedByClient(_) | Self::ClosedByServer | Self::Failed(_) | Self::Lost | Self::TaskEnded => {
                End::Lost
            }
        }
    }

    /// The word in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClosedByClient(_) => "closed_by_client",
            Self::ClosedByServer => "closed_by_server",
            Self::Failed(_) => "failed",
            Self::Lost => "lost",
            Self::TaskEnded => "task_ended",
        }
    }
}
