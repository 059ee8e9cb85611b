//! A sink for tests: keeps what it was given, and can be made to run full.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Sink;
use crate::outbox::{Frame, Sent};

/// Keeps frames; with a capacity it answers `Full` until [`Recorder::drain`] makes room.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    capacity: usize,
    waiting: usize,
    closed: bool,
    frames: Vec<Value>,
}

impl Recorder {
    /// Takes everything.
    pub(crate) fn new() -> Self {
        Self::with_capacity(usize::MAX)
    }

    /// Takes so many frames of `send` until it is drained.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let state = State { capacity, waiting: 0, closed: false, frames: Vec::new() };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up all room.
    pub(crate) fn fill(&self) {
        let mut state = self.lock();
        state.waiting = state.capacity;
    }

    /// Makes room; says whether there was none.
    pub(crate) fn drain(&self) -> bool {
        let mut state = self.lock();
        std::mem::take(&mut state.waiting) >= state.capacity
    }

    /// From now on nothing is taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Everything that was not taken away yet.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.lock().frames.clone()
    }

    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.lock().frames)
    }
}

fn payload(frame: &Frame) -> Value {
    serde_json::from_slice(&frame.payload()).unwrap()
}

impl Sink for Recorder {
    fn send(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        if state.closed {
            return Sent::Closed;
        }
        if state.waiting >= state.capacity {
            return Sent::Full;
        }
        state.waiting += 1;
        state.frames.push(payload(frame));
        Sent::Accepted
    }

    fn send_control(&self, frame: &Frame) -> Sent {
        let mut state = self.lock();
        if state.closed {
            return Sent::Closed;
        }
        state.frames.push(payload(frame));
        Sent::Accepted
    }
}
