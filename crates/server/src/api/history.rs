//! `GET /v1/threads` and `GET /v1/threads/{thread}/messages`: what was said, page by page. They take no slot.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Clients;
use super::caller::{Asked, Caller, Named};
use super::refused::Refused;
use crate::close::ErrorCode;
use crate::wire::http::{Messages, Thread, Threads};

/// Entries of a page, unless the client says otherwise, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// The caller's threads, the one that was active last first.
pub(super) async fn threads(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    asked: Asked,
) -> Result<Response, Refused> {
    let (before, limit) = (asked.number::<u64>("before")?, limit(&asked)?);
    let page = clients.sessions.threads(&caller.identity.user, before, limit).await.map_err(|error| {
        tracing::warn!(user = %caller.identity.user, %error, "threads cannot be listed");
        Refused::from(ErrorCode::Internal)
    })?;
    let threads = page.threads.iter().map(|summary| Thread {
        thread: summary.thread.as_str(),
        title: summary.title.as_deref(),
        created: summary.created,
        written: summary.written,
        messages: summary.messages,
        head: summary.head,
        run: summary.run.as_ref().map(lychgate_core::RunId::as_str),
    });
    let next = page.threads.last().filter(|_| page.more).map(|last| last.rank);
    Ok(Json(Threads { threads: threads.collect(), next }).into_response())
}

/// The last messages of one of his threads, oldest first; none of a thread that nobody wrote to.
pub(super) async fn messages(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named(thread): Named<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let key = caller.key(&thread)?;
    let limit = limit(&asked)?;
    let before = asked.text("before");
    let page = clients.sessions.messages(&key, before, limit).await.map_err(|error| {
        tracing::warn!(%key, %error, "a thread cannot be read");
        Refused::from(ErrorCode::Internal)
    })?;
    let next = page.messages.first().filter(|_| page.more).map(|oldest| oldest.id.as_str());
    Ok(Json(Messages { messages: &page.messages, next }).into_response())
}

fn limit(asked: &Asked) -> Result<usize, Refused> {
    match asked.number::<usize>("limit")? {
        None => Ok(PAGE),
        Some(limit) if (1..=LONGEST_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(Refused::bad(format!("`limit` in the query must be between 1 and {LONGEST_PAGE}."))),
    }
}
