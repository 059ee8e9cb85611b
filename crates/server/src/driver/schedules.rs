//! The driver and its gates under thousands of schedules: admission against disconnect against reaper against takeover.
//!
//! ```text
//!  tabs (one thread each) --Registration--> Driver --real Outbox--> socket pair --> what the tab was told
//!  reaper (`Watch::run`)  ----------------/    \----Effects-------> Ledger          what is true
//!  time: moves the clock to the reaper's alarm, now and then freezes everybody
//! ```
//!
//! Locks, atomics, waiting and time are shuttle's ([`crate::sync`]), so every run of a seed is the same run. Each seed
//! plays a story in a few schedules; even seeds choose threads at random, odd ones by PCT (Burckhardt et al., ASPLOS
//! 2010), which finds what needs few but rare preemptions. Shuttle treats every atomic as sequentially consistent:
//! orderings that are too weak are not found here.
//!
//! `cargo xtask schedules` runs them, and `--seed N` plays one seed again.

mod ledger;
mod node;
mod stories;
mod tab;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules that one seed plays.
const PER_SEED: usize = 16;

/// Preemptions that PCT spreads over a schedule, less one.
const PCT_DEPTH: usize = 4;

/// Seeds that are tried where nobody says how many.
const FEW_SEEDS: u64 = 4;

/// Plays a story: the seed of the environment, else as many fixed seeds as it says, and a quarter as many fresh ones.
fn play(name: &str, story: fn()) {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse().expect("a seed and a number of seeds are numbers"));
    let seeds: Vec<u64> = match number("LYCHGATE_SCHEDULE_SEED") {
        Some(seed) => vec![seed],
        None => {
            let fixed = number("LYCHGATE_SCHEDULE_SEEDS").unwrap_or(FEW_SEEDS);
            // Even, and far above the fixed ones.
            let fresh = (super::random_bits() as u64 >> 16) << 8;
            (0..fixed).chain(fresh..fresh + fixed / 4).collect()
        }
    };
    println!("{name}: {} seeds of {PER_SEED} schedules, the last is {:?}", seeds.len(), seeds.last());
    for seed in seeds {
        play_seed(name, seed, story);
    }
}

fn play_seed(name: &str, seed: u64, story: fn()) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let begun = std::sync::Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let counted = move || {
        count.fetch_add(1, Ordering::Relaxed);
        crate::sync::scheduled::Clock::begin();
        story();
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| match seed % 2 {
        0 => Runner::new(RandomScheduler::new_from_seed(seed, PER_SEED), config).run(counted),
        _ => Runner::new(PctScheduler::new_from_seed(seed, PCT_DEPTH, PER_SEED), config).run(counted),
    }));
    if let Err(panic) = outcome {
        let nth = begun.load(Ordering::Relaxed);
        eprintln!(
            "{name}: seed {seed} failed in its schedule {nth}; `cargo xtask schedules --seed {seed}` plays it again"
        );
        resume_unwind(panic);
    }
}
