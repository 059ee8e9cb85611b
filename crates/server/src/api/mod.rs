//! HTTP routes: conversations for clients without a WebSocket, health and metrics for operators, a first page for people,
//! error frames for everything else.
//!
//! ```text
//! user listener:  POST   /v1/agui[/{agent}]              run, and its answer as AG-UI over SSE    } a slot, until the
//!                 GET    /v1/threads/{t}/events          what runs now, as SSE, resumable         } response ends
//!                 POST   /v1/threads/{t}/runs            run without waiting for the answer
//!                 DELETE /v1/threads/{t}/runs/{r}        stop
//!                 GET    /v1/threads[/{t}/messages]      history
//!                 GET    /v1/me                          who am I, what do I hold
//!                 DELETE /v1/me/sessions/{t}             let one of them go
//!                 POST   /v1/tickets                     to show it where no header can be sent
//!                 GET    /v1/login, POST /v1/logout ...  see `login`
//!                 GET    /                               the chat page; without it what this is, or the login
//!                 GET    /assets/...                     what the page loads, see `pages`
//! admin listener: GET    /healthz /readyz /metrics       see `health`
//!                 ...    /v1/admin/...                   look, steer, append from a backend: see `admin`
//!                 GET    /console                        the same for people, see `pages`
//! both:           anything else an `error` frame as JSON, with Retry-After where there is a time to come back
//! ```
//!
//! docs/http.md and docs/admin.md say what each of them takes and answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method};
use lychgate_core::{Proof, UserId};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

use self::refused::Refused;
use crate::auth::{Doorkeeper, Identity, Shown};
use crate::close::ErrorCode;
use crate::config;
use crate::driver::Driver;
use crate::listener::Visitor;
use crate::run::Runs;
use crate::session::Sessions;
use crate::telemetry::{Metrics, Traces};

mod admin;
mod agui;
mod caller;
mod events;
mod health;
mod history;
mod line;
mod login;
mod me;
mod pages;
mod reader;
mod refused;
mod response;
mod runs;
mod sse;

pub use admin::{Asked, Control, Elsewhere, Foreign, Lending, OperatorKey, Peer, Steered, Views, Withdrawal};
pub use health::{Admin, Health};
pub use login::{Expel, Operations, routes as login_routes};

/// How long a browser may remember that it may call us.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What every route for users shares.
pub struct Clients {
    /// Who may hold a session.
    pub driver: Arc<Driver>,
    /// Who sees which thread.
    pub sessions: Arc<Sessions>,
    /// Who answers.
    pub runs: Arc<Runs>,
    /// Who may come in.
    pub doorkeeper: Arc<Doorkeeper>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is traced.
    pub traces: Arc<Traces>,
    /// Bounds of a body and of what waits for a reader.
    pub bounds: config::WebSocket,
}

impl Clients {
    /// Who sent a request; the error is a sentence for him, the detail goes to the log.
    async fn identify(&self, shown: Shown<'_>, visitor: &Visitor) -> Result<Identity, Refused> {
        let too_many = |retry_in| {
            self.metrics.on_turned_away();
            Refused::from(ErrorCode::RateLimited).after(retry_in)
        };
        let credential = visitor.credential(&shown);
        if let Some(retry_in) = visitor.held_off(credential) {
            return Err(too_many(retry_in));
        }
        match self.doorkeeper.identify(shown).await {
            Ok(Some(identity)) => Ok(identity),
            Ok(None) if let Some(retry_in) = visitor.retry_in() => Err(too_many(retry_in)),
            Ok(None) => {
                Err(Refused::saying(ErrorCode::Unauthorized, "There is no token: send `Authorization: Bearer <JWT>`."))
            }
            Err(error) => {
                tracing::debug!(%error, "token refused");
                self.metrics.on_auth_failure(error.as_str());
                visitor.failed(credential, &error);
                Err(Refused::from(&error.closing()))
            }
        }
    }

