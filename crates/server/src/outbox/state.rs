//! What an outbox holds under its lock: the socket, what waits for it, and how far the close has come.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lychgate_core::{Backlog, WriteProgress};
use socket2::SockRef;

use super::frame::Frame;
use super::kernel;
use super::queue::{Queue, SLICES};
use super::transport::Transport;

/// Bytes that a cork gathers before they are written all the same.
const GATHER_BYTES: usize = 64 * 1024;

/// What is kept of the words of a peer that was called dead: enough for the frames that answer a question.
const LAST_WORDS_BYTES: usize = 4 * 1024;

/// The kernel dates acknowledgements by its ticks, of 10 ms at most: one that came with a look may seem to be older.
const TICK: Duration = Duration::from_millis(10);

thread_local! {
    /// The buffer that a cork gathers in. It belongs to the thread, so that an idle connection owns none.
    static GATHER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How far a connection's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Frames are taken.
    Open,
    /// The close frame is written or waits; nothing more is taken.
    Closing,
    /// The socket is gone.
    Gone,
}

/// Whether a frame may wait for the end of a cork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It leaves with the others.
    Gathered,
    /// The caller has to know now whether the kernel has it.
    Now,
}

/// What the connection's task learns at the start of a turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) phase: Phase,
    pub(crate) progress: Option<WriteProgress>,
    pub(crate) ping_written: bool,
    /// Nothing waits for the kernel.
    pub(crate) drained: bool,
}

#[derive(Debug)]
pub(super) struct State {
    /// None once the connection is gone: the descriptor is closed in that moment, whoever still holds the outbox.
    socket: Option<Transport>,
    /// The connection's task.
    waker: Option<Waker>,
    /// What the kernel would not take; none while it takes everything.
    queue: Option<Box<Queue>>,
    /// What was sent since the cork was put in.
    gather: Vec<u8>,
    corks: u16,
    pub(super) phase: Phase,
    /// Whether the task was told that bytes wait.
    told: bool,
    ping_written: bool,
    /// All bytes that the kernel took.
    pub(super) accepted: u64,
    /// Events that were taken.
    pub(super) events: u64,
    /// Since when the peer's kernel has been seen to owe an answer, and to give none.
    unacked_since: Option<Instant>,
}

impl State {
    pub(super) fn new(socket: Transport) -> Self {
        Self {
            socket: Some(socket),
            waker: None,
            queue: None,
            gather: Vec::new(),
            corks: 0,
            phase: Phase::Open,
            told: false,
            ping_written: false,
            accepted: 0,
            events: 0,
            unacked_since: None,
        }
    }

    /// Bytes that were taken from senders and that the kernel does not have.
    pub(super) fn waiting(&self) -> usize {
        self.gather.len() + self.queue.as_ref().map_or(0, |queue| queue.bytes())
    }

    /// See [`super::Outbox::backlog`].
    pub(super) fn backlog(&mut self) -> Backlog {
        // What the kernel has of an encrypted batch it counts itself.
        let left = self.socket.as_ref().map_or(0, Transport::left);
        let waiting = u32::try_from(self.waiting().saturating_sub(left)).unwrap_or(u32::MAX);
        let look = self.socket.as_ref().and_then(|socket| kernel::look(socket.socket()));
        let now = Instant::now();
        self.unacked_since = match (look, self.unacked_since) {
            (Some(look), Some(since)) if look.owes_answer && look.silent_for > now - since + TICK => Some(since),
            (Some(look), _) if look.owes_answer => Some(now),
            (Some(_) | None, _) => None,
        };
        Backlog {
            queued_bytes: waiting.saturating_add(look.map_or(0, |look| look.bytes)),
            unacked_for: self.unacked_since.map(|since| now - since),
        }
    }

    /// Takes a frame. The caller has checked that it may.
    pub(super) fn push(&mut self, frame: &Frame, urgency: Urgency) {
        if let Some(queue) = &mut self.queue {
            queue.push(frame.bytes().clone(), 0);
            return;
        }
        let fits = self.gather.len() + frame.wire_bytes() <= GATHER_BYTES;
        if self.corks > 0 && urgency == Urgency::Gathered && fits {
            self.gather.extend_from_slice(frame.bytes());
        } else {
            self.write_with_gathered(frame.bytes());
        }
    }

    /// Writes the two pings, unless a ping waits already. Answers whether the kernel has them.
    pub(super) fn push_ping(&mut self) -> bool {
        if self.queue.as_ref().is_some_and(|queue| queue.has_ping()) {
            return false;
        }
        self.push(&Frame::ping(), Urgency::Now);
        match &mut self.queue {
            Some(queue) => {
                queue.mark_ping();
                false
            }
            None => true,
        }
    }

    /// Takes the close frame as the last one.
    pub(super) fn start_close(&mut self, frame: &Frame) {
        match self.phase {
            Phase::Open => {
                self.push(frame, Urgency::Now);
                if self.phase == Phase::Open {
                    self.phase = Phase::Closing;
                }
                self.wake();
            }
            Phase::Closing | Phase::Gone => {}
        }
    }

    /// Forgets what waits, so that a close frame comes through as early as it can.
    pub(super) fn drop_unbegun(&mut self) {
        self.gather.clear();
        let owed = self.socket.as_ref().map_or(0, Transport::owed);
        if let Some(queue) = &mut self.queue {
            queue.drop_unbegun(owed);
            if queue.bytes() == 0 {
                self.queue = None;
            }
        }
    }

    pub(super) fn cork(&mut self) {
        if self.corks == 0 {
            self.gather = GATHER.take();
        }
        self.corks += 1;
    }

