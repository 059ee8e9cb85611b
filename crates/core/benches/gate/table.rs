//! Samples, and the lines that they are printed as.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lychgate_core::{Gate, Input, Time};

pub(crate) const HEADER: &str = "case                                                                         samples   median      p99    p99.9      max   goal";

/// The longest sample that is told from longer ones, in nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// Nanoseconds of one case.
pub(crate) struct Samples {
    name: String,
    nanos: Histogram<u64>,
}

impl Samples {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), nanos: Histogram::new_with_bounds(1, MINUTE, 3).expect("these bounds are allowed") }
    }

    /// Times one input and all that follows from it under the lock.
    pub(crate) fn input(&mut self, gate: &mut Gate, now: Time, input: Input) -> Duration {
        let took = timed(gate, |gate| gate.handle_input(now, input));
        self.add(took);
        took
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.nanos.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn median(&self) -> u64 {
        self.nanos.value_at_quantile(0.5)
    }

    pub(crate) fn p999(&self) -> u64 {
        self.nanos.value_at_quantile(0.999)
    }

    /// Prints the line; `goal` is the most that the median may be, in nanoseconds.
    pub(crate) fn print(&self, goal: Option<u64>) {
        let at = |quantile| micros(self.nanos.value_at_quantile(quantile));
        let verdict = goal.map_or_else(String::new, |goal| verdict("median", self.median(), goal));
        println!(
            "{:75} {:>8} {:>8} {:>8} {:>8} {:>8}   {verdict}",
            self.name,
            self.nanos.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            micros(self.nanos.max()),
        );
    }
}

/// What the driver does under the lock, with the time that it takes.
pub(crate) fn timed(gate: &mut Gate, change: impl FnOnce(&mut Gate)) -> Duration {
    let start = Instant::now();
    change(gate);
    while let Some(output) = gate.poll_output() {
        black_box(output);
    }
    black_box(gate.poll_timeout());
    start.elapsed()
}

pub(crate) fn verdict(what: &str, nanos: u64, goal: u64) -> String {
    let word = if nanos <= goal { "met" } else { "MISSED" };
    format!("{what} <= {}: {word}", micros(goal))
}

/// `1.23us`.
pub(crate) fn micros(nanos: u64) -> String {
    format!("{:.2}us", nanos as f64 / 1_000.0)
}
