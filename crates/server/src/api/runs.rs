//! `POST /v1/threads/{thread}/runs` and `DELETE .../runs/{run}`: run and stop for who does not wait for the answer. They
//! take no slot: a run is the thread's, and no session's.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use lychgate_core::{ConnectionId, RunId};
use tokio::sync::oneshot;

use super::Clients;
use super::caller::{Caller, Named, read_body};
use super::refused::Refused;
use crate::auth::Identity;
use crate::close::ErrorCode;
use crate::driver::random_bits;
use crate::outbox::{Frame, Sent};
use crate::run;
use crate::sink::Sink;
use crate::wire::http::{StartRun, Started};
use crate::wire::told::Told;

/// Starts a run: 202 once its RUN_STARTED is in the log, now or since an earlier request, or once it waits for the run
/// before it, with its position.
pub(super) async fn start(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named(thread): Named<String>,
    request: Request,
) -> Result<Response, Refused> {
    let key = caller.key(&thread)?;
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, clients.bounds.max_message_bytes).await?;
    let StartRun { run, input, agent } = StartRun::parse(&body)
        .map_err(|error| Refused::bad(format!("The body is not {{run, input, agent?}}: {error}.")))?;
    let run = RunId::parse(&run).map_err(|error| Refused::bad_id("run", &error))?;
    let (said, says) = oneshot::channel();
    let reply = Arc::new(Reply(Mutex::new(Some(said))));
    let Identity { user, plan, agents, proof, .. } = caller.identity;
    // No connection of the gate's: it has an id for its trace alone.
    let connection = ConnectionId::from_random(random_bits());
    let _joined = caller.arrival.and_then(|arrival| clients.traces.connected(connection, &user, "http", *arrival));
    let trace = clients.traces.asker(connection);
    clients.recheck(&user, proof)?;
    let start = run::StartRun { key: key.clone(), plan, agents, run: run.clone(), input, agent, reply, trace };
    clients.runs.start(start);
    let position = match says.await {
        Ok(frame) => position(&frame)?,
        // Let go without a word: it runs, or it has run before.
        Err(_) => None,
    };
    let started = Started { thread: key.thread().as_str(), run: run.as_str(), position };
    Ok((StatusCode::ACCEPTED, Json(started)).into_response())
}

/// Ends a run with RUN_FINISHED, outcome cancelled: 204, or 404 when it is not in flight.
pub(super) async fn stop(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named((thread, run)): Named<(String, String)>,
) -> Result<StatusCode, Refused> {
    let key = caller.key(&thread)?;
    let run = RunId::parse(&run).map_err(|error| Refused::bad_id("run", &error))?;
    match clients.runs.stop(&key, &run) {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            Err(Refused::saying(ErrorCode::NotFound, "This run is not in flight: it is over, or was never started."))
        }
    }
}

/// Where the run stands in the queue of its thread, if it has to wait; or why it was refused.
fn position(frame: &Frame) -> Result<Option<usize>, Refused> {
    match Told::parse(&frame.payload()) {
        Ok(Told::RunQueued(queued)) => Ok(Some(queued.position)),
        Ok(Told::RunEnded) => Ok(None),
        Ok(Told::Error(error)) => Err(error.into()),
        Ok(Told::Opened(_) | Told::Event(_) | Told::Closed(_) | Told::Queued(_) | Told::Reconnect(_) | Told::Other)
        | Err(_) => Err(ErrorCode::Internal.into()),
    }
}

/// Where the first word about a run goes, which is all that the request waits for; let go without one, it is accepted.
#[derive(Debug)]
struct Reply(Mutex<Option<oneshot::Sender<Frame>>>);

impl Sink for Reply {
    /// Events go to sessions.
    fn send(&self, _frame: &Frame) -> Sent {
        Sent::Closed
    }

    fn send_control(&self, frame: &Frame) -> Sent {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match said.map(|said| said.send(frame.clone())) {
            Some(Ok(())) => Sent::Accepted,
            Some(Err(_)) | None => Sent::Closed,
        }
    }
}
