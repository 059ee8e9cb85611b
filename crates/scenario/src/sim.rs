//! Runs plans against the gate alone: virtual time, no I/O, every promise judged after every call.
//!
//! ```text
//!   named plans --+
//!   a plan file --+--> run, on all cores --> table
//!   seeds      ---+         |
//!                           +--> the first broken promise --> shrink --> the plan, and how to run it again
//! ```
//!
//! With `--nodes` there are many gates, and what lies between them: [`nodes`].

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use lychgate_core::Gate;

use crate::generate::{generate, shrink};
use crate::oracle::{Rule, Tally, Violation};
use crate::plan::Plan;

mod batch;
pub mod mutant;
pub mod named;
pub mod nodes;
pub mod run;
mod table;
pub mod trace;
pub mod world;

use batch::{Batch, Failure};
use table::Row;

/// What to run. Every named plan runs unless `--seed` or `--plan` names one; without arguments 2,000 fixed and 500
/// fresh seeds follow.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// Random plans from the seeds 0, 1, 2, ...: the same ones every time.
    #[arg(long, value_name = "N")]
    pub fixed: Option<u64>,
    /// Random plans from seeds that nobody has tried; the first seed is printed.
    #[arg(long, value_name = "N")]
    pub fresh: Option<u64>,
    /// The random plan of one seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A named plan, a plan file, or `all` for every named plan.
    #[arg(long, value_name = "NAME|FILE|all")]
    pub plan: Option<String>,
    /// Steps of each random plan; 200, or 80 with `--nodes`, if not given.
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Many nodes that count together over a Redis with all its faults, instead of one gate: without other arguments 4,000
    /// fixed and 1,000 fresh seeds. `--plan` names a file.
    #[arg(long)]
    pub nodes: bool,
    /// Threads; as many as there are cores if not given.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Print what goes into the gate and what comes out, for the plans of `--seed` and `--plan`.
    #[arg(long)]
    pub trace: bool,
    /// Print the plans of `--seed` and `--plan` and run nothing.
    #[arg(long, conflicts_with = "trace")]
    pub print: bool,
    /// Print the page about gates and nodes that are broken on purpose, and what catches them.
    #[arg(long, exclusive = true)]
    pub mutants: bool,
}

/// Steps of a random plan of one gate.
const STEPS: usize = 200;

impl Args {
    fn steps(&self) -> usize {
        self.steps.unwrap_or(STEPS)
    }
}

const DEFAULT_FIXED: u64 = 2_000;
const DEFAULT_FRESH: u64 = 500;

/// Runs what was asked for and prints the table; exit code 1 where a promise broke.
///
/// # Errors
/// When a plan cannot be read.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    if args.mutants {
        print!("{}{}", mutant::page::markdown(), nodes::page::markdown());
        return Ok(ExitCode::SUCCESS);
    }
    if args.nodes {
        return nodes::command(args);
    }
    let plans = plans_of(args)?;
    if args.print {
        plans.iter().for_each(|(_, plan)| print!("{plan}"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (name, plan) in plans {
        let start = Instant::now();
        let outcome = match args.trace {
            true => run::run_against(&plan, |plans| trace::Traced::new(Gate::new(plans, plan.seed))),
            false => run::run(&plan),
        };
        rows.push(Row::new(&name, outcome.tally, start.elapsed()));
        failures.extend(outcome.violation.map(|violation| Failure { name, plan, violation }));
    }
    for (name, first_seed, count) in seeds_of(args)? {
        let batch = Batch::run(&name, first_seed, count, args)?;
        rows.push(Row::new(&name, batch.tally, batch.core_time));
        failures.extend(batch.failures);
    }
    println!("{}", table::render(&rows));
    let total = rows.iter().fold(Tally::default(), |mut total, row| {
        total.add(&row.tally);
        total
    });
    println!("{}", table::render_reach(&total));
    for failure in &failures {
        report(failure);
    }
    Ok(match total.violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The plans that were asked for by name or by seed.
fn plans_of(args: &Args) -> anyhow::Result<Vec<(String, Plan)>> {
    let mut plans = match (args.plan.as_deref(), args.seed) {
        (Some("all"), _) | (None, None) => named::all()?,
        (Some(name), _) => vec![(name.to_owned(), named_or_file(name)?)],
        (None, Some(_)) => Vec::new(),
    };
    plans.extend(args.seed.map(|seed| (format!("seed {seed}"), generate(seed, args.steps()))));
    Ok(plans)
}

fn named_or_file(name: &str) -> anyhow::Result<Plan> {
    if let Some(text) = named::text_of(name) {
        return text.parse().with_context(|| format!("plan {name}"));
    }
    let text = std::fs::read_to_string(name).with_context(|| {
        let known: Vec<_> = named::PLANS.iter().map(|(name, _)| *name).collect();
        format!("there is no plan file {name}, and no plan of that name among: {}", known.join(", "))
    })?;
    text.parse().with_context(|| format!("plan file {name}"))
}

/// The runs of seeds that were asked for: name, first seed, count.
fn seeds_of(args: &Args) -> anyhow::Result<Vec<(String, u64, u64)>> {
    let asks_for_nothing = args.plan.is_none() && args.seed.is_none() && args.fixed.is_none() && args.fresh.is_none();
    let or_default =
        |asked: Option<u64>, default| asked.or(asks_for_nothing.then_some(default)).filter(|count| *count > 0);
    let mut runs = Vec::new();
    if let Some(count) = or_default(args.fixed, DEFAULT_FIXED) {
        runs.push(("fixed seeds".to_owned(), 0, count));
    }
    if let Some(count) = or_default(args.fresh, DEFAULT_FRESH) {
        let base = fresh_seed()?;
        println!("fresh seeds start at {base}");
        runs.push(("fresh seeds".to_owned(), base, count));
    }
    Ok(runs)
}

/// A seed that nobody has tried: far above the fixed ones, and short enough to be typed in again.
fn fresh_seed() -> anyhow::Result<u64> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(1_000_000_000 + u64::try_from(since_1970.as_micros() % 1_000_000_000_000)?)
}

fn report(failure: &Failure) {
    println!("\n{}: {}", failure.name, failure.violation);
    if failure.violation.rule == Rule::Expectation {
        // What a plan expects hangs on every step before it: there is nothing to leave out.
        return;
    }
    let still_fails = |plan: &Plan| is_broken_the_same_way(plan, &failure.violation);
    let small = batch::quietly(|| shrink(&failure.plan, still_fails));
    println!("This plan is enough; save it and run it again with `sim --trace --plan FILE`:\n\n{small}");
    if let Some(violation) = batch::quietly(|| run::run(&small)).violation {
        println!("# {violation}");
    }
}

fn is_broken_the_same_way(plan: &Plan, violation: &Violation) -> bool {
    run::run(plan).violation.is_some_and(|other| other.rule == violation.rule)
}
