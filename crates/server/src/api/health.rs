//! What operators ask: whether the process lives, whether it can deliver anything, and what it counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error_response;
use crate::close::ErrorCode;
use crate::telemetry::metrics;
use crate::telemetry::{Metrics, Population};

/// How long a scrape may wait for the records to be counted.
const COUNTING: Duration = Duration::from_secs(2);

/// What decides whether this node is ready: the drain, and what keeps it from delivering (hazard R26).
pub struct Health {
    draining: AtomicBool,
    watch: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Health {
    /// Ready while `watch` finds nothing to say. It is asked for every probe: it must be quick and never block.
    #[must_use]
    pub fn new(watch: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { draining: AtomicBool::new(false), watch: Box::new(watch) }
    }

    /// The node is being drained: send nobody here.
    pub fn on_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether this node is being drained.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether this node can deliver and is not being drained.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.trouble().is_none()
    }

    /// Why this node is not ready; none when it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.is_draining() {
            true => Some("draining".to_owned()),
            false => (self.watch)(),
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

/// Whoever asks gets an answer: load balancers have no keys.
pub(super) fn routes(admin: Admin) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready)).with_state(admin)
}

pub(super) fn metrics(admin: Admin) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(scrape)).with_state(admin)
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
async fn alive() -> &'static str {
    "ok\n"
}

/// The node can deliver, and is not being drained.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, description = "Why not.", body = String, content_type = "text/plain")
    )
)]
async fn ready(State(admin): State<Admin>) -> Response {
    match admin.health.trouble() {
        None => (StatusCode::OK, [(CACHE_CONTROL, "no-store")], "ready\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], format!("not ready: {why}\n"))
            .into_response(),
    }
}

/// What is counted, for Prometheus; `admin.metrics_need_key` asks for a key here, too.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "OpenMetrics text.", body = String, content_type = "application/openmetrics-text"))
)]
async fn scrape(State(admin): State<Admin>) -> Response {
    match admin.count().await {
        Some(population) => {
            ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.metrics.encode(&population)).into_response()
        }
        None => error_response(ErrorCode::Internal),
    }
}

#[cfg(test)]
mod tests;
