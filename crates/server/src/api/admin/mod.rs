//! The operators' routes: look into the gate, steer it, and read who did so.
//!
//! ```text
//!  request ─► Reader | Writer ─► Order ─► act: audit log, once, work, audit log, answer
//!             who asks (access)   body      '- driver: evict, reclaim, limits, log out, revoke, drain
//! ```
//!
//! A call into the driver may have to wait for a lock, and one into the store for the disk: both are made from threads that
//! may wait, so that `/readyz` answers meanwhile. docs/admin.md says what each route takes and answers.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, map_response};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use lychgate_core::UserId;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::Access;
use self::deed::Running;
use self::lent::Lendings;
use self::live::Stage;
use super::refused::Refused;
use crate::auth::{Doorkeeper, Entrance};
use crate::close::ErrorCode;
use crate::config::{Config, Role};
use crate::driver::Driver;
use crate::run::Runs;
use crate::store::Store;
use crate::telemetry::History;
use crate::telemetry::alerts::Board;
use crate::wire::admin::{AgentRow, ClusterView, NodeName, NodeView};

mod access;
mod attempts;
mod audit;
mod cursor;
mod decisions;
mod deed;
mod elsewhere;
mod evict;
mod explain;
mod keys;
mod lent;
mod limits;
mod live;
mod openapi;
mod overview;
mod own_page;
mod page;
mod publish;
mod revoke;
mod sessions;
mod users;

pub use elsewhere::{Asked, Elsewhere, Foreign, Peer, Withdrawal};
pub use keys::OperatorKey;
pub use lent::Lending;
pub(super) use openapi::describe;

/// What may be changed at a time; one more is told to come back.
const MAX_DEEDS: usize = 16;

/// What backends may publish at a time, each up to 1 MiB; one more is told to come back.
const MAX_PUBLICATIONS: usize = 64;

/// What may be looked at in the driver at a time.
const MAX_LOOKS: usize = 2;
/// Operators for whom other nodes are asked at once; the questions of newcomers go the same way, and must not wait for them.
const MAX_LOOKS_ELSEWHERE: usize = 8;

/// Requests that may wait for the next decision at a time; one more is told to come back.
const MAX_FOLLOWERS: usize = 16;

/// How long a look may wait for the gate.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// What the operators' routes share.
pub struct Control {
    driver: Arc<Driver>,
    runs: Arc<Runs>,
    store: Arc<Store>,
    doorkeeper: Arc<Doorkeeper>,
    elsewhere: Arc<dyn Elsewhere>,
    lendings: Arc<Lendings>,
    access: Access,
    running: Arc<Running>,
    deeds: Arc<Semaphore>,
    publications: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    looks_elsewhere: Semaphore,
    followers: Semaphore,
    probe_deadline: Duration,
    drain: Box<dyn Fn(&str) + Send + Sync>,
    views: Views,
    stage: Stage,
    /// That of all routes of the listener; set when they are assembled.
    document: OnceLock<Bytes>,
}

/// What the routes steer.
pub struct Steered {
    /// Who holds which session.
    pub driver: Arc<Driver>,
    /// Who writes between the events of a run.
    pub runs: Arc<Runs>,
    /// Where it is written down who did what.
    pub store: Arc<Store>,
    /// Who knows tokens and logins.
    pub doorkeeper: Arc<Doorkeeper>,
    /// The other nodes; none of a node by itself.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// Where operators log in with a browser.
    pub entrance: Option<Entrance>,
    /// Asks for a drain of the node, and says who wants it.
    pub drain: Box<dyn Fn(&str) + Send + Sync>,
    /// What they show beside it.
    pub views: Views,
}

/// What is to be seen of the parts that these routes do not know.
pub struct Views {
    /// How every agent is. Must not wait.
    pub agents: Box<dyn Fn() -> Vec<AgentRow> + Send + Sync>,
    /// What the node is. Must not wait.
    pub node: Box<dyn Fn() -> NodeView + Send + Sync>,
    /// Which other nodes there are. Must not wait.
    pub cluster: Box<dyn Fn() -> ClusterView + Send + Sync>,
    /// Where every alert stands.
    pub board: Arc<Board>,
    /// What the node was lately.
    pub history: Arc<History>,
    /// Which node it is.
    pub name: Box<dyn Fn() -> NodeName + Send + Sync>,
    /// Fires when the listener of these routes ends: whoever is connected is told to come back.
    pub ends: CancellationToken,
}

