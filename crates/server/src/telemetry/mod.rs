//! Eyes: structured logs and metrics of everything that the gate decides.
//!
//! ```text
//! driver --Output::Event--> logs::event      one line, with user, thread, isolation key
//!                      '--> Metrics::on_event --scrape: Population--> GET /metrics
//! ```

pub mod alerts;
pub mod forecast;
pub mod logs;
pub mod metrics;

pub use forecast::{NodeForecast, Outlook};
pub use metrics::{Metrics, Population};
