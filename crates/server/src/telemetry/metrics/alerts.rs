//! What is counted of alerts and of those who are told of them.

use super::Metrics;
use crate::telemetry::alerts::{Change, Delivery, Listener};

impl Listener for Metrics {
    fn changed(&self, change: &Change) {
        self.instruments.alerts.inc_of(&[change.alert, change.state.as_str()]);
    }
}

impl Metrics {
    /// A webhook was asked.
    pub fn on_webhook(&self, outcome: Delivery) {
        self.instruments.webhook_deliveries.inc_of(&[outcome.as_str()]);
    }
}
