//! `GET /v1/threads` and `GET /v1/threads/{thread}/messages`: what was said, page by page. They take no slot.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use lychgate_core::SessionKey;
use serde_json::value::{RawValue, to_raw_value};

use super::Clients;
use super::caller::{Asked, Caller, Named};
use super::refused::Refused;
use crate::close::ErrorCode;
use crate::session::Sessions;
use crate::wire::http::{Messages, Thread, Threads};

/// Entries of a page, unless the client says otherwise, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// Of the messages of a page, as JSON.
const PAGE_BYTES: usize = 1024 * 1024;

/// Messages that are read at a time.
const STEP: usize = 20;

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
    let page = page(&clients.sessions, &key, asked.text("before"), limit).await?;
    Ok(Json(page).into_response())
}

/// The last messages before one of them, as many as `limit` and [`PAGE_BYTES`] allow, but one at least. A few are read
/// at a time, so that long ones are not all in memory before they are weighed.
async fn page(sessions: &Sessions, key: &SessionKey, before: Option<&str>, limit: usize) -> Result<Messages, Refused> {
    let mut newest_first: Vec<Box<RawValue>> = Vec::new();
    let mut bytes = 0;
    let mut oldest = before.map(str::to_owned);
    loop {
        let few = STEP.min(limit - newest_first.len());
        let step = sessions.messages(key, oldest.as_deref(), few).await.map_err(|error| {
            tracing::warn!(%key, %error, "a thread cannot be read");
            Refused::from(ErrorCode::Internal)
        })?;
        for message in step.messages.iter().rev() {
            let json = to_raw_value(&**message).map_err(|error| {
                tracing::error!(%key, %error, "a message cannot be written as JSON");
                Refused::from(ErrorCode::Internal)
            })?;
            bytes += json.get().len();
            if bytes > PAGE_BYTES && !newest_first.is_empty() {
                return Ok(Messages::of(newest_first, oldest));
            }
            newest_first.push(json);
            oldest = Some(message.id.clone());
        }
        match (step.more && !step.messages.is_empty(), newest_first.len() < limit) {
            (true, true) => {}
            (true, false) => return Ok(Messages::of(newest_first, oldest)),
            (false, _) => return Ok(Messages::of(newest_first, None)),
        }
    }
}

fn limit(asked: &Asked) -> Result<usize, Refused> {
    match asked.number::<usize>("limit")? {
        None => Ok(PAGE),
        Some(limit) if (1..=LONGEST_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(Refused::bad(format!("`limit` in the query must be between 1 and {LONGEST_PAGE}."))),
    }
}
