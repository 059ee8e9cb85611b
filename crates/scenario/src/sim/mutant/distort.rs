//! What a mutant takes in: less, something else, or in another order.

use std::time::Duration;

use lychgate_core::{Backlog, End, Heartbeat, Input, Output, PingOutcome, PlanId, Pressure, Refusal, Sign};

use super::{Fault, Mutant};

impl Mutant {
    /// Lets a later open pass an earlier one.
    pub(super) fn hold_back(&mut self, input: Input) -> Option<Input> {
        if !self.is(Fault::ServesTheLastFirst) {
            return Some(input);
        }
        match (&input, self.held_back.take()) {
            (Input::Open { context, .. }, None) if self.gate.usage(context.user()).level == Pressure::Full => {
                self.held_back = Some(input);
                None
            }
            (Input::Open { .. }, Some(passed)) => {
                self.feed(input);
                Some(passed)
            }
            // A tab that goes takes its open along.
            (Input::Disconnect { connection, .. }, Some(Input::Open { context, .. }))
                if context.connection() == *connection =>
            {
                Some(input)
            }
            (_, held_back) => {
                self.held_back = held_back;
                Some(input)
            }
        }
    }

    /// The input as the mutant sees it; none if it does not.
    pub(super) fn distort(&mut self, input: Input) -> Option<Input> {
        let Some(fault) = self.fault else { return Some(input) };
        match (fault, input) {
            (Fault::IsDeaf, Input::Heard { .. })
            | (Fault::IgnoresItsOwnStall, Input::Stalled { .. })
            | (Fault::ForgetsRuns, Input::RunStarted { .. })
            | (Fault::TakesOverThoughOneIsIdle, Input::RunEnded { .. }) => None,
            (Fault::IgnoresExpiry, Input::Renew { user, connection, plan, .. }) => {
                Some(Input::Renew { user, connection, expires: None, plan })
            }
            (Fault::ForgetsLooks, Input::Heard { user, connection, sign: Sign::Visible }) => {
                Some(Input::Heard { user, connection, sign: Sign::Data })
            }
            (Fault::CountsWritesAsLife, Input::PingResult { user, connection, outcome, backlog }) => {
                self.injected.push(Input::Heard { user: user.clone(), connection, sign: Sign::Data });
                Some(Input::PingResult { user, connection, outcome, backlog })
            }
            (fault, input @ Input::Connect { .. }) => Some(self.distort_connect(fault, input)),
            (Fault::IgnoresPlans, Input::Renew { user, connection, expires, .. }) => {
                Some(Input::Renew { user, connection, expires, plan: PlanId::default() })
            }
            (Fault::EvictsWhenALimitFalls, Input::Renew { user, connection, expires, plan }) => {
                self.fall(&user);
                Some(Input::Renew { user, connection, expires, plan })
            }
            (Fault::LingersAfterGoodbye, Input::Disconnect { user, connection, .. }) => {
                Some(Input::Disconnect { user, connection, end: End::Lost })
            }
            (Fault::ServesTheDeparted, Input::Disconnect { user, connection, end }) => {
                let waits = self.queued.iter().any(|(waiting, _)| *waiting == connection);
                (!waits).then_some(Input::Disconnect { user, connection, end })
            }
            (Fault::ChecksBeforeEvicting | Fault::LosesAnOpen | Fault::BreakerRefuses, input @ Input::Open { .. }) => {
                self.distort_open(fault, input)
            }
            (Fault::BreakerNeverOpens, input) => Some(without_failures(input)?),
            (Fault::BreakerNeverCloses, input) if self.breaker_is_open => Some(without_successes(input)?),
            (_, input) => Some(input),
        }
    }

    fn distort_connect(&self, fault: Fault, input: Input) -> Input {
        let Input::Connect { user, connection, prev, heartbeat, expires, plan } = input else { return input };
        let prev = prev.filter(|_| fault != Fault::IgnoresPrev);
        let heartbeat = if fault == Fault::CountsEveryPongAsLife { Heartbeat::Protocol } else { heartbeat };
        let plan = if fault == Fault::IgnoresPlans { PlanId::default() } else { plan };
        Input::Connect { user, connection, prev, heartbeat, expires, plan }
    }

    fn distort_open(&mut self, fault: Fault, input: Input) -> Option<Input> {
        let Input::Open { context, reference, resume } = input else { return Some(input) };
        let is_full = self.gate.usage(context.user()).level == Pressure::Full;
        let refuses = match fault {
            Fault::BreakerRefuses => self.breaker_is_open,
            _ => is_full,
        };
        if !refuses {
            return Some(Input::Open { context, reference, resume });
        }
        if fault != Fault::LosesAnOpen {
            self.extra.push_back(Output::Refused {
                user: context.user().clone(),
                connection: context.connection(),
                thread: Some(context.thread().clone()),
                reference,
                refusal: Refusal::Overload { retry_in: Duration::from_secs(1) },
            });
        }
        None
    }

    /// One session of the user goes at once, if he holds two.
    fn fall(&mut self, user: &lychgate_core::UserId) {
        let newest = self.opened.iter().rev().find(|(key, _)| key.user() == user);
        if let Some((key, connection)) = newest.cloned().filter(|_| self.gate.session_count(user) >= 2) {
            let thread = key.thread().clone();
            self.falls = true;
            self.gate.handle_input(self.now, Input::Leave { user: user.clone(), connection, thread });
        }
    }
}

fn without_failures(input: Input) -> Option<Input> {
    match input {
        Input::PingResult { user, connection, outcome: PingOutcome::Failed, .. } => {
            let (outcome, backlog) = (PingOutcome::Queued, Backlog::default());
            Some(Input::PingResult { user, connection, outcome, backlog })
        }
        Input::EvictionFailed { user, connection } => Some(Input::EvictionDone { user, connection }),
        input => Some(input),
    }
}

fn without_successes(input: Input) -> Option<Input> {
    match input {
        Input::PingResult { user, connection, outcome: PingOutcome::Written, backlog } => {
            Some(Input::PingResult { user, connection, outcome: PingOutcome::Queued, backlog })
        }
        Input::EvictionDone { .. } => None,
        input => Some(input),
    }
}
