//! `GET /v1/admin/audit`: who did what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Control;
use super::access::Reader;
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::store::audit::{Entry, Wanted};
use crate::wire::admin::{AuditEntry, AuditPage, Error, rfc3339};

const USUAL_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Who changed what, newest first; with `after` oldest first, to follow.
#[utoipa::path(
    get, path = "/v1/admin/audit", tag = "operators", security(("key" = [])),
    params(
        ("user" = Option<String>, Query, description = "Only what concerned this user."),
        ("before" = Option<u64>, Query, description = "Only entries before this one: `next` of the page before."),
        ("after" = Option<u64>, Query, description = "Only entries after this one, oldest first."),
        ("limit" = Option<usize>, Query, description = "Entries, 1 to 500; 50 where it is not given."),
    ),
    responses(
        (status = 200, body = AuditPage),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error)
    )
)]
pub(super) async fn audit(
    State(control): State<Arc<Control>>,
    _: Reader,
    asked: Asked,
) -> Result<Json<AuditPage>, Refused> {
    let limit = asked.number("limit")?.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refused::bad(format!("`limit` in the query must be 1 to {MAX_LIMIT}.")));
    }
    let wanted = match (asked.number("before")?, asked.number("after")?) {
        (Some(_), Some(_)) => return Err(Refused::bad("The query has `before` and `after`; only one of them can be.")),
        (before, None) => Wanted::Newest(before),
        (None, Some(after)) => Wanted::After(after),
    };
    let user = asked.text("user").map(super::user_id).transpose()?;
    let store = Arc::clone(&control.store);
    let read = move || store.audit(&wanted, user.as_ref().map(|user| user.as_str()), limit);
    let entries: Vec<AuditEntry> = control.stored(read).await?.into_iter().map(told).collect();
    let next = entries.last().filter(|_| entries.len() == limit).map(|last| last.id);
    Ok(Json(AuditPage { entries, next }))
}

fn told(entry: Entry) -> AuditEntry {
    let Entry { id, at, request, operator, action, user, thread, parameters, outcome, result } = entry;
    AuditEntry { id, at: rfc3339(at), request, operator, action, user, thread, parameters, outcome, result }
}
