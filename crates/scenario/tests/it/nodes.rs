//! Many nodes in simulation: random plans keep every promise, a seed tells one story, and each mistake is found.

use lychgate_scenario::sim::mutant::page::RENEW;
use lychgate_scenario::sim::nodes::page::{catch, row};
use lychgate_scenario::sim::nodes::{Mistake, Plan, STEPS, Tally, generate, play, tell};

const PAGE: &str = include_str!("../../../../docs/mutants.md");

/// Enough in a debug build; `cargo xtask sim` runs thousands.
const SEEDS: u64 = 150;

#[test]
fn random_plans_of_many_nodes_keep_every_promise_and_see_every_trouble() {
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        let outcome = play(&generate(seed, STEPS), None);
        if let Some(violation) = outcome.violation {
            panic!("seed {seed}: {violation}; `lychgate-scenario sim --nodes --seed {seed}` shrinks it");
        }
        total.add(&outcome.tally);
    }
    let Tally { granted, swapped, buried, alone, lost, .. } = total;
    assert!(granted > 1_000 && swapped > 500 && buried > 20 && alone > 200 && lost > 50, "{total:?}");
}

#[test]
fn what_once_broke_a_promise_of_many_nodes_does_not_break_it_again() {
    let plans =
        [include_str!("../../plans/nodes/late-grant.plan"), include_str!("../../plans/nodes/out-of-the-table.plan")];
    for plan in plans {
        let plan: Plan = plan.parse().unwrap();
        assert_eq!(play(&plan, None).violation, None, "{plan}");
    }
}

#[test]
fn one_seed_gives_one_history_byte_for_byte() {
    for seed in [2, 30, 77, 1_000_000_007] {
        let plan = generate(seed, STEPS);
        let (first, second) = (tell(&plan, None), tell(&plan, None));
        assert!(first == second && !first.1.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_history_is_the_same_whether_it_is_told_or_not() {
    let plan = generate(5, STEPS);
    assert_eq!(play(&plan, None), tell(&plan, None).0);
}

#[test]
fn every_plan_reads_back_from_its_text() {
    for seed in 0..200 {
        let plan = generate(seed, STEPS);
        assert_eq!(plan.to_string().parse(), Ok(plan));
    }
}

#[test]
fn a_line_that_is_no_step_is_named() {
    for line in ["open n9 u0 c0 t0", "redis sleep", "advance 3", "stop n0 n1", "nodes 6", "sessions 0"] {
        let error = format!("seed 1\n{line}").parse::<Plan>().unwrap_err();
        assert_eq!((error.line, &*error.text), (2, line));
    }
}

#[test]
fn every_mistake_is_found_as_the_page_of_mutants_says() {
    for mistake in Mistake::ALL {
        let row = row(*mistake, catch(*mistake));
        assert!(
            !row.contains("| - |") && PAGE.contains(&row),
            "docs/mutants.md does not say:\n{row}renew it with: {RENEW}"
        );
    }
}
