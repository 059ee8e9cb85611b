//! `sim --nodes`: plays plans of many nodes, on all cores, and prints a table; the first plan that broke a promise is made small.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::oracle::{Rule, Tally, Violation};
use super::plan::{Plan, Step};
use super::{generate, play, tell};
use crate::generate::{half, shrink_steps};
use crate::sim::{Args, batch, fresh_seed};

/// Seeds that are played where nothing else is asked for.
const FIXED: u64 = 4_000;
const FRESH: u64 = 1_000;
/// Steps of a random plan.
pub const STEPS: usize = 80;
/// Seeds that one thread takes at a time.
const CHUNK: u64 = 16;

/// The lowest seed that broke each promise.
type Lowest = BTreeMap<Rule, (u64, Violation)>;

/// Runs what was asked for; exit code 1 where a promise broke.
///
/// # Errors
/// When a plan cannot be read.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    let steps = args.steps.unwrap_or(STEPS);
    let mut plans = Vec::new();
    if let Some(file) = &args.plan {
        let text = std::fs::read_to_string(file).with_context(|| format!("there is no plan file {file}"))?;
        plans.push((file.clone(), text.parse::<Plan>().with_context(|| format!("plan file {file}"))?));
    }
    plans.extend(args.seed.map(|seed| (format!("seed {seed}"), generate(seed, steps))));
    if args.print {
        plans.iter().for_each(|(_, plan)| print!("{plan}"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut total = Tally::default();
    let mut failures = Vec::new();
    let begun = Instant::now();
    for (name, plan) in &plans {
        let (outcome, history) = batch::quietly(|| tell(plan, None));
        if args.trace {
            history.iter().for_each(|line| println!("{line}"));
        }
        total.add(&outcome.tally);
        failures.extend(outcome.violation.map(|violation| (name.clone(), plan.clone(), violation)));
    }
    for (first, count) in seeds_of(args)? {
        let (tally, lowest) = batch::quietly(|| seeds(first, count, steps, args.jobs))?;
        total.add(&tally);
        let failed = |(seed, violation)| (format!("seed {seed}"), generate(seed, steps), violation);
        failures.extend(lowest.into_values().map(failed));
    }
    println!("{}\n{:.0} histories/s", table(&total), total.plans as f64 / begun.elapsed().as_secs_f64().max(1e-9));
    for (name, plan, violation) in &failures {
        report(name, plan, violation);
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// First seeds, and how many from there on.
fn seeds_of(args: &Args) -> anyhow::Result<Vec<(u64, u64)>> {
    let Args { fixed, fresh, seed, plan, .. } = args;
    let asks_for_nothing = plan.is_none() && seed.is_none() && fixed.is_none() && fresh.is_none();
    let or_default = |asked: Option<u64>, default| asked.or(asks_for_nothing.then_some(default)).filter(|it| *it > 0);
    let mut runs: Vec<_> = or_default(*fixed, FIXED).map(|count| (0, count)).into_iter().collect();
    if let Some(count) = or_default(*fresh, FRESH) {
        let first = fresh_seed()?;
        println!("fresh seeds of many nodes start at {first}");
        runs.push((first, count));
    }
    Ok(runs)
}

fn seeds(first: u64, count: u64, steps: usize, jobs: Option<usize>) -> anyhow::Result<(Tally, Lowest)> {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Tally::default(), Lowest::new()));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let work = || {
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            for seed in first + start..first + (start + CHUNK).min(count).max(start) {
                let outcome = play(&generate(seed, steps), None);
                let Ok(mut total) = total.lock() else { return };
                total.0.add(&outcome.tally);
                if let Some(violation) = outcome.violation {
                    note(&mut total.1, seed, violation);
                }
            }
            if start >= count {
                return;
            }
        }
    };
    std::thread::scope(|scope| (0..jobs.unwrap_or(cores).max(1)).for_each(|_| _ = scope.spawn(work)));
    total.into_inner().map_err(|_| anyhow!("a thread of the simulation panicked"))
}

fn note(lowest: &mut Lowest, seed: u64, violation: Violation) {
    let known = lowest.entry(violation.rule).or_insert_with(|| (seed, violation.clone()));
    if seed < known.0 {
        *known = (seed, violation);
    }
}

fn table(tally: &Tally) -> Table {
    let Tally { plans, opens, opened, granted, swapped, buried, alone, lost, longest_wait, violations } = *tally;
    let mut table = Table::new();
    let header = ["plans", "opens", "opened", "granted", "swapped", "of the dead", "by own count", "data lost"];
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.into_iter().chain(["longest wait", "promises"]));
    let mut cells: Vec<_> =
        [plans, opens, opened, granted, swapped, buried, alone, lost].map(|count| count.to_string()).to_vec();
    cells.push(format!("{} ms", longest_wait.as_millis()));
    cells.push(if violations == 0 { "kept".to_owned() } else { format!("{violations} BROKEN") });
    table.add_row(cells);
    table
}

fn report(name: &str, plan: &Plan, violation: &Violation) {
    println!("\nmany nodes, {name}: {violation}");
    let with = |steps: &[Step]| Plan { steps: steps.to_vec(), ..plan.clone() };
    let fails = |steps: &[Step]| play(&with(steps), None).violation.is_some_and(|it| it.rule == violation.rule);
    let small = with(&batch::quietly(|| shrink_steps(&plan.steps, halved, fails)));
    println!("This plan is enough; save it and run it again with `sim --nodes --trace --plan FILE`:\n\n{small}");
}

fn halved(step: &Step) -> Option<Step> {
    match step {
        Step::Advance(by) => half(*by).map(Step::Advance),
        Step::Slow(by) => half(*by).map(Step::Slow),
        _ => None,
    }
}