    /// Whether what let somebody in still does, asked once his body is read: he may have taken his time over it.
    fn recheck(&self, user: &UserId, proof: Proof) -> Result<(), Refused> {
        self.doorkeeper.recheck(user, proof).map_err(|error| {
            tracing::debug!(%error, "token refused");
            self.metrics.on_auth_failure(error.as_str());
            Refused::from(&error.closing())
        })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// The routes of the user listener that are no WebSocket; `/v1/ws` is the listener's own. Those of a login are there if
/// somebody can log in.
pub fn user(clients: Arc<Clients>, login: Option<Arc<Operations>>, web: config::Web) -> Router {
    let cors = cors(Arc::clone(&clients.doorkeeper));
    let routes = Router::new()
        .route("/v1/agui", post(agui::run_default))
        .route("/v1/agui/{agent}", post(agui::run_named))
        .route("/v1/me", get(me::me))
        .route("/v1/me/sessions/{thread}", delete(me::let_go))
        .route("/v1/tickets", post(me::ticket))
        .route("/v1/threads", get(history::threads))
        .route("/v1/threads/{thread}/messages", get(history::messages))
        .route("/v1/threads/{thread}/events", get(events::read))
        .route("/v1/threads/{thread}/runs", post(runs::start))
        .route("/v1/threads/{thread}/runs/{run}", delete(runs::stop))
        .with_state(clients);
    let (logins, front) = match login {
        Some(login) => (login::routes(Arc::clone(&login)), login::front_page(login, web)),
        None => (Router::new(), Router::new().route("/", get(move || async move { front_page(web) }))),
    };
    with_errors(routes.merge(logins).merge(pages::chat(web, front))).layer(cors)
}

/// The routes of the admin listener. Health is open, metrics are unless the configuration says otherwise, and the rest is
/// for whom `control` knows.
pub fn admin(health: Admin, control: Arc<Control>, login: Option<Arc<Operations>>, web: config::Web) -> Router {
    let probes = health::routes(health.clone());
    let guard = from_fn_with_state(Arc::clone(&control), admin::guard_metrics);
    let metrics = health::metrics(health).route_layer(guard);
    let all = OpenApiRouter::with_openapi(admin::describe());
    let (routes, document) =
        all.merge(probes).merge(metrics).merge(admin::routes(Arc::clone(&control))).split_for_parts();
    control.documents(&document);
    let (logins, front) = match login {
        Some(login) => {
            (login::routes(Arc::clone(&login)), login::front_page(login, config::Web { chat: false, ..web }))
        }
        None => {
            (login::without_logins(), Router::new().route("/", get(|| async { error_response(ErrorCode::NotFound) })))
        }
    };
    with_errors(routes.merge(logins).merge(pages::console(web, front)))
}

/// Browsers ask first whether a page may call (Fetch, section 3.2). Credentials are never allowed: a page of another
/// origin reads nothing that the login's cookie proves, and one that is not on the list reads nothing at all.
fn cors(doorkeeper: Arc<Doorkeeper>) -> CorsLayer {
    let is_allowed = move |origin: &HeaderValue, _: &http::request::Parts| {
        doorkeeper.check_origin(Some(origin.to_str().unwrap_or("(not text)"))).is_ok()
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT, HeaderName::from_static("last-event-id")])
        .expose_headers([RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

/// An error as HTTP: the `error` frame as JSON with the status of its row; `Retry-After` mirrors `retry_in`, rounded up
/// to whole seconds.
#[must_use]
pub fn error_response(code: ErrorCode) -> Response {
    Refused::from(code).into_response()
}

fn with_errors(router: Router) -> Router {
    router
        .fallback(|| async { error_response(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { error_response(ErrorCode::MethodNotAllowed) })
}

fn front_page(web: config::Web) -> String {
    let what_this_is = concat!(
        "Lychgate ",
        env!("CARGO_PKG_VERSION"),
        ": a WebSocket gateway for AI chat that never locks a user out.\n\n",
        "Clients connect to /v1/ws with the subprotocol lychgate.v1; docs/protocol.md in the source explains it.\n",
        "An AG-UI HttpAgent posts to /v1/agui; docs/http.md explains that and the other routes.\n",
        "In a terminal: lychgate chat --token TOKEN\n",
    );
    pages::note(web).map_or_else(|| what_this_is.to_owned(), |note| format!("{what_this_is}\n{note}\n"))
}
