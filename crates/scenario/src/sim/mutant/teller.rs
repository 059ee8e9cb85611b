//! Tells everybody his band by the true limits, for a gate that has others.
//!
//! Without it most such gates would be caught by the first number that they tell, and nobody would know whether their
//! fault itself is caught as well.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::{
    AdmissionPath, ConnectionId, Event, Gate, Input, Limits, Output, PlanId, Plans, Pressure, Time, Usage, UserId,
};

use crate::model::Reserve;

#[derive(Debug, Default)]
struct Known {
    plan: PlanId,
    reserve: Option<Reserve>,
    /// Who is connected, and what he was told last.
    told: BTreeMap<ConnectionId, Option<(Pressure, bool)>>,
}

impl Known {
    fn usage(&self, used: usize, now: Time, limits: &Limits) -> Usage {
        let is_open = self.reserve.is_some_and(|reserve| reserve.is_open(now, limits.reserve_window));
        // How long it stays open is told, and judged by nobody.
        Usage { reserve_left: is_open.then_some(Duration::from_secs(1)), ..limits.usage(used) }
    }
}

/// Knows the true limits and who was told what.
#[derive(Debug)]
pub(super) struct Teller {
    truth: Plans,
    users: BTreeMap<UserId, Known>,
}

impl Teller {
    pub(super) fn new(truth: Plans) -> Self {
        Self { truth, users: BTreeMap::new() }
    }

    pub(super) fn input(&mut self, input: &Input) {
        match input {
            Input::Connect { user, connection, plan, .. } => {
                let known = self.users.entry(user.clone()).or_default();
                known.plan = *plan;
                known.told.insert(*connection, None);
            }
            Input::Renew { user, connection, plan, .. } => {
                let known = self.users.entry(user.clone()).or_default();
                if known.told.contains_key(connection) {
                    known.plan = *plan;
                }
            }
            Input::Disconnect { user, connection, .. } => self.forget(user, *connection),
            Input::Open { .. }
            | Input::Leave { .. }
            | Input::Heard { .. }
            | Input::PingResult { .. }
            | Input::Backlog { .. }
            | Input::RunStarted { .. }
            | Input::RunEnded { .. }
            | Input::Used { .. }
            | Input::Expel { .. }
            | Input::EvictionDone { .. }
            | Input::EvictionFailed { .. }
            | Input::Stalled { .. }
            | Input::End { .. }
            | Input::Reclaim { .. }
            | Input::Lend { .. }
            | Input::News(_)
            | Input::Drain { .. } => {}
        }
    }

    fn forget(&mut self, user: &UserId, connection: ConnectionId) {
        if let Some(known) = self.users.get_mut(user) {
            known.told.remove(&connection);
        }
    }

    /// The output with the true numbers; none for what the teller says itself.
    pub(super) fn correct(&mut self, now: Time, output: Output) -> Option<Output> {
        match output {
            Output::Limit { .. } => None,
            Output::Connected { user, connection, superseded, expires, usage } => {
                let usage = self.usage(&user, connection, usage.used, now);
                Some(Output::Connected { user, connection, superseded, expires, usage })
            }
            Output::Opened { context, reference, resume, path, waited, usage } => {
                let usage = self.usage(context.user(), context.connection(), usage.used, now);
                Some(Output::Opened { context, reference, resume, path, waited, usage })
            }
            Output::CloseSocket { user, connection, reason, manner } => {
                self.forget(&user, connection);
                Some(Output::CloseSocket { user, connection, reason, manner })
            }
            Output::Refused { user, connection, thread: None, reference, refusal } => {
                self.forget(&user, connection);
                Some(Output::Refused { user, connection, thread: None, reference, refusal })
            }
            Output::Event(event) => {
                self.event(now, &event);
                Some(Output::Event(event))
            }
            Output::Closed { .. }
            | Output::Queued { .. }
            | Output::Detached { .. }
            | Output::Refused { .. }
            | Output::Ping { .. }
            | Output::Wish(_)
            | Output::Expiring { .. } => Some(output),
        }
    }

    fn event(&mut self, now: Time, event: &Event) {
        if let Event::SessionCreated { key, path: AdmissionPath::Reserve, .. } = event
            && let Some(known) = self.users.get_mut(key.user())
        {
            let window = self.truth.limits(known.plan).reserve_window;
            known.reserve.take_if(|reserve| reserve.is_over(now, window));
            known.reserve.get_or_insert_with(|| Reserve::open(now));
        }
    }

    fn usage(&mut self, user: &UserId, connection: ConnectionId, used: usize, now: Time) -> Usage {
        let known = self.users.entry(user.clone()).or_default();
        let usage = known.usage(used, now, self.truth.limits(known.plan));
        if let Some(told) = known.told.get_mut(&connection) {
            *told = Some((usage.level, usage.reserve_left.is_some()));
        }
        usage
    }

    /// What everybody has to be told at the end of a turn.
    pub(super) fn tell(&mut self, now: Time, gate: &Gate) -> Vec<Output> {
        let Self { truth, users } = self;
        let mut tells = Vec::new();
        for (user, known) in users {
            let limits = truth.limits(known.plan);
            let used = gate.session_count(user);
            known.reserve.take_if(|reserve| reserve.is_over(now, limits.reserve_window));
            if let Some(reserve) = &mut known.reserve {
                reserve.note(used > limits.max_sessions_per_user, now);
            }
            let usage = known.usage(used, now, limits);
            let is = Some((usage.level, usage.reserve_left.is_some()));
            for (connection, told) in known.told.iter_mut().filter(|(_, told)| **told != is) {
                *told = is;
                tells.push(Output::Limit { connection: *connection, usage });
            }
        }
        tells
    }
}
