//! A plan: what the world is like, then one step per line.
//!
//! ```text
//! # Everything after a hash is for people.
//! seed 7                             latencies of the peers; default 0
//! late 20ms                          how late deadlines are noticed, in simulation; default 0s
//! sessions 20                        max_sessions_per_user; default 20
//! connections 64                     max_connections_per_user; default 64
//! waiting 32                         max_waiting_opens_per_user; default 32
//! reserve_sessions 5                 this and the following by their keys in the configuration:
//! force never                        reserve_window, pinned_sessions, force, mode, queue_deadline, admission_budget,
//!                                    reclaim_interval
//! forecast_horizon 600s              and forecast_smoothing, forecast_min_samples: by `[forecast]`; default none
//! plan pro sessions 40 force evict   who has a token for `pro` gets this over what stands above
//!
//! open-tab u0 c0-19 t0-19 every 10ms one step for each number, and time between them
//! open-tab u0 c20 t20 plan pro       with a token for that plan
//! times 3                            what stands until `end`, three times
//!   go-silent u0 c0
//!   wake-up u0 c0
//! end
//! ```
//!
//! Ranges of tabs and threads on one line go side by side; a range of users repeats all of it for each user.
//! A plan prints as plain steps, so a printed plan reads back as the same plan.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lychgate_core::{LimitError, LimitSpec, Limits, Plans};

use crate::step::{Step, StepError, TokenPlan, duration_from_text, duration_to_text};

mod range;
mod setting;

#[cfg(test)]
mod tests;

/// Most steps of one plan after its ranges and loops are written out: a typing error must not fill the memory.
pub const MAX_STEPS: usize = 200_000;

/// Steps, and the world that they happen in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Draws the latencies of the peers.
    pub seed: u64,
    /// How late a deadline is noticed in simulation, as by a thread that sleeps. A gateway of its own is late by itself.
    pub late: Duration,
    /// The numbers that hold for whoever has no plan by his token.
    pub everybody: LimitSpec,
    /// The plans that a token may name, each with all its numbers.
    pub named: Vec<(Box<str>, LimitSpec)>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Plan {
    /// A plan without steps in the default world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let everybody = LimitSpec::default();
        Self { seed, late: Duration::ZERO, everybody, named: Vec::new(), steps: Vec::new() }
    }

    /// The limits of whoever has no plan by his token; all that the head does not name has its default.
    ///
    /// # Errors
    /// [`LimitError`] when the plan's numbers contradict each other.
    pub fn limits(&self) -> Result<Limits, LimitError> {
        checked(&self.everybody)
    }

    /// The limits of everybody and those by token.
    ///
    /// # Errors
    /// [`LimitError`] when numbers contradict each other.
    pub fn plans(&self) -> Result<Plans, LimitError> {
        let everybody = Plans::new(self.limits()?);
        self.named.iter().try_fold(everybody, |plans, (name, spec)| Ok(plans.with(name, checked(spec)?)))
    }

    /// What the head sets for everybody, by the keys of the configuration's `[limits]`; nothing where a plan is played on
    /// a gateway as it is delivered.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        setting::keys(&LimitSpec::default(), &self.everybody)
    }

    /// The same for the plans that a token may name: the keys of `[plans.NAME]`.
    #[must_use]
    pub fn named_settings(&self) -> Vec<(&str, Vec<(&'static str, String)>)> {
        self.named.iter().map(|(name, spec)| (&**name, setting::keys(&self.everybody, spec))).collect()
    }
}

/// A user who may have few connections may not have more of them on one session.
fn checked(spec: &LimitSpec) -> Result<Limits, LimitError> {
    let max_connections_per_session = spec.max_connections_per_session.min(spec.max_connections_per_user);
    Limits::new(LimitSpec { max_connections_per_session, ..spec.clone() })
}

