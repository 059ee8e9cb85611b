//! Eyes: structured logs, metrics and traces of everything that the gate decides.
//!
//! ```text
//! driver --Output::Event--> logs::event      one line, with user, thread, isolation key
//!                      |--> Metrics::on_event --scrape: Population--> GET /metrics, every 2 s --> History
//!                      '--> Traces::on_event  spans --OTLP--> a collector, where one is configured
//! ```

pub mod alerts;
pub(crate) mod exposition;
pub mod forecast;
pub mod history;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use forecast::{NodeForecast, Outlook};
pub use history::History;
pub use metrics::{Metrics, Population};
pub use traces::Traces;
