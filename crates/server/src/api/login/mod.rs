//! Routes of a login: to a provider and back, the demo's form, the way out.
//!
//! ```text
//! GET  /v1/login                     the providers, as JSON; for a person who goes there, as a page without a script
//! GET  /v1/login/{provider}          302 to the provider       ?return_to=/path
//! GET  /v1/login/{provider}/callback 303 to return_to, with the cookie
//! POST /v1/login/demo                303 or 204, with the cookie: `lychgate demo` alone
//! POST /v1/logout                    303 or 204, without it    ?everywhere=true
//! GET  /                             who is logged in, or how to: without a script, where no page with one is served
//! ```
//!
//! They stand on the listener for users, and on the one for operators where that has a `public_url`: the same providers
//! there, with logins and cookies of a realm of its own. Neither counts on the other listener.
//!
//! What ends a login is done in a task that runs to its end, whoever hangs up meanwhile: sockets first, then the disk, then
//! the answer.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use lychgate_core::{Proof, UserId};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::caller::{Asked, Named, read_body};
use super::refused::Refused;
use crate::auth::{
    Access, Callback, DEMO, Doorkeeper, Ended, Entrance, Identity, LoginError, Opaque, PENDING_LIFETIME, Providers,
    Vouched, clear_cookie, is_own_page, read_cookie, set_cookie,
};
use crate::close::ErrorCode;
use crate::config::{Config, Web};
use crate::listener::Visitor;
use crate::store::StoreError;
use crate::telemetry::Metrics;
use crate::wire::millis;

mod page;

/// The largest form or body that is read: a name.
const MAX_BYTES: usize = 4096;

/// Closes the sockets that these let in.
pub type Expel = Box<dyn Fn(&[(UserId, Proof)]) + Send + Sync>;

/// What the routes of a realm share.
pub struct Operations {
    /// Who is logged in, and which pages may use that.
    pub entrance: Entrance,
    /// Who knows what was revoked.
    pub doorkeeper: Arc<Doorkeeper>,
    /// Who vouches for users.
    pub providers: Providers,
    /// Pages of other origins that may use a login, too (`auth.origins`).
    pub listed_origins: RwLock<Vec<String>>,
    /// Whether a name alone logs in.
    pub is_demo: bool,
    /// Closes the sockets that ended logins let in.
    pub expel: Expel,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").field("providers", &self.providers).finish_non_exhaustive()
    }
}

/// The routes, without the first page.
pub fn routes(operations: Arc<Operations>) -> Router {
    Router::new()
        .route("/v1/login", get(list))
        .route("/v1/login/demo", post(demo))
        .route("/v1/login/{provider}", get(depart))
        .route("/v1/login/{provider}/callback", get(come_back))
        .route_layer(from_fn_with_state(Arc::clone(&operations), not_too_many))
        .route("/v1/logout", post(log_out))
        .with_state(operations)
}

/// The routes where nobody can log in: a page asks how, and an error for an answer would look like one.
pub(super) fn without_logins() -> Router {
    let nobody = || async { no_store(Json(Ways { providers: Vec::new(), demo: false }).into_response()) };
    Router::new().route("/v1/login", get(nobody))
}

/// The first page.
pub(super) fn front_page(operations: Arc<Operations>, web: Web) -> Router {
    let front = move |operations: Shared, headers: HeaderMap| async move { front(&operations, &headers, web) };
    Router::new().route("/", get(front)).with_state(operations)
}

type Shared = State<Arc<Operations>>;

impl Operations {
    /// From now on this configuration counts. Whoever is logged in stays so, unless his provider is gone. Waits for the
    /// disk then.
    pub fn reload(&self, config: &Config) {
        if let Err(error) = self.providers.reload(&config.login.providers) {
            tracing::error!(%error, "the providers of logins stay as they were");
        }
        let ended = self.entrance.logins.reload(&config.login);
        if let Err(error) = self.close(&ended) {
            tracing::error!(%error, "logins of providers that are gone were ended, and may come back with the next start");
        }
        self.listed_origins.write().unwrap_or_else(PoisonError::into_inner).clone_from(&config.auth.origins);
    }

    /// Closes the sockets of ended logins, then keeps their end. Waits for locks and the disk.
    fn close(&self, ended: &Ended) -> Result<(), StoreError> {
        (self.expel)(&ended.sockets);
        ended.keep()
    }

    /// Who is logged in with the browser that sent this, if that still counts.
    fn identity(&self, headers: &HeaderMap) -> Option<Identity> {
        let identity = self.entrance.logins.identity(&read_cookie(headers, self.cookie())?)?;
        (!self.doorkeeper.is_revoked(&identity.user, identity.proof)).then_some(identity)
    }

