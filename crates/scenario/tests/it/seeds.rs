//! Random plans keep every promise, and one seed always tells the same story.

use lychgate_scenario::generate::generate;
use lychgate_scenario::oracle::{Reach, Tally};
use lychgate_scenario::sim::run::run;

/// Enough to reach every corner of the gate in a debug build; `cargo xtask sim` runs tens of thousands.
const SEEDS: u64 = 400;

#[test]
fn random_plans_keep_every_promise_and_reach_every_corner() {
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        let outcome = run(&generate(seed, 200));
        if let Some(violation) = outcome.violation {
            panic!("seed {seed}: {violation}; `lychgate-scenario sim --seed {seed}` shrinks it");
        }
        total.add(&outcome.tally);
    }
    let [conservative, moderate, aggressive, force] = total.evicted;
    assert!(conservative > 2 && moderate > 50 && aggressive > 50 && force > 50, "{total:?}");
    assert!(total.zombies > 50 && total.released > 50, "{total:?}");
    for (corner, times) in Reach::ALL.iter().zip(total.reached) {
        assert!(times > 2, "{}: {times} times", corner.as_str());
    }
}

#[test]
fn one_seed_gives_one_history() {
    for seed in [1, 77, 1_000_000_007] {
        let plan = generate(seed, 200);
        assert_eq!(run(&plan), run(&plan));
    }
}
