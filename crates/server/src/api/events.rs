//! `GET /v1/threads/{thread}/events`: what runs on a thread now, as server-sent events that a client can come back to.
//!
//! ```text
//!  Last-Event-ID | after + epoch --> open --> event: reset (messages, state)   unless the log holds what follows
//!                                             id: <epoch>.<offset>, data: event, ...
//!                                             until nothing runs and everything is told --> end (204 if there was nothing)
//! ```
//!
//! It ends when it is idle, because over HTTP/1.1 a browser keeps six connections to a host and no more: six idle tabs
//! would hang the seventh.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{IdError, Resume};

use super::Clients;
use super::caller::{Asked, Caller, Named};
use super::reader::{Heard, Mark, Opened, Reader, Stop, Visit};
use super::refused::Refused;
use super::sse;
use crate::close::ErrorCode;
use crate::wire::http::Reset;
use crate::wire::told::Told;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells what runs.
pub(super) async fn read(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named(thread): Named<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Response {
    let resume = match caller.key(&thread).and_then(|_| resume(&asked, &headers)) {
        Ok(resume) => resume,
        Err(refused) => return refused.into_response(),
    };
    let visit = Visit { caller, thread: Some(thread), operation: "events" };
    let serve = move |mut reader: Reader| async move {
        let end = tell(&mut reader, resume).await;
        match end {
            Ok(Held::Something) => reader.finish([]).await,
            Ok(Held::Nothing) => reader.nothing(),
            Err(Stop::Gone) => {}
            Err(Stop::Refused(refused)) if reader.is_untold() => reader.refuse(refused),
            Err(Stop::Refused(refused)) => {
                let closed = sse::named("closed", None, &refused.to_frame().to_json());
                reader.finish(refused.reconnect_in().map(sse::retry).into_iter().chain([closed])).await;
            }
        }
    };
    Reader::respond(clients, visit, serve).await
}

/// Where the client left off. What a browser sends by itself counts before what the page wrote into the address, which
/// stays the same each time that it reconnects.
fn resume(asked: &Asked, headers: &HeaderMap) -> Result<Option<Resume>, Refused> {
    let resume = given(asked, headers)?;
    // The gate keeps it as long as the session lives.
    match resume.as_ref().map(|resume| resume.epoch.len()).filter(|length| *length > MAX_ID_BYTES) {
        Some(length) => Err(Refused::bad_id("epoch", &IdError::TooLong(length))),
        None => Ok(resume),
    }
}

fn given(asked: &Asked, headers: &HeaderMap) -> Result<Option<Resume>, Refused> {
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let parts = id.to_str().ok().and_then(|id| id.rsplit_once('.'));
        let read = parts.and_then(|(epoch, after)| Some(Resume { after: after.parse().ok()?, epoch: epoch.into() }));
        return match read {
            Some(resume) => Ok(Some(resume)),
            None => Err(Refused::bad("`Last-Event-ID` must be an id of this stream: `<epoch>.<offset>`.")),
        };
    }
    match (asked.number::<u64>("after")?, asked.text("epoch")) {
        (Some(after), Some(epoch)) => Ok(Some(Resume { after, epoch: epoch.into() })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Refused::bad("`epoch` is missing in the query: `after` counts within one epoch.")),
        (None, Some(_)) => Err(Refused::bad("`after` is missing in the query: give both it and `epoch`, or neither.")),
    }
}

/// Whether the stream held anything.
enum Held {
    Something,
    Nothing,
}

async fn tell(reader: &mut Reader, resume: Option<Resume>) -> Result<Held, Stop> {
    let mut opened = reader.open(resume).await?;
    let mut told = opened.after;
    loop {
        if opened.reset {
            reader.write(reset(reader, &opened)?).await?;
            told = opened.after;
        }
        let mut runs = opened.run.is_some();
        if let Some(run) = &opened.run {
            reader.follow(run);
        }
        opened = loop {
            if !runs && told >= opened.head {
                return Ok(if reader.is_untold() { Held::Nothing } else { Held::Something });
            }
            match reader.hear().await? {
                Heard::Event { offset, mark, json } => {
                    told = offset;
                    runs = match mark {
                        Mark::Begins(run) => {
                            reader.follow(&run);
                            true
                        }
                        Mark::Ends => false,
                        Mark::Within => runs,
                    };
                    let text = String::from_utf8_lossy(&json);
                    reader.write(sse::identified(&text, &opened.epoch, offset)).await?;
                }
                Heard::Reconnect(after) => reader.write(sse::retry(after)).await?,
                // The log let go of what a slow reader still needed: it is told to start over, never served a hole (R19).
                Heard::Opened(again) => break again,
            }
        };
    }
}

/// `event: reset`: the reader replaces what it has.
fn reset(reader: &Reader, opened: &Opened) -> Result<Bytes, Stop> {
    let Ok(Told::Opened(frame)) = Told::parse(&opened.payload) else { return Err(ErrorCode::Internal.into()) };
    let reset = Reset {
        thread: reader.key().thread().as_str(),
        epoch: &opened.epoch,
        after: opened.after,
        messages: frame.messages,
        state: frame.state,
        more: frame.more,
    };
    let json = serde_json::to_string(&reset).map_err(|_| Stop::from(ErrorCode::Internal))?;
    Ok(sse::named("reset", Some((&opened.epoch, opened.after)), &json))
}
