//! `GET /v1/me`, `DELETE /v1/me/sessions/{thread}`, `POST /v1/tickets`: who am I, what do I hold, let one of them go, and a
//! ticket to show it where no header can be sent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use lychgate_core::EvictReason;
use serde::Serialize;

use super::Clients;
use super::caller::{Caller, Named};
use super::refused::Refused;
use crate::auth::TICKET_LIFETIME;
use crate::close::ErrorCode;
use crate::wire::Limits;

#[derive(Serialize)]
struct Me<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
    groups: &'a [Box<str>],
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    limits: Limits,
    sessions: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    thread: String,
}

/// Whoever asks: his id, plan and groups, and the slots that he holds on this node.
pub(super) async fn me(State(clients): State<Arc<Clients>>, caller: Caller) -> Response {
    let identity = &caller.identity;
    let held = clients.driver.sessions_of(&identity.user);
    let me = Me {
        user: identity.user.as_str(),
        plan: identity.plan.as_deref(),
        groups: &identity.groups,
        expires_in: identity.expires_in().map(|until| until.left().as_secs()),
        limits: Limits::from(clients.driver.usage(&identity.user)),
        sessions: held.iter().map(|key| Held { thread: key.thread().as_str().to_owned() }).collect(),
    };
    never_stored(Json(me))
}

/// Lets one of his own sessions go, wherever it is shown: 204, or 404 where he holds none of this name.
pub(super) async fn let_go(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named(thread): Named<String>,
) -> Result<StatusCode, Refused> {
    let key = caller.key(&thread)?;
    match clients.driver.end(&key, EvictReason::Left) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refused::saying(ErrorCode::NotFound, "You hold no session of this name on this node.")),
    }
}

#[derive(Serialize)]
struct Issued<'a> {
    ticket: &'a str,
    /// Seconds.
    expires_in: u64,
}

/// A ticket with all that the caller has proven; good once.
pub(super) async fn ticket(State(clients): State<Arc<Clients>>, caller: Caller) -> Response {
    let ticket = clients.doorkeeper.tickets().issue(caller.identity);
    never_stored(Json(Issued { ticket: ticket.as_str(), expires_in: TICKET_LIFETIME.as_secs() }))
}

fn never_stored(body: impl IntoResponse) -> Response {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
}
