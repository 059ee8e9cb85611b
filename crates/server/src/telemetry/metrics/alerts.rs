//! What is counted of alerts and of those who are told of them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{List, Metrics, Outcome, count};
use crate::telemetry::alerts::{Change, Listener};

/// An alert that began or ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Turn {
    alert: &'static str,
    state: &'static str,
}

/// What becomes of a request to a webhook.
const OUTCOMES: [&str; 3] = ["delivered", "retried", "failed"];

#[derive(Debug)]
pub(super) struct Alerts {
    turns: Family<Turn, Counter>,
    deliveries: Family<Outcome, Counter>,
}

impl Alerts {
    pub(super) fn register(list: &mut List) -> Self {
        let turns = list.family("alerts", "Alerts that began or ended, those of users one by one");
        let deliveries = list.family("webhook_deliveries", "Requests to webhooks, by what became of them");
        for outcome in OUTCOMES {
            let _ = deliveries.get_or_create(&Outcome { outcome });
        }
        Self { turns, deliveries }
    }
}

impl Listener for Metrics {
    fn changed(&self, change: &Change) {
        count(&self.alerts.turns, Turn { alert: change.alert, state: change.state.as_str() });
    }
}

impl Metrics {
    /// A webhook was asked; `outcome` is `delivered`, `retried` or `failed`.
    pub fn on_webhook(&self, outcome: &'static str) {
        count(&self.alerts.deliveries, Outcome { outcome });
    }
}
