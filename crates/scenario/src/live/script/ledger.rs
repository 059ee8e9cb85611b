//! What the clients of one user saw, in order: who answers, who holds what, and what became of every open.
//!
//! ```text
//! steps  --asked, set_mood, replaced--> Ledger --counts--> Outcome
//! frames --on_frame, on_ended---------->   |
//!                                          '--closed--> verdict: was it just to end this session?
//! ```
//!
//! Nothing in here waits or reads a clock: time is an argument, so that a verdict can be tried without a gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::{End, Heartbeat};
use tokio::time::Instant;

use super::verdict;
use crate::client::frame::{Closed, Event, Frame, Limits, Opened};
use crate::client::transcript::ends_run;
use crate::client::{Ended, Trouble};
use crate::report::{Outcome, Sample};
use crate::step::Thread;

/// How a tab behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers.
    Live,
    /// It answers the pings of the protocol alone.
    Frozen,
    /// It answers nothing.
    Silent,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Line {
    tab: u32,
    heartbeat: Heartbeat,
    mood: Mood,
    is_reading: bool,
    /// Since when it answers, or does not.
    pub(super) since: Instant,
    /// It answered from its first moment on.
    pub(super) never_changed: bool,
    has_ended: bool,
    /// What it was told last of its user's limit.
    told: Option<Limits>,
    is_replaced: bool,
    /// The threads that are open on it, each with the number of its session.
    threads: BTreeMap<String, u64>,
}

impl Line {
    /// Whether a ping that the gateway sends now is answered.
    pub(super) fn answers(&self) -> bool {
        let speaks = match (self.mood, self.heartbeat) {
            (Mood::Live, _) | (Mood::Frozen, Heartbeat::Protocol) => true,
            (Mood::Frozen, Heartbeat::Application) | (Mood::Silent, _) => false,
        };
        speaks && self.is_reading && !self.has_ended
    }

    /// Whether its tab would still use it.
    fn is_usable(&self) -> bool {
        self.mood == Mood::Live && !self.has_ended
    }
}

/// A thread that a tab wants to show.
#[derive(Debug)]
struct Wish {
    thread: Thread,
    /// Its id, once it was opened.
    id: Option<String>,
}

/// An open whose answer is not there yet, or came a moment ago.
#[derive(Debug)]
struct Asked {
    line: usize,
    reference: String,
    at: Instant,
    answered: Option<Instant>,
    is_queued: bool,
    /// Its place in the queue, as it was told last.
    position: Option<u64>,
}

/// A session, as far as clients can know.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) thread: String,
    pub(super) number: u64,
    pub(super) created: Instant,
    /// Since when nobody is attached.
    pub(super) bare_since: Option<Instant>,
}

/// The last run of a thread.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    /// A step wants it to be in flight.
    is_wanted: bool,
    pub(super) started: Option<Instant>,
    pub(super) ended: Option<Instant>,
}

/// An answered open counts for the verdict so long: it may have been served in the same moment as an eviction.
const RECENT: Duration = Duration::from_secs(1);

/// Samples of one user's pressure that are kept.
const MAX_SAMPLES: usize = 2_048;

/// The ledger of one user.
#[derive(Debug)]
pub(super) struct Ledger {
    user: u32,
    /// Counts and broken promises.
    pub(super) outcome: Outcome,
    /// Sessions that Force took: of tabs that answered.
    pub(super) forced: u32,
    began: Instant,
    limit: Option<usize>,
    lines: Vec<Line>,
    wishes: BTreeMap<u32, Vec<Wish>>,
    sessions: Vec<Session>,
    runs: BTreeMap<String, Run>,
    asked: Vec<Asked>,
    numbers: u64,
    /// What any of his sockets was told last of his limit.
    newest: Option<Limits>,
    /// The plan chose `force never`: then `no_slot` is an answer.
    pub(super) may_refuse: bool,
    /// How often it was.
    pub(super) no_slots: u32,
}

