//! The harness bites: each gate that is broken on purpose is caught, by the promise that it breaks, and
//! `docs/mutants.md` says by what.

use lychgate_scenario::generate::generate;
use lychgate_scenario::plan::Plan;
use lychgate_scenario::sim::mutant::Fault;
use lychgate_scenario::sim::mutant::page::{RENEW, catch, judge, row};
use lychgate_scenario::sim::named;
use lychgate_scenario::sim::nodes::Mistake;

const PAGE: &str = include_str!("../../../../docs/mutants.md");

/// The tests share the work.
const SHARES: usize = 4;

/// Every fault whose place in the list is `share` modulo [`SHARES`].
fn caught(share: usize) {
    for fault in Fault::ALL.iter().skip(share).step_by(SHARES) {
        let catch = catch(*fault);
        assert!(catch.is_to_the_point(*fault), "{fault:?} breaks {:?}, but: {catch:?}", fault.breaks());
        let row = row(*fault, catch);
        assert!(PAGE.contains(&row), "docs/mutants.md does not say:\n{row}renew it with: {RENEW}");
    }
}

macro_rules! shares {
    ($($test:ident: $share:literal),* $(,)?) => {
        $(#[test] fn $test() { caught($share); })*

        #[test]
        fn no_share_of_the_mutants_is_left_out() {
            assert_eq!([$($share),*], std::array::from_fn::<_, SHARES, _>(|share| share));
        }
    };
}

shares! {
    every_mutant_is_caught_as_its_page_says_first_share: 0,
    every_mutant_is_caught_as_its_page_says_second_share: 1,
    every_mutant_is_caught_as_its_page_says_third_share: 2,
    every_mutant_is_caught_as_its_page_says_fourth_share: 3,
}

#[test]
fn the_page_names_no_mutant_that_is_gone() {
    let is_header = |line: &str| line.starts_with("| gate ") || line.starts_with("| mistake ");
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && !is_header(line));
    assert_eq!(rows.count(), Fault::ALL.len() + Mistake::ALL.len());
}

#[test]
fn a_gate_without_a_fault_passes_the_same_plans() {
    for seed in 0..100 {
        assert_eq!(judge(&generate(seed, 200), None), None, "seed {seed}");
    }
}

#[test]
fn the_incident_itself_catches_a_gate_that_counts_writes_as_life() {
    let plan: Plan = named::text_of("twenty-zombies").unwrap().parse().unwrap();
    assert!(judge(&plan, Some(Fault::CountsWritesAsLife)).is_some());
}
