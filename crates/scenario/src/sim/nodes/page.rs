//! The part of `docs/mutants.md` about many nodes: every mistake, and how many plans it takes to find it.

use std::fmt::Write as _;

use super::mistake::Mistake;
use super::{STEPS, generate, play};

/// Random plans that are tried at most.
const SEEDS: u64 = 400;

/// How many random plans it took until the mistake's own promise was the first to break.
#[must_use]
pub fn catch(mistake: Mistake) -> Option<u64> {
    let breaks = |seed: &u64| {
        let violation = play(&generate(*seed, STEPS), Some(mistake)).violation;
        violation.is_some_and(|violation| violation.rule == mistake.breaks())
    };
    (0..SEEDS).find(breaks).map(|seed| seed + 1)
}

/// The line of a mistake.
#[must_use]
pub fn row(mistake: Mistake, seeds: Option<u64>) -> String {
    let seeds = seeds.map_or("-".to_owned(), |count| count.to_string());
    format!("| {} | {} | {} | {seeds} |\n", mistake.as_str(), mistake.says(), mistake.breaks().as_str())
}

/// The whole part.
#[must_use]
pub fn markdown() -> String {
    let mut page = format!(
        "\n## Many nodes\n\n\
         The same for `sim --nodes`: mistakes in what stands between the gates and Redis, and in the scripts. They stand in\n\
         `crates/scenario/src/sim/nodes/mistake.rs`; the last column says how many random plans of {STEPS} steps it takes, of {SEEDS} at most.\n\n\
         | mistake | what it does | breaks | random plans |\n|---|---|---|---:|\n"
    );
    for mistake in Mistake::ALL {
        _ = write!(page, "{}", row(*mistake, catch(*mistake)));
    }
    page
}
