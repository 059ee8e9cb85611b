//! One step of a plan, acted out.

use std::time::Duration;

use lychgate_core::{
    End, Entropy, EvictReason, Input, PlanId, RunId, SessionContext, SessionKey, Sign, ThreadId, Time,
    WebSocketRequest, WriteProgress,
};

use super::peer::{CloseFault, Wish};
use super::{Later, Subject, World, reference_of};
use crate::model::Mood;
use crate::oracle::Rule;
use crate::step::{Expectation, Step, Tab, Thread, TokenPlan, Way};

impl<S: Subject> World<S> {
    /// Lets one step happen. One that makes no sense here does nothing.
    pub fn act(&mut self, step: &Step) {
        match *step {
            Step::OpenTab { tab, thread, heartbeat, ref plan } => {
                let plan = self.plan_id(plan);
                let state = self.tabs.entry(tab);
                state.heartbeat = heartbeat;
                state.plan = plan;
                if self.tabs.entry(tab).socket.is_none() {
                    self.connect(tab, None);
                }
                self.open(tab, thread);
            }
            Step::OpenThread { tab, thread } => self.open(tab, thread),
            Step::CloseTab { tab, end } => self.close_tab(tab, end),
            Step::GoSilent(tab) => self.set_mood(tab, Mood::Silent),
            Step::Freeze(tab) => self.set_mood(tab, Mood::Frozen),
            Step::WakeUp(tab) => self.wake_up(tab),
            Step::StopReading(tab) => self.stop_reading(tab),
            Step::ReadSome(tab) => self.read_some(tab),
            Step::ReadAgain(tab) => self.read_again(tab),
            Step::Reconnect { tab, way } => self.reconnect(tab, way),
            Step::Leave { tab, thread } => self.leave(tab, thread),
            Step::Prompt { user, thread } => self.prompt(user, thread),
            Step::RunEnds { user, thread } => self.run_ends(user, thread),
            Step::Look(tab) => {
                let awake = self.socket(tab).filter(|it| self.sockets[*it].mood == Mood::Live);
                if let Some(socket) = awake {
                    self.speak(socket, Sign::Visible);
                }
            }
            Step::StallRuntime(lag) => self.stall(lag),
            Step::CloseFails(tab) => self.set_close_fault(tab, CloseFault::Fails),
            Step::CloseHangs(tab) => self.set_close_fault(tab, CloseFault::Hangs),
            Step::Expire { tab, after } => {
                if let Some(socket) = self.socket(tab) {
                    let (user, connection) = self.sockets[socket].names();
                    let expires = Some(self.now + after);
                    let plan = self.tabs.entry(tab).plan;
                    self.feed(Input::Renew { user, connection, expires, plan });
                }
            }
            Step::Renew { tab, ref plan } => self.renew(tab, plan),
            Step::PingsFail(tab) => self.set_unwritable(tab, true),
            Step::Expel(tab) => {
                if let Some(socket) = self.socket(tab) {
                    let (user, connection) = self.sockets[socket].names();
                    let reason = EvictReason::ByAdmin;
                    self.feed(Input::Expel { user, connection, reason });
                }
            }
            Step::Drain(retry_in) => self.feed(Input::Drain { retry_in }),
            Step::Advance(by) => self.advance_to(self.now + by),
            Step::Expect(expectation) => self.expect(expectation),
        }
    }

    /// The tab's socket, while it has one that did not end.
    fn socket(&self, tab: Tab) -> Option<usize> {
        self.tabs.known(tab)?.socket.filter(|it| !self.sockets[*it].ended)
    }

    fn connect(&mut self, tab: Tab, prev: Option<lychgate_core::ConnectionId>) {
        let heartbeat = self.tabs.entry(tab).heartbeat;
        let socket = self.new_socket(tab, heartbeat);
        let state = self.tabs.entry(tab);
        state.socket = Some(socket);
        state.last_socket = Some(socket);
        let plan = state.plan;
        for wish in &mut state.wishes {
            (wish.is_open, wish.position) = (false, None);
        }
        let (user, connection) = self.sockets[socket].names();
        let heartbeat = self.sockets[socket].heartbeat();
        self.feed(Input::Connect { user, connection, prev, heartbeat, expires: None, plan });
    }

