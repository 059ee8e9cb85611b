//! Many seeds on all cores, with a progress bar.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use super::Args;
use crate::generate::generate;
use crate::oracle::{Rule, Tally, Violation};
use crate::plan::Plan;
use crate::sim::run::run;

/// A plan that broke a promise.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) name: String,
    pub(super) plan: Plan,
    pub(super) violation: Violation,
}

/// What came of many seeds.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) tally: Tally,
    /// The time that it took, on every core that took part.
    pub(super) core_time: Duration,
    /// For each broken promise the failure of the lowest seed: the same ones, however many threads there were.
    pub(super) failures: Vec<Failure>,
}

/// The lowest seed that broke each promise.
type Lowest = BTreeMap<Rule, (u64, Violation)>;

fn note(lowest: &mut Lowest, seed: u64, violation: Violation) {
    let known = lowest.entry(violation.rule).or_insert_with(|| (seed, violation.clone()));
    if seed < known.0 {
        *known = (seed, violation);
    }
}

/// Seeds that one thread takes at a time.
const CHUNK: u64 = 64;

impl Batch {
    /// Runs the plans of `count` seeds from `first_seed`.
    pub(super) fn run(name: &str, first_seed: u64, count: u64, args: &Args) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(count)
            .with_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {per_sec} {eta}")?);
        bar.set_message(name.to_owned());
        let next = AtomicU64::new(0);
        let total = Mutex::new((Tally::default(), Lowest::new()));
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = args.jobs.unwrap_or(cores).max(1);
        let start = Instant::now();
        quietly(|| {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| work(first_seed, count, args.steps(), &next, &total, &bar));
                }
            });
        });
        bar.finish_and_clear();
        let core_time = start.elapsed() * u32::try_from(threads.min(cores))?;
        let (tally, lowest) = total.into_inner().map_err(|_| anyhow!("a thread of the simulation panicked"))?;
        let failures = lowest.into_values().map(|(seed, violation)| Failure {
            name: format!("seed {seed}"),
            plan: generate(seed, args.steps()),
            violation,
        });
        Ok(Self { tally, core_time, failures: failures.collect() })
    }
}

fn work(
    first_seed: u64,
    count: u64,
    steps: usize,
    next: &AtomicU64,
    total: &Mutex<(Tally, Lowest)>,
    bar: &ProgressBar,
) {
    loop {
        let start = next.fetch_add(CHUNK, Ordering::Relaxed);
        if start >= count {
            return;
        }
        let end = (start + CHUNK).min(count);
        let mut tally = Tally::default();
        let mut lowest = Lowest::new();
        for seed in first_seed + start..first_seed + end {
            let outcome = run(&generate(seed, steps));
            tally.add(&outcome.tally);
            if let Some(violation) = outcome.violation {
                note(&mut lowest, seed, violation);
            }
        }
        if let Ok(mut total) = total.lock() {
            total.0.add(&tally);
            for (seed, violation) in lowest.into_values() {
                note(&mut total.1, seed, violation);
            }
        }
        bar.inc(end - start);
    }
}

/// Runs without the message of a panic on standard error: a panic of the gate is caught, counted and reported, and a
/// shrink causes hundreds.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(hook);
    result
}
