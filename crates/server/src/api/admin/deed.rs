//! How something is changed: written down, done once, written down again, answered.
//!
//! ```text
//!  Order (body, Idempotency-Key) ─► act ─► Store::begin ─► work ─► Store::finish ─► answer
//!                                            │ known: the first answer again (Idempotency-Replayed), 409 or 422
//!  publication (its own key) ─► act_routinely ─► the same, in a share of its own
//! ```
//!
//! Whoever hangs up does not stop it: it goes on in a task of its own to its end.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use lychgate_core::{RequestId, ThreadId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Control;
use super::access::Operator;
use crate::api::caller::read_body;
use crate::api::refused::Refused;
use crate::close::ErrorCode;
use crate::store::StoreError;
use crate::store::answers::{Begun, Claim};
use crate::store::audit::{Deed, Outcome};
use crate::wire::unix_ms;

/// Of one request that is no publication.
const MAX_BYTES: usize = 64 * 1024;

const MAX_KEY_BYTES: usize = 256;

/// How long whoever asked is kept waiting. What was begun goes on.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request to change something brings beside who asks. Extract it after the operator: it reads the body.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) body: Bytes,
    once: Option<(String, [u8; 32])>,
}

impl Order {
    /// The body as JSON of this shape.
    pub(super) fn json<T: DeserializeOwned>(&self, shape: &str) -> Result<T, Refused> {
        serde_json::from_slice(&self.body).map_err(|error| Refused::bad(format!("The body is not {shape}: {error}.")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Order {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts)?;
        let body = read_body(&parts.headers, body, MAX_BYTES).await?;
        let once = key.map(|key| (key, fingerprint(&parts, &body)));
        Ok(Self { body, once })
    }
}

/// The key that a client chose (draft-ietf-httpapi-idempotency-key-header); quotes round it are part of it.
fn idempotency_key(parts: &Parts) -> Result<Option<String>, Refused> {
    let Some(key) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            Err(Refused::bad(format!("`Idempotency-Key` must have 1 to {MAX_KEY_BYTES} visible ASCII characters.")))
        }
    }
}

fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    let address = parts.uri.path_and_query().map_or("", |address| address.as_str());
    // Neither a method nor an address holds a line break, so that no two requests give the same bytes.
    for part in [parts.method.as_str().as_bytes(), b"\n", address.as_bytes(), b"\n", body] {
        hash.update(part);
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.finish().as_ref());
    fingerprint
}

/// What is to be done, for the audit log.
#[derive(Debug)]
pub(super) struct What {
    pub(super) action: &'static str,
    pub(super) user: Option<UserId>,
    pub(super) thread: Option<ThreadId>,
    pub(super) parameters: Value,
}

impl What {
    fn by(&self, operator: &Operator, routine: bool) -> Deed {
        Deed {
            routine,
            request: operator.request.to_string(),
            operator: operator.who.to_string(),
            action: self.action.into(),
            user: self.user.as_ref().map(|user| user.as_str().to_owned()),
            thread: self.thread.as_ref().map(|thread| thread.as_str().to_owned()),
            parameters: self.parameters.to_string(),
        }
    }
}

/// What became of a deed: what whoever asked is answered, and what the audit log keeps.
#[derive(Debug)]
pub(super) struct Became {
    status: StatusCode,
    answer: String,
    /// Where the audit log says more than the answer.
    result: Option<String>,
    outcome: Outcome,
    /// Whether the same request gets the same answer.
    keeps: bool,
}

impl<T: Serialize> From<Result<T, Refused>> for Became {
    fn from(done: Result<T, Refused>) -> Self {
        let (status, answer, outcome, keeps) = match done {
            Ok(done) => (StatusCode::OK, to_json(&done), Outcome::Done, true),
            Err(refused) => (refused.status(), refused.to_frame().to_json(), Outcome::Failed, refused.is_final()),
        };
        Self { status, answer, result: None, outcome, keeps }
    }
}

impl Became {
    /// With another result in the audit log than the answer.
    pub(super) fn noted_as(self, result: &Value) -> Self {
        Self { result: Some(result.to_string()), ..self }
    }
}

/// Idempotency keys that are being served by this process, so that what another process left is told from what runs.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashSet<Claim>>);

struct Run {
    running: Arc<Running>,
    claim: Claim,
}

impl Running {
    fn enter(self: &Arc<Self>, claim: &Claim) -> Option<Run> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(claim.clone());
        is_new.then(|| Run { running: Arc::clone(self), claim: claim.clone() })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.claim);
    }
}

impl Control {
    /// Does something once, with an entry in the audit log that is on the disk before it begins, and again before it is
    /// answered.
    pub(super) async fn act<T, F>(self: Arc<Self>, operator: Operator, what: What, order: Order, work: F) -> Response
    where
        T: Into<Became>,
        F: Future<Output = T> + Send + 'static,
    {
        let deed = what.by(&operator, false);
        let turn = Arc::clone(&self.deeds).try_acquire_owned();
        self.act_in_turn(operator.request, deed, order.once, work, turn).await
    }

    /// Does what many ask for, and what is harmless when it is done again, so that it has no `Idempotency-Key`: with an
    /// entry as [`Self::act`], and with turns of its own, so that no flood of it keeps an operator from acting.
    pub(super) async fn act_routinely<T, F>(self: Arc<Self>, operator: Operator, what: What, work: F) -> Response
    where
        T: Into<Became>,
        F: Future<Output = T> + Send + 'static,
    {
        let deed = what.by(&operator, true);
        let turn = Arc::clone(&self.publications).try_acquire_owned();
        self.act_in_turn(operator.request, deed, None, work, turn).await
    }