    /// The plan that a token names; that of everybody for a name that nobody defined.
    fn plan_id(&self, plan: &TokenPlan) -> PlanId {
        plan.as_ref().and_then(|name| self.oracle.model.plans.find(name)).unwrap_or_default()
    }

    fn renew(&mut self, tab: Tab, plan: &TokenPlan) {
        let plan = self.plan_id(plan);
        if let Some(socket) = self.sending_socket(tab) {
            self.tabs.entry(tab).plan = plan;
            let (user, connection) = self.sockets[socket].names();
            self.feed(Input::Renew { user, connection, expires: None, plan });
        }
    }

    fn set_unwritable(&mut self, tab: Tab, unwritable: bool) {
        let changes = self.socket(tab).filter(|it| self.sockets[*it].unwritable != unwritable);
        if let Some(socket) = changes {
            self.sockets[socket].unwritable = unwritable;
            let moment = self.moment();
            self.oracle.model.set_unwritable(socket, unwritable, moment);
        }
    }

    /// The same, if what the tab sends arrives.
    fn sending_socket(&mut self, tab: Tab) -> Option<usize> {
        let socket = self.socket(tab).filter(|it| self.sockets[*it].mood == Mood::Live)?;
        let (user, connection) = self.sockets[socket].names();
        let sign = Sign::Data;
        self.feed(Input::Heard { user, connection, sign });
        Some(socket)
    }

    fn open(&mut self, tab: Tab, thread: Thread) {
        let Some(socket) = self.sending_socket(tab) else { return };
        let wish = self.tabs.entry(tab).wish(thread);
        // A client names a thread by its id as soon as it knows it; until then by its own reference alone.
        let named = match (&wish.id, thread) {
            (Some(id), Thread::New(_) | Thread::Named(_)) => Some(id.as_str().to_owned()),
            (None, Thread::Named(_)) => Some(thread.to_string()),
            (None, Thread::New(_)) => None,
        };
        let (user, connection) = self.sockets[socket].names();
        self.serial += 1;
        // Two components ask for the ids of one conversation by turns (cause C2 of the original failure).
        let component = if self.serial.is_multiple_of(2) { "ws" } else { "journal" };
        let entropy = Entropy {
            sequence: self.serial,
            random: u128::from(self.random.bits()) << 64 | u128::from(self.random.bits()),
        };
        let request = WebSocketRequest {
            user: &user,
            thread: named.as_deref(),
            client: None,
            connection,
            operation: "open",
            component,
            unix_ms: 0,
        };
        match SessionContext::from_websocket_request(&request, entropy) {
            Ok(context) => self.feed(Input::Open { context, reference: Some(reference_of(thread)), resume: None }),
            Err(error) => {
                let moment = self.moment();
                self.oracle.fail(Rule::Panic, moment, || format!("no context for {thread}: {error}"));
            }
        }
    }

    fn close_tab(&mut self, tab: Tab, end: End) {
        if let Some(socket) = self.socket(tab) {
            self.end_socket(socket, end);
            let state = self.tabs.entry(tab);
            state.socket = None;
            match end {
                End::ClientClosed => state.wishes.clear(),
                End::Lost => {}
            }
        }
    }

    /// The server notices that a socket ended.
    pub(super) fn end_socket(&mut self, socket: usize, end: End) {
        if !std::mem::replace(&mut self.sockets[socket].ended, true) {
            let (user, connection) = self.sockets[socket].names();
            self.feed(Input::Disconnect { user, connection, end });
        }
    }

    fn set_mood(&mut self, tab: Tab, mood: Mood) {
        if let Some(socket) = self.socket(tab) {
            self.set_socket_mood(socket, mood);
        }
    }

    fn set_socket_mood(&mut self, socket: usize, mood: Mood) {
        self.sockets[socket].mood = mood;
        let moment = self.moment();
        self.oracle.model.set_mood(socket, mood, moment);
    }

