//! HTTP routes: health and metrics for operators, a first page for people, error frames for everything else.
//!
//! ```text
//! admin listener: GET /healthz  the process lives
//!                 GET /readyz   something can be delivered: not draining, neither runtime nor reaper stuck, the journal takes events
//!                 GET /metrics  OpenMetrics
//! user listener:  GET /         what this is
//! both:           anything else an `error` frame as JSON, with Retry-After where there is a time to come back
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::close::ErrorCode;
use crate::driver::Trouble;
use crate::telemetry::metrics;
use crate::telemetry::{Metrics, Population};

/// How long a scrape may wait for the records to be counted.
const COUNTING: Duration = Duration::from_secs(2);

/// What decides whether this node is ready: the drain, and what keeps it from delivering (hazard R26).
pub struct Health {
    draining: AtomicBool,
    watch: Box<dyn Fn() -> Option<Trouble> + Send + Sync>,
    also: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Health {
    /// Ready while `watch` finds nothing. It is asked for every probe: it must be quick and never block.
    #[must_use]
    pub fn new(watch: impl Fn() -> Option<Trouble> + Send + Sync + 'static) -> Self {
        Self { draining: AtomicBool::new(false), watch: Box::new(watch), also: Box::new(|| None) }
    }

    /// Ready only while `also` finds nothing either, such as a journal that takes nothing. As quick as `watch`.
    #[must_use]
    pub fn and(self, also: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { also: Box::new(also), ..self }
    }

    /// The node is being drained: send nobody here.
    pub fn on_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why this node is not ready; none when it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.draining.load(Ordering::Relaxed) {
            true => Some("draining".to_owned()),
            false => (self.watch)().map(|trouble| trouble.to_string()).or_else(|| (self.also)()),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("trouble", &self.trouble()).finish()
    }
}

/// Everything that the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    population: Arc<dyn Fn() -> Population + Send + Sync>,
    counting: Arc<Semaphore>,
}

impl Admin {
    /// `population` counts the records at every scrape, on a thread that may block, one scrape at a time.
    #[must_use]
    pub fn new(
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        population: impl Fn() -> Population + Send + Sync + 'static,
    ) -> Self {
        Self { health, metrics, population: Arc::new(population), counting: Arc::new(Semaphore::new(1)) }
    }

    /// Counts, for [`COUNTING`] at most: whatever holds the locks of the records must not hold the probes as well.
    async fn count(&self) -> Option<Population> {
        let count = async {
            let turn = Arc::clone(&self.counting).acquire_owned().await.ok()?;
            let population = Arc::clone(&self.population);
            let counted = spawn_blocking(move || {
                let _turn = turn;
                population()
            });
            counted.await.ok()
        };
        timeout(COUNTING, count).await.ok().flatten()
    }
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

async fn scrape(State(admin): State<Admin>) -> Response {
    match admin.count().await {
        Some(population) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.metrics.encode(population)).into_response(),
        None => error_response(ErrorCode::Internal),
    }
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
