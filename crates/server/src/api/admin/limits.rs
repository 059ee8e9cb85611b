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
use super::lent::{Lending, until};
use crate::api::caller::Named;
use crate::api::refused::Refused;
use crate::config::value::parse_duration;
use crate::wire::admin::{Draining, Error, Lend, LimitInForce, rfc3339};

/// More than anybody needs by mistake.
pub(super) const MAX_SESSIONS: usize = 1_000;

/// Sets another limit on a user's sessions for a while, on all nodes. One that falls evicts nobody by itself.
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
        match steered.order(user, Some((max_sessions, lasting))).await? {
            (lent, Some(_)) => Ok(lent),
            (lent, None) => Err(Refused::bad(format!(
                "`max_sessions` contradicts the other limits of this user; {} is in force.",
                lent.limit
            ))),
        }
    };
    Ok(control.act(operator, what, order, work).await)
}

/// Takes a limit for a while back, on all nodes: the user's plan counts again.
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
    let work = async move { steered.order(user, None).await.map(|(restored, _)| restored) };
    Ok(control.act(operator, what, order, work).await)
}

impl Control {
    /// Lends so many sessions for so long, or takes back what was lent, on this node at once and on the others as soon as they
    /// can be told. Answers what is in force here, and the order if it is that.
    async fn order(
        &self,
        user: UserId,
        lent: Option<(usize, Duration)>,
    ) -> Result<(LimitInForce, Option<Lending>), Refused> {
        let lendings = Arc::clone(&self.lendings);
        let (told, order) = self
            .steer(move |driver| {
                let (max_sessions, lasting) = lent.unzip();
                let until = until(lasting);
                let lend = |lending: &Lending| {
                    let limit = driver.lend_limit(&lending.user, max_sessions, lasting.unwrap_or_default());
                    max_sessions.is_none_or(|wanted| wanted == limit)
                };
                let order = lendings.order(user.clone(), max_sessions, until, lend);
                let usage = driver.usage(&user);
                let until = lasting.map(|_| rfc3339(until));
                (LimitInForce { used: usage.used, limit: usage.limit, until }, order)
            })
            .await?;
        order.iter().for_each(|order| self.elsewhere.lent(order));
        Ok((told, order))
    }
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