    fn cookie(&self) -> &'static str {
        self.entrance.logins.realm().cookie()
    }

    fn departure_cookie(&self) -> &'static str {
        self.entrance.logins.realm().departure_cookie()
    }

    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let listed = self.listed_origins.read().unwrap_or_else(PoisonError::into_inner);
        is_own_page(headers, Access::Change, &self.entrance.own_origins, &listed)
    }

    /// Gives the browser its login; the one that it had before ends, and what made room.
    async fn log_in(self: Arc<Self>, headers: &HeaderMap, vouched: Vouched, then: Response) -> Response {
        let before = read_cookie(headers, self.cookie());
        let this = Arc::clone(&self);
        let begin = move || {
            let begun = this.entrance.logins.begin(vouched, before.as_ref())?;
            if let Err(error) = this.close(&begun.ended) {
                tracing::error!(%error, "a login that made room may come back with the next start");
            }
            Ok(begun)
        };
        let begun = in_background(begin).await;
        self.metrics.on_login(begun.is_ok());
        match begun {
            Ok(begun) => with_cookie(then, set_cookie(self.cookie(), &begun.token, begun.lifetime)),
            Err(error) => not_stored(headers, &error),
        }
    }

    fn came_to_nothing(&self, headers: &HeaderMap, provider: &str, error: &LoginError) -> Response {
        self.metrics.on_login(false);
        refuse(headers, provider, error)
    }
}

/// Where it may wait for locks and the disk. Once it is begun it goes on to its end, though nobody waits for it.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(StoreError::interrupted()))
}

/// Whoever logs in proves nothing before he has done so: as many may try as may connect (R20 holds for those who are known).
async fn not_too_many(State(operations): Shared, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    match visitor.and_then(Visitor::retry_in) {
        None => next.run(request).await,
        Some(retry_in) => {
            operations.metrics.on_turned_away();
            let refused = Refused::from(ErrorCode::RateLimited).after(retry_in);
            answer(
                request.headers(),
                refused,
                "Too many logins come from your network at the moment. Please try again.",
            )
        }
    }
}

fn front(operations: &Operations, headers: &HeaderMap, web: Web) -> Response {
    if operations.providers.list().is_empty() && !operations.is_demo {
        return super::front_page(web).into_response();
    }
    page::front(operations, operations.identity(headers).as_ref(), super::pages::note(web))
}

/// How somebody may log in.
#[derive(Serialize)]
struct Ways {
    providers: Vec<Way>,
    /// By a name alone.
    demo: bool,
}

#[derive(Serialize)]
struct Way {
    name: Box<str>,
    title: Box<str>,
    url: String,
    /// Milliseconds until it is asked again, if it did not answer lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in: Option<u64>,
}

async fn list(State(operations): Shared, headers: HeaderMap) -> Response {
    if page::wants_page(&headers) {
        return page::front(&operations, operations.identity(&headers).as_ref(), None);
    }
    let providers = operations.providers.list().into_iter().map(|listed| Way {
        url: format!("/v1/login/{}", listed.name),
        name: listed.name,
        title: listed.title,
        retry_in: listed.retry_in.map(millis),
    });
    no_store(Json(Ways { providers: providers.collect(), demo: operations.is_demo }).into_response())
}