    async fn act_in_turn<T, F>(
        self: Arc<Self>,
        request: RequestId,
        deed: Deed,
        once: Option<(String, [u8; 32])>,
        work: F,
        turn: Result<OwnedSemaphorePermit, TryAcquireError>,
    ) -> Response
    where
        T: Into<Became>,
        F: Future<Output = T> + Send + 'static,
    {
        let Ok(turn) = turn else {
            return identified(request, Refused::from(ErrorCode::RateLimited).into_response());
        };
        let done = tokio::spawn(async move {
            let answer = self.act_once(deed, once, work).await;
            drop(turn);
            answer.unwrap_or_else(IntoResponse::into_response)
        });
        let response = match timeout(ANSWERED_WITHIN, done).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Refused::from(ErrorCode::Internal).into_response(),
            Err(_) => {
                Refused::saying(ErrorCode::Internal, "This takes long and goes on; the audit log says when it is over.")
                    .into_response()
            }
        };
        identified(request, response)
    }

    async fn act_once<T, F>(&self, deed: Deed, once: Option<(String, [u8; 32])>, work: F) -> Result<Response, Refused>
    where
        T: Into<Became>,
        F: Future<Output = T>,
    {
        let claim = once.map(|(key, fingerprint)| Claim { operator: deed.operator.clone(), key, fingerprint });
        let running = match &claim {
            Some(claim) => Some(self.running.enter(claim).ok_or_else(being_done)?),
            None => None,
        };
        let (store, keep, begun) = (Arc::clone(&self.store), self.access.rules().keep, deed.clone());
        let id = match self.stored(move || store.begin(&begun, claim.as_ref(), unix_ms(), keep)).await? {
            Begun::New(id) => id,
            known @ (Begun::Answered { .. } | Begun::Other | Begun::Unanswered(_)) => return again(known),
        };
        let Became { status, answer, result, outcome, keeps } = work.await.into();
        tracing::info!(
            request = deed.request,
            operator = deed.operator,
            action = &*deed.action,
            outcome = outcome.as_str(),
            user = deed.user,
            thread = deed.thread,
            parameters = deed.parameters,
            "an operator acted"
        );
        let (store, body) = (Arc::clone(&self.store), answer.clone());
        let finish = move || {
            let result = result.as_deref().unwrap_or(&answer);
            match deed.routine {
                true => store.finish_routine(id, outcome, result),
                false => store.finish(id, outcome, result, keeps.then_some((status.as_u16(), answer.as_bytes()))),
            }
        };
        self.stored(finish).await?;
        drop(running);
        Ok(json(status, body))
    }

    /// Writes down an attempt that was refused. Nobody waits for it.
    pub(super) fn note_refused(&self, request: RequestId, operator: String, action: String, why: &str, untold: u64) {
        let parameters = serde_json::json!({"why": why, "untold_before": untold}).to_string();
        let deed = Deed {
            routine: true,
            request: request.to_string(),
            operator,
            action: action.into(),
            user: None,
            thread: None,
            parameters,
        };
        let (store, keep) = (Arc::clone(&self.store), self.access.rules().keep);
        spawn_blocking(move || {
            if let Err(error) = store.note(&deed, Outcome::Refused, None, unix_ms(), keep) {
                tracing::warn!(%error, "a refused attempt is not in the audit log");
            }
        });
    }

    /// Works on the store from a thread that may wait for the disk.
    pub(super) async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        match spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                tracing::error!(%error, "the audit log cannot be used, so that operators cannot act");
                Err(Refused::saying(
                    ErrorCode::Internal,
                    "The audit log cannot be used; the gateway's own log says why.",
                ))
            }
            Err(_) => Err(ErrorCode::Internal.into()),
        }
    }
}

fn being_done() -> Refused {
    Refused::saying(ErrorCode::Busy, "The first request with this `Idempotency-Key` is still being answered.")
}

/// The answer to a request that was made before.
fn again(known: Begun) -> Result<Response, Refused> {
    match known {
        Begun::Answered { status, body: Some(body) } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = json(status, body);
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Begun::Answered { status: _, body: None } => Err(Refused::saying(
            ErrorCode::Conflict,
            "This was done before, under the same `Idempotency-Key`; its answer was too long to be kept.",
        )),
        Begun::Other => Err(Refused::saying(
            ErrorCode::Conflict,
            "This `Idempotency-Key` was used for another request; take a new one.",
        )
        .with_status(StatusCode::UNPROCESSABLE_ENTITY)),
        Begun::Unanswered(entry) => Err(Refused::saying(
            ErrorCode::Conflict,
            format!(
                "This was begun before, under the same `Idempotency-Key`, and never answered, because the gateway ended or \
                 failed in between: nobody knows whether it was done (entry {entry} of the audit log). Look, and ask again with a new key if it was not."
            ),
        )),
        Begun::New(_) => Err(ErrorCode::Internal.into()),
    }
}

fn to_json<T: Serialize>(answer: &T) -> String {
    serde_json::to_string(answer).expect("an answer of text, numbers and lists always serialises")
}

fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into()).into_response()
}

/// Says by which name the audit log and the log know this request.
fn identified(request: RequestId, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&request.to_string()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}
