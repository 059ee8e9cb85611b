//! Bounded sending on one connection: straight to the kernel, and into a queue only when the kernel says no.
//!
//! ```text
//!  any thread:  send ──► try_write ──► kernel
//!                            └─ would block ──► queue (at most `outbox_bytes`; beyond it: Full, or close 4002)
//!  the connection's task:  read ► cork ► callbacks, each sending ► uncork ──► one write
//!                          writable ► queue ──► kernel ► Moved, Cleared
//! ```
//!
//! Nobody waits here. A dead peer costs its senders a refused frame (hazard R4), and an idle connection owns no buffer:
//! the queue exists only while bytes wait, and what a cork gathers lies in a buffer of the thread (hazard R24).

use std::io;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use lychgate_core::{Backlog, PingOutcome};

use crate::close::Close;
use crate::sync::{Mutex, MutexGuard};

mod frame;
mod kernel;
mod queue;
mod state;
mod transport;

pub use frame::Frame;
pub(crate) use state::{Phase, Turn};
use state::{State, Urgency};
pub use transport::{Tls, Transport};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has it, or it waits in the queue within its bound.
    Accepted,
    /// The queue is at its bound; nothing was taken. [`crate::ws::Handler::on_write`] tells when there is room again.
    Full,
    /// The socket is closed or closing; nothing was taken.
    Closed,
}

/// What a connection was sent since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that [`Outbox::send`] took: events, and answers to opens.
    pub events: u64,
    /// Bytes of all frames that the kernel took.
    pub bytes: u64,
}

/// The sending half of a connection; shared, and the owner of the socket.
///
/// The descriptor is closed when the connection ends, even while somebody still holds the outbox.
#[derive(Debug)]
pub struct Outbox {
    bound: usize,
    state: Mutex<State>,
}

impl Outbox {
    /// Takes over a connected socket. `bound` is `websocket.outbox_bytes`.
    #[must_use]
    pub fn new(socket: impl Into<Transport>, bound: usize) -> Arc<Self> {
        Arc::new(Self { bound, state: Mutex::new(State::new(socket.into())) })
    }

    /// Sends an event; refuses beyond the bound.
    ///
    /// While nothing waits a frame of any size is taken, so that one frame above the bound can be delivered at all:
    /// at most the bound or one frame waits.
    pub fn send(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        match admit(&mut state, frame, self.bound) {
            Sent::Accepted => {
                state.push(frame, Urgency::Gathered);
                state.events += 1;
                Sent::Accepted
            }
            refused @ (Sent::Full | Sent::Closed) => refused,
        }
    }

    /// Sends an answer or a notice, beyond twice the bound never.
    ///
    /// A peer for which so much waits does not read: it is closed with 4002, what waits for it is dropped, and the
    /// answer is [`Sent::Closed`].
    pub fn send_control(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        match admit(&mut state, frame, self.bound.saturating_mul(2)) {
            Sent::Accepted => {
                state.push(frame, Urgency::Gathered);
                Sent::Accepted
            }
            Sent::Full => {
                let slow = Close::Slow.closing();
                state.drop_unbegun();
                state.start_close(&Frame::close(Some(slow.code), &slow.to_json()));
                Sent::Closed
            }
            Sent::Closed => Sent::Closed,
        }
    }

    /// Writes the application ping and the protocol ping.
    ///
    /// `Written` means that the kernel has both. `Queued` means that bytes wait before them;
    /// [`crate::ws::Handler::on_ping_written`] follows when they are gone (hazard R30). Of several pings that have to
    /// wait only the first is queued. `Failed` means that the socket is closed or closing.
    pub fn ping(&self) -> PingOutcome {
        let mut state = self.lock();
        match state.phase {
            Phase::Open => {
                let written = state.push_ping();
                match (state.phase, written) {
                    (Phase::Open, true) => PingOutcome::Written,
                    (Phase::Open, false) => PingOutcome::Queued,
                    (Phase::Closing | Phase::Gone, _) => PingOutcome::Failed,
                }
            }
            Phase::Closing | Phase::Gone => PingOutcome::Failed,
        }
    }

    /// Starts the close handshake: the close frame follows what was sent before, and nothing more is taken.
    ///
    /// The connection's task waits for the peer's close frame for `websocket.close_timeout` at most and then tears the
    /// socket down. `reason` is cut to 123 bytes where a character ends. A second close is ignored.
    pub fn close(&self, code: u16, reason: &str) {
        self.lock().start_close(&Frame::close(Some(code), reason));
    }