impl Ledger {
    pub(super) fn new(plan: &str, user: u32, began: Instant) -> Self {
        Self {
            user,
            outcome: Outcome::new(plan),
            forced: 0,
            began,
            limit: None,
            lines: Vec::new(),
            wishes: BTreeMap::new(),
            sessions: Vec::new(),
            runs: BTreeMap::new(),
            asked: Vec::new(),
            numbers: 0,
            newest: None,
            may_refuse: false,
            no_slots: 0,
        }
    }

    /// What a socket was told last of its user's limit.
    pub(super) fn told(&self, line: usize) -> Option<&Limits> {
        self.lines[line].told.as_ref()
    }

    /// What any socket of the user was told last.
    pub(super) fn newest(&self) -> Option<&Limits> {
        self.newest.as_ref()
    }

    /// Where an open stands in the queue, as it was told last.
    pub(super) fn position(&self, line: usize, thread: Thread) -> Option<u64> {
        let reference = thread.to_string();
        let waits = |it: &&Asked| it.line == line && it.reference == reference && it.answered.is_none();
        self.asked.iter().find(waits)?.position
    }

    /// A tab has a new socket; returns its number.
    pub(super) fn connected(&mut self, tab: u32, heartbeat: Heartbeat, limits: &Limits, now: Instant) -> usize {
        self.lines.push(Line {
            tab,
            heartbeat,
            mood: Mood::Live,
            is_reading: true,
            since: now,
            never_changed: true,
            has_ended: false,
            told: Some(limits.clone()),
            is_replaced: false,
            threads: BTreeMap::new(),
        });
        self.saw(limits, now);
        self.lines.len() - 1
    }

    pub(super) fn set_mood(&mut self, line: usize, mood: Mood, now: Instant) {
        self.change(line, now, |it| it.mood = mood);
    }

    pub(super) fn set_reading(&mut self, line: usize, is_reading: bool, now: Instant) {
        self.change(line, now, |it| it.is_reading = is_reading);
    }

    fn change(&mut self, line: usize, now: Instant, change: impl FnOnce(&mut Line)) {
        let it = &mut self.lines[line];
        let answered = it.answers();
        change(it);
        if it.answers() != answered {
            it.since = now;
            it.never_changed = false;
        }
    }

    /// A newer connection named this one as `prev`: its end is expected.
    pub(super) fn replaced(&mut self, line: usize) {
        self.lines[line].is_replaced = true;
    }

    /// The plan itself ends a socket. What was asked on it needs no answer any more.
    pub(super) fn hung_up(&mut self, line: usize, end: End, now: Instant) {
        self.end(line, now);
        self.withdraw(line);
        match end {
            End::ClientClosed => self.sessions.retain(|it| it.bare_since != Some(now)),
            End::Lost => {}
        }
    }

    /// Whether the socket can still be used by its tab.
    pub(super) fn is_usable(&self, line: usize) -> bool {
        self.lines[line].is_usable()
    }

    /// Whether the socket ended.
    pub(super) fn has_ended(&self, line: usize) -> bool {
        self.lines[line].has_ended
    }

    /// The threads that a tab wants, in the order in which it opened them.
    pub(super) fn wishes(&self, tab: u32) -> Vec<Thread> {
        self.wishes.get(&tab).into_iter().flatten().map(|wish| wish.thread).collect()
    }

    pub(super) fn forget_wishes(&mut self, tab: u32) {
        self.wishes.remove(&tab);
    }

    /// The tab asks for a thread; returns the id to ask with.
    pub(super) fn asks(&mut self, line: usize, thread: Thread, now: Instant) -> Option<String> {
        let wishes = self.wishes.entry(self.lines[line].tab).or_default();
        if !wishes.iter().any(|wish| wish.thread == thread) {
            wishes.push(Wish { thread, id: None });
        }
        let known = wishes.iter().find(|wish| wish.thread == thread).and_then(|wish| wish.id.clone());
        let reference = thread.to_string();
        let is_pending = |it: &Asked| it.line == line && it.reference == reference && it.answered.is_none();
        // The same reference on the same socket is the same open.
        if !self.asked.iter().any(is_pending) {
            self.asked.push(Asked { line, reference, at: now, answered: None, is_queued: false, position: None });
        }
        match thread {
            Thread::Named(_) => Some(known.unwrap_or_else(|| thread.to_string())),
            Thread::New(_) => known,
        }
    }