impl Control {
    /// Lets in whom `[admin]` names.
    #[must_use]
    pub fn new(config: &Config, steered: Steered) -> Arc<Self> {
        let Steered { driver, runs, store, doorkeeper, elsewhere, entrance, drain, views } = steered;
        Arc::new(Self {
            driver,
            runs,
            store,
            elsewhere: elsewhere.unwrap_or_else(|| Arc::new(elsewhere::Nowhere)),
            lendings: Arc::default(),
            access: Access::new(config, Arc::clone(&doorkeeper), entrance),
            doorkeeper,
            running: Arc::default(),
            deeds: Arc::new(Semaphore::new(MAX_DEEDS)),
            publications: Arc::new(Semaphore::new(MAX_PUBLICATIONS)),
            looks: Arc::new(Semaphore::new(MAX_LOOKS)),
            looks_elsewhere: Semaphore::new(MAX_LOOKS_ELSEWHERE),
            followers: Semaphore::new(MAX_FOLLOWERS),
            probe_deadline: config.limits.probe_deadline,
            drain,
            views,
            stage: Stage::new(config),
            document: OnceLock::new(),
        })
    }

    /// Puts another `[admin]` in force.
    pub fn renew(&self, config: &Config) {
        self.access.renew(config);
    }

    /// Has the driver do something, from a thread that may wait for its locks. It is done, however long that takes.
    async fn steer<T: Send + 'static>(&self, act: impl FnOnce(&Driver) -> T + Send + 'static) -> Result<T, Refused> {
        let driver = Arc::clone(&self.driver);
        spawn_blocking(move || act(&driver)).await.map_err(|_| ErrorCode::Internal.into())
    }

    /// Asks the driver, from a thread that may wait for its locks.
    async fn look<T: Send + 'static>(&self, ask: impl FnOnce(&Driver) -> T + Send + 'static) -> Result<T, Refused> {
        let looked = async {
            let turn = Arc::clone(&self.looks).acquire_owned().await.ok()?;
            let driver = Arc::clone(&self.driver);
            let asked = spawn_blocking(move || {
                let _turn = turn;
                ask(&driver)
            });
            asked.await.ok()
        };
        match timeout(LOOK_WITHIN, looked).await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) | Err(_) => Err(ErrorCode::Internal.into()),
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("access", &self.access).finish_non_exhaustive()
    }
}

pub(super) fn routes(control: Arc<Control>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(overview::me))
        .routes(routes!(overview::node))
        .routes(routes!(overview::cluster))
        .routes(routes!(overview::agents))
        .routes(routes!(overview::alerts))
        .routes(routes!(live::connect))
        .routes(routes!(users::list))
        .routes(routes!(sessions::list))
        .routes(routes!(evict::evict))
        .routes(routes!(revoke::log_out))
        .routes(routes!(evict::reclaim))
        .routes(routes!(limits::lend, limits::restore))
        .routes(routes!(explain::explain))
        .routes(routes!(decisions::list))
        .routes(routes!(revoke::revoke))
        .routes(routes!(limits::drain))
        .routes(routes!(audit::audit))
        .routes(routes!(publish::publish))
        .routes(routes!(openapi::serve))
        .with_state(control)
        .layer(map_response(as_is_and_not_kept))
}

/// Who holds what is for whoever asked alone: no cache keeps it, and no browser guesses that it is something else.
async fn as_is_and_not_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Lets readers alone pass to the metrics, where the configuration wants that.
pub(super) async fn guard_metrics(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    if control.access.rules().metrics_need_key {
        control.admit(&parts, Role::Read).await?;
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn user_id(user: &str) -> Result<UserId, Refused> {
    UserId::parse(user).map_err(|error| Refused::bad_id("user", &error))
}
