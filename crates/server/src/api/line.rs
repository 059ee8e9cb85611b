//! The line of a reader over HTTP: what the middle sends to it waits here, within a bound, until its response takes it.
//!
//! ```text
//!  session, driver, run --send, send_control, ping, close--> [bounded queue] --next--> the reader's task --> response
//!                                                    abort --> the connection is turned out
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lychgate_core::{Backlog, PingOutcome};
use tokio::sync::Notify;

use crate::close::{Close, Closing};
use crate::listener::Seat;
use crate::outbox::{Frame, Sent};
use crate::sink::{Line, Sink};

/// What comes out of the line.
#[derive(Debug)]
pub(super) enum News {
    /// A frame of ours.
    Frame(Frame),
    /// The gate asks for a sign of life.
    Ping,
    /// The last one: the connection has to go.
    Close(Closing),
}

/// Filled by any thread, emptied by one task.
pub(super) struct HttpLine {
    /// Bytes of events that may wait; answers may take as much again.
    bound: usize,
    seat: Seat,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<News>,
    bytes: usize,
    /// A ping waits already: a second one would say nothing more, and pings would have no bound.
    has_ping: bool,
    /// Somebody was told that there is no room.
    owes_room: bool,
    /// Nothing more is taken.
    closed: bool,
}

impl HttpLine {
    /// An empty line of the connection on this seat. `bound` is `websocket.outbox_bytes`.
    pub(super) fn new(bound: usize, seat: Seat) -> Self {
        Self { bound, seat, state: Mutex::default(), news: Notify::new() }
    }

    /// Waits for what comes next. For one task at a time; dropping the future loses nothing.
    pub(super) async fn next(&self) -> News {
        loop {
            if let Some(news) = self.lock().take() {
                return news;
            }
            self.news.notified().await;
        }
    }

    /// Whether there is room again that somebody was denied before; true once for every such time.
    pub(super) fn has_room_again(&self) -> bool {
        let mut state = self.lock();
        let has_room = state.owes_room && state.bytes <= self.bound / 2;
        state.owes_room &= !has_room;
        has_room
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, frame: &Frame, bound: usize) -> Sent {
        if self.closed {
            return Sent::Closed;
        }
        // With nothing waiting a frame of any size is taken, so that one above the bound can be delivered at all.
        if self.bytes > 0 && self.bytes + frame.wire_bytes() > bound {
            return Sent::Full;
        }
        self.bytes += frame.wire_bytes();
        self.waiting.push_back(News::Frame(frame.clone()));
        Sent::Accepted
    }

    fn close(&mut self, closing: &Closing) {
        if !self.closed {
            self.closed = true;
            self.waiting.push_back(News::Close(*closing));
        }
    }

    fn take(&mut self) -> Option<News> {
        let news = self.waiting.pop_front()?;
        match &news {
            News::Frame(frame) => self.bytes -= frame.wire_bytes(),
            News::Ping => self.has_ping = false,
            News::Close(_) => {}
        }
        Some(news)
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
        self.has_ping = false;
    }
}

impl Sink for HttpLine {
    fn send(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        let sent = state.push(frame, self.bound);
        // Under the same lock: something waits, so that its taking is still to come and finds this.
        state.owes_room |= sent == Sent::Full;
        drop(state);
        self.news.notify_one();
        sent
    }

    fn send_control(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        let sent = match state.push(frame, self.bound.saturating_mul(2)) {
            // A reader for whom so much waits does not read.
            Sent::Full => {
                state.forget();
                state.close(&Close::Slow.closing());
                Sent::Closed
            }
            sent @ (Sent::Accepted | Sent::Closed) => sent,
        };
        drop(state);
        self.news.notify_one();
        sent
    }
}

impl Line for HttpLine {
    fn ping(&self) -> PingOutcome {
        let mut state = self.lock();
        if state.closed {
            return PingOutcome::Failed;
        }
        if !state.has_ping {
            state.has_ping = true;
            state.waiting.push_back(News::Ping);
        }
        drop(state);
        self.news.notify_one();
        PingOutcome::Queued
    }

    fn backlog(&self) -> Backlog {
        let queued_bytes = u32::try_from(self.lock().bytes).unwrap_or(u32::MAX);
        Backlog { queued_bytes, unacked_for: None }
    }

    fn close(&self, closing: &Closing) {
        self.lock().close(closing);
        self.news.notify_one();
    }

    /// The response's task goes with the connection's. The descriptor is closed as soon as the runtime runs: it is
    /// hyper's, and nobody else can reach it.
    fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.forget();
        drop(state);
        self.seat.turn_out();
    }
}

impl fmt::Debug for HttpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLine")
            .field("bound", &self.bound)
            .field("bytes", &self.lock().bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::listener::Pool;

    fn line(bound: usize) -> HttpLine {
        HttpLine::new(bound, Pool::new(1, 1).take_seat([127, 0, 0, 1].into()).unwrap())
    }

    fn frame(bytes: usize) -> Frame {
        Frame::text(&vec![b'x'; bytes - 2])
    }

    #[tokio::test]
    async fn beyond_the_bound_nothing_is_taken_and_room_is_told_once_when_half_of_it_is_free() {
        let line = line(100);
        assert_eq!(
            [line.send(&frame(60)), line.send(&frame(40)), line.send(&frame(10))],
            [Sent::Accepted, Sent::Accepted, Sent::Full]
        );
        assert!(!line.has_room_again(), "nothing has been taken yet");
        assert!(matches!(line.next().await, News::Frame(_)));
        assert!(line.has_room_again() && !line.has_room_again());
        assert!(matches!(line.next().await, News::Frame(_)));
        assert!(!line.has_room_again(), "nobody was denied since");
        assert!(line.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_frame_of_any_size_is_taken_while_nothing_waits() {
        let line = line(10);
        assert_eq!([line.send(&frame(100)), line.send(&frame(3))], [Sent::Accepted, Sent::Full]);
    }

    #[tokio::test]
    async fn a_reader_for_whom_too_many_answers_wait_is_closed_as_slow_and_owed_nothing() {
        let line = line(10);
        assert_eq!([line.send_control(&frame(19)), line.send_control(&frame(2))], [Sent::Accepted, Sent::Closed]);
        assert!(matches!(line.next().await, News::Close(closing) if closing == Close::Slow.closing()));
        assert_eq!((line.send(&frame(2)), line.ping()), (Sent::Closed, PingOutcome::Failed));
        line.close(&Close::Draining.closing());
        assert!(line.next().now_or_never().is_none(), "one close is enough");
    }

    #[tokio::test]
    async fn pings_wait_in_their_place_and_one_at_a_time() {
        let line = line(100);
        line.send(&frame(10));
        assert_eq!([line.ping(), line.ping()], [PingOutcome::Queued; 2]);
        assert!(matches!(line.next().await, News::Frame(_)));
        assert!(matches!(line.next().await, News::Ping));
        assert!(line.next().now_or_never().is_none());
        assert_eq!(line.ping(), PingOutcome::Queued);
    }

    #[tokio::test]
    async fn a_line_that_is_torn_down_gives_its_seat_back_and_forgets_what_waits() {
        let pool = Pool::new(1, 1);
        let seat = pool.take_seat([127, 0, 0, 1].into()).unwrap();
        let line = HttpLine::new(100, seat.clone());
        line.send(&frame(10));
        line.abort();
        assert_eq!((line.send(&frame(10)), line.backlog().queued_bytes), (Sent::Closed, 0));
        assert_eq!(pool.occupancy().connections, 0, "though its task may hold on to it for a moment");
        drop(seat);
    }
}