/// Why a text is no plan, and on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Counted from 1; 0 for the plan as a whole.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// What is wrong with it.
    pub reason: PlanErrorReason,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanErrorReason {
    /// It is no step.
    Step(StepError),
    /// A line about the world must stand before the first step.
    LateSetting,
    /// The head defines no plan of this name.
    UnknownPlan(Box<str>),
    /// The head defines a plan of this name already.
    PlanTwice(Box<str>),
    /// The number of a setting or a loop cannot be read.
    Number,
    /// Two ranges side by side have different lengths, or a range runs backwards.
    Range,
    /// An `end` without `times`, or `times` without `end`.
    Unbalanced,
    /// More than [`MAX_STEPS`] steps.
    TooManySteps,
    /// The settings contradict each other.
    Limits(LimitError),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str("the plan: ")?,
            line => write!(f, "line {line}: `{}`: ", self.text)?,
        }
        match &self.reason {
            PlanErrorReason::Step(error) => error.fmt(f),
            PlanErrorReason::LateSetting => f.write_str("settings stand before the first step"),
            PlanErrorReason::UnknownPlan(name) => write!(f, "the head defines no plan `{name}`"),
            PlanErrorReason::PlanTwice(name) => write!(f, "the head defines a plan `{name}` already"),
            PlanErrorReason::Number => f.write_str("wants one whole number"),
            PlanErrorReason::Range => f.write_str("ranges rise, and those side by side are equally long"),
            PlanErrorReason::Unbalanced => f.write_str("every `times` has its `end`"),
            PlanErrorReason::TooManySteps => write!(f, "makes more than {MAX_STEPS} steps"),
            PlanErrorReason::Limits(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PlanError {}

/// A `times` that waits for its `end`.
struct Loop {
    line: usize,
    text: String,
    times: usize,
    first: usize,
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut plan = Self::new(0);
        let mut loops: Vec<Loop> = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let line = raw.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let fail = |reason| PlanError { line: index + 1, text: line.to_owned(), reason };
            plan.read_line(line, index + 1, &mut loops).map_err(fail)?;
            if plan.steps.len() > MAX_STEPS {
                return Err(fail(PlanErrorReason::TooManySteps));
            }
        }
        if let Some(open) = loops.pop() {
            return Err(PlanError { line: open.line, text: open.text, reason: PlanErrorReason::Unbalanced });
        }
        match plan.plans() {
            Ok(_) => Ok(plan),
            Err(error) => Err(PlanError { line: 0, text: String::new(), reason: PlanErrorReason::Limits(error) }),
        }
    }
}

impl Plan {
    fn read_line(&mut self, line: &str, number: usize, loops: &mut Vec<Loop>) -> Result<(), PlanErrorReason> {
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let setting = setting::find(verb);
        let is_head = matches!(verb, "seed" | "late" | "plan") || setting.is_some();
        match (verb, setting) {
            _ if is_head && !(self.steps.is_empty() && loops.is_empty()) => Err(PlanErrorReason::LateSetting),
            ("seed", _) => read_number(rest).map(|seed| self.seed = seed),
            ("late", _) => read_time(rest).map(|late| self.late = late),
            ("plan", _) => self.read_plan(rest),
            (_, Some(setting)) => {
                let mut words = rest.split_whitespace();
                setting.set(&mut self.everybody, words.next()).map_err(PlanErrorReason::Step)?;
                nothing_more(words.next())
            }
            ("times", None) => {
                loops.push(Loop {
                    line: number,
                    text: line.to_owned(),
                    times: read_number(rest)?,
                    first: self.steps.len(),
                });
                Ok(())
            }
            ("end", None) if rest.is_empty() => {
                let closed = loops.pop().ok_or(PlanErrorReason::Unbalanced)?;
                self.write_out(&closed)
            }
            (_, None) => range::expand(line, |step| self.take(step)),
        }
    }

    fn take(&mut self, step: Step) -> Result<(), PlanErrorReason> {
        if let Some(name) = token_plan(&step)
            && !self.named.iter().any(|(known, _)| **known == *name)
        {
            return Err(PlanErrorReason::UnknownPlan(name.into()));
        }
        match self.steps.len() {
            MAX_STEPS => Err(PlanErrorReason::TooManySteps),
            _ => {
                self.steps.push(step);
                Ok(())
            }
        }
    }

