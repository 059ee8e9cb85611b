//! HTTP routes: health and metrics for operators, a first page for people, error frames for everything else.
//!
//! ```text
//! admin listener: GET /healthz  the process lives
//!                 GET /readyz   something can be delivered: not draining, runtime not stalled
//!                 GET /metrics  OpenMetrics
//! user listener:  GET /         what this is
//! both:           anything else an `error` frame as JSON, with Retry-After where there is a time to come back
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::close::ErrorCode;
use crate::telemetry::metrics;
use crate::telemetry::{Metrics, Population};

/// What decides whether this node is ready. The driver's reaper and the drain set it, the probes read it.
#[derive(Debug, Default)]
pub struct Health {
    /// The node is being drained: send nobody here.
    pub draining: AtomicBool,
    /// The asynchronous runtime does not answer: nothing could be delivered (hazard R26).
    pub stalled: AtomicBool,
}

impl Health {
    /// Why this node is not ready; none when it is.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        match (self.draining.load(Ordering::Relaxed), self.stalled.load(Ordering::Relaxed)) {
            (true, _) => Some("draining"),
            (false, true) => Some("the runtime is stalled"),
            (false, false) => None,
        }
    }
}

/// Everything that the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    /// Whether this node is ready.
    pub health: Arc<Health>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Counts the records; called at every scrape, so it must be quick and must not block for long.
    pub population: Arc<dyn Fn() -> Population + Send + Sync>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("health", &self.health).finish_non_exhaustive()
    }
}

/// The routes of the admin listener. They ask for no token: the listener belongs on loopback or a private network.
pub fn admin(admin: Admin) -> Router {
    with_errors(
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(scrape))
            .with_state(admin),
    )
}

/// The routes of the user listener that are no WebSocket; `/v1/ws` is the listener's own.
pub fn user() -> Router {
    with_errors(Router::new().route("/", get(front_page)))
}

/// An error as HTTP: the `error` frame as JSON with the status of its row; `Retry-After` mirrors `retry_in`, rounded up
/// to whole seconds.
#[must_use]
pub fn error_response(code: ErrorCode) -> Response {
    let row = code.row();
    let body = serde_json::to_string(&code.to_frame()).expect("an error frame always serialises");
    let status = StatusCode::from_u16(row.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(CONTENT_TYPE, json)], body).into_response();
    if let Some(retry_in) = row.retry_in {
        let seconds = retry_in.as_millis().div_ceil(1000) as u64;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn with_errors(router: Router) -> Router {
    router
        .fallback(|| async { error_response(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { error_response(ErrorCode::MethodNotAllowed) })
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.health.trouble() {
        None => (StatusCode::OK, [(CACHE_CONTROL, "no-store")], "ready\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], format!("not ready: {why}\n"))
            .into_response(),
    }
}

async fn scrape(State(admin): State<Admin>) -> impl IntoResponse {
    let text = admin.metrics.encode((admin.population)());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

async fn front_page() -> &'static str {
    concat!(
        "Lychgate ",
        env!("CARGO_PKG_VERSION"),
        ": a WebSocket gateway for AI chat that never locks a user out.\n\n",
        "Clients connect to /v1/ws with the subprotocol lychgate.v1; docs/protocol.md in the source explains it.\n",
        "In a terminal: lychgate chat --token TOKEN\n",
    )
}

#[cfg(test)]
mod tests;
