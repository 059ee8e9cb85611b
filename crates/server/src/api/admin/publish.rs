//! `POST /v1/admin/publish`: a backend puts events into a user's thread, or into every thread that he has open on this
//! node; once for each key and thread, however often it asks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::join_all;
use http::header::ORIGIN;
use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{SessionKey, ThreadId, UserId};
use tokio::time::timeout;

use super::caller::read_body;
use super::refused::Refused;
use crate::close::ErrorCode;
use crate::driver::Driver;
use crate::run::{self, PublishError, Runs};
use crate::wire::http::{Publish, Published, PublishedOn};

/// Of one request.
const MAX_BYTES: usize = 1024 * 1024;

/// How long a request, on however many threads, may wait for its events to be in the log. What was handed over is written all the same.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

/// What the routes for backends share.
#[derive(Clone, Debug)]
pub struct Backends {
    /// Who holds which session.
    pub driver: Arc<Driver>,
    /// Who writes between the events of a run.
    pub runs: Arc<Runs>,
}

pub(super) fn routes(backends: Backends) -> Router {
    Router::new().route("/v1/admin/publish", post(publish)).with_state(backends)
}

async fn publish(State(backends): State<Backends>, request: Request) -> Result<Json<Published>, Refused> {
    let (parts, body) = request.into_parts();
    // No token is asked for here, and a browser sends a simple POST to loopback for any page; but never without this.
    if parts.headers.contains_key(ORIGIN) {
        return Err(Refused::saying(
            ErrorCode::Forbidden,
            "This address is for backends and not for pages in a browser.",
        ));
    }
    let body = read_body(&parts.headers, body, MAX_BYTES).await?;
    let Publish { user, thread, key: once, events } = Publish::parse(&body)
        .map_err(|error| Refused::bad(format!("The body is not {{user, thread?, key, events}}: {error}.")))?;
    drop(body);
    let user = UserId::parse(&user).map_err(|error| Refused::bad_id("user", &error))?;
    if once.is_empty() || once.len() > MAX_ID_BYTES {
        return Err(Refused::bad(format!(
            "`key` must have 1 to {MAX_ID_BYTES} bytes; it names this publication for good."
        )));
    }
    let keys = match thread {
        Some(thread) => {
            let thread = ThreadId::parse(&thread).map_err(|error| Refused::bad_id("thread", &error))?;
            vec![SessionKey::new(user, thread)]
        }
        None => backends.driver.sessions_of(&user),
    };
    // All at once, so that a thread that cannot be written costs the others none of their time; and written they are all
    // the same: whoever asks again finds them done.
    let written = keys.into_iter().map(|key| async {
        let thread = key.thread().as_str().to_owned();
        let publish = run::Publish { key, once: once.as_str().into(), events: events.clone() };
        let head = write(&backends.runs, publish).await?;
        Ok(PublishedOn { thread, head })
    });
    let threads = join_all(written).await.into_iter().collect::<Result<_, Refused>>()?;
    Ok(Json(Published { threads }))
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
            Err(ErrorCode::Internal.into())
        }
    }
}
