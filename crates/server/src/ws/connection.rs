//! One task per connection: it waits for its socket and holds no buffer while it waits.
//!
//! ```text
//!  Live ──── our close ────► Closing ── peer's close frame ──► Closed ── our frame written ──► gone
//!   │ └───── peer's close frame ──────────────────────────────►
//!   └─────── violation ────► Failed ── our frame written, FIN ──► Discarding ── peer's FIN ──► gone
//! ```
//!
//! Every stage but Live stands under `websocket.close_timeout`; at its end the socket is reset (hazards R4 and R29).

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lychgate_core::Sign;
use tokio::time::{Instant, Sleep, sleep};

use super::close_code::CloseFrame;
use super::handler::{Ending, Handler};
use super::inbox::{Inbox, Item, MessageBounds};
use super::violation::Violation;
use crate::config;
use crate::listener::Seat;
use crate::outbox::{Outbox, Phase};

/// The size of the buffer that all connections of a thread read into, one after the other.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Reads, and bytes, after which a connection lets the others of its thread go first.
const READS_PER_POLL: usize = 8;
const BYTES_PER_POLL: usize = SCRATCH_BYTES;

/// The longest message from somebody who has not said who he is: room for a `hello` with a token. Strangers are many and
/// unpaid for, so what they make us keep is bounded more tightly (hazard R31).
const STRANGER_MESSAGE_BYTES: usize = 16 * 1024;

/// Bursts of pings are judged over this span.
const PING_BURST: Duration = Duration::from_secs(1);

