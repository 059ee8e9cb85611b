//! A trace at a gate in virtual time: how many sessions its user held in each second, and what it took.

use std::time::Duration;

use lychgate_core::{Gate, LimitSpec, Time};

use crate::model::Model;
use crate::oracle::{Oracle, Tally};
use crate::plan::Plan;
use crate::sim::world::World;
use crate::step::Step;

/// The sessions of one user in each second of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) counts: Vec<usize>,
    pub(super) limit: usize,
}

impl Series {
    /// Of what was recorded when it changed: seconds, and the count from then on. The last one holds for a minute.
    pub(super) fn held(changes: &[(u64, usize)], limit: usize) -> Self {
        let first = changes.first().map_or(0, |(at, _)| *at);
        let mut counts = Vec::new();
        for (place, (at, count)) in changes.iter().enumerate() {
            let until = changes.get(place + 1).map_or(at + 60, |(next, _)| *next);
            counts.extend((*at..until).map(|_| *count));
        }
        debug_assert_eq!(counts.len() as u64, changes.last().map_or(0, |(at, _)| at + 60 - first));
        Self { counts, limit }
    }

    pub(super) fn hours(&self) -> f64 {
        self.counts.len() as f64 / 3600.0
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Runs a trace. A promise that breaks on the way is a defect of the gate or of the trace.
///
/// # Panics
/// Where a promise breaks, naming it.
pub(super) fn replay(steps: &[Step], spec: LimitSpec) -> (Series, Tally) {
    let limit = spec.max_sessions_per_user;
    let plan = Plan { everybody: spec, ..Plan::new(0) };
    let plans = plan.plans().expect("the numbers of a policy do not contradict each other");
    let oracle = Oracle::new(Model::new(plans.clone()));
    let mut world = World::new(Gate::new(plans, 0), oracle, 0, Duration::ZERO);
    let start = world.moment().at;
    let mut counts = Vec::new();
    for step in steps {
        match step {
            Step::Advance(by) => {
                let until = world.moment().at + *by;
                while world.moment().at < until {
                    // Up to the next whole second, whose count is noted, or to the end of the wait.
                    let second = start + SECOND * u32::try_from(counts.len() + 1).unwrap_or(u32::MAX);
                    let now = world.moment().at;
                    world.act(&Step::Advance(second.min(until).since(now)));
                    if world.moment().at >= second {
                        counts.push(held(&world));
                    }
                }
            }
            step => world.act(step),
        }
    }
    if let Some(broken) = world.oracle.violation() {
        panic!("a promise broke in a trace: {broken}");
    }
    (Series { counts, limit }, world.oracle.tally)
}

fn held(world: &World<Gate>) -> usize {
    world.oracle.model.users.first().map_or(0, crate::model::User::held)
}

/// The second of a series as a time for a detector.
pub(super) fn at(second: usize) -> Time {
    Time::from_micros(second as u64 * 1_000_000)
}
