//! `docs/mutants.md`: every broken gate and what catches it, found out by running them.

use std::fmt::Write as _;

use super::{Fault, Mutant};
use crate::generate::generate;
use crate::oracle::{Rule, Violation};
use crate::plan::Plan;
use crate::sim::named;
use crate::sim::run::run_against;

/// How the page is renewed.
pub const RENEW: &str = "cargo run --release -p lychgate-scenario -- sim --mutants > docs/mutants.md";

/// Random plans that are tried at most, and their length.
const SEEDS: u64 = 400;
const STEPS: usize = 200;

/// Named plans of more steps than this tell nothing about mutants that a shorter one does not.
const LONGEST: usize = 5_000;

/// What caught a broken gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Catch {
    /// The first named plan that did, and by which promise; one that breaks the fault's own promise before others.
    pub by_plan: Option<(&'static str, Rule)>,
    /// How many random plans it took until the fault's own promise was the first to break.
    pub by_seeds: Option<u64>,
}

impl Catch {
    /// Whether a plan saw the very promise broken that the fault is about.
    #[must_use]
    pub fn is_to_the_point(&self, fault: Fault) -> bool {
        self.by_seeds.is_some() || self.by_plan.is_some_and(|(_, rule)| rule == fault.breaks())
    }
}

/// What a plan says of a gate with a fault, or of a whole one.
#[must_use]
pub fn judge(plan: &Plan, fault: Option<Fault>) -> Option<Violation> {
    run_against(plan, |truth| Mutant::new(plan, truth, fault)).violation
}

/// Runs named plans and random plans against a fault until they catch it.
#[must_use]
pub fn catch(fault: Fault) -> Catch {
    let plans = named::PLANS.iter().filter_map(|(name, text)| Some((*name, text.parse::<Plan>().ok()?)));
    let plans = plans.filter(|(_, plan)| plan.steps.len() <= LONGEST);
    let mut by_plan = None;
    for (name, plan) in plans {
        match judge(&plan, Some(fault)).map(|violation| violation.rule) {
            Some(rule) if rule == fault.breaks() => {
                by_plan = Some((name, rule));
                break;
            }
            Some(rule) => _ = by_plan.get_or_insert((name, rule)),
            None => {}
        }
    }
    let breaks = |seed: &u64| judge(&generate(*seed, STEPS), Some(fault)).is_some_and(|it| it.rule == fault.breaks());
    Catch { by_plan, by_seeds: (0..SEEDS).find(breaks).map(|seed| seed + 1) }
}

/// The line of a fault.
#[must_use]
pub fn row(fault: Fault, catch: Catch) -> String {
    let by_plan = catch.by_plan.map_or("-".to_owned(), |(name, rule)| format!("`{name}`: {}", rule.as_str()));
    let by_seeds = catch.by_seeds.map_or("-".to_owned(), |count| count.to_string());
    format!("| {} | {} | {} | {by_plan} | {by_seeds} |\n", fault.as_str(), fault.says(), fault.breaks().as_str())
}

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = format!(
        "# Mutants\n\n\
         Gates that are broken on purpose, to try the plans, the model and the oracle of `crates/scenario`: a promise that no\n\
         broken gate breaks is checked by nobody. Each gate is the real one behind a layer that bends what goes in or comes out,\n\
         or with other limits than it was promised to keep; they stand in `crates/scenario/src/sim/mutant.rs`.\n\n\
         The last two columns say what catches it: the first named plan, with the promise that it saw broken, and how many\n\
         random plans of {STEPS} steps it takes (of {SEEDS} at most) until the promise of the third column is the first to break.\n\
         Tests run every line again. Renew the page with `{RENEW}`.\n\n\
         | gate | what it does | breaks | named plan | random plans |\n|---|---|---|---|---:|\n"
    );
    for fault in Fault::ALL {
        _ = write!(page, "{}", row(*fault, catch(*fault)));
    }
    page
}
