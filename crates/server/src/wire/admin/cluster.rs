//! What a node knows of the others with which it counts sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The cluster, as one node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"kind": "redis", "health": "unknown", "unknown_since": "2026-11-21T12:00:00.000Z", "unknown_for_ms": 4200,
    "because": "Redis cannot be reached", "incarnation": "5f1c0a9b3d2e4f60", "leases": 12, "answered_ms": 4900, "nodes": [
        {"this": true, "name": "gw-1", "address": "10.0.0.7:8787", "version": "0.1.0", "incarnation": "5f1c0a9b3d2e4f60",
         "started": "2026-11-21T11:00:00.000Z", "sessions": 12, "lease_ms": 4300}]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct ClusterView {
    /// `single`: this node is alone, and there is nobody to ask; or `redis`.
    pub kind: String,
    /// `healthy`: sessions of all nodes count together; `unknown`: this node goes by its own count.
    pub health: String,
    /// Since when it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<String>,
    /// Milliseconds since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_for_ms: Option<u64>,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// This node as the others see it; absent where it is alone, and before it has met them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Leases that this node holds, those included that Redis has yet to be told of.
    pub leases: usize,
    /// Milliseconds since a question left this node that Redis answered; it asks once a second at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// The nodes that lived as of that answer, this one included, by name.
    pub nodes: Vec<ClusterNode>,
}

/// A node, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct ClusterNode {
    /// Whether it is the one that was asked.
    pub this: bool,
    /// `cluster.node_name`, or the name of its machine.
    pub name: String,
    /// `cluster.node_address`, or where it listens.
    pub address: String,
    /// Of the program.
    pub version: String,
    /// Under which it holds its leases: another one after each start, and after it was taken for dead.
    pub incarnation: String,
    /// When it started, by its own clock.
    pub started: String,
    /// Sessions that it holds, as of some seconds ago.
    pub sessions: u64,
    /// Milliseconds that its node lease still holds if it does not renew it; when they are over it is dead to the others.
    pub lease_ms: u64,
}
