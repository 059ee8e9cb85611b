//! In place of the exporter where it is not built in.

use std::sync::Arc;

use super::{Outlet, Tally, TracesError};
use crate::config;

/// Never: the configuration refuses a collector in this program.
///
/// # Errors
/// Always.
pub(super) fn start(_: &config::Collector, _: &config::Traces, _: Arc<Tally>) -> Result<Box<dyn Outlet>, TracesError> {
    Err(TracesError("this program was built without `otlp`".to_owned()))
}
