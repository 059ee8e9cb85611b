//! `POST /v1/admin/publish`: a backend puts events into a user's thread, or into every thread that he has open on this
//! node, and where the nodes share a journal on any; once for each key and thread, however often it asks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::join_all;
use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{SessionKey, ThreadId, UserId};
use serde_json::json;
use tokio::time::timeout;

use super::Control;
use super::access::Writer;
use super::deed::{Became, What};
use crate::api::caller::read_body;
use crate::api::refused::Refused;
use crate::close::ErrorCode;
use crate::run::{self, PublishError, Runs};
use crate::wire::admin::{Error, PublishBody};
use crate::wire::event::Event;
use crate::wire::http::{Publish, Published, PublishedOn};

/// Of one request.
const MAX_BYTES: usize = 1024 * 1024;

/// How long a request, on however many threads, may wait for its events to be in the log. What was handed over is written all the same.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

/// Puts events into a thread, or into every thread that the user has open, on any node that shares this one's journal; once
/// for each `key` and thread.
#[utoipa::path(
    post, path = "/v1/admin/publish", tag = "operators", security(("key" = [])),
    request_body = PublishBody,
    responses(
        (status = 200, body = Published),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 413, body = Error), (status = 429, body = Error), (status = 503, body = Error)
    )
)]
pub(super) async fn publish(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, MAX_BYTES).await?;
    let Publish { user, thread, key: once, events } = Publish::parse(&body)
        .map_err(|error| Refused::bad(format!("The body is not {{user, thread?, key, events}}: {error}.")))?;
    drop(body);
    let user = super::user_id(&user)?;
    if once.is_empty() || once.len() > MAX_ID_BYTES {
        return Err(Refused::bad(format!(
            "`key` must have 1 to {MAX_ID_BYTES} bytes; it names this publication for good."
        )));
    }
    let thread = thread.map(|thread| ThreadId::parse(&thread)).transpose();
    let thread = thread.map_err(|error| Refused::bad_id("thread", &error))?;
    let parameters = json!({"key": once, "events": events.len()});
    let what = What { action: "publish", user: Some(user.clone()), thread: thread.clone(), parameters };
    let writer = Arc::clone(&control);
    let work = async move {
        let keys = match thread {
            Some(thread) => vec![SessionKey::new(user, thread)],
            None => match writer.open_threads(user).await {
                Ok(keys) => keys,
                Err(refused) => return Became::from(Err::<Published, _>(refused)),
            },
        };
        write_all(&writer.runs, keys, &once, &events).await
    };
    Ok(control.act_routinely(operator, what, work).await)
}

impl Control {
    /// The threads that a user has open: here, and on other nodes as far as that can be told.
    async fn open_threads(&self, user: UserId) -> Result<Vec<SessionKey>, Refused> {
        let asked = user.clone();
        let mut keys = self.look(move |driver| driver.sessions_of(&asked)).await?;
        if !self.elsewhere.shares_threads() {
            return Ok(keys);
        }
        for thread in self.elsewhere.threads(user.clone()).await {
            let key = SessionKey::new(user.clone(), thread);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// All at once, so that a thread that cannot be written costs the others none of their time; and written they are all the
/// same: whoever asks again finds them done. The audit log knows which were.
async fn write_all(runs: &Runs, keys: Vec<SessionKey>, once: &str, events: &[Event]) -> Became {
    let written = join_all(keys.into_iter().map(|key| async {
        let thread = key.thread().as_str().to_owned();
        let publish = run::Publish { key, once: once.into(), events: events.to_vec() };
        match write(runs, publish).await {
            Ok(head) => Ok(PublishedOn { thread, head }),
            Err(refused) => Err((thread, refused)),
        }
    }));
    let (mut threads, mut failed) = (Vec::new(), Vec::new());
    for thread in written.await {
        match thread {
            Ok(thread) => threads.push(thread),
            Err(thread) => failed.push(thread),
        }
    }
    let told: Vec<_> =
        failed.iter().map(|(thread, refused)| json!({"thread": thread, "code": refused.code()})).collect();
    let noted = json!({"threads": threads, "failed": told});
    match failed.into_iter().next() {
        None => Became::from(Ok(Published { threads })),
        Some((_, refused)) => Became::from(Err::<Published, _>(refused)).noted_as(&noted),
    }
}

/// The offset of the last event; none where it was there already.
async fn write(runs: &Runs, publish: run::Publish) -> Result<Option<u64>, Refused> {
    let key = publish.key.clone();
    match timeout(WRITTEN_WITHIN, runs.publish(publish)).await {
        Ok(Ok(run::Published::Appended { head })) => Ok(Some(head)),
        Ok(Ok(run::Published::Known)) => Ok(None),
        Ok(Err(PublishError::Open(why))) => Err(Refused::bad(format!("{why}."))),
        Ok(Err(PublishError::Busy)) => {
            Err(Refused::saying(ErrorCode::Busy, "Too many publications wait on this thread."))
        }
        Ok(Err(PublishError::Stopping)) => Err(ErrorCode::Draining.into()),
        Ok(Err(PublishError::Journal(error))) => {
            tracing::warn!(%key, %error, "a publication cannot be written");
            Err(ErrorCode::Internal.into())
        }
        Err(_) => {
            tracing::warn!(%key, "a publication was not written in time");
            Err(Refused::saying(ErrorCode::Internal, "It was not written in time, and may be written yet."))
        }
    }
}
