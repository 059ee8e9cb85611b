//! What is there when somebody looks: counted from the records at every scrape (cause C9).

use std::sync::Arc;

use lychgate_core::{Census, Pressure, WITHIN};

use super::Metrics;
use super::words::{SCOPES, SPANS, UNWRITTEN};
use crate::telemetry::Outlook;

/// What is known of the other nodes. The default is a node that is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterCensus {
    /// Whether the store of the leases can be asked.
    pub is_known: bool,
    /// Nodes that live, this one included.
    pub nodes: usize,
    /// Leases of this node.
    pub leases: usize,
}

impl Default for ClusterCensus {
    fn default() -> Self {
        Self { is_known: true, nodes: 1, leases: 0 }
    }
}

/// What the node holds and how it is, as of a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// Of all users.
    pub census: Census,
    /// Breakers of the node that have a step of reclaim skipped.
    pub open_node_breakers: usize,
    /// Sockets that have not said who they are.
    pub unidentified: usize,
    /// How full the node is, from 0 to 1.
    pub load: f64,
    /// Where that goes.
    pub outlook: Outlook,
    /// Whether it can deliver and is not being drained.
    pub is_ready: bool,
    /// Whether it is being drained.
    pub is_draining: bool,
    /// What the journal takes.
    pub journal_bytes: u64,
    /// Whether the journal can take nothing.
    pub journal_trouble: bool,
    /// The other nodes, and what is shared with them.
    pub cluster: ClusterCensus,
    /// Every agent, and whether it is asked.
    pub agents: Vec<(Arc<str>, bool)>,
    /// Bytes of the record of decisions.
    pub explained_bytes: usize,
    /// Users whose record of decisions was dropped to stay within its budget, since the start.
    pub explained_dropped: u64,
    /// Log lines that were not written, since the start: left out of storms, and lost.
    pub unwritten_lines: [u64; UNWRITTEN.len()],
    /// Spans since the start: delivered, dropped, failed.
    pub spans: [u64; SPANS.len()],
}

impl Metrics {
    /// Sets every gauge that is counted at a scrape.
    pub(super) fn show(&self, population: &Population) {
        let to = &self.instruments;
        let Census {
            users: _,
            sessions,
            lingering,
            connections,
            runs,
            waiting,
            by_pressure,
            open_breakers,
            // The bands are enough to be scraped.
            by_use: _,
            by_forecast,
        } = population.census;
        to.sessions.set(sessions);
        to.sessions_lingering.set(lingering);
        to.connections.set(connections);
        to.unidentified_sockets.set(population.unidentified);
        to.runs.set(runs);
        to.waiters.set(waiting);
        for (band, users) in Pressure::ALL.into_iter().zip(by_pressure) {
            to.users.set_of(&[band.as_str()], users);
        }
        for ((_, within), users) in WITHIN.into_iter().zip(by_forecast) {
            to.users_forecast.set_of(&[within], users);
        }
        for (scope, open) in SCOPES.into_iter().zip([open_breakers, population.open_node_breakers]) {
            to.breakers_open.set_of(&[scope], open);
        }
        for (agent, is_up) in &population.agents {
            to.agent_up.set_of(&[agent], usize::from(*is_up));
        }
        to.journal_bytes.set(usize::try_from(population.journal_bytes).unwrap_or(usize::MAX));
        to.journal_trouble.set(usize::from(population.journal_trouble));
        to.cluster_store_known.set(usize::from(population.cluster.is_known));
        to.cluster_nodes.set(population.cluster.nodes as f64);
        to.cluster_leases.set(population.cluster.leases);
        to.ready.set(usize::from(population.is_ready));
        to.draining.set(usize::from(population.is_draining));
        to.node_load_ratio.set(population.load);
        to.node_load_forecast_ratio.set(population.outlook.load_ahead);
        to.node_full_in_seconds.set(population.outlook.full_in.map_or(f64::INFINITY, |after| after.as_secs_f64()));
        to.explain_bytes.set(population.explained_bytes);
        for (reason, lines) in UNWRITTEN.into_iter().zip(population.unwritten_lines) {
            to.log_lines_dropped.raise_of(&[reason], lines);
        }
        for (outcome, spans) in SPANS.into_iter().zip(population.spans) {
            to.spans.raise_of(&[outcome], spans);
        }
        to.explain_dropped_users.set(usize::try_from(population.explained_dropped).unwrap_or(usize::MAX));
    }
}
