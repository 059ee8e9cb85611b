//! Alerts: one list, from which the rules for Prometheus and the built-in evaluation are made.
//!
//! ```text
//!              catalogue (name, severity, condition, for, words)
//!                 |                                 |
//!                 v                                 v
//!     rules: deploy/prometheus/*.yml     /metrics text -> samples -> history -> Watch --Change--> listeners
//!     runbook: docs/alerts.md                      Event::Pressure -> Users --Change--^           (webhooks, remediation, Board)
//! ```
//!
//! A condition is written once and rendered or evaluated, so that Prometheus and the gateway cannot mean different things
//! by one name.

use lychgate_core::UserId;

mod bell;
mod board;
pub mod catalogue;
pub mod condition;
mod desk;
mod history;
mod levers;
mod message;
pub mod rules;
mod users;
mod watch;
mod webhook;

pub use crate::config::Severity;
pub use bell::Bell;
pub use board::Board;
pub use catalogue::{ALERTS, Alert};
pub use users::{Certainty, Users};
pub use watch::{Judged, Watch};
pub use webhook::Webhook;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its condition has held for as long as the alert wants.
    Firing,
    /// It held, and holds no longer.
    Resolved,
}

impl State {
    /// The word in messages and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The words of all states.
pub(super) const STATES: [&str; 2] = [State::Firing.as_str(), State::Resolved.as_str()];

/// What became of a request to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// It was not, and is sent again soon.
    Retried,
    /// It was not, and is given up; what it tells is part of the next one.
    Failed,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Retried, Self::Failed];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Failed => "failed",
        }
    }
}

/// An alert that began or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name in the [`catalogue`].
    pub alert: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Whom it is about; none: the node.
    pub user: Option<UserId>,
    /// Whether it began or ended.
    pub state: State,
    /// What the condition compared, such as a count of users or a ratio; of a user the part of his limit, 1 being all of it.
    pub value: f64,
    /// When it began to fire, also in the change that ends it.
    pub since: jiff::Timestamp,
}

/// Whoever acts on alerts: webhooks, remediation.
pub trait Listener: Send + Sync {
    /// An alert began or ended; each beginning and each end is told once. Called from the thread that decides about a user
    /// or from the one that evaluates: it must not block, and must not call back into a gate.
    fn changed(&self, change: &Change);
}

#[cfg(test)]
mod tests;
