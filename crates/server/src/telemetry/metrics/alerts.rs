//! What is counted of alerts, of those who are told of them, and of what is done about them.

use super::Metrics;
use crate::telemetry::alerts::catalogue::OF_USERS;
use crate::telemetry::alerts::{Change, Delivery, Listener};

impl Listener for Metrics {
    fn changed(&self, change: &Change) {
        // What begins for a user is told for him and, by the evaluation of the node, for all users together.
        let is_told_of_each = change.user.is_none() && OF_USERS.contains(&change.alert);
        if !is_told_of_each {
            self.instruments.alerts.inc_of(&[change.alert, change.state.as_str()]);
        }
    }
}

impl Metrics {
    /// A webhook was asked.
    pub fn on_webhook(&self, outcome: Delivery) {
        self.instruments.webhook_deliveries.inc_of(&[outcome.as_str()]);
    }

    /// A rule was due; `outcome` is `done`, `failed`, `told` (a dry run) or `held` (by its bounds).
    pub fn on_remediation(&self, action: &'static str, mode: &'static str, outcome: &'static str) {
        self.instruments.remediations.inc_of(&[action, mode, outcome]);
    }
}