async fn depart(
    State(operations): Shared,
    Named(provider): Named<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Response {
    // One cookie for all logins that a browser has under way: a second tab must not spoil the first one's.
    let cookie = operations.departure_cookie();
    let browser = read_cookie(&headers, cookie).unwrap_or_else(Opaque::random);
    match operations.providers.depart(&provider, asked.text("return_to"), &browser).await {
        Ok(address) => {
            with_cookie(redirect(StatusCode::FOUND, &address), set_cookie(cookie, &browser, PENDING_LIFETIME))
        }
        Err(error) => operations.came_to_nothing(&headers, &provider, &error),
    }
}

async fn come_back(
    State(operations): Shared,
    Named(provider): Named<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Response {
    let said = |name: &str| asked.text(name).map(str::to_owned);
    let callback = Callback { code: said("code"), state: said("state"), iss: said("iss"), error: said("error") };
    let browser = read_cookie(&headers, operations.departure_cookie());
    match operations.providers.come_back(&provider, callback, browser.as_ref()).await {
        Ok((vouched, return_to)) => {
            let then = redirect(StatusCode::SEE_OTHER, &return_to);
            operations.log_in(&headers, vouched, then).await
        }
        Err(error) => operations.came_to_nothing(&headers, &provider, &error),
    }
}

/// A name, without a password. A page of another origin must not log a browser in as somebody of its choice; who sends
/// no Origin is no browser.
async fn demo(State(operations): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let refused = |code, sentence: &'static str| answer(&headers, Refused::saying(code, sentence), sentence);
    if !operations.is_demo {
        return refused(ErrorCode::NotFound, "A login without a password is offered by `lychgate demo` alone.");
    }
    if headers.contains_key(ORIGIN) && !operations.is_own_page(&headers) {
        return refused(ErrorCode::Forbidden, "Only the page of this gateway may log in.");
    }
    let body = match read_body(&headers, body, MAX_BYTES).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let Some(user) = name_of(&body).and_then(|name| UserId::parse(name.trim()).ok()) else {
        return refused(ErrorCode::BadFrame, "Send a name: a form with `name`, or {\"name\": \"ann\"}.");
    };
    let vouched = Vouched { user, provider: DEMO.into(), plan: None, groups: Vec::new() };
    let then = done(&headers);
    operations.log_in(&headers, vouched, then).await
}

/// `{"name": ...}`, or a form with a field `name`.
fn name_of(body: &[u8]) -> Option<String> {
    if let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(body) {
        return fields.get("name").and_then(|name| name.as_str()).map(str::to_owned);
    }
    let form = std::str::from_utf8(body).ok()?;
    let uri = http::Uri::builder().path_and_query(format!("/?{form}")).build().ok()?;
    let fields = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    fields.0.into_iter().find(|(field, _)| field == "name").map(|(_, name)| name)
}

/// Ends the browser's login, or all of its user's, and closes their sockets. Whoever is logged out already is told that
/// it is done: his cookie is taken from him all the same.
async fn log_out(State(operations): Shared, asked: Asked, headers: HeaderMap) -> Response {
    if !operations.is_own_page(&headers) {
        let sentence = "Only a page of this service may log you out: the request has no Origin that may.";
        return answer(&headers, Refused::saying(ErrorCode::Forbidden, sentence), sentence);
    }
    let logins = &operations.entrance.logins;
    let ended = match (read_cookie(&headers, operations.cookie()), asked.text("everywhere")) {
        (None, _) => None,
        (Some(token), Some("true")) => match operations.identity(&headers) {
            Some(identity) => Some(logins.end_all(&identity.user)),
            None => Some(logins.end(&token)),
        },
        (Some(token), Some(_) | None) => Some(logins.end(&token)),
    };
    let this = Arc::clone(&operations);
    let then = match in_background(move || ended.map_or(Ok(()), |ended| this.close(&ended))).await {
        Ok(()) => done(&headers),
        Err(error) => not_stored(&headers, &error),
    };
    with_cookie(then, clear_cookie(operations.cookie()))
}

/// A person goes on to the first page, a program is told that it is done.
fn done(headers: &HeaderMap) -> Response {
    match page::wants_page(headers) {
        true => redirect(StatusCode::SEE_OTHER, "/"),
        false => no_store(StatusCode::NO_CONTENT.into_response()),
    }
}

fn redirect(status: StatusCode, address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => no_store((status, [(LOCATION, address)]).into_response()),
        Err(_) => Refused::from(ErrorCode::Internal).into_response(),
    }
}

fn refuse(headers: &HeaderMap, provider: &str, error: &LoginError) -> Response {
    tracing::info!(provider, %error, "a login came to nothing");
    let sentence = page::sentence(error);
    let refused = match error {
        LoginError::UnknownProvider => Refused::saying(ErrorCode::NotFound, sentence.clone()),
        LoginError::BadReturn | LoginError::UnknownState | LoginError::OtherBrowser => {
            Refused::saying(ErrorCode::BadFrame, sentence.clone())
        }
        LoginError::Unavailable { retry_in, .. } => Refused::saying(ErrorCode::Internal, sentence.clone())
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .after(*retry_in),
        LoginError::Declined(_) => Refused::saying(ErrorCode::Unauthorized, sentence.clone()),
        LoginError::Rejected(_) => {
            Refused::saying(ErrorCode::Unauthorized, sentence.clone()).with_status(StatusCode::BAD_GATEWAY)
        }
        LoginError::NotAllowed(_) | LoginError::BadUser(_) => Refused::saying(ErrorCode::Forbidden, sentence.clone()),
    };
    answer(headers, refused, &sentence)
}

fn not_stored(headers: &HeaderMap, error: &StoreError) -> Response {
    tracing::error!(%error, "a login or its end was not kept");
    let sentence = "This could not be written down on the server, so that it may not last. Please try again.";
    answer(headers, Refused::saying(ErrorCode::Internal, sentence), sentence)
}

/// As a page for people, or as an `error` frame for programs; with the same status and `Retry-After`.
fn answer(headers: &HeaderMap, refused: Refused, sentence: &str) -> Response {
    let plain = refused.into_response();
    match page::wants_page(headers) {
        false => no_store(plain),
        true => {
            let mut page = page::failure(plain.status(), sentence);
            if let Some(retry_after) = plain.headers().get(http::header::RETRY_AFTER) {
                page.headers_mut().insert(http::header::RETRY_AFTER, retry_after.clone());
            }
            page
        }
    }
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests;
