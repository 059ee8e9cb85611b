//! The one list of alerts: name, condition, and what a person does about it.

use std::time::Duration;

use super::Severity;
use super::condition::{Condition, Series, Value};

/// One alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// The same in Prometheus, in messages and in the runbook.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What has to hold.
    pub condition: Condition,
    /// For how long it has to hold before the alert fires.
    pub holds_for: Duration,
    /// What is the case, in one sentence.
    pub summary: &'static str,
    /// What that means for users, and what the gateway does about it by itself.
    pub meaning: &'static str,
    /// Where to look: metrics, explain, logs.
    pub look_at: &'static [&'static str],
    /// What to press: commands, routes, keys of the configuration.
    pub press: &'static [&'static str],
}

const AT_ONCE: Duration = Duration::ZERO;

const fn users(bands: &'static [(&'static str, &'static [&'static str])]) -> Condition {
    Condition::Above(Value::Sum(Series { name: "lychgate_users", labels: bands }), 0.0)
}

/// Every alert, in the order of the runbook.
pub const ALERTS: [Alert; 1] = [Alert {
    name: "LychgateUserAt50",
    severity: Severity::Info,
    condition: users(&[("band", &["watch", "warn", "high", "full"])]),
    holds_for: AT_ONCE,
    summary: "Somebody holds half of his sessions or more",
    meaning: "",
    look_at: &[],
    press: &[],
}];
