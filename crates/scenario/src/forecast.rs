//! Replays how the sessions of a user moved, and compares who saw the limit coming.
//!
//! ```text
//!  traces (made from a seed) --world, gate--> count per second --+--> detectors --score--> alarms, lead, false alarms
//!  a recorded trace (FILE) ---------------------> count ---------'
//!  traces --world, gates with other watermarks, or with a forecast--> reclaims inside admissions, and in the background
//! ```
//!
//! What it prints stands in `docs/forecast.md`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

mod detect;
#[cfg(feature = "augurs")]
mod ets;
mod policy;
mod replay;
mod score;
mod traces;

use detect::DETECTORS;
use policy::POLICIES;
use replay::{Series, replay};
use score::Score;
use traces::TRACES;

/// How the tables of `docs/forecast.md` are renewed.
pub const RENEW: &str = "cargo run --release -p lychgate-scenario --features augurs -- forecast";

/// Which trace.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// A recorded trace instead of the generated ones: on each line a time in seconds and the sessions of a user from then
    /// on, divided by blanks or a comma; what follows a `#` is for people.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// The limit of that user.
    #[arg(long, value_name = "N", default_value_t = LIMIT, requires = "trace")]
    pub limit: usize,
}

/// Sessions per user, as a gateway has it by default.
const LIMIT: usize = 20;

/// Prints the tables, as Markdown.
///
/// # Errors
/// When a trace cannot be read.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.trace {
        None => print!("{}\n{}", alarms(&generated()), reclaims()),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("the trace {}", path.display()))?;
            let series = read(&text, args.limit).with_context(|| format!("the trace {}", path.display()))?;
            print!("{}", alarms(&[("recorded", series)]));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the sessions of every generated trace did, at a gate as it is by default but without a forecast: all detectors see
/// the same.
fn generated() -> Vec<(&'static str, Series)> {
    TRACES.iter().map(|(name, make)| (*name, replay(&make(), policy::plain()).0)).collect()
}

/// Who saw the limit coming.
#[must_use]
fn alarms(traces: &[(&str, Series)]) -> String {
    let mut page = "| trace | hours | limit reached | alarm | seen before | lead | false alarms per hour | false minutes per hour |\n\
                    |---|---:|---:|---|---:|---:|---:|---:|\n"
        .to_owned();
    for (name, series) in traces {
        for (detector, make) in DETECTORS {
            let score = Score::of(series, make(series.limit).as_mut());
            _ = writeln!(page, "| {name} | {:.1} | {} | {detector} | {score} |", series.hours(), score.hits());
        }
    }
    page
}

/// What was reclaimed when, by other watermarks and with a forecast.
#[must_use]
fn reclaims() -> String {
    let mut page =
        "| trace | background reclaim | reclaims inside admissions | in the background |\n|---|---|---:|---:|\n"
            .to_owned();
    for (name, make) in TRACES {
        for (policy, spec) in POLICIES {
            let (_, tally) = replay(&make(), spec());
            let (inside, background) = policy::reclaimed(&tally);
            _ = writeln!(page, "| {name} | {policy} | {inside} | {background} |");
        }
    }
    page
}

/// Reads a recorded trace.
///
/// # Errors
/// Names the line that is none, or that goes back in time.
fn read(text: &str, limit: usize) -> anyhow::Result<Series> {
    let mut changes: Vec<(u64, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = said.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        let number = number + 1;
        match *words.as_slice() {
            [] => {}
            [at, count] => {
                let at: f64 = at.parse().with_context(|| format!("line {number}: `{at}` is no time in seconds"))?;
                let count =
                    count.parse().with_context(|| format!("line {number}: `{count}` is no number of sessions"))?;
                if !(0.0..=MAX_SECS as f64).contains(&at) {
                    bail!("line {number}: a trace lasts {MAX_SECS} seconds at most, from 0 on");
                }
                if changes.last().is_some_and(|(before, _)| at < *before as f64) {
                    bail!("line {number}: {at} is earlier than the line before");
                }
                changes.push((at as u64, count));
            }
            _ => bail!("line {number}: `{line}` is not a time in seconds and a number of sessions, such as `12.5 7`"),
        }
    }
    if changes.is_empty() || limit == 0 {
        bail!("there is nothing in it, or a limit of 0");
    }
    Ok(Series::held(&changes, limit))
}

/// A month.
const MAX_SECS: u64 = 31 * 24 * 3600;

#[cfg(test)]
mod tests;
