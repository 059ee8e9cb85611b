//! A response that is written by a task: its head is decided by the first thing that the task does, and its body is
//! taken one slice at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use lychgate_core::WriteProgress;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::refused::Refused;
use crate::close::ErrorCode;
use crate::driver::Registration;

/// How long hyper may leave a chunk before the gate is told that bytes wait: between two chunks of a busy stream it
/// always leaves one for a moment.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// What is handed to hyper at a time. It takes whole chunks, and the next one only when little of them is left: of a
/// large one on a slow link the kernel takes bytes all the time, and nobody would see it.
const SLICE_BYTES: usize = 16 * 1024;

/// The head of the response.
#[derive(Debug)]
enum Head {
    Stream,
    Nothing,
    Refused(Refused),
}

/// The response is gone: nobody is told any more.
#[derive(Debug)]
pub(super) struct Gone;

/// The task's end.
#[derive(Debug)]
pub(super) struct Outlet {
    /// None once the response has a head.
    head: Option<oneshot::Sender<Head>>,
    chunks: mpsc::Sender<Bytes>,
}

/// The response's end.
pub(super) struct Inlet {
    head: oneshot::Receiver<Head>,
    chunks: mpsc::Receiver<Bytes>,
}

/// Both ends of a response that holds one slice.
pub(super) fn response() -> (Outlet, Inlet) {
    let (say, head) = oneshot::channel();
    let (write, chunks) = mpsc::channel(1);
    (Outlet { head: Some(say), chunks: write }, Inlet { head, chunks })
}

impl Outlet {
    /// Sends a chunk, slice by slice; the response begins with it. Where hyper leaves a slice for long, the gate is told;
    /// and again when it is taken.
    pub(super) async fn write(&mut self, mut chunk: Bytes, registration: &Registration) -> Result<(), Gone> {
        if let Some(head) = self.head.take() {
            head.send(Head::Stream).map_err(|_| Gone)?;
        }
        while !chunk.is_empty() {
            let slice = chunk.split_to(chunk.len().min(SLICE_BYTES));
            self.room(registration).await?.send(slice);
        }
        Ok(())
    }

    /// Waits until hyper has taken all that was written.
    pub(super) async fn all_taken(&self, registration: &Registration) -> Result<(), Gone> {
        self.room(registration).await.map(drop)
    }

    async fn room(&self, registration: &Registration) -> Result<mpsc::Permit<'_, Bytes>, Gone> {
        if let Ok(permit) = self.chunks.try_reserve() {
            return Ok(permit);
        }
        let reserved = match timeout(BLOCKED_AFTER, self.chunks.reserve()).await {
            Ok(reserved) => reserved,
            Err(_) => {
                registration.backlog(WriteProgress::Blocked);
                let reserved = self.chunks.reserve().await;
                registration.backlog(WriteProgress::Cleared);
                reserved
            }
        };
        reserved.map_err(|_| Gone)
    }

    /// Whether the client has been told nothing yet, so that it can still be told by a status.
    pub(super) fn is_untold(&self) -> bool {
        self.head.is_some()
    }

    /// The response is a status with a reason, if it has no head yet.
    pub(super) fn refuse(self, refused: Refused) {
        self.conclude(Head::Refused(refused));
    }

    /// The response is 204, if it has no head yet.
    pub(super) fn nothing(self) {
        self.conclude(Head::Nothing);
    }

    fn conclude(mut self, last: Head) {
        if let Some(head) = self.head.take() {
            // If the client has gone, nobody is told.
            let _ = head.send(last);
        }
    }
}

impl Inlet {
    /// The response that the task writes; whichever way it goes, the task goes with it.
    pub(super) async fn written_by(self, task: AbortOnDropHandle<()>) -> Response {
        match self.head.await {
            Ok(Head::Stream) => stream(Chunks { chunks: self.chunks, _task: task }),
            Ok(Head::Nothing) => StatusCode::NO_CONTENT.into_response(),
            Ok(Head::Refused(refused)) => refused.into_response(),
            // The task panicked.
            Err(_) => Refused::from(ErrorCode::Internal).into_response(),
        }
    }
}

/// A response that is not stored, and not gathered by a proxy on its way.
fn stream(chunks: Chunks) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

/// The body; dropping it ends the task.
struct Chunks {
    chunks: mpsc::Receiver<Bytes>,
    _task: AbortOnDropHandle<()>,
}

impl Stream for Chunks {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(Ok))
    }
}