    fn wake_up(&mut self, tab: Tab) {
        self.set_unwritable(tab, false);
        let asleep = self.socket(tab).filter(|it| self.sockets[*it].mood != Mood::Live);
        if let Some(socket) = asleep {
            self.set_socket_mood(socket, Mood::Live);
            // The pings that came meanwhile are in its buffer: it answers them now.
            let after = self.sockets[socket].latency;
            if let Some(sign) = self.sockets[socket].answer().filter(|_| !self.sockets[socket].blocked) {
                self.later(after, Later::Speak { socket, sign });
            }
        }
    }

    fn speak(&mut self, socket: usize, sign: Sign) {
        let after = self.sockets[socket].latency;
        self.later(after, Later::Speak { socket, sign });
    }

    fn backlog(&mut self, socket: usize, progress: WriteProgress) {
        let (user, connection) = self.sockets[socket].names();
        self.feed(Input::Backlog { user, connection, progress });
    }

    fn stop_reading(&mut self, tab: Tab) {
        let reading = self.socket(tab).filter(|it| !self.sockets[*it].blocked);
        if let Some(socket) = reading {
            self.sockets[socket].blocked = true;
            let moment = self.moment();
            self.oracle.model.set_blocked(socket, true, moment);
            self.backlog(socket, WriteProgress::Blocked);
        }
    }

    fn read_some(&mut self, tab: Tab) {
        let blocked = self.socket(tab).filter(|it| self.sockets[*it].blocked);
        if let Some(socket) = blocked {
            let moment = self.moment();
            self.oracle.model.set_blocked(socket, true, moment);
            self.backlog(socket, WriteProgress::Moved);
        }
    }

    fn read_again(&mut self, tab: Tab) {
        let blocked = self.socket(tab).filter(|it| self.sockets[*it].blocked);
        let Some(socket) = blocked else { return };
        self.sockets[socket].blocked = false;
        let moment = self.moment();
        self.oracle.model.set_blocked(socket, false, moment);
        self.backlog(socket, WriteProgress::Cleared);
        for _ in 0..std::mem::take(&mut self.sockets[socket].pings_waiting) {
            self.ping_written(socket);
        }
        self.flush();
    }

    /// The tab leaves its socket behind, which looks alive to the server and never answers again.
    fn reconnect(&mut self, tab: Tab, way: Way) {
        let Some(last) = self.tabs.known(tab).and_then(|state| state.last_socket) else {
            return;
        };
        if !self.sockets[last].ended {
            self.set_socket_mood(last, Mood::Silent);
        }
        let prev = match way {
            Way::Prev => Some(last),
            Way::Fresh => None,
            Way::Stolen(other) => self.tabs.known(other).and_then(|state| state.last_socket),
        };
        let prev = prev.map(|socket| self.sockets[socket].id());
        self.connect(tab, prev);
        let wishes: Vec<Thread> = self.tabs.entry(tab).wishes.iter().map(|wish| wish.thread).collect();
        wishes.into_iter().for_each(|thread| self.open(tab, thread));
    }

    fn leave(&mut self, tab: Tab, thread: Thread) {
        let Some(id) = self.thread_id(tab, thread) else { return };
        let Some(socket) = self.sending_socket(tab) else { return };
        self.tabs.entry(tab).wishes.retain(|wish| wish.thread != thread);
        let (user, connection) = self.sockets[socket].names();
        self.feed(Input::Leave { user, connection, thread: id });
    }

    /// The id of a thread that the tab wants, as far as the tab knows it.
    fn thread_id(&self, tab: Tab, thread: Thread) -> Option<ThreadId> {
        let wish = self.tabs.known(tab)?.wishes.iter().find(|wish| wish.thread == thread)?;
        match (&wish.id, thread) {
            (Some(id), _) => Some(id.clone()),
            (None, Thread::Named(_)) => ThreadId::parse(&thread.to_string()).ok(),
            (None, Thread::New(_)) => None,
        }
    }

