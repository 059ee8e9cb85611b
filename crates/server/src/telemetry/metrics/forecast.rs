//! What is forecast, counted when the metrics are scraped, and what rules of remediation did.

use lychgate_core::WITHIN;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::{List, Metrics, Population, Seconds, count};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Within {
    within: &'static str,
}

/// A rule that was due.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Remedy {
    action: &'static str,
    mode: &'static str,
    outcome: &'static str,
}

#[derive(Debug)]
pub(super) struct Forecasts {
    users: Family<Within, Gauge>,
    full_in: Seconds,
    load: Seconds,
    load_ahead: Seconds,
    remedies: Family<Remedy, Counter>,
}

impl Forecasts {
    pub(super) fn register(list: &mut List) -> Self {
        let users = list.add(
            "users_forecast",
            "Users below their limit who reach it within this time at the present trend",
            Family::default(),
        );
        let full_in = Seconds::default();
        let help = "After how long the node is full at the present trend; +Inf while that is not in sight";
        list.0.register_with_unit("node_full_in", help, Unit::Seconds, full_in.clone());
        let load = Seconds::default();
        list.0.register_with_unit(
            "node_load",
            "The part of the node's bound on connections that is used",
            Unit::Ratios,
            load.clone(),
        );
        let load_ahead = Seconds::default();
        let help =
            "That part as it is expected one forecast.horizon ahead; above 1 where there is no room for all who come";
        list.0.register_with_unit("node_load_forecast", help, Unit::Ratios, load_ahead.clone());
        let remedies = list.family("remediations", "Rules of remediation that were due, by what became of them");
        Self { users, full_in, load, load_ahead, remedies }
    }

    pub(super) fn set(&self, population: &Population) {
        for ((_, within), users) in WITHIN.into_iter().zip(population.users_forecast) {
            self.users.get_or_create(&Within { within }).set(i64::try_from(users).unwrap_or(i64::MAX));
        }
        self.full_in.set(population.node.full_in.map_or(f64::INFINITY, |after| after.as_secs_f64()));
        self.load.set(population.node.load);
        self.load_ahead.set(population.node.load_ahead);
    }
}

impl Metrics {
    /// A rule was due; `outcome` is `done`, `failed`, `told` (a dry run) or `held` (by its bounds).
    pub fn on_remediation(&self, action: &'static str, mode: &'static str, outcome: &'static str) {
        count(&self.forecasts.remedies, Remedy { action, mode, outcome });
    }
}
