//! What each step of a plan does, and what tabs do about what a gate says.

use std::collections::btree_map::Entry;
use std::time::Duration;

use lychgate_core::{
    Backlog, ConnectionId, End, Entropy, Heartbeat, Input, Output, PingOutcome, PlanId, RunId, SessionContext,
    SessionKey, Sign, ThreadId, WebSocketRequest,
};

use super::node::Event;
use super::plan::{Remains, Step, Tab};
use super::server::Mood;
use super::world::{Flight, Shown, World, user_id};

impl World {
    pub(super) fn act(&mut self, step: Step) {
        self.note(|| format!("step {step}"));
        match step {
            Step::Advance(by) => self.advance_to(self.now + by),
            Step::Open { node, tab, thread } => self.open(node, tab, thread),
            Step::Leave(tab) => self.leave(tab),
            Step::Close { tab, clean } => self.close(tab, if clean { End::ClientClosed } else { End::Lost }),
            Step::Silence(tab) => self.silence(tab),
            Step::Run(tab) => self.run(tab),
            Step::RunEnds(tab) => self.run_ends(tab),
            Step::Slow(by) => self.server.slow = by,
            Step::Hang if self.server.mood == Mood::Answers => self.server.mood = Mood::Hangs,
            Step::Refuse if self.server.mood == Mood::Answers => self.server.mood = Mood::Refuses,
            Step::Hang | Step::Refuse => {}
            Step::Go => self.go(),
            Step::KillRedis => self.kill_redis(),
            Step::StartRedis(remains) => self.start_redis(remains),
            Step::Copy => self.server.copy(),
            Step::Failover(ahead) => {
                self.kill_redis();
                self.set_clock(ahead);
                self.start_redis(Remains::Older);
            }
            Step::Flush => {
                if self.server.mood != Mood::Gone {
                    self.server.flush();
                    self.oracle.lost_data(self.now);
                }
            }
            Step::SetClock(by) => self.set_clock(by),
            Step::Cut(seat) => _ = self.seats.get_mut(seat).map(|seat| seat.is_cut = true),
            Step::Mend(seat) if self.seats.get(seat).is_some_and(|seat| seat.is_cut) => self.mend(seat),
            Step::Mend(_) => {}
            Step::Lossy(one_in) => self.lossy = one_in,
            Step::Stop(seat) => self.stop(seat),
            Step::Continue(seat) => self.go_on(seat),
            Step::Kill(seat) => self.kill(seat),
            Step::Start(seat) if seat < self.seats.len() => self.start(seat),
            Step::Start(_) => {}
        }
        if !step.is_of_a_tab() {
            self.oracle.trouble(self.now, step.is_of_redis());
        }
        self.note_calm();
    }

    fn open(&mut self, seat: usize, tab: Tab, thread: u32) {
        let Some(life) = self.seats.get(seat).filter(|seat| seat.node.is_some()).map(|seat| seat.life) else { return };
        let Ok(thread) = ThreadId::parse(&format!("t{thread}")) else { return };
        let user = user_id(tab.user);
        self.drawn += 1;
        let (connection, is_new) = match self.tabs.get(&tab) {
            Some(shown) if shown.thread.is_some() || (shown.seat, shown.life) != (seat, life) => return,
            Some(shown) => (shown.connection, false),
            None => (ConnectionId::from_random(self.drawn << 64), true),
        };
        if is_new {
            let (heartbeat, plan) = (Heartbeat::Protocol, PlanId::default());
            let user = user.clone();
            self.input(seat, life, Input::Connect { user, connection, prev: None, heartbeat, expires: None, plan });
        }
        let request = WebSocketRequest {
            user: &user,
            thread: Some(thread.as_str()),
            client: None,
            connection,
            operation: "open",
            component: "sim",
            unix_ms: 0,
        };
        let entropy = Entropy { sequence: 0, random: self.drawn };
        let Ok(context) = SessionContext::from_websocket_request(&request, entropy) else { return };
        self.tabs.insert(tab, Shown { seat, life, connection, thread: Some(thread), is_silent: false });
        self.input(seat, life, Input::Open { context, reference: None, resume: None });
    }

    fn silence(&mut self, tab: Tab) {
        if let Some(shown) = self.tabs.get_mut(&tab) {
            shown.is_silent = true;
            self.oracle.silenced(shown.connection);
        }
    }

    fn leave(&mut self, tab: Tab) {
        let Some(shown) = self.tabs.get_mut(&tab) else { return };
        let Some(thread) = shown.thread.take() else { return };
        let Shown { seat, life, connection, .. } = *shown;
        self.input(seat, life, Input::Leave { user: user_id(tab.user), connection, thread });
    }

    pub(super) fn close(&mut self, tab: Tab, end: End) {
        let Some(Shown { seat, life, connection, .. }) = self.tabs.remove(&tab) else { return };
        self.input(seat, life, Input::Disconnect { user: user_id(tab.user), connection, end });
    }

    fn run(&mut self, tab: Tab) {
        let Some(Shown { seat, life, thread: Some(thread), .. }) = self.tabs.get(&tab).cloned() else { return };
        self.drawn += 1;
        let Ok(run) = RunId::parse(&format!("r{}", self.drawn)) else { return };
        if let Entry::Vacant(place) = self.runs.entry(tab) {
            let key = SessionKey::new(user_id(tab.user), thread);
            place.insert((seat, life, key.clone(), run.clone()));
            self.input(seat, life, Input::RunStarted { key, run });
        }
    }

