//! What the clients of one user saw, in order: who answers, who holds what, and what became of every open.
//!
//! ```text
//! steps  --asked, set_mood, replaced--> Sightings --counts--> Outcome
//! frames --on_frame, on_ended---------->   |
//!                                          '--closed--> verdict: was it just to end this session?
//! ```
//!
//! Nothing in here waits or reads a clock: time is an argument, so that a verdict can be tried without a gateway.

use std::collections::BTreeMap;

use lychgate_core::{End, Heartbeat};
use tokio::time::Instant;

use crate::client::frame::Limits;
use crate::report::{Outcome, Sample};
use crate::step::Thread;

mod asked;
mod hearing;

use asked::Asked;

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
pub(super) struct SeenSocket {
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
    pub(super) is_replaced: bool,
    /// A step gave it a token that expires.
    pub(super) may_expire: bool,
    /// The threads that are open on it, each with the number of its session.
    threads: BTreeMap<String, u64>,
}

impl SeenSocket {
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

/// A session, as far as clients can know.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) thread: String,
    pub(super) number: u64,
    pub(super) created: Instant,
    /// Since when nobody is attached.
    pub(super) bare_since: Option<Instant>,
    /// The gateway itself ended the last socket, which answered nothing: the slot is free.
    is_buried: bool,
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

/// Samples of one user's pressure that are kept.
const MAX_SAMPLES: usize = 2_048;

/// The sightings of one user.
#[derive(Debug)]
pub(super) struct Sightings {
    user: u32,
    /// Counts and broken promises.
    pub(super) outcome: Outcome,
    /// Sessions that Force took: of tabs that answered.
    pub(super) forced: u32,
    began: Instant,
    limit: Option<usize>,
    /// Sessions above which no admission may raise the user at any time of the plan.
    pub(super) most_sessions: usize,
    /// Connections that the gateway lets a user have.
    most_lines: usize,
    lines: Vec<SeenSocket>,
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

impl Sightings {
    pub(super) fn new(plan: &str, user: u32, most_lines: usize, began: Instant) -> Self {
        Self {
            user,
            outcome: Outcome::new(plan),
            forced: 0,
            began,
            limit: None,
            most_sessions: usize::MAX,
            most_lines,
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

    /// A tab has a new socket; returns its number.
    pub(super) fn connected(&mut self, tab: u32, heartbeat: Heartbeat, limits: &Limits, now: Instant) -> usize {
        self.lines.push(SeenSocket {
            tab,
            heartbeat,
            mood: Mood::Live,
            is_reading: true,
            since: now,
            never_changed: true,
            has_ended: false,
            told: Some(limits.clone()),
            is_replaced: false,
            may_expire: false,
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

    fn change(&mut self, line: usize, now: Instant, change: impl FnOnce(&mut SeenSocket)) {
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

    /// The plan gives a socket a token that expires: the gateway may end it for that.
    pub(super) fn expires(&mut self, line: usize) {
        self.lines[line].may_expire = true;
    }

    /// Whether the bound on connections may take one of them: one more, to ask for the count, may be there for a moment.
    fn is_crowded(&self) -> bool {
        self.lines.iter().filter(|it| !it.has_ended).count() >= self.most_lines
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

    fn end(&mut self, line: usize, now: Instant) {
        self.change(line, now, |it| it.has_ended = true);
        for thread in self.lines[line].threads.keys().cloned().collect::<Vec<_>>() {
            self.detach(line, &thread, now);
        }
    }

    /// A frame says how many sessions the user holds.
    pub(super) fn saw(&mut self, limits: &Limits, now: Instant) {
        self.limit = Some(limits.limit);
        if limits.used > self.most_sessions {
            let (user, used, most) = (self.user, limits.used, self.most_sessions);
            self.outcome.broke(format!("u{user} holds {used} sessions, and {most} are the most that he may"));
        }
        let sample =
            Sample { at: now.duration_since(self.began), user: self.user, used: limits.used, limit: limits.limit };
        self.outcome.pressure(sample, MAX_SAMPLES);
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
    pub(super) fn attached(&self, number: u64) -> impl Iterator<Item = &SeenSocket> {
        self.lines.iter().filter(move |it| !it.has_ended && it.threads.values().any(|n| *n == number))
    }

    /// Since when a session is dead, if it is: nobody is attached, or nobody who is answers.
    pub(super) fn dead_since(&self, session: &Session) -> Option<Instant> {
        let fell_silent = |since: Option<Instant>, line: &SeenSocket| match line.answers() {
            true => None,
            false => since.map(|since| since.max(line.since)),
        };
        session.bare_since.or_else(|| self.attached(session.number).fold(Some(session.created), fell_silent))
    }

    /// All sessions that clients believe in.
    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }
}

#[cfg(test)]
mod tests;
