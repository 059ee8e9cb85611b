//! The opens of one user: asked for, queued, answered, given up.

use std::time::Duration;

use tokio::time::Instant;

use super::{Sightings, Wish};
use crate::step::Thread;

/// An open whose answer is not there yet, or came a moment ago.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) line: usize,
    pub(super) reference: String,
    pub(super) at: Instant,
    pub(super) answered: Option<Instant>,
    pub(super) is_queued: bool,
}

/// An answered open counts for the verdict so long: it may have been served in the same moment as an eviction.
const RECENT: Duration = Duration::from_secs(1);

impl Sightings {
    /// The tab asks for a thread; returns the id to ask with.
    pub(in super::super) fn asks(&mut self, line: usize, thread: Thread, now: Instant) -> Option<String> {
        let wishes = self.wishes.entry(self.lines[line].tab).or_default();
        if !wishes.iter().any(|wish| wish.thread == thread) {
            wishes.push(Wish { thread, id: None });
        }
        let known = wishes.iter().find(|wish| wish.thread == thread).and_then(|wish| wish.id.clone());
        let reference = thread.to_string();
        let is_pending = |it: &Asked| it.line == line && it.reference == reference && it.answered.is_none();
        // The same reference on the same socket is the same open.
        if !self.asked.iter().any(is_pending) {
            self.asked.push(Asked { line, reference, at: now, answered: None, is_queued: false });
        }
        match thread {
            Thread::Named(_) => Some(known.unwrap_or_else(|| thread.to_string())),
            Thread::New(_) => known,
        }
    }

    /// Whether an open of this thread still waits for its answer, and was not even told that it is queued.
    pub(in super::super) fn is_pending(&self, line: usize, thread: Thread) -> bool {
        let reference = thread.to_string();
        let is_it = |it: &Asked| it.line == line && it.reference == reference;
        self.asked.iter().any(|it| is_it(it) && it.answered.is_none() && !it.is_queued)
    }

    /// Opens that nobody answered, of sockets that could have heard the answer.
    pub(in super::super) fn waiting(&self) -> usize {
        self.asked.iter().filter(|it| it.answered.is_none() && self.lines[it.line].is_usable()).count()
    }

    /// Whoever still waits now is counted as refused.
    pub(in super::super) fn give_up(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            if asked.answered.is_none() && self.lines[asked.line].is_usable() {
                self.outcome.refused(&format!("u{} {} was never answered", self.user, asked.reference));
            }
        }
    }

    pub(super) fn withdraw(&mut self, line: usize) {
        self.asked.retain(|it| it.line != line || it.answered.is_some());
    }

    /// Finds the open that a frame answers, and marks it.
    pub(super) fn answer(
        &mut self,
        line: usize,
        reference: Option<&str>,
        thread: Option<&str>,
        now: Instant,
    ) -> Option<usize> {
        self.asked.retain(|it| it.answered.is_none_or(|at| now.duration_since(at) < RECENT));
        let name = reference.or(thread)?;
        let is_it = |it: &Asked| it.line == line && it.answered.is_none() && it.reference == name;
        let found = self.asked.iter().position(is_it)?;
        self.asked[found].answered = Some(now);
        Some(found)
    }
}
