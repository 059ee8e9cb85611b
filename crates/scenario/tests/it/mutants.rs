//! The harness bites: each gate that is broken on purpose is caught, by the promise that it breaks.

use std::collections::VecDeque;

use lychgate_core::{
    ConnectionId, End, Event, EvictReason, Gate, Heartbeat, Input, LimitSpec, Limits, Output, Pressure, Refusal, Sign,
    Time, UserId,
};
use lychgate_scenario::generate::generate;
use lychgate_scenario::oracle::Rule;
use lychgate_scenario::plan::Plan;
use lychgate_scenario::sim::run::run_against;
use lychgate_scenario::sim::world::Subject;

/// What is wrong with a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing: it has to pass.
    None,
    /// It takes one session too many.
    AdmitsAboveTheLimit,
    /// It forgets to say that a session ended.
    ForgetsARelease,
    /// It says so twice.
    ReleasesTwice,
    /// It never answers an open that found the user at his limit.
    LosesAnOpen,
    /// It takes what it writes for a sign of life (hazard R8).
    CountsWritesAsLife,
    /// It takes the pongs of a frozen page for a sign of life (hazard R9).
    CountsEveryPongAsLife,
    /// It hears nobody.
    IsDeaf,
    /// It holds its own lag against its peers (hazard R30).
    IgnoresItsOwnStall,
    /// It does not know about runs.
    ForgetsRuns,
    /// It keeps a counter, which drifted.
    MiscountsByOne,
    /// It refuses who is at his limit.
    RefusesAtTheLimit,
    /// It closes each socket twice.
    ClosesTwice,
    /// It lets anybody take over anybody's socket (and says so).
    TakesOverStrangers,
    /// It ignores `prev`.
    IgnoresPrev,
    /// It tells the loser of a takeover that he was unresponsive (hazard R5).
    BlamesTheLoser,
    /// It keeps a session for its linger though its user said goodbye.
    LingersAfterGoodbye,
    /// It lets a session go as soon as its socket is lost.
    NeverLingers,
    /// It does not tell a tab that its session was taken.
    EvictsInSilence,
    /// It tells one user of another's session.
    MixesUsersUp,
    /// It says that a time is due, and does nothing about it.
    SpinsOnADeadline,
    /// It does not close a socket when its token expires.
    IgnoresExpiry,
}

#[derive(Debug)]
struct Mutant {
    gate: Gate,
    fault: Fault,
    /// Every connection, for faults that need a stranger.
    seen: Vec<(UserId, ConnectionId)>,
    extra: VecDeque<Output>,
    now: Time,
}

impl Mutant {
    fn new(limits: Limits, fault: Fault) -> Self {
        let spec: LimitSpec = (*limits).clone();
        let sessions = spec.max_sessions_per_user + usize::from(fault == Fault::AdmitsAboveTheLimit);
        let linger = match fault {
            Fault::NeverLingers => std::time::Duration::ZERO,
            _ => spec.linger,
        };
        let limits = Limits::new(LimitSpec { max_sessions_per_user: sessions, linger, ..spec });
        Self {
            gate: Gate::new(limits.expect("the limits of a plan and one session more"), 7),
            fault,
            seen: Vec::new(),
            extra: VecDeque::new(),
            now: Time::ZERO,
        }
    }

    /// The input as the mutant sees it; none if it does not.
    fn distort(&mut self, input: Input) -> Option<Input> {
        match (self.fault, input) {
            (Fault::IsDeaf, Input::Heard { .. })
            | (Fault::IgnoresItsOwnStall, Input::Stalled { .. })
            | (Fault::ForgetsRuns, Input::RunStarted { .. })
            | (Fault::IgnoresExpiry, Input::Renew { .. }) => None,
            (Fault::CountsEveryPongAsLife, Input::Connect { user, connection, prev, expires, plan, .. }) => {
                Some(Input::Connect { user, connection, prev, expires, heartbeat: Heartbeat::Protocol, plan })
            }
            (Fault::IgnoresPrev, Input::Connect { user, connection, heartbeat, expires, plan, .. }) => {
                Some(Input::Connect { user, connection, prev: None, heartbeat, expires, plan })
            }
            (Fault::LingersAfterGoodbye, Input::Disconnect { user, connection, .. }) => {
                Some(Input::Disconnect { user, connection, end: End::Lost })
            }
            (Fault::RefusesAtTheLimit, Input::Open { context, reference, .. })
                if self.gate.usage(context.user()).level == Pressure::Full =>
            {
                self.extra.push_back(Output::Refused {
                    user: context.user().clone(),
                    connection: context.connection(),
                    thread: Some(context.thread().clone()),
                    reference,
                    refusal: Refusal::Overload { retry_in: std::time::Duration::from_secs(1) },
                });
                None
            }
            (Fault::LosesAnOpen, Input::Open { context, .. })
                if self.gate.usage(context.user()).level == Pressure::Full =>
            {
                None
            }
            (_, input) => Some(input),
        }
    }