    /// Whether an open of this thread still waits for its answer, and was not even told that it is queued.
    pub(super) fn is_pending(&self, line: usize, thread: Thread) -> bool {
        let reference = thread.to_string();
        let is_it = |it: &Asked| it.line == line && it.reference == reference;
        self.asked.iter().any(|it| is_it(it) && it.answered.is_none() && !it.is_queued)
    }

    /// Opens that nobody answered, of sockets that could have heard the answer.
    pub(super) fn waiting(&self) -> usize {
        self.asked.iter().filter(|it| it.answered.is_none() && self.lines[it.line].is_usable()).count()
    }

    /// Whoever still waits now is counted as refused.
    pub(super) fn give_up(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            if asked.answered.is_none() && self.lines[asked.line].is_usable() {
                self.outcome.refused(&format!("u{} {} was never answered", self.user, asked.reference));
            }
        }
    }

    /// The id of a thread as the tab knows it.
    pub(super) fn id_of(&self, tab: u32, thread: Thread) -> Option<String> {
        let wish = self.wishes.get(&tab)?.iter().find(|wish| wish.thread == thread)?;
        match thread {
            Thread::Named(_) => Some(thread.to_string()),
            Thread::New(_) => wish.id.clone(),
        }
    }

    /// The tab lets a thread go.
    pub(super) fn leaves(&mut self, line: usize, thread: Thread, id: &str, now: Instant) {
        if let Some(wishes) = self.wishes.get_mut(&self.lines[line].tab) {
            wishes.retain(|wish| wish.thread != thread);
        }
        self.detach(line, id, now);
        self.sessions.retain(|it| it.thread != id || it.bare_since != Some(now));
    }

    /// Whether the thread is open on the socket.
    pub(super) fn is_open(&self, line: usize, thread: Thread) -> bool {
        let it = &self.lines[line];
        let id = self.id_of(it.tab, thread);
        !it.has_ended && id.is_some_and(|id| it.threads.contains_key(&id))
    }

    /// A socket through which this user can talk about a thread that is open on it.
    pub(super) fn speaker(&self, thread: &str) -> Option<usize> {
        self.lines.iter().position(|it| it.is_usable() && it.is_reading && it.threads.contains_key(thread))
    }

    /// The last run of a thread.
    pub(super) fn run_of(&self, thread: &str) -> Option<&Run> {
        self.runs.get(thread)
    }

    /// The user's limit, as the gateway last said it.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// The run of a thread, if one is in flight or about to be.
    pub(super) fn run_in_flight(&self, thread: &str) -> Option<&Run> {
        self.runs.get(thread).filter(|run| run.ended.is_none())
    }

    pub(super) fn asks_run(&mut self, thread: &str, id: &str) {
        let run = Run { id: id.to_owned(), is_wanted: true, started: None, ended: None };
        self.runs.insert(thread.to_owned(), run);
    }

    pub(super) fn unwants_run(&mut self, thread: &str) {
        if let Some(run) = self.runs.get_mut(thread) {
            run.is_wanted = false;
        }
    }

    /// Threads whose run ended although a step wants it to be in flight: an agent that is silent for a minute is given up.
    pub(super) fn lost_runs(&self) -> Vec<String> {
        let is_lost = |run: &Run| run.is_wanted && run.ended.is_some();
        self.runs.iter().filter(|(_, run)| is_lost(run)).map(|(thread, _)| thread.clone()).collect()
    }

    /// The runs that are in flight.
    pub(super) fn runs(&self) -> Vec<String> {
        self.runs.iter().filter(|(_, run)| run.ended.is_none()).map(|(thread, _)| thread.clone()).collect()
    }

    pub(super) fn on_frame(&mut self, line: usize, frame: &Frame, now: Instant) {
        if let Some(limits) = frame.limits() {
            self.saw(limits, now);
            self.lines[line].told = Some(limits.clone());
            self.newest = Some(limits.clone());
        }
        match frame {
            Frame::Opened(opened) => self.on_opened(line, opened, now),
            Frame::Closed(closed) => self.on_closed(line, closed, now),
            Frame::Event(event) => self.on_event(event, now),
            Frame::Notice(crate::client::frame::Notice::Queued { thread, reference, position }) => {
                let name = reference.as_deref().unwrap_or(thread);
                let queued = self.asked.iter_mut().find(|it| it.line == line && it.reference == name);
                if let Some(asked) = queued {
                    asked.is_queued = true;
                    asked.position = Some(*position);
                }
            }
            Frame::Error(refused) => {
                let reference = refused.reference.as_deref();
                if refused.run.is_none()
                    && let Some(asked) = self.answer(line, reference, refused.thread.as_deref(), now)
                {
                    let (name, user) = (&self.asked[asked].reference, self.user);
                    let told = format!("u{user} {name} was told {}: {}", refused.code, refused.message);
                    match refused.code.as_str() {
                        "no_slot" if self.may_refuse => self.no_slots += 1,
                        _ => self.outcome.refused(&told),
                    }
                }
            }
            Frame::Hello(_) | Frame::Notice(_) | Frame::Ping | Frame::Unknown(_) => {}
        }
    }

    /// The gateway, or the network, ended a socket.
    pub(super) fn on_ended(&mut self, line: usize, trouble: &Trouble, now: Instant) {
        if self.lines[line].has_ended {
            return;
        }
        let it = &self.lines[line];
        let (was_live, is_expected) = (it.answers(), it.is_replaced);
        if was_live && !is_expected {
            let who = format!("u{} c{}", self.user, it.tab);
            match trouble {
                // It had no session any more, or the bound on connections took it: both are the gateway's right.
                Trouble::Ended(Ended { code: Some(4001 | 4004 | 4511), .. }) => {}
                Trouble::Ended(Ended { code: Some(4002 | 4003), .. }) => {
                    self.outcome.wrongly_evicted(&format!("{who} answers, and {trouble}"));
                }
                Trouble::Ended(_)
                | Trouble::Refused(_)
                | Trouble::Closed(_)
                | Trouble::Mute(_)
                | Trouble::Status(_)
                | Trouble::Protocol(_)
                | Trouble::Io(_) => self.outcome.broke(format!("{who} lives, and lost its socket: {trouble}")),
            }
        }
        self.end(line, now);
        let open: Vec<String> = self
            .asked
            .iter()
            .filter(|it| was_live && !is_expected && it.line == line && it.answered.is_none())
            .map(|it| it.reference.clone())
            .collect();
        for reference in open {
            self.outcome.refused(&format!("u{} {reference}: its socket ended before an answer: {trouble}", self.user));
        }
        self.withdraw(line);
    }

    fn end(&mut self, line: usize, now: Instant) {
        self.change(line, now, |it| it.has_ended = true);
        for thread in self.lines[line].threads.keys().cloned().collect::<Vec<_>>() {
            self.detach(line, &thread, now);
        }
    }

    fn withdraw(&mut self, line: usize) {
        self.asked.retain(|it| it.line != line || it.answered.is_some());
    }

    /// A frame says how many sessions the user holds.
    pub(super) fn saw(&mut self, limits: &Limits, now: Instant) {
        self.limit = Some(limits.limit);
        let excess = limits.excess();
        if excess > 0 {
            self.outcome.broke(format!("u{} holds {} sessions, {excess} more than he may", self.user, limits.used));
        }
        let sample =
            Sample { at: now.duration_since(self.began), user: self.user, used: limits.used, limit: limits.limit };
        self.outcome.pressure(sample, MAX_SAMPLES);
    }

    /// Finds the open that a frame answers, and marks it.
    fn answer(&mut self, line: usize, reference: Option<&str>, thread: Option<&str>, now: Instant) -> Option<usize> {
        self.asked.retain(|it| it.answered.is_none_or(|at| now.duration_since(at) < RECENT));
        let name = reference.or(thread)?;
        let is_it = |it: &Asked| it.line == line && it.answered.is_none() && it.reference == name;
        let found = self.asked.iter().position(is_it)?;
        self.asked[found].answered = Some(now);
        Some(found)
    }

    fn on_opened(&mut self, line: usize, opened: &Opened, now: Instant) {
        if let Some(asked) = self.answer(line, opened.reference.as_deref(), Some(&opened.thread), now) {
            self.outcome.admitted(now.duration_since(self.asked[asked].at));
        }
        let tab = self.lines[line].tab;
        let wishes = self.wishes.entry(tab).or_default();
        if let Some(wish) = wishes.iter_mut().find(|it| Some(it.thread.to_string()) == opened.reference) {
            wish.id = Some(opened.thread.clone());
        }
        let number = match self.sessions.iter_mut().find(|it| it.thread == opened.thread) {
            Some(session) => {
                session.bare_since = None;
                session.number
            }
            None => {
                self.numbers += 1;
                let (thread, number) = (opened.thread.clone(), self.numbers);
                self.sessions.push(Session { thread, number, created: now, bare_since: None });
                number
            }
        };
        if !self.lines[line].has_ended {
            self.lines[line].threads.insert(opened.thread.clone(), number);
        }
    }

    fn on_closed(&mut self, line: usize, closed: &Closed, now: Instant) {
        let answered = self.answer(line, closed.reference.as_deref(), Some(&closed.thread), now);
        match (answered, closed.reason.as_str()) {
            // It had its slot, and a newer open of the same user has it now.
            (Some(_), "evicted") => self.outcome.admitted_untold(),
            (Some(_), reason) => {
                self.outcome.refused(&format!("u{} {} was closed as {reason}", self.user, closed.thread));
            }
            (None, _) => {}
        }
        let number = self.lines[line].threads.remove(&closed.thread);
        if let Some(wishes) = self.wishes.get_mut(&self.lines[line].tab) {
            wishes.retain(|wish| wish.id.as_deref() != Some(closed.thread.as_str()));
        }
        // The first of its connections to be told speaks for the session.
        let Some(at) = self.sessions.iter().position(|it| Some(it.number) == number) else { return };
        self.judge(line, at, closed, now);
        // `evicted` ends the session for all of its tabs; any other word is about this socket.
        let session = self.sessions[at].number;
        if closed.reason == "evicted" || self.attached(session).next().is_none() {
            self.sessions.swap_remove(at);
        }
    }

    fn judge(&mut self, line: usize, session: usize, closed: &Closed, now: Instant) {
        let asked = self.asked.iter().map(|it| it.at).min();
        let (session, told) = (&self.sessions[session], &self.lines[line]);
        let case = verdict::Case { ledger: self, session, told, asked, now };
        let (was_forced, ruling) = (closed.reason == "evicted" && case.is_live(), case.ruling(&closed.reason));
        self.forced += u32::from(was_forced);
        if let Some(wrong) = ruling {
            self.outcome.wrongly_evicted(&format!("u{} {} ({}): {wrong}", self.user, closed.thread, closed.reason));
        }
    }

    fn on_event(&mut self, event: &Event, now: Instant) {
        let agui = event.agui();
        // An error may come without the name of its run: it is about the one in flight.
        let is_it = |run: &&mut Run| agui.run_id.as_ref().map_or(run.started.is_some(), |id| *id == run.id);
        let Some(run) = self.runs.get_mut(&event.thread).filter(is_it) else { return };
        if agui.kind == "RUN_STARTED" {
            let _ = run.started.get_or_insert(now);
        } else if ends_run(&agui) {
            let _ = run.ended.get_or_insert(now);
        }
    }

    fn detach(&mut self, line: usize, thread: &str, now: Instant) {
        let Some(number) = self.lines[line].threads.remove(thread) else { return };
        if self.attached(number).next().is_none()
            && let Some(session) = self.sessions.iter_mut().find(|it| it.number == number)
        {
            session.bare_since = Some(now);
        }
    }

    /// The sockets that a session is attached to.
    pub(super) fn attached(&self, number: u64) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |it| !it.has_ended && it.threads.values().any(|n| *n == number))
    }

    /// All sessions that clients believe in.
    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }
}

#[cfg(test)]
mod tests;
