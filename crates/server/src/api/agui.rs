//! `POST /v1/agui[/{agent}]`: a run and its answer in one response, for AG-UI's own client.
//!
//! ```text
//!  open --> known run? -- in flight: from its start ---.
//!              |  '------ over: again from the log ----+--> events from RUN_STARTED to RUN_FINISHED | RUN_ERROR
//!              '-- new: start ------------------------'
//! ```
//!
//! The run belongs to the thread: a client that goes is not a stop (hazard R18).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use lychgate_core::RunId;
use serde_json::json;

use super::Clients;
use super::caller::{Caller, Named, read_body};
use super::reader::{Heard, Mark, Opened, Reader, Stop, Visit};
use super::refused::Refused;
use super::sse;
use crate::close::ErrorCode;
use crate::run::StartRun;
use crate::session::RunInLog;
use crate::wire::RunInput;
use crate::wire::http::RunAgentInput;

/// Asks the default agent.
pub(super) async fn run_default(State(clients): State<Arc<Clients>>, caller: Caller, request: Request) -> Response {
    run(clients, caller, None, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// Asks an agent by its name.
pub(super) async fn run_named(
    State(clients): State<Arc<Clients>>,
    caller: Caller,
    Named(agent): Named<String>,
    request: Request,
) -> Response {
    run(clients, caller, Some(agent), request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run(
    clients: Arc<Clients>,
    caller: Caller,
    agent: Option<String>,
    request: http::Request<Body>,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, clients.bounds.max_message_bytes).await?;
    let RunAgentInput { thread, run, input } = RunAgentInput::parse(&body)
        .map_err(|error| Refused::bad(format!("The body is no RunAgentInput of AG-UI: {error}.")))?;
    drop(body);
    let run = run.map(|run| RunId::parse(&run)).transpose().map_err(|error| Refused::bad_id("runId", &error))?;
    // Asked before a slot is taken, which may cost another session its own.
    let agents = caller.identity.agents.clone();
    clients
        .runs
        .may_ask(agent.as_deref(), agents.as_deref())
        .map_err(|none| Refused::saying(none.code(), none.to_string()))?;
    let plan = caller.identity.plan.clone();
    let visit = Visit { caller, thread, operation: "agui" };
    let serve = move |mut reader: Reader| async move {
        let run = run.unwrap_or_else(|| reader.context().run().clone());
        let mut telling = Telling { run, begun: false };
        let end = telling.tell(&mut reader, Question { plan, agents, input, agent }).await;
        telling.end(reader, end).await;
    };
    Ok(Reader::respond(clients, visit, serve).await)
}

/// What is asked, until it is.
struct Question {
    plan: Option<Box<str>>,
    agents: Option<Arc<[Box<str>]>>,
    input: RunInput,
    agent: Option<String>,
}

/// One run as this response tells it.
struct Telling {
    run: RunId,
    /// The client has seen RUN_STARTED.
    begun: bool,
}

impl Telling {
    /// Tells everything but the last event, which is the answer.
    async fn tell(&mut self, reader: &mut Reader, question: Question) -> Result<Bytes, Stop> {
        reader.follow(self.run.as_str());
        let opened = reader.open(None).await?;
        self.ask(reader, opened, question).await?;
        loop {
            let (offset, mark, json) = match reader.hear().await? {
                Heard::Event { offset, mark, json } => (offset, mark, json),
                Heard::Opened(_) => return Err(let_go()),
                // Nobody comes back by himself: its client asks once.
                Heard::Reconnect(_) => continue,
            };
            // What we put into the log is text; an event of another run is none of this response's.
            let text = || sse::logged(&String::from_utf8_lossy(&json), offset);
            match (self.begun, mark) {
                (false, Mark::Begins(run)) if run == self.run.as_str() => {
                    reader.write(text()).await?;
                    self.begun = true;
                }
                (false, _) => {}
                (true, Mark::Ends) => return Ok(text()),
                (true, Mark::Begins(_) | Mark::Within) => reader.write(text()).await?,
            }
        }
    }

    /// Sees to it that the run's RUN_STARTED is among what follows. The session is open by now, so that nothing that is
    /// appended from here on is missed, whoever starts the run.
    async fn ask(&self, reader: &mut Reader, opened: Opened, question: Question) -> Result<(), Stop> {
        if opened.run.as_deref() == Some(self.run.as_str()) {
            return Ok(());
        }
        let key = reader.key().clone();
        let found = reader.clients().sessions.find_run(&key, &self.run).await.map_err(|error| {
            tracing::warn!(%key, %error, "a thread cannot be read");
            Stop::from(ErrorCode::Internal)
        })?;
        match found {
            RunInLog::Unknown => {
                let Question { plan, agents, input, agent } = question;
                let reply = reader.reply();
                let trace = reader.clients().traces.asker(reader.context().connection());
                let start = StartRun { key, plan, agents, run: self.run.clone(), input, agent, reply, trace };
                reader.clients().runs.start(start);
                Ok(())
            }
            RunInLog::After(resume) if resume.after >= opened.after => Ok(()),
            RunInLog::After(resume) => match reader.open(Some(resume)).await?.reset {
                true => Err(let_go()),
                false => Ok(()),
            },
            RunInLog::Gone => Err(let_go()),
        }
    }

    /// A stream that is merely cut counts as a success for the client, so that every end is said.
    async fn end(self, reader: Reader, end: Result<Bytes, Stop>) {
        match end {
            Ok(last) => reader.finish([last]).await,
            Err(Stop::Gone) => {}
            Err(Stop::Refused(refused)) if reader.is_untold() => reader.refuse(refused),
            Err(Stop::Refused(refused)) => {
                let error = sse::unlogged(&refused.to_run_error());
                let started = json!({
                    "type": "RUN_STARTED",
                    "threadId": reader.key().thread().as_str(),
                    "runId": self.run.as_str(),
                });
                let started = (!self.begun).then(|| sse::unlogged(&started));
                reader.finish(started.into_iter().chain([error])).await;
            }
        }
    }
}

/// The run is known, and cannot be told whole any more.
fn let_go() -> Stop {
    let message = "This run is known, but its events are no longer held; its messages are in the thread's history.";
    Refused::saying(ErrorCode::NotFound, message).with_status(StatusCode::CONFLICT).into()
}
