//! One response that reads a session: it takes a slot, tells what comes, and gives the slot back with its last event.
//!
//! ```text
//!  request --> Reader::respond --> task: open --> hear --> write --> [one chunk] --> hyper --> kernel
//!                   ^ head: stream, nothing, or a status     |  '- not taken for a second: the gate is told
//!                   '----------------------------------------'
//! ```
//!
//! The response owns the task, and the task owns the registration: whichever way the response goes, the slot goes with
//! it (hazard R3). No linger follows, because a request has nobody who could come back to it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use lychgate_core::{ConnectionId, End, Heartbeat, Resume, SessionContext, SessionKey, Sign, WebSocketRequest};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Clients;
use super::caller::Caller;
use super::line::{HttpLine, News};
use super::refused::Refused;
use super::response::{Gone, Outlet, response};
use super::sse;
use crate::close::ErrorCode;
use crate::driver::{Arrival, Registration, random_bits};
use crate::listener::Known;
use crate::outbox::Frame;
use crate::sink::{Line, Sink};
use crate::telemetry::traces::Joined;
use crate::wire::told::{self, Told};
use crate::wire::unix_ms;

/// While a request is so young it is itself the sign of life that the gate asks for; afterwards the response is begun, so
/// that there is something to send the question on.
const YOUNG: Duration = Duration::from_secs(10);

/// Why nothing more is told.
#[derive(Debug)]
pub(super) enum Stop {
    /// The response is gone, and this task with it.
    Gone,
    /// The reader was refused or has to go; it hears why.
    Refused(Refused),
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<ErrorCode> for Stop {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code.into())
    }
}

/// Where the session's events go on.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) epoch: String,
    pub(super) after: u64,
    pub(super) head: u64,
    pub(super) run: Option<String>,
    pub(super) reset: bool,
    /// The frame, for who wants the messages of a reset.
    pub(super) payload: Bytes,
}

/// What an event means for its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A run begins, with this id.
    Begins(String),
    /// The run in flight is over.
    Ends,
    /// Neither.
    Within,
}

/// What a reader hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// The answer to an open; in the middle of a stream, that the log let go of what this reader still needs.
    Opened(Opened),
    /// An event of the log: its JSON as it stands there.
    Event { offset: u64, mark: Mark, json: Bytes },
    /// The node is being drained: whoever comes back by himself should do so after this time.
    Reconnect(Duration),
}

/// The task's side of the response.
pub(super) struct Reader {
    clients: Arc<Clients>,
    context: SessionContext,
    line: Arc<HttpLine>,
    registration: Registration,
    outlet: Outlet,
    since: Instant,
    opens: u32,
    /// The run that this reader follows.
    run: Option<Box<str>>,
    /// As long as the registration.
    _known: Known,
    /// Of a request that is part of its client's trace.
    _joined: Option<Box<Joined>>,
}

/// Who reads what.
pub(super) struct Visit {
    pub(super) caller: Caller,
    /// The thread as the client names it; none for a new one.
    pub(super) thread: Option<String>,
    /// For the audit trail.
    pub(super) operation: &'static str,
}

