//! `GET /v1/admin/me`, `/agents`, `/node`, `/cluster`, `/alerts`: the node as a whole, on one page each.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Control;
use super::access::Reader;
use crate::wire::admin::{AgentList, AlertList, ClusterView, Error, Me, NodeView};

/// Who asks, and whether he may change things.
#[utoipa::path(
    get, path = "/v1/admin/me", tag = "operators", security(("key" = [])),
    responses((status = 200, body = Me), (status = 401, body = Error), (status = 403, body = Error))
)]
pub(super) async fn me(Reader(operator): Reader) -> Json<Me> {
    Json(Me { operator: operator.who.to_string(), role: operator.role.as_str().to_owned() })
}

/// Every agent: whether it is asked, what became of its answers, how soon they began, what failed last.
#[utoipa::path(
    get, path = "/v1/admin/agents", tag = "operators", security(("key" = [])),
    responses((status = 200, body = AgentList), (status = 401, body = Error), (status = 403, body = Error))
)]
pub(super) async fn agents(State(control): State<Arc<Control>>, _: Reader) -> Json<AgentList> {
    Json(AgentList { agents: (control.views.agents)() })
}

/// The node, whether it is ready, and every key of its configuration with who said so; secrets are masked.
#[utoipa::path(
    get, path = "/v1/admin/node", tag = "operators", security(("key" = [])),
    responses((status = 200, body = NodeView), (status = 401, body = Error), (status = 403, body = Error))
)]
pub(super) async fn node(State(control): State<Arc<Control>>, _: Reader) -> Json<NodeView> {
    Json((control.views.node)())
}

/// Whether sessions count together with those of other nodes, and with whose: what this node knows of the cluster.
#[utoipa::path(
    get, path = "/v1/admin/cluster", tag = "operators", security(("key" = [])),
    responses((status = 200, body = ClusterView), (status = 401, body = Error), (status = 403, body = Error))
)]
pub(super) async fn cluster(State(control): State<Arc<Control>>, _: Reader) -> Json<ClusterView> {
    Json((control.views.cluster)())
}

/// Every alert of docs/alerts.md: whether it fires, since when, for whom, and what to do.
#[utoipa::path(
    get, path = "/v1/admin/alerts", tag = "operators", security(("key" = [])),
    responses((status = 200, body = AlertList), (status = 401, body = Error), (status = 403, body = Error))
)]
pub(super) async fn alerts(State(control): State<Arc<Control>>, _: Reader) -> Json<AlertList> {
    Json(AlertList { alerts: control.views.board.alerts() })
}
