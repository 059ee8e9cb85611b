//! What can be watched in numbers: one list of metrics, and what feeds them.
//!
//! ```text
//!  list (name, kind, unit, help, labels with their words)
//!    |- register -> Instruments <- gate (events of the core), work (runs, agents, journal, doors)
//!    |                  |       <- node (recounted at every scrape), process (/proc)
//!    |                  '- encode -> GET /metrics, built-in alerts
//!    |- reference -> docs/metrics.md          both made by `lychgate metrics`
//!    '- dashboard -> deploy/grafana/lychgate.json
//! ```
//!
//! No label ever names a user, a thread or a session (hazard R25): a series is found by words of closed lists, and what has
//! no place in them is counted nowhere. What is there at a moment is counted from the records when it is scraped; nothing
//! here counts it up and down (cause C9 of the original failure: counters that drifted from the truth).

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::list::Instruments;

mod alerts;
pub mod dashboard;
mod gate;
mod instrument;
pub mod list;
mod node;
mod panels;
pub mod process;
pub mod reference;
pub mod spec;
mod words;
mod work;

pub use list::METRICS;
pub use node::{ClusterCensus, Population};
pub use words::{AUTH_FAILURES, AcquireOutcome, AgentOutcome, AppendOutcome, QuestionOutcome, RunOutcome};

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every number that an operator can watch. Share it in an `Arc`; every method takes `&self`, waits for nobody and is cheap.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    instruments: Instruments,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero, of a gateway without agents.
    #[must_use]
    pub fn new() -> Self {
        Self::with_agents([])
    }

    /// All at zero; the agents are those of the configuration, by name.
    #[must_use]
    pub fn with_agents<'a>(agents: impl IntoIterator<Item = &'a str>) -> Self {
        let agents: Vec<Arc<str>> = agents.into_iter().map(Arc::from).collect();
        let (instruments, registry) = Instruments::register(&agents);
        Self { registry, instruments }
    }

    /// The reaper woke this much later than it wanted to.
    pub fn set_reaper_lag(&self, lag: Duration) {
        self.instruments.reaper_lag_seconds.set(lag.as_secs_f64());
    }

    /// The asynchronous runtime answered this late.
    pub fn set_runtime_lag(&self, lag: Duration) {
        self.instruments.runtime_lag_seconds.set(lag.as_secs_f64());
    }

    /// The asynchronous runtime is stuck; once per episode.
    pub fn on_runtime_stuck(&self) {
        self.instruments.runtime_stuck.inc();
    }

    /// The text of a scrape, in the OpenMetrics format ([`CONTENT_TYPE`]). Takes some hundred microseconds; what the process
    /// takes is read from /proc.
    #[must_use]
    pub fn encode(&self, population: &Population) -> String {
        self.show(population);
        self.show_process();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

#[cfg(test)]
mod tests;
