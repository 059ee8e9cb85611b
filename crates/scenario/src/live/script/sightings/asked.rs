//! The opens of one user: asked for, queued, answered, given up.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Sightings, Wish};
use crate::client::frame::Closed;
use crate::live::script::verdict::KNOWN_AFTER;
use crate::step::Thread;

/// An open whose answer is not there yet, or came a moment ago.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) line: usize,
    pub(super) reference: String,
    pub(super) at: Instant,
    pub(super) answered: Option<Instant>,
    pub(super) is_queued: bool,
    /// Its place in the queue, as it was told last.
    pub(super) position: Option<u64>,
    /// How long the plan had the gateway stand still meanwhile.
    pub(super) stalled: Duration,
    /// Every slot of the user was taken when it was sent.
    pub(super) is_at_limit: bool,
}

/// Within this time an authenticated user who asks for a session gets one (invariant I3).
const PROMISED_WITHIN: Duration = Duration::from_secs(10);

/// A session whose last socket was lost keeps its slot so long, by default.
const LINGERS: Duration = Duration::from_secs(10);

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
            let is_at_limit = self.is_at_limit(known.as_deref().unwrap_or(&reference), now);
            self.asked.push(Asked {
                line,
                reference,
                at: now,
                answered: None,
                is_queued: false,
                position: None,
                stalled: Duration::ZERO,
                is_at_limit,
            });
        }
        match thread {
            Thread::Named(_) => Some(known.unwrap_or_else(|| thread.to_string())),
            Thread::New(_) => known,
        }
    }

    /// Whether a gateway that checks and refuses would refuse a session for this thread now: those that the user holds, by
    /// what his clients sent and heard, and those that he asked for fill his limit. It asks nobody: what background reclaim
    /// takes is told to the sockets, and a slot that is free is known to be.
    fn is_at_limit(&self, thread: &str, now: Instant) -> bool {
        let lingers = |since: Option<Instant>| since.is_none_or(|since| now.duration_since(since) < LINGERS);
        let held =
            self.sessions.iter().filter(|it| !it.is_buried && lingers(it.bare_since)).map(|it| it.thread.as_str());
        let asked = self.asked.iter().filter(|it| it.answered.is_none()).map(|it| it.reference.as_str());
        let taken: BTreeSet<&str> = held.chain(asked).collect();
        !taken.contains(thread) && self.limit.is_some_and(|limit| taken.len() >= limit)
    }

    /// Where an open stands in the queue, as it was told last.
    pub(in super::super) fn position(&self, line: usize, thread: Thread) -> Option<u64> {
        let reference = thread.to_string();
        let waits = |it: &&Asked| it.line == line && it.reference == reference && it.answered.is_none();
        self.asked.iter().find(waits)?.position
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

    /// The plan has the gateway stand still for so long from now: whoever waits may wait so much longer.
    pub(in super::super) fn stalls(&mut self, lag: Duration) {
        self.asked.iter_mut().filter(|it| it.answered.is_none()).for_each(|it| it.stalled += lag);
    }

    /// An open was answered with `opened`. That is an admission only within the time of I3, counted from when its tab
    /// last began to answer: what waits unread in a tab that does not look is not late.
    pub(super) fn admit(&mut self, asked: usize, now: Instant) {
        let Asked { line, at, stalled, .. } = self.asked[asked];
        let socket = &self.lines[line];
        let waited = now.duration_since(at.max(socket.since));
        match socket.answers() && waited > PROMISED_WITHIN + stalled {
            true => {
                let (user, name) = (self.user, &self.asked[asked].reference);
                let told = format!("u{user} {name} was answered after {waited:.1?}, {PROMISED_WITHIN:?} are promised");
                self.outcome.refused(&told);
            }
            false => {
                self.outcome.admitted(now.duration_since(at));
                self.outcome.prevented(self.asked[asked].is_at_limit);
            }
        }
    }

    /// An open was answered with `closed`.
    pub(super) fn admit_untold(&mut self, asked: usize, closed: &Closed, now: Instant) {
        let is_at_limit = self.asked[asked].is_at_limit;
        match (closed.reason.as_str(), self.lines[self.asked[asked].line].answers()) {
            ("evicted", true) if self.lost_its_slot(asked, &closed.thread, now) => {
                self.outcome.admitted_untold();
                self.outcome.prevented(is_at_limit);
            }
            ("evicted", false) => {
                self.outcome.admitted_untold();
                self.outcome.prevented(is_at_limit);
            }
            // Who is dead is locked out of nothing: his open is withdrawn.
            ("unresponsive" | "slow", false) => {}
            (reason, _) => {
                self.outcome.refused(&format!("u{} {} was closed as {reason}", self.user, closed.thread));
            }
        }
    }

    /// Whether an open may have had its slot and lost it before it was told: somebody asked after it, and those who are
    /// left fill the limit.
    fn lost_its_slot(&self, asked: usize, thread: &str, now: Instant) -> bool {
        let (mine, newer) = (&self.asked[asked], &self.asked[asked + 1..]);
        let somebody_asked = newer.iter().any(|it| it.reference != mine.reference)
            || self.sessions.iter().any(|it| it.thread != thread && it.created >= mine.at);
        let survives = |dead: Option<Instant>| dead.is_none_or(|since| now.duration_since(since) < KNOWN_AFTER);
        let sessions = self.sessions.iter().filter(|it| it.thread != thread && survives(self.dead_since(it)));
        let waiting = self.asked.iter().filter(|it| it.answered.is_none() && self.lines[it.line].answers());
        let left: BTreeSet<&str> =
            sessions.map(|it| it.thread.as_str()).chain(waiting.map(|it| it.reference.as_str())).collect();
        somebody_asked && self.limit.is_some_and(|limit| left.len() >= limit)
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
