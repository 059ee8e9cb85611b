//! One plan from its first step until everybody has left.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lychgate_core::{Gate, Plans};

use crate::model::Model;
use crate::oracle::{Oracle, Rule, Tally, Violation};
use crate::plan::Plan;
use crate::sim::world::{Subject, World};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was counted.
    pub tally: Tally,
    /// The first promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Runs a plan against the gate. A panic of the gate is a broken promise like any other, so that it can be shrunk.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let seed = plan.seed;
    let attempt = catch_unwind(AssertUnwindSafe(|| run_against(plan, |plans| Gate::new(plans, seed))));
    attempt.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        failed(Rule::Panic, said.unwrap_or_else(|| "without a word".to_owned()))
    })
}

/// Runs a plan against anything that behaves like a gate; `make` gets the limits, of everybody and by plan,
/// that the oracle holds it to.
#[must_use]
pub fn run_against<S: Subject>(plan: &Plan, make: impl FnOnce(Plans) -> S) -> Outcome {
    let plans = match plan.plans() {
        Ok(plans) => plans,
        Err(error) => return failed(Rule::Expectation, error.to_string()),
    };
    let oracle = Oracle::new(Model::new(plans.clone()));
    let mut world = World::new(make(plans), oracle, plan.seed, plan.late);
    for (index, step) in plan.steps.iter().enumerate() {
        world.oracle.step = index + 1;
        world.oracle.tally.steps += 1;
        world.act(step);
        if world.oracle.violation().is_some() {
            break;
        }
    }
    if world.oracle.violation().is_none() {
        world.oracle.step = plan.steps.len() + 1;
        world.everybody_leaves();
    }
    let violation = world.oracle.violation().cloned();
    let tally = Tally { plans: 1, violations: u64::from(violation.is_some()), ..world.oracle.tally };
    Outcome { tally, violation }
}

fn failed(rule: Rule, detail: String) -> Outcome {
    let violation = Violation { rule, step: 0, at: lychgate_core::Time::ZERO, detail };
    Outcome { tally: Tally { plans: 1, violations: 1, ..Tally::default() }, violation: Some(violation) }
}