    /// The output as the mutant says it; it may say more in `extra`.
    fn garble(&mut self, output: Output) -> Option<Output> {
        match (self.fault, output) {
            (Fault::ForgetsARelease, Output::Event(Event::SessionReleased { .. })) => None,
            (Fault::EvictsInSilence, Output::Closed { reason: EvictReason::MadeRoom, .. }) => None,
            (Fault::ReleasesTwice, released @ Output::Event(Event::SessionReleased { .. })) => {
                self.extra.push_back(released.clone());
                Some(released)
            }
            (Fault::ClosesTwice, close @ Output::CloseSocket { .. }) => {
                self.extra.push_back(close.clone());
                Some(close)
            }
            (
                Fault::BlamesTheLoser,
                Output::CloseSocket { user, connection, reason: EvictReason::Superseded, manner },
            ) => Some(Output::CloseSocket { user, connection, reason: EvictReason::MadeRoomForConnection, manner }),
            (Fault::TakesOverStrangers, Output::Event(Event::Connected { user, connection, superseded: None })) => {
                let stranger = self.seen.iter().find(|(other, _)| *other != user).map(|(_, id)| *id);
                Some(Output::Event(Event::Connected { user, connection, superseded: stranger }))
            }
            (Fault::MixesUsersUp, Output::Closed { key, connection, reference, reason, session_ended, eviction }) => {
                let stranger = self.seen.iter().find(|(other, _)| other != key.user());
                let connection = stranger.map_or(connection, |(_, id)| *id);
                Some(Output::Closed { key, connection, reference, reason, session_ended, eviction })
            }
            (_, output) => Some(output),
        }
    }
}

impl Subject for Mutant {
    fn handle_input(&mut self, now: Time, input: Input) {
        self.now = now;
        if let Input::Connect { user, connection, .. } = &input {
            self.seen.push((user.clone(), *connection));
        }
        let written = match &input {
            Input::PingResult { user, connection, .. } => Some((user.clone(), *connection)),
            _ => None,
        };
        if let Some(input) = self.distort(input) {
            self.gate.handle_input(now, input);
        }
        if let (Fault::CountsWritesAsLife, Some((user, connection))) = (self.fault, written) {
            self.gate.handle_input(now, Input::Heard { user, connection, sign: Sign::Data });
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.gate.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        if let Some(extra) = self.extra.pop_front() {
            return Some(extra);
        }
        while let Some(output) = self.gate.poll_output() {
            if let Some(output) = self.garble(output) {
                return Some(output);
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self.fault {
            Fault::SpinsOnADeadline => self.gate.poll_timeout().map(|_| self.now),
            _ => self.gate.poll_timeout(),
        }
    }

    fn session_count(&self, user: &UserId) -> usize {
        self.gate.session_count(user) + usize::from(self.fault == Fault::MiscountsByOne)
    }
}

/// The first promise that a mutant breaks, over enough plans to meet its fault.
fn caught(fault: Fault) -> Vec<Rule> {
    let mut rules: Vec<Rule> = (0..150)
        .filter_map(|seed| {
            let plan = generate(seed, 200);
            run_against(&plan, |limits| Mutant::new(limits, fault)).violation
        })
        .map(|violation| violation.rule)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

macro_rules! mutants {
    ($($test:ident: $fault:ident => $rule:ident),* $(,)?) => {
        $(#[test] fn $test() {
            let rules = caught(Fault::$fault);
            assert!(rules.contains(&Rule::$rule), "caught by {rules:?} only");
        })*
    };
}

mutants! {
    a_gate_that_admits_above_the_limit_is_caught: AdmitsAboveTheLimit => Limit,
    a_gate_that_forgets_a_release_is_caught: ForgetsARelease => Count,
    a_gate_that_releases_twice_is_caught: ReleasesTwice => Pairing,
    a_gate_that_loses_an_open_is_caught: LosesAnOpen => Answer,
    a_gate_that_counts_writes_as_life_evicts_the_living_and_is_caught: CountsWritesAsLife => LiveBeforeDead,
    a_gate_that_counts_writes_as_life_never_finds_the_dead_and_is_caught: CountsWritesAsLife => Found,
    a_gate_that_trusts_the_pongs_of_frozen_pages_is_caught: CountsEveryPongAsLife => LiveBeforeDead,
    a_gate_that_hears_nobody_is_caught: IsDeaf => Verdict,
    a_gate_that_blames_its_peers_for_its_own_stall_is_caught: IgnoresItsOwnStall => Verdict,
    a_gate_that_forgets_runs_is_caught: ForgetsRuns => Protection,
    a_gate_whose_counter_drifted_is_caught: MiscountsByOne => Count,
    a_gate_that_refuses_at_the_limit_is_caught: RefusesAtTheLimit => Refusal,
    a_gate_that_closes_twice_is_caught: ClosesTwice => Close,
    a_gate_that_lets_strangers_take_over_is_caught: TakesOverStrangers => Takeover,
    a_gate_that_ignores_prev_is_caught: IgnoresPrev => Takeover,
    a_gate_that_blames_the_loser_of_a_takeover_is_caught: BlamesTheLoser => Takeover,
    a_gate_that_lingers_after_a_goodbye_is_caught: LingersAfterGoodbye => Pairing,
    a_gate_that_never_lingers_is_caught: NeverLingers => Linger,
    a_gate_that_evicts_in_silence_is_caught: EvictsInSilence => Told,
    a_gate_that_mixes_users_up_is_caught: MixesUsersUp => Privacy,
    a_gate_that_spins_on_a_deadline_is_caught: SpinsOnADeadline => Timer,
    a_gate_that_ignores_expiry_is_caught: IgnoresExpiry => Found,
}

#[test]
fn a_gate_without_a_fault_passes_the_same_plans() {
    assert_eq!(caught(Fault::None), []);
}

#[test]
fn the_incident_itself_catches_a_gate_that_counts_writes_as_life() {
    let plan: Plan = lychgate_scenario::sim::named::text_of("twenty-zombies").unwrap().parse().unwrap();
    let violation = run_against(&plan, |limits| Mutant::new(limits, Fault::CountsWritesAsLife)).violation;
    assert!(violation.is_some());
}
