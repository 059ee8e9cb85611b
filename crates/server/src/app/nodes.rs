//! What there is to see of the other nodes: for operators, and for a scrape.

use super::leases::Leases;
use crate::cluster::{Cluster, Health, Node};
use crate::telemetry::metrics::ClusterCensus;
use crate::wire::admin::{ClusterNode, ClusterView, rfc3339};
use crate::wire::{millis, unix_ms};

/// The cluster as this node knows it; none: it is alone. Asks nobody.
pub(super) fn view(leases: Option<&Leases>) -> ClusterView {
    let Some(cluster) = leases.map(Leases::cluster) else {
        return ClusterView { kind: "single".to_owned(), health: "healthy".to_owned(), ..ClusterView::default() };
    };
    let me = cluster.incarnation();
    let node = |node: Node| ClusterNode {
        this: node.incarnation == me,
        name: node.name,
        address: node.address,
        version: node.version,
        incarnation: node.incarnation.to_string(),
        started: rfc3339(node.started),
        sessions: node.sessions,
        lease_ms: millis(node.lease_left),
    };
    let mut nodes: Vec<_> = cluster.nodes().into_iter().map(node).collect();
    // By name, for people; two of one name keep their order from one look to the next.
    nodes.sort_by(|one, other| (&one.name, &one.incarnation).cmp(&(&other.name, &other.incarnation)));
    let (health, unknown) = match cluster.health() {
        Health::Healthy => ("healthy", None),
        Health::Unknown { since, trouble } => ("unknown", Some((millis(since), trouble))),
    };
    ClusterView {
        kind: "redis".to_owned(),
        health: health.to_owned(),
        unknown_since: unknown.map(|(for_ms, _)| rfc3339(unix_ms().saturating_sub(for_ms))),
        unknown_for_ms: unknown.map(|(for_ms, _)| for_ms),
        because: unknown.map(|(_, trouble)| trouble.to_string()),
        // Before its first beat was answered it is nobody.
        incarnation: cluster.answered().map(|_| me.to_string()),
        leases: cluster.leases(),
        answered_ms: cluster.answered().map(millis),
        nodes,
    }
}

/// The same in numbers.
pub(super) fn census(leases: Option<&Leases>) -> ClusterCensus {
    let of = |cluster: &dyn Cluster| ClusterCensus {
        is_known: cluster.health() == Health::Healthy,
        nodes: cluster.nodes().len(),
        leases: cluster.leases(),
    };
    leases.map(Leases::cluster).map_or_else(ClusterCensus::default, of)
}
