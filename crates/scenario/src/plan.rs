//! A plan: what the world is like, then one step per line.
//!
//! ```text
//! # Everything after a hash is for people.
//! seed 7                             latencies of the peers; default 0
//! sessions 20                        max_sessions_per_user; default 20
//! connections 64                     max_connections_per_user; default 64
//!
//! open-tab u0 c0-19 t0-19 every 10ms one step for each number, and time between them
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

use lychgate_core::{LimitError, LimitSpec, Limits};

use crate::step::{Step, StepError};

mod range;

#[cfg(test)]
mod tests;

/// Most steps of one plan after its ranges and loops are written out: a typing error must not fill the memory.
pub const MAX_STEPS: usize = 200_000;

/// Steps, and the world that they happen in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Draws the latencies of the peers.
    pub seed: u64,
    /// `max_sessions_per_user`.
    pub sessions: usize,
    /// `max_connections_per_user`.
    pub connections: usize,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Plan {
    /// A plan without steps in the default world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let spec = LimitSpec::default();
        Self {
            seed,
            sessions: spec.max_sessions_per_user,
            connections: spec.max_connections_per_user,
            steps: Vec::new(),
        }
    }

    /// The limits of this world; all that a plan does not name has its default.
    ///
    /// # Errors
    /// [`LimitError`] when the plan's numbers contradict each other.
    pub fn limits(&self) -> Result<Limits, LimitError> {
        let spec = LimitSpec::default();
        Limits::new(LimitSpec {
            max_sessions_per_user: self.sessions,
            max_connections_per_user: self.connections,
            max_connections_per_session: spec.max_connections_per_session.min(self.connections),
            ..spec
        })
    }
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
        match plan.limits() {
            Ok(_) => Ok(plan),
            Err(error) => Err(PlanError { line: 0, text: String::new(), reason: PlanErrorReason::Limits(error) }),
        }
    }
}

impl Plan {
    fn read_line(&mut self, line: &str, number: usize, loops: &mut Vec<Loop>) -> Result<(), PlanErrorReason> {
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match verb {
            "seed" | "sessions" | "connections" if !self.steps.is_empty() || !loops.is_empty() => {
                Err(PlanErrorReason::LateSetting)
            }
            "seed" => read_number(rest).map(|seed| self.seed = seed),
            "sessions" => read_number(rest).map(|sessions| self.sessions = sessions),
            "connections" => read_number(rest).map(|connections| self.connections = connections),
            "times" => {
                loops.push(Loop {
                    line: number,
                    text: line.to_owned(),
                    times: read_number(rest)?,
                    first: self.steps.len(),
                });
                Ok(())
            }
            "end" if rest.is_empty() => {
                let closed = loops.pop().ok_or(PlanErrorReason::Unbalanced)?;
                self.write_out(&closed)
            }
            _ => range::expand(line, |step| match self.steps.len() {
                MAX_STEPS => Err(PlanErrorReason::TooManySteps),
                _ => {
                    self.steps.push(step);
                    Ok(())
                }
            }),
        }
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

fn read_number<N: FromStr>(text: &str) -> Result<N, PlanErrorReason> {
    text.trim().parse().map_err(|_| PlanErrorReason::Number)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "sessions {}", self.sessions)?;
        writeln!(f, "connections {}", self.connections)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
