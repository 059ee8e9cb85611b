//! One plan from its first step until everything is healed, everybody came once more, and everybody has left.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lychgate::cluster::LeaseId;
use lychgate_core::End;

use super::mistake::Mistake;
use super::oracle::{Rule, Tally, Violation};
use super::plan::{Plan, Remains, Step, Tab};
use super::world::World;

/// Until everybody counts with the others again: a node lease, a newcomer's patience, the queue of an open, and some beats.
const HEALS_WITHIN: Duration = Duration::from_secs(30);
/// Until the last session lingers no more and Redis knows it.
const EMPTIES_WITHIN: Duration = Duration::from_secs(30);
/// The tab of the newcomer who comes to each node after everything is healed; no plan has so many.
const LAST_TAB: u32 = 1_000;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was counted.
    pub tally: Tally,
    /// The first promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Plays a plan with nodes as they are, or with a mistake in them. A panic is a broken promise like any other.
#[must_use]
pub fn play(plan: &Plan, mistake: Option<Mistake>) -> Outcome {
    finished(&mut World::new(plan, mistake), plan)
}

/// Plays a plan, and tells everything that happened, in microseconds since its beginning.
#[must_use]
pub fn tell(plan: &Plan, mistake: Option<Mistake>) -> (Outcome, Vec<String>) {
    let mut world = World::new(plan, mistake);
    world.history = Some(Vec::new());
    let outcome = finished(&mut world, plan);
    (outcome, world.history.unwrap_or_default())
}

fn finished(world: &mut World, plan: &Plan) -> Outcome {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.go_through(plan))) {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let now = world.now;
        world.oracle.fail(Rule::Panic, now, || said.unwrap_or_else(|| "without a word".to_owned()));
    }
    Outcome { tally: world.oracle.tally, violation: world.oracle.violation.clone() }
}

impl World {
    fn go_through(&mut self, plan: &Plan) {
        self.note_calm();
        for (index, step) in plan.steps.iter().enumerate() {
            self.oracle.step = index + 1;
            self.act(*step);
            if self.oracle.violation.is_some() {
                return;
            }
        }
        self.oracle.step = plan.steps.len() + 1;
        self.heal();
        self.agree("after everything was healed");
        self.everybody_comes();
        self.agree("after a newcomer came to each node");
        self.everybody_leaves();
    }

    fn heal(&mut self) {
        self.act(Step::Lossy(0));
        self.act(Step::StartRedis(Remains::All));
        self.act(Step::Go);
        for seat in 0..self.seats.len() {
            self.act(Step::Mend(seat));
            self.act(Step::Continue(seat));
        }
        self.act(Step::Advance(HEALS_WITHIN + self.put_back));
    }

    fn everybody_comes(&mut self) {
        for node in 0..self.seats.len() {
            let number = LAST_TAB + node as u32;
            self.act(Step::Open { node, tab: Tab { user: 0, number }, thread: number });
            self.act(Step::Advance(Duration::from_secs(3)));
        }
        self.act(Step::Advance(HEALS_WITHIN));
    }

    fn everybody_leaves(&mut self) {
        let runs: Vec<_> = self.runs.keys().copied().collect();
        runs.into_iter().for_each(|tab| self.run_ends(tab));
        let tabs: Vec<_> = self.tabs.keys().copied().collect();
        tabs.into_iter().for_each(|tab| self.close(tab, End::ClientClosed));
        self.act(Step::Advance(EMPTIES_WITHIN));
        self.agree("after everybody left");
        let left: usize = self.nodes().map(|(_, node)| node.gate.connection_count() + node.ledger.len()).sum();
        let unsaid: usize = self.nodes().map(|(_, node)| node.ledger.jobs(1).len()).sum();
        if left + unsaid > 0 {
            let now = self.now;
            let detail =
                || format!("everybody left, and nodes have {left} connections and leases, {unsaid} still to tell");
            self.oracle.fail(Rule::Agreement, now, detail);
        }
    }

    fn nodes(&self) -> impl Iterator<Item = (usize, &super::node::Node)> {
        self.seats.iter().enumerate().filter_map(|(index, seat)| Some((index, seat.node.as_ref()?)))
    }

    /// What Redis counts is what nodes hold, or is so a few seconds later: a release may be on its way.
    fn agree(&mut self, when: &str) {
        let mut differs = self.difference();
        for _ in 0..3 {
            if differs.is_none() {
                return;
            }
            self.act(Step::Advance(Duration::from_secs(1)));
            differs = self.difference();
        }
        if let Some(differs) = differs {
            let now = self.now;
            self.oracle.fail(Rule::Agreement, now, || format!("{when}: {differs}"));
        }
    }

    fn difference(&self) -> Option<String> {
        let data = &self.server.data;
        let counted: BTreeSet<LeaseId> = data
            .users
            .values()
            .flat_map(|places| places.held.iter().filter(|(_, held)| data.counts(held)).map(|(lease, _)| *lease))
            .collect();
        let users: BTreeSet<_> = data.users.keys().collect();
        let mut held = BTreeSet::new();
        for (_, node) in self.nodes() {
            for user in &users {
                held.extend(node.gate.own_reports(user, node.now).iter().map(|own| node.id(own.lease)));
            }
        }
        let there: BTreeSet<_> = data.table.values().map(|entry| entry.life).collect();
        let lives: BTreeSet<_> = self.nodes().map(|(_, node)| node.life).collect();
        let leaked: Vec<_> = counted.difference(&held).collect();
        let untold: Vec<_> = held.difference(&counted).collect();
        // Where nobody runs, nobody buries.
        if lives.is_empty() || (leaked.is_empty() && untold.is_empty() && there == lives) {
            return None;
        }
        Some(format!("Redis alone has {leaked:?}, nodes alone have {untold:?}; the table has {there:?}, {lives:?} run"))
    }
}