    pub(super) fn run_ends(&mut self, tab: Tab) {
        if let Some((seat, life, key, run)) = self.runs.remove(&tab) {
            self.input(seat, life, Input::RunEnded { key, run });
        }
    }

    fn input(&mut self, seat: usize, life: u64, input: Input) {
        self.deliver(seat, life, Event::Input(input));
    }

    /// Redis answers, without delay, what waited first.
    pub(super) fn go(&mut self) {
        self.server.slow = Duration::ZERO;
        if matches!(self.server.mood, Mood::Hangs | Mood::Refuses) {
            self.server.mood = Mood::Answers;
            while let Some(order) = self.server.waiting.pop_front() {
                self.execute(order);
            }
        }
    }

    fn kill_redis(&mut self) {
        if self.server.mood != Mood::Gone {
            self.server.kill();
            self.reset_connections();
        }
    }

    pub(super) fn start_redis(&mut self, remains: Remains) {
        if self.server.mood == Mood::Gone {
            self.server.start(remains);
            self.oracle.lost_data(self.now);
        }
    }

    fn set_clock(&mut self, by: i64) {
        self.server.set_clock(by);
        let back = Duration::from_millis(by.min(0).unsigned_abs());
        self.put_back += back;
        self.oracle.clock_set(self.now, back);
    }

    fn stop(&mut self, seat: usize) {
        let now = self.now;
        let running = self.seats.get_mut(seat).filter(|seat| seat.node.is_some());
        if running.map(|seat| seat.stopped.get_or_insert(now)).is_some() {
            self.oracle.stands_still(seat);
        }
    }

    pub(super) fn go_on(&mut self, seat: usize) {
        let Some(since) = self.seats.get_mut(seat).and_then(|seat| seat.stopped.take()) else { return };
        let lag = self.now.since(since);
        self.oracle.stood_still(seat, lag);
        let backlog = std::mem::take(&mut self.seats[seat].backlog);
        let life = self.seats[seat].life;
        // The driver notices its own lag before it hears anybody.
        self.input(seat, life, Input::Stalled { lag });
        backlog.into_iter().for_each(|event| self.deliver(seat, life, event));
    }

    fn kill(&mut self, seat: usize) {
        let Some(it) = self.seats.get_mut(seat) else { return };
        it.node = None;
        it.stopped = None;
        it.backlog.clear();
        self.tabs.retain(|_, shown| shown.seat != seat);
        self.runs.retain(|_, (of, ..)| *of != seat);
        self.oracle.died(seat);
    }

    /// What tabs, and the sockets to them, do about an output.
    pub(super) fn react(&mut self, seat: usize, output: Output) {
        let life = self.seats[seat].life;
        match output {
            Output::Ping { user, connection } => {
                let (outcome, backlog) = (PingOutcome::Written, Backlog::default());
                let written = Input::PingResult { user: user.clone(), connection, outcome, backlog };
                self.later_input(Duration::ZERO, seat, life, written);
                let speaks = |shown: &&Shown| shown.connection == connection && !shown.is_silent;
                if self.tabs.values().any(|shown| speaks(&shown)) {
                    let after = self.millis(1, 150);
                    self.later_input(after, seat, life, Input::Heard { user, connection, sign: Sign::Pong });
                }
            }
            Output::CloseSocket { user, connection, .. } => {
                self.tabs.retain(|_, shown| shown.connection != connection);
                let after = self.millis(1, 150);
                self.later_input(after, seat, life, Input::EvictionDone { user, connection });
            }
            Output::Closed { key, connection, .. } => {
                let shown = self.tabs.values_mut().filter(|shown| shown.connection == connection);
                shown.for_each(|shown| _ = shown.thread.take_if(|thread| *thread == *key.thread()));
            }
            Output::Connected { .. }
            | Output::Opened { .. }
            | Output::Queued { .. }
            | Output::Detached { .. }
            | Output::Refused { .. }
            | Output::Limit { .. }
            | Output::Expiring { .. }
            | Output::Event(_)
            | Output::Wish(_) => {}
        }
    }

    fn later_input(&mut self, after: Duration, seat: usize, life: u64, input: Input) {
        let event = Event::Input(input);
        self.later(after, Flight::ToNode { seat, life, event });
    }
}

impl Step {
    /// Whether nodes know each other after it as before. A clock that is put forward buries them all.
    fn is_of_redis(self) -> bool {
        matches!(
            self,
            Self::Slow(_)
                | Self::Hang
                | Self::Refuse
                | Self::Go
                | Self::KillRedis
                | Self::StartRedis(_)
                | Self::Failover(_)
                | Self::Flush
        )
    }

    /// Whether it is time, or what users do.
    fn is_of_a_tab(self) -> bool {
        matches!(
            self,
            Self::Advance(_)
                | Self::Open { .. }
                | Self::Leave(_)
                | Self::Close { .. }
                | Self::Silence(_)
                | Self::Run(_)
                | Self::RunEnds(_)
                | Self::Copy
        )
    }
}