    /// Runs are told by the name of a thread; a thread that was made for a client has none that a plan could know.
    fn key(&mut self, user: u32, thread: Thread) -> Option<SessionKey> {
        let id = match thread {
            Thread::Named(_) => ThreadId::parse(&thread.to_string()).ok()?,
            Thread::New(_) => return None,
        };
        Some(SessionKey::new(self.user_id(user), id))
    }

    fn prompt(&mut self, user: u32, thread: Thread) {
        let Some(key) = self.key(user, thread) else { return };
        if !self.oracle.model.user(user as usize).has_run(key.thread()) {
            let run = RunId::generate(1);
            self.feed(Input::RunStarted { key, run });
        }
    }

    fn run_ends(&mut self, user: u32, thread: Thread) {
        let Some(key) = self.key(user, thread) else { return };
        if self.oracle.model.user(user as usize).has_run(key.thread()) {
            let run = RunId::generate(1);
            self.feed(Input::RunEnded { key, run });
        }
    }

    /// The server stands still. Its first act afterwards is to own up to it; deadlines that passed meanwhile come
    /// before what the peers said meanwhile, which is the order that is hardest on them.
    fn stall(&mut self, lag: Duration) {
        self.now = self.now + lag;
        self.stalled += lag;
        self.feed(Input::Stalled { lag });
        if self.subject.poll_timeout().is_some_and(|due: Time| due <= self.now) {
            self.time_out(1);
        }
        self.advance_to(self.now);
    }

    fn set_close_fault(&mut self, tab: Tab, fault: CloseFault) {
        if let Some(socket) = self.socket(tab) {
            self.sockets[socket].close_fault = fault;
        }
    }

    fn expect(&mut self, expectation: Expectation) {
        let (holds, seen) = self.look(expectation);
        if !holds {
            let moment = self.moment();
            self.oracle.fail(Rule::Expectation, moment, || format!("expect {expectation}: {seen}"));
        }
    }

    /// Whether something is true now, and what is true instead.
    fn look(&self, expectation: Expectation) -> (bool, String) {
        let count = |seen: u64, wanted: u32| (seen == u64::from(wanted), format!("there are {seen}"));
        let tally = &self.oracle.tally;
        match expectation {
            Expectation::Sessions { user, count: wanted } => count(self.held(user) as u64, wanted),
            Expectation::Open { tab, thread } => {
                (self.wish_of(tab, thread).is_some_and(|wish| wish.is_open), "it is not open".to_owned())
            }
            Expectation::NotOpen { tab, thread } => {
                (!self.wish_of(tab, thread).is_some_and(|wish| wish.is_open), "it is open".to_owned())
            }
            Expectation::Queued { tab, thread, position } => {
                let told = self.wish_of(tab, thread).and_then(|wish| wish.position);
                (told == Some(position as usize), format!("it was told {told:?}"))
            }
            Expectation::Told { tab, level } => {
                let told = self.socket(tab).and_then(|it| self.oracle.model.connections[it].told);
                (told.is_some_and(|(told, _)| told == level), format!("it was told {told:?}"))
            }
            Expectation::Reserve { user, is_open } => {
                let known = self.oracle.model.users.get(user as usize);
                let seen = known.is_some_and(|_| self.oracle.model.usage(user as usize, self.moment()).1);
                (seen == is_open, format!("it is open: {seen}"))
            }
            Expectation::Breaker { user, step, state } => {
                let seen = self.oracle.breaker(user.map(|user| user as usize), step);
                (seen == state, format!("it is {}", seen.as_str()))
            }
            Expectation::Waited(most) => (tally.longest_wait <= most, format!("one waited {:?}", tally.longest_wait)),
            Expectation::Evicted(wanted) => count(tally.evicted.iter().sum(), wanted),
            Expectation::Forced(wanted) => count(tally.forced(), wanted),
            Expectation::Refused(wanted) => count(tally.refused, wanted),
        }
    }

    fn wish_of(&self, tab: Tab, thread: Thread) -> Option<&Wish> {
        self.socket(tab)?;
        self.tabs.known(tab)?.wishes.iter().find(|wish| wish.thread == thread)
    }
}