    /// `plan NAME KEY VALUE KEY VALUE ...`
    fn read_plan(&mut self, rest: &str) -> Result<(), PlanErrorReason> {
        let mut words = rest.split_whitespace();
        let missing = PlanErrorReason::Step(StepError::Missing("the name of a plan"));
        let name: Box<str> = words.next().ok_or(missing)?.into();
        if self.named.iter().any(|(known, _)| *known == name) {
            return Err(PlanErrorReason::PlanTwice(name));
        }
        let mut spec = self.everybody.clone();
        while let Some(key) = words.next() {
            let unknown = StepError::Malformed { wanted: "a key of the head", word: key.to_owned() };
            let setting = setting::find(key).ok_or(PlanErrorReason::Step(unknown))?;
            setting.set(&mut spec, words.next()).map_err(PlanErrorReason::Step)?;
        }
        self.named.push((name, spec));
        Ok(())
    }

    fn write_out(&mut self, closed: &Loop) -> Result<(), PlanErrorReason> {
        let body = self.steps.split_off(closed.first);
        match body.len().checked_mul(closed.times) {
            Some(all) if all <= MAX_STEPS => {
                (0..closed.times).for_each(|_| self.steps.extend_from_slice(&body));
                Ok(())
            }
            Some(_) | None => Err(PlanErrorReason::TooManySteps),
        }
    }
}

fn token_plan(step: &Step) -> Option<&str> {
    let plan: &TokenPlan = match step {
        Step::OpenTab { plan, .. } | Step::Renew { plan, .. } => plan,
        Step::OpenThread { .. }
        | Step::CloseTab { .. }
        | Step::GoSilent(_)
        | Step::Freeze(_)
        | Step::WakeUp(_)
        | Step::StopReading(_)
        | Step::ReadSome(_)
        | Step::ReadAgain(_)
        | Step::Reconnect { .. }
        | Step::Leave { .. }
        | Step::Prompt { .. }
        | Step::RunEnds { .. }
        | Step::Look(_)
        | Step::StallRuntime(_)
        | Step::CloseFails(_)
        | Step::CloseHangs(_)
        | Step::Expire { .. }
        | Step::PingsFail(_)
        | Step::Expel(_)
        | Step::Drain(_)
        | Step::Advance(_)
        | Step::Expect(_) => return None,
    };
    plan.as_deref()
}

fn read_number<N: FromStr>(text: &str) -> Result<N, PlanErrorReason> {
    text.trim().parse().map_err(|_| PlanErrorReason::Number)
}

fn read_time(text: &str) -> Result<Duration, PlanErrorReason> {
    let wanted = "a time such as 200ms or 10s";
    let malformed = || PlanErrorReason::Step(StepError::Malformed { wanted, word: text.trim().to_owned() });
    duration_from_text(text.trim()).ok_or_else(malformed)
}

fn nothing_more(word: Option<&str>) -> Result<(), PlanErrorReason> {
    match word {
        None => Ok(()),
        Some(word) => Err(PlanErrorReason::Step(StepError::TooLong(word.to_owned()))),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        if !self.late.is_zero() {
            writeln!(f, "late {}", duration_to_text(self.late))?;
        }
        // The two that a reader looks for first stand there always.
        writeln!(f, "sessions {}", self.everybody.max_sessions_per_user)?;
        writeln!(f, "connections {}", self.everybody.max_connections_per_user)?;
        let base = LimitSpec {
            max_sessions_per_user: self.everybody.max_sessions_per_user,
            max_connections_per_user: self.everybody.max_connections_per_user,
            ..LimitSpec::default()
        };
        for (word, value) in setting::words(&base, &self.everybody) {
            writeln!(f, "{word} {value}")?;
        }
        for (name, spec) in &self.named {
            write!(f, "plan {name}")?;
            setting::words(&self.everybody, spec).iter().try_for_each(|(word, value)| write!(f, " {word} {value}"))?;
            writeln!(f)?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