impl Reader {
    /// Answers a request by a task that reads the session. `serve` is that task; until it writes, the response has no
    /// head and can still be a refusal.
    pub(super) async fn respond<F>(clients: Arc<Clients>, visit: Visit, serve: impl FnOnce(Self) -> F) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (outlet, inlet) = response();
        match Self::connect(clients, visit, outlet) {
            Ok(reader) => inlet.written_by(AbortOnDropHandle::new(tokio::spawn(serve(reader)))).await,
            Err(refused) => refused.into_response(),
        }
    }

    fn connect(clients: Arc<Clients>, visit: Visit, outlet: Outlet) -> Result<Self, Refused> {
        let Visit { caller: Caller { identity, address, seat, known: asking, arrival }, thread, operation } = visit;
        let connection = ConnectionId::from_random(random_bits());
        let request = WebSocketRequest {
            user: &identity.user,
            thread: thread.as_deref(),
            client: None,
            connection,
            operation,
            component: "api",
            unix_ms: unix_ms(),
        };
        let context = SessionContext::from_websocket_request(&request, clients.driver.entropy())
            .map_err(|error| Refused::bad_id("threadId", &error))?;
        let (user, proof) = (identity.user.clone(), identity.proof);
        let line = Arc::new(HttpLine::new(clients.bounds.outbox_bytes, seat.clone()));
        let joined = arrival.and_then(|arrival| clients.traces.connected(connection, &user, "http", *arrival));
        let mut registration = clients.driver.connect(Arrival {
            expires_in: identity.expires_in(),
            user: identity.user,
            plan: identity.plan,
            proof: identity.proof,
            connection,
            prev: None,
            heartbeat: Heartbeat::Protocol,
            address,
            line: Arc::clone(&line) as Arc<dyn Line>,
        });
        registration.ended(End::ClientClosed);
        // From here on a revocation or a logout finds the connection; one that came while the body was read has not.
        clients.recheck(&user, proof)?;
        // Counted by the driver from now on.
        let known = seat.hold();
        drop(asking);
        let since = Instant::now();
        Ok(Self {
            clients,
            context,
            line,
            registration,
            outlet,
            since,
            opens: 0,
            run: None,
            _known: known,
            _joined: joined,
        })
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// All ids of this request.
    pub(super) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(super) fn key(&self) -> &SessionKey {
        self.context.key()
    }

    /// What goes wrong with this run concerns this reader; what goes wrong with another does not.
    pub(super) fn follow(&mut self, run: &str) {
        self.run = Some(run.into());
    }

    /// Where a refusal of a run goes, so that it is heard in its place among the events.
    pub(super) fn reply(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.line) as Arc<dyn Sink>
    }

    /// Takes the slot, or begins anew from elsewhere on the one that is taken. While it waits, waiting is shown.
    pub(super) async fn open(&mut self, resume: Option<Resume>) -> Result<Opened, Stop> {
        self.opens += 1;
        let reference = self.opens.to_string().into_boxed_str();
        self.registration.open(self.context.clone(), Some(reference), resume);
        loop {
            match self.hear().await? {
                Heard::Opened(opened) => return Ok(opened),
                // Of the open before; and whoever waits still is told by the drain's refusal.
                Heard::Event { .. } | Heard::Reconnect(_) => {}
            }
        }
    }

    /// What comes next, whenever that is.
    pub(super) async fn hear(&mut self) -> Result<Heard, Stop> {
        loop {
            let news = self.line.next().await;
            if self.line.has_room_again() {
                self.clients.sessions.drained(self.registration.connection());
            }
            match news {
                News::Frame(frame) => {
                    if let Some(heard) = self.understand(&frame).await? {
                        return Ok(heard);
                    }
                }
                News::Ping => self.answer_ping().await?,
                News::Close(closing) => return Err(Refused::from(&closing).into()),
            }
        }
    }

    async fn understand(&mut self, frame: &Frame) -> Result<Option<Heard>, Stop> {
        let payload = frame.payload();
        let told = Told::parse(&payload).map_err(|error| {
            tracing::error!(key = %self.key(), %error, "a frame of ours cannot be read back");
            Stop::from(ErrorCode::Internal)
        })?;
        match told {
            Told::Opened(opened) => {
                let is_latest = opened.reference.as_deref() == Some(self.opens.to_string().as_str());
                Ok((is_latest || opened.reference.is_none()).then(|| {
                    Heard::Opened(Opened {
                        epoch: opened.epoch.into_owned(),
                        after: opened.after,
                        head: opened.head,
                        run: opened.run.map(|run| run.into_owned()),
                        reset: opened.reset,
                        payload: payload.clone(),
                    })
                }))
            }
            Told::Event(told::Event { offset, event }) => {
                self.clients.metrics.on_sent(1, 0);
                let json = payload.slice_ref(event.get().as_bytes());
                Ok(Some(Heard::Event { offset, mark: mark(&json), json }))
            }
            Told::Queued(told::Queued { position, deadline }) => {
                let waiting = sse::comment(format_args!("queued, position {position}, served within {deadline} ms"));
                self.write(waiting).await?;
                Ok(None)
            }
            Told::RunQueued(told::RunQueued { position }) => {
                let waiting = sse::comment(format_args!("the run waits for the one before it, position {position}"));
                self.write(waiting).await?;
                Ok(None)
            }
            Told::Reconnect(told::Advice { retry_in }) => Ok(Some(Heard::Reconnect(Duration::from_millis(retry_in)))),
            Told::Closed(closed) => Err(Refused::from(closed).into()),
            Told::Error(error) if concerns_another(error.run.as_deref(), self.run.as_deref()) => Ok(None),
            Told::Error(error) => Err(Refused::from(error).into()),
            Told::RunEnded | Told::Other => Ok(None),
        }
    }

    /// Puts the gate's question on the response as a comment, which hyper takes only while the kernel takes what was
    /// sent before: see docs/decisions/0013.
    async fn answer_ping(&mut self) -> Result<(), Stop> {
        if !self.outlet.is_untold() || self.since.elapsed() >= YOUNG {
            self.write(sse::comment(format_args!("ping"))).await?;
            self.outlet.all_taken(&self.registration).await?;
        }
        self.registration.ping_written();
        self.registration.heard(Sign::Pong);
        Ok(())
    }

    /// Sends a chunk; the response begins with it.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), Stop> {
        self.clients.metrics.on_sent(0, chunk.len() as u64);
        Ok(self.outlet.write(chunk, &self.registration).await?)
    }

    /// Whether the client has been told nothing yet, so that it can still be told by a status.
    pub(super) fn is_untold(&self) -> bool {
        self.outlet.is_untold()
    }

    /// Ends with a status; the slot is free before it is told.
    pub(super) fn refuse(self, refused: Refused) {
        drop(self.registration);
        self.outlet.refuse(refused);
    }

    /// Ends with 204: there is nothing to tell.
    pub(super) fn nothing(self) {
        drop(self.registration);
        self.outlet.nothing();
    }

    /// Ends with these last chunks. The slot is free before they are written: whoever reads the end of an answer may ask
    /// the next question at once. The connection stays in the count until they are taken, so that one that does not
    /// read is found like every other.
    pub(super) async fn finish(mut self, last: impl IntoIterator<Item = Bytes>) {
        self.registration.leave(self.context.thread().clone());
        for chunk in last {
            if self.write(chunk).await.is_err() {
                return;
            }
        }
        // The response is gone, or it has everything: either way this is the end.
        let _ = self.outlet.all_taken(&self.registration).await;
    }
}