thread_local! {
    /// See [`SCRATCH_BYTES`]. Taken for the length of a poll, so that an idle connection owns none.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The life of one connection; a future that ends with it.
///
/// Dropping it early, as a panic or an abort of the task does, closes with 1011 and keeps every promise of [`Handler`].
pub struct Connection<H: Handler> {
    outbox: Arc<Outbox>,
    bounds: Arc<config::WebSocket>,
    inbox: Inbox,
    handler: H,
    seat: Seat,
    /// While Live: the hello deadline, until the peer is identified. Later: the close deadline.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What came together with the upgrade request.
    leftover: Box<[u8]>,
    /// When the sustained rate would expect the next ping.
    next_ping: Option<Instant>,
    stage: Stage,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Live,
    Closing,
    Closed,
    Failed,
    Discarding,
}

/// What a turn of the task leads to.
enum Step {
    Read,
    Wait,
    Over,
}

/// What the bytes of one read came to, besides messages.
enum Received {
    Messages,
    Close(CloseFrame),
    Violation(Violation),
}

impl<H: Handler> Connection<H> {
    /// Starts on a socket whose upgrade is done; `leftover` are bytes that came with the request. Must be called inside
    /// a tokio runtime with time.
    pub(super) fn new(
        outbox: Arc<Outbox>,
        bounds: Arc<config::WebSocket>,
        leftover: &[u8],
        seat: Seat,
        handler: H,
    ) -> Self {
        let deadline = Some(Box::pin(sleep(bounds.hello_timeout)));
        let mut connection = Self {
            outbox,
            bounds,
            inbox: Inbox::default(),
            handler,
            seat,
            deadline,
            leftover: leftover.into(),
            next_ping: None,
            stage: Stage::Live,
            ended: false,
        };
        connection.notice_identity();
        connection
    }

    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<()> {
        if !self.leftover.is_empty() {
            let mut leftover = std::mem::take(&mut self.leftover);
            self.receive(&mut leftover);
        }
        let mut bytes = 0;
        for _ in 0..READS_PER_POLL {
            match self.turn(cx) {
                Step::Read => {}
                Step::Wait => return Poll::Pending,
                Step::Over => return Poll::Ready(()),
            }
            match self.outbox.poll_read(cx, scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.receive(&mut scratch[..count]);
                    bytes += count;
                    if bytes >= BYTES_PER_POLL {
                        break;
                    }
                }
                Poll::Ready(Ok(_) | Err(_)) => {
                    self.end(Ending::Lost);
                    return Poll::Ready(());
                }
            }
        }
        // One busy socket must not starve the others of its thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Catches up with what happened to the outbox and to the clock since the last turn.
    fn turn(&mut self, cx: &mut Context<'_>) -> Step {
        let news = self.outbox.poll_turn(cx);
        match (news.phase, self.stage) {
            (Phase::Gone, _) => {
                self.hear_last_words();
                self.end(Ending::Lost);
                return Step::Over;
            }
            (Phase::Open, Stage::Live) => {
                let _cork = self.outbox.cork();
                if news.ping_written {
                    self.handler.on_ping_written();
                }
                if let Some(progress) = news.progress {
                    self.handler.on_write(progress);
                }
            }
            (Phase::Closing, Stage::Live) => {
                self.end(Ending::ClosedByServer);
                self.wait_for_close(Stage::Closing);
            }
            (Phase::Closing, Stage::Closed) if news.drained => return Step::Over,
            (Phase::Closing, Stage::Failed) if news.drained => {
                self.outbox.half_close();
                self.stage = Stage::Discarding;
            }
            (Phase::Open | Phase::Closing, _) => {}
        }
        self.notice_identity();
        let passed = match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx).is_ready(),
            None => false,
        };
        match (passed, self.stage) {
            (true, _) => self.deadline_passed(cx),
            (false, Stage::Closed) => Step::Wait,
            (false, Stage::Live | Stage::Closing | Stage::Failed | Stage::Discarding) => Step::Read,
        }
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) -> Step {
        self.deadline = None;
        match self.stage {
            Stage::Live => {
                {
                    let _cork = self.outbox.cork();
                    self.handler.on_hello_timeout();
                }
                if self.outbox.is_open() {
                    self.outbox.abort();
                }
                cx.waker().wake_by_ref();
                Step::Wait
            }
            Stage::Closing | Stage::Closed | Stage::Failed | Stage::Discarding => {
                self.outbox.abort();
                Step::Over
            }
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        let received = match self.stage {
            Stage::Live | Stage::Closing => self.deliver(bytes),
            Stage::Closed | Stage::Failed | Stage::Discarding => Received::Messages,
        };
        match received {
            Received::Messages => self.notice_identity(),
            Received::Close(frame) => {
                let ending = match self.outbox.is_open() {
                    true => Ending::ClosedByClient(frame.code),
                    false => Ending::ClosedByServer,
                };
                self.outbox.answer_close(frame.code);
                self.end(ending);
                self.wait_for_close(Stage::Closed);
            }
            Received::Violation(violation) => {
                self.outbox.close(violation.code(), violation.reason());
                self.end(Ending::Failed(violation));
                self.wait_for_close(Stage::Failed);
            }
        }
    }

    /// Hands messages to the handler, all answers in one write. After a close nothing is delivered.
    fn deliver(&mut self, bytes: &mut [u8]) -> Received {
        let pings_per_second = self.bounds.max_pings_per_second;
        let known = MessageBounds { bytes: self.bounds.max_message_bytes, fragments: self.bounds.max_fragments };
        let stranger = MessageBounds { bytes: known.bytes.min(STRANGER_MESSAGE_BYTES), ..known };
        let bounds_for = |handler: &H| if handler.is_identified() { known } else { stranger };
        let Self { outbox, inbox, handler, next_ping, .. } = self;
        let bounds = Cell::new(bounds_for(handler));
        let _cork = outbox.cork();
        let mut received = Received::Messages;
        let mut pulse = false;
        let fed = inbox.feed(bytes, &bounds, &mut |item| {
            match (item, outbox.is_open()) {
                (Item::Close(frame), _) => {
                    received = Received::Close(frame);
                    return ControlFlow::Break(());
                }
                (Item::Text(_) | Item::Binary(_) | Item::Ping(_) | Item::Pong, false) => {}
                (Item::Text(text), true) => handler.on_text(text),
                (Item::Binary(bytes), true) => handler.on_binary(bytes),
                (Item::Pong, true) => pulse = true,
                (Item::Ping(payload), true) if admit_ping(next_ping, pings_per_second) => {
                    pulse = true;
                    outbox.pong(payload);
                }
                (Item::Ping(_), true) => {
                    received = Received::Violation(Violation::TooManyPings);
                    return ControlFlow::Break(());
                }
            }
            bounds.set(bounds_for(handler));
            ControlFlow::Continue(())
        });
        if let Err(violation) = fed {
            received = Received::Violation(violation);
        }
        if pulse && outbox.is_open() {
            handler.on_pulse();
        }
        if let Received::Violation(violation) = received
            && outbox.is_open()
        {
            handler.on_violation(violation);
        }
        received
    }

    /// Looks for whole frames in what a peer had said that was called dead. Nobody acts on them any more.
    fn hear_last_words(&mut self) {
        let mut words = match self.stage {
            Stage::Live => self.outbox.take_last_words(),
            Stage::Closing | Stage::Closed | Stage::Failed | Stage::Discarding => return,
        };
        let known = MessageBounds { bytes: self.bounds.max_message_bytes, fragments: self.bounds.max_fragments };
        let bounds = Cell::new(known);
        let mut sign = None;
        // A violation is a sign as well, but none that could be counted on.
        let _ = self.inbox.feed(&mut words, &bounds, &mut |item| {
            sign = match item {
                Item::Text(_) | Item::Binary(_) => Some(Sign::Data),
                // Browsers answer these for frozen pages, too (hazard R9).
                Item::Ping(_) | Item::Pong | Item::Close(_) => sign.or(Some(Sign::Pong)),
            };
            ControlFlow::Continue(())
        });
        if let Some(sign) = sign {
            self.handler.on_last_words(sign);
        }
    }

    /// The hello deadline and the place among strangers are given back as soon as they are not needed.
    fn notice_identity(&mut self) {
        // Whoever was told to go stays a stranger until he is gone.
        let is_welcome = self.outbox.is_open() && self.handler.is_identified();
        if self.stage == Stage::Live && self.deadline.is_some() && is_welcome {
            self.deadline = None;
            self.seat.identify();
        }
    }

    /// Leaves Live. The deadline runs from the first close frame of either side and is not extended.
    fn wait_for_close(&mut self, stage: Stage) {
        if self.stage == Stage::Live {
            self.deadline = Some(Box::pin(sleep(self.bounds.close_timeout)));
        }
        self.stage = stage;
    }

    fn end(&mut self, ending: Ending) {
        if !std::mem::replace(&mut self.ended, true) {
            self.handler.on_end(ending);
        }
    }
}