    /// Tears the socket down now, with RST: the descriptor is closed when this returns (hazards R4 and R29).
    pub fn abort(&self) {
        let mut state = self.lock();
        state.reset_on_close();
        state.tear_down();
    }

    /// As [`Outbox::abort`], for a peer that was called dead; true where its socket takes bytes at this moment, though some
    /// wait. The first 4 KiB that it had sent and nobody has read stay for the connection's task, which looks
    /// for a sign of life in them and for nothing else. Two system calls more.
    pub fn bury(&self) -> bool {
        let mut state = self.lock();
        let takes_bytes = state.takes_bytes();
        state.bury();
        takes_bytes
    }

    /// What was sent and not taken: bytes that wait here and in our kernel, and for how long the peer's kernel has
    /// acknowledged nothing while some of them were on their way.
    ///
    /// `unacked_for` is what was seen by calling this: it starts at zero with the first call that finds bytes in flight,
    /// and grows from call to call while no acknowledgement of any kind arrives in between. So it never blames a peer
    /// for what was written just now; call it with each ping. Where the kernel does not tell (other systems than Linux)
    /// it is none, and `queued_bytes` are those that wait here. Two system calls; does not block.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.lock().backlog()
    }

    /// Gathers what is sent until the answer is dropped, so that it leaves in one write. Corks may overlap.
    ///
    /// The connection's task holds one round every callback. Keep it over a loop of `send`s, never over an await.
    #[must_use = "the cork is taken out again when this is dropped"]
    pub fn cork(&self) -> Cork<'_> {
        self.lock().cork();
        Cork(self)
    }

    /// Bytes that still fit before `send` answers `Full`; 0 when closed.
    #[must_use]
    pub fn room(&self) -> usize {
        let state = self.lock();
        match state.phase {
            Phase::Open => self.bound.saturating_sub(state.waiting()),
            Phase::Closing | Phase::Gone => 0,
        }
    }

    /// Whether frames are taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }

    /// What was sent since the beginning.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let state = self.lock();
        Traffic { events: state.events, bytes: state.accepted }
    }

    /// All bytes ever handed to this outbox: accepted by the kernel or waiting. What a close for slowness dropped is not
    /// among them.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        let state = self.lock();
        state.accepted + state.waiting() as u64
    }

    /// Answers a protocol ping; held to the second bound like every answer.
    pub(crate) fn pong(&self, payload: &[u8]) -> Sent {
        self.send_control(&Frame::pong(payload))
    }

    /// Answers the peer's close frame with its own code, or with none.
    pub(crate) fn answer_close(&self, code: Option<u16>) {
        self.lock().start_close(&Frame::close(code, ""));
    }

    /// Starts a turn of the connection's task: from now on it is woken when something changes.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Turn {
        self.lock().poll_turn(cx)
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_read(cx, buffer)
    }

    /// What a peer that was buried had said; nothing for every other one, and the second time.
    pub(crate) fn take_last_words(&self) -> Vec<u8> {
        self.lock().take_last_words()
    }

    pub(crate) fn half_close(&self) {
        self.lock().half_close();
    }

    /// The connection's task ends: the descriptor is closed in the ordinary way if it is still there.
    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        state.forget_task();
        state.take_leave();
        state.tear_down();
    }

    /// Nothing between lock and unlock can panic half way, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the frame may be taken under this bound. What a cork gathered is no sign of a slow peer, so it goes first.
fn admit(state: &mut State, frame: &Frame, bound: usize) -> Sent {
    let fits = |state: &State| state.waiting() == 0 || state.waiting() + frame.wire_bytes() <= bound;
    if !fits(state) {
        state.write_gathered();
    }
    match state.phase {
        Phase::Open if fits(state) => Sent::Accepted,
        Phase::Open => Sent::Full,
        Phase::Closing | Phase::Gone => Sent::Closed,
    }
}

/// Holds what is sent together until it is dropped. See [`Outbox::cork`].
#[derive(Debug)]
pub struct Cork<'a>(&'a Outbox);

impl Drop for Cork<'_> {
    fn drop(&mut self) {
        self.0.lock().uncork();
    }
}

#[cfg(test)]
mod tests;
