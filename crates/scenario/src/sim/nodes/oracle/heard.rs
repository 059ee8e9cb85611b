//! What the oracle hears of the gates: what goes in and what comes out.

use std::time::Duration;

use lychgate_core::gate::io::Event;
use lychgate_core::{ConnectionId, Input, Output, Refusal, Time};

use super::{Oracle, Pending, Rule};

/// An open is answered within so much of the time that its node runs: the ten seconds of I3 (`limits.admission_budget`), and the
/// patience of a question that left at their end.
const ANSWER_WITHIN: Duration = Duration::from_millis(12_500);
/// A node that reaches Redis hears within this that a place of it was taken: it beats every second.
const HEARS_WITHIN: Duration = Duration::from_secs(4);

impl Oracle {
    pub(in super::super) fn input(&mut self, now: Time, seat: usize, input: &Input) {
        match input {
            Input::Open { context, .. } => {
                self.tally.opens += 1;
                self.opens.insert(context.connection(), Pending { seat, since: now });
            }
            Input::Disconnect { connection, .. } | Input::Leave { connection, .. } => self.gone(*connection),
            Input::RunStarted { key, run } => self.run_started(now, seat, key, run),
            Input::RunEnded { key, run } => self.run_ended(now, seat, key, run),
            Input::Connect { .. }
            | Input::Heard { .. }
            | Input::PingResult { .. }
            | Input::Backlog { .. }
            | Input::Used { .. }
            | Input::Renew { .. }
            | Input::Expel { .. }
            | Input::EvictionDone { .. }
            | Input::EvictionFailed { .. }
            | Input::Stalled { .. }
            | Input::Drain { .. }
            | Input::End { .. }
            | Input::Reclaim { .. }
            | Input::News(_)
            | Input::Lend { .. } => {}
        }
    }

    pub(in super::super) fn output(&mut self, now: Time, seat: usize, life: u64, output: &Output) {
        match output {
            Output::Wish(wish) => self.wished(now, seat, life, wish),
            Output::Opened { context, .. } => {
                self.tally.opened += 1;
                self.answered(now, context.connection());
                if let Some(session) = self.sessions.get_mut(&(seat, context.key().clone())) {
                    if session.connections.is_empty() {
                        session.attended = now;
                    }
                    session.connections.push(context.connection());
                    session.changed = now;
                }
            }
            // Its socket was closed while its open was under way.
            Output::Refused { refusal: Refusal::NotConnected, connection, .. } => self.gone(*connection),
            Output::Refused { refusal, thread, .. } => {
                self.fail(Rule::Refusal, now, || format!("n{seat} refused {thread:?}: {}", refusal.as_str()));
            }
            Output::CloseSocket { connection, .. } => self.gone(*connection),
            Output::Event(Event::SessionCreated { key, .. }) => self.on_created(now, seat, key),
            Output::Event(Event::SessionEvicted { key, cause, .. }) => self.on_evicted(now, seat, key, cause),
            Output::Event(Event::SessionReleased { key, .. }) => self.on_ended(seat, key),
            Output::Connected { .. }
            | Output::Closed { .. }
            | Output::Queued { .. }
            | Output::Detached { .. }
            | Output::Ping { .. }
            | Output::Limit { .. }
            | Output::Expiring { .. }
            | Output::Event(_) => {}
        }
    }

    /// A socket shows nothing any more: each has one session at most.
    fn gone(&mut self, connection: ConnectionId) {
        self.opens.remove(&connection);
        self.sessions.values_mut().for_each(|session| session.connections.retain(|it| *it != connection));
    }

    fn answered(&mut self, now: Time, connection: ConnectionId) {
        if let Some(open) = self.opens.remove(&connection) {
            self.tally.longest_wait = self.tally.longest_wait.max(now.since(open.since));
        }
    }

    /// A process stood still for so long: nothing that waits for it is late for that.
    pub(in super::super) fn stood_still(&mut self, seat: usize, lag: Duration) {
        self.calm.stood_still(seat);
        let opens = self.opens.values_mut().filter(|open| open.seat == seat);
        opens.for_each(|open| open.since = open.since + lag);
    }

    /// What is late.
    pub(in super::super) fn watch(&mut self, now: Time) {
        self.watch_meeting(now);
        let late = self.untold.iter().find(|(lease, (seat, since))| {
            self.is_served(**lease)
                && self.calm.since(*seat).is_some_and(|calm| now.since(calm.max(*since)) > HEARS_WITHIN)
        });
        if let Some((lease, (seat, _))) = late.map(|(lease, at)| (*lease, *at)) {
            self.fail(Rule::Heard, now, || format!("n{seat} serves {lease} still, which was taken"));
        }
        let stands_still = |open: &Pending| self.calm.is_still(open.seat);
        let late = self.opens.iter().find(|(_, open)| now.since(open.since) > ANSWER_WITHIN && !stands_still(open));
        if let Some((connection, seat)) = late.map(|(connection, open)| (*connection, open.seat)) {
            self.fail(Rule::Answer, now, || format!("n{seat} does not answer the open of {connection}"));
        }
    }
}