/// Whether something that went wrong names a run, and not the one that is followed.
fn concerns_another(run: Option<&str>, followed: Option<&str>) -> bool {
    run.is_some() && run != followed
}

/// Reads of an event what its run is told by.
fn mark(event: &[u8]) -> Mark {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(rename = "runId")]
        run: Option<String>,
    }
    match serde_json::from_slice::<Head<'_>>(event) {
        Ok(Head { kind, run: Some(run) }) if kind == "RUN_STARTED" => Mark::Begins(run),
        Ok(Head { kind, .. }) if kind == "RUN_FINISHED" || kind == "RUN_ERROR" => Mark::Ends,
        Ok(_) | Err(_) => Mark::Within,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_with_another_run_ends_nobody() {
        for (frame, followed, is_foreign) in [
            (r#"{"type":"error","code":"internal","message":"","run":"r1"}"#, Some("r1"), false),
            (r#"{"type":"error","code":"internal","message":"","run":"r1"}"#, Some("r2"), true),
            (r#"{"type":"error","code":"internal","message":"","run":"r1"}"#, None, true),
            (r#"{"type":"error","code":"draining","message":""}"#, Some("r2"), false),
            (r#"{"type":"error","code":"draining","message":""}"#, None, false),
        ] {
            let Told::Error(error) = Told::parse(frame.as_bytes()).unwrap() else { panic!("{frame}") };
            assert_eq!(concerns_another(error.run.as_deref(), followed), is_foreign, "{frame} for {followed:?}");
        }
    }
}