/// Spends one ping of the allowance: `per_second` sustained, and a second's worth at once (a leaky bucket).
fn admit_ping(next: &mut Option<Instant>, per_second: u32) -> bool {
    let now = Instant::now();
    let due = next.map_or(now, |due| due.max(now));
    let admitted = due.duration_since(now) < PING_BURST;
    if admitted {
        *next = Some(due + Duration::from_secs(1) / per_second.max(1));
    }
    admitted
}

/// Nothing in a connection is pinned: the future is its state machine, and the timer has its own box.
impl<H: Handler> Unpin for Connection<H> {}

impl<H: Handler> Future for Connection<H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = SCRATCH.take();
        scratch.resize(SCRATCH_BYTES, 0);
        let result = self.get_mut().run(cx, &mut scratch);
        SCRATCH.set(scratch);
        result
    }
}

impl<H: Handler> Drop for Connection<H> {
    fn drop(&mut self) {
        // A no-op after any orderly end.
        self.outbox.close(1011, "");
        // A handler that panicked may panic again, and a panic that leaves a drop during unwinding would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.end(Ending::TaskEnded)));
        self.outbox.leave();
        let _ = catch_unwind(AssertUnwindSafe(|| self.handler.on_gone()));
    }
}

#[cfg(test)]
mod tests;
