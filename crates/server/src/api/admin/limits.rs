//! `PUT` and `DELETE /v1/admin/users/{user}/limits`: another limit for a while; and `POST /v1/admin/drain`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use lychgate_core::UserId;
use serde_json::json;

use super::Control;
use super::access::Writer;
use super::deed::{Order, What};
use crate::api::caller::Named;
use crate::api::refused::Refused;
use crate::config::value::parse_duration;
use crate::driver::Driver;
use crate::wire::admin::{Draining, Error, Lend, LimitInForce, rfc3339};
use crate::wire::{millis, unix_ms};

/// More than anybody needs by mistake.
const MAX_SESSIONS: usize = 1_000;

/// Sets another limit on a user's sessions for a while, on this node. One that falls evicts nobody by itself.
#[utoipa::path(
    put, path = "/v1/admin/users/{user}/limits", tag = "operators", security(("key" = [])),
    params(
        ("user" = String, Path, description = "The user's id, percent-encoded."),
        ("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again."),
    ),
    request_body = Lend,
    responses(
        (status = 200, body = LimitInForce),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn lend(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    Named(user): Named<String>,
    order: Order,
) -> Result<Response, Refused> {
    let user = super::user_id(&user)?;
    let Lend { max_sessions, lasting: text } = order.json("{max_sessions, for}")?;
    if !(1..=MAX_SESSIONS).contains(&max_sessions) {
        return Err(Refused::bad(format!("`max_sessions` must be 1 to {MAX_SESSIONS}.")));
    }
    let lasting = parse_duration(&text).map_err(|error| Refused::bad(format!("`for`: {error}.")))?;
    if lasting.is_zero() {
        return Err(Refused::bad("`for` must be longer than nothing; `DELETE` takes a limit back."));
    }
    let what = What {
        action: "lend_limit",
        user: Some(user.clone()),
        thread: None,
        parameters: json!({"max_sessions": max_sessions, "for": text}),
    };
    let steered = Arc::clone(&control);
    let work = async move {
        let lent = steered
            .steer(move |driver| {
                driver.lend_limit(&user, Some(max_sessions), lasting);
                in_force(driver, &user, Some(lasting))
            })
            .await?;
        match lent.limit == max_sessions {
            true => Ok(lent),
            false => Err(Refused::bad(format!(
                "`max_sessions` contradicts the other limits of this user; {} is in force.",
                lent.limit
            ))),
        }
    };
    Ok(control.act(operator, what, order, work).await)
}

/// Takes a limit for a while back: the user's plan counts again.
#[utoipa::path(
    delete, path = "/v1/admin/users/{user}/limits", tag = "operators", security(("key" = [])),
    params(
        ("user" = String, Path, description = "The user's id, percent-encoded."),
        ("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again."),
    ),
    responses(
        (status = 200, body = LimitInForce),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn restore(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    Named(user): Named<String>,
    order: Order,
) -> Result<Response, Refused> {
    let user = super::user_id(&user)?;
    let what = What { action: "restore_limit", user: Some(user.clone()), thread: None, parameters: json!({}) };
    let steered = Arc::clone(&control);
    let work = async move {
        let restored = move |driver: &Driver| {
            driver.lend_limit(&user, None, Duration::ZERO);
            in_force(driver, &user, None)
        };
        steered.steer(restored).await
    };
    Ok(control.act(operator, what, order, work).await)
}

fn in_force(driver: &Driver, user: &UserId, lasting: Option<Duration>) -> LimitInForce {
    let usage = driver.usage(user);
    let until = lasting.map(|lasting| rfc3339(unix_ms().saturating_add(millis(lasting))));
    LimitInForce { used: usage.used, limit: usage.limit, until }
}

/// Drains this node and stops it, as SIGTERM does.
#[utoipa::path(
    post, path = "/v1/admin/drain", tag = "operators", security(("key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again.")),
    responses(
        (status = 200, body = Draining),
        (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn drain(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    order: Order,
) -> Result<Response, Refused> {
    let what = What { action: "drain", user: None, thread: None, parameters: json!({}) };
    let by = operator.who.to_string();
    let steered = Arc::clone(&control);
    let work = async move {
        (steered.drain)(&by);
        Ok(Draining { draining: true })
    };
    Ok(control.act(operator, what, order, work).await)
}