    pub(super) fn uncork(&mut self) {
        self.corks -= 1;
        if self.corks == 0 {
            self.write_gathered();
            GATHER.set(std::mem::take(&mut self.gather));
        }
    }

    /// Hands what was gathered to the kernel.
    pub(super) fn write_gathered(&mut self) {
        if !self.gather.is_empty() {
            self.write_with_gathered(&Bytes::new());
        }
    }

    /// Hands what was gathered and then `frame` to the kernel; what it does not take becomes the queue.
    fn write_with_gathered(&mut self, frame: &Bytes) {
        let gathered = self.gather.len();
        let total = gathered + frame.len();
        let mut written = 0;
        let outcome = loop {
            let Some(socket) = &mut self.socket else { break Ok(()) };
            let result = match gathered.checked_sub(written) {
                Some(0) | None => socket.try_write(&frame[written - gathered..]),
                Some(_) if frame.is_empty() => socket.try_write(&self.gather[written..]),
                Some(_) => socket.try_write_vectored(&[IoSlice::new(&self.gather[written..]), IoSlice::new(frame)]),
            };
            match result {
                Ok(0) => break Err(io::ErrorKind::WriteZero),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error.kind()),
            }
            if written == total {
                break Ok(());
            }
        };
        self.accepted += written as u64;
        if written < total && outcome.is_ok() && self.socket.is_some() {
            let mut queue = Box::<Queue>::default();
            queue.push(Bytes::copy_from_slice(&self.gather), written.min(gathered));
            queue.push(frame.clone(), written.saturating_sub(gathered));
            self.queue = Some(queue);
            self.wake();
        }
        self.gather.clear();
        if outcome.is_err() {
            self.tear_down();
        }
    }

    /// What happened since the last turn; tries to write what waits and asks to be woken when the kernel takes more.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Turn {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        let moved = self.flush(cx);
        let progress = match (self.queue.is_some(), self.told, moved) {
            (true, false, _) => Some(WriteProgress::Blocked),
            (true, true, true) => Some(WriteProgress::Moved),
            // Also where the task never heard of the queue: a sender that was refused waits for this word.
            (false, true, _) | (false, false, true) => Some(WriteProgress::Cleared),
            (true, true, false) | (false, false, false) => None,
        };
        self.told = self.queue.is_some();
        Turn {
            phase: self.phase,
            progress,
            ping_written: std::mem::take(&mut self.ping_written),
            drained: self.queue.is_none(),
        }
    }

    /// Writes from the queue until the kernel takes no more. Answers whether it took any.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let (Some(queue), Some(socket)) = (&mut self.queue, &mut self.socket) {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = queue.slices(&mut slices);
            let before = socket.moved();
            let result = socket.try_write_vectored(&slices[..count]);
            moved |= socket.moved() > before;
            match result {
                Ok(0) => self.tear_down(),
                Ok(count) => {
                    moved = true;
                    self.ping_written |= queue.advance(count);
                    self.accepted += count as u64;
                    if queue.bytes() == 0 {
                        self.queue = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.socket().poll_write_ready(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => self.tear_down(),
                },
                Err(_) => self.tear_down(),
            }
        }
        if self.queue.is_none()
            && let Some(socket) = &mut self.socket
            && let Poll::Ready(Err(_)) = socket.poll_flush(cx)
        {
            self.tear_down();
        }
        moved
    }

    /// Reads into `buffer`; 0 means that the peer will send nothing more, or that the socket is gone.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Some(socket) => socket.poll_read(cx, buffer),
            None => Poll::Ready(Ok(0)),
        }
    }

    /// Tells the peer that nothing follows, and keeps the socket for reading.
    pub(super) fn half_close(&mut self) {
        self.take_leave();
        if let Some(socket) = &self.socket
            && SockRef::from(socket.socket()).shutdown(std::net::Shutdown::Write).is_err()
        {
            self.tear_down();
        }
    }

    /// Tells a peer that is there that nothing follows.
    pub(super) fn take_leave(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.take_leave();
        }
    }

    /// Makes the kernel forget the connection when the socket goes: RST, nothing lingers.
    pub(super) fn reset_on_close(&self) {
        if let Some(socket) = &self.socket {
            // It can only fail on a socket that is no longer connected, and then there is nothing to reset.
            let _ = SockRef::from(socket.socket()).set_linger(Some(Duration::ZERO));
        }
    }

    /// Whether the kernel would take bytes though some wait.
    pub(super) fn takes_bytes(&self) -> bool {
        match (&self.queue, &self.socket) {
            (Some(_), Some(socket)) => kernel::takes_bytes(socket.socket()),
            (None, _) | (_, None) => false,
        }
    }

    /// Tears down at once and keeps what the peer had said, where the queue was: nothing waits for it any more, and an idle
    /// connection has no room for a field of its own.
    pub(super) fn bury(&mut self) {
        let mut words = vec![0; LAST_WORDS_BYTES];
        let read = self.socket.as_mut().map_or(0, |socket| socket.read_now(&mut words));
        words.truncate(read);
        self.reset_on_close();
        self.tear_down();
        self.queue = (read > 0).then(|| Box::new(Queue::of_last_words(words)));
    }

    pub(super) fn take_last_words(&mut self) -> Vec<u8> {
        self.queue.as_mut().map_or_else(Vec::new, |queue| queue.take_last_words())
    }

    /// Closes the descriptor now and wakes the task, so that it ends.
    pub(super) fn tear_down(&mut self) {
        self.phase = Phase::Gone;
        self.socket = None;
        self.queue = None;
        self.gather.clear();
        self.wake();
    }

    /// The task has ended: nobody is to be woken any more.
    pub(super) fn forget_task(&mut self) {
        self.waker = None;
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
