//! The `lychgate.v1` dialogue of one connection: who is it, and what does it want.
//!
//! ```text
//!  upgrade (token?) --> Stranger --hello--> Guest --open, leave, run, stop, ack--> driver, sessions, runs
//!                          |                  |
//!                          '- bad token, no hello in time, eight bad frames -> close
//! ```
//!
//! Everything here is synchronous and non-blocking: a frame is turned into one call on a room of the middle, and the
//! answer comes back through the outbox.

use std::sync::Arc;
use std::time::Duration;

use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{ClientId, ConnectionId, Heartbeat, RunId, SessionKey, Sign, WriteProgress};

use crate::auth::{AuthError, Doorkeeper, Identity};
use crate::close::{Close, Closing, ErrorCode};
use crate::driver::{Arrival, Driver, random_bits};
use crate::listener::Visitor;
use crate::outbox::{Frame, Outbox, Traffic};
use crate::run::{Runs, StartRun};
use crate::session::Sessions;
use crate::sink::{Line, Sink};
use crate::telemetry::{Metrics, Traces, traces};
use crate::wire::{self, Client};
use crate::ws::{Ending, Handler, Violation};

mod complaint;
mod dismissal;
mod guest;

use complaint::Complaint;
use dismissal::{Dismissal, Refresh};
use guest::Guest;

/// Characters of a bad word that are quoted back.
const MAX_QUOTED: usize = 32;

/// What every dialogue of a node shares.
pub struct Services {
    /// Who may hold a session.
    pub driver: Arc<Driver>,
    /// Who sees which thread.
    pub sessions: Arc<Sessions>,
    /// Who answers.
    pub runs: Arc<Runs>,
    /// Who may come in.
    pub doorkeeper: Arc<Doorkeeper>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is traced.
    pub traces: Arc<Traces>,
    /// Bad frames in a row before 4500.
    pub max_bad_frames: u32,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

impl Services {
    /// Checks a token; why it is not good goes to the log as well.
    fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        self.doorkeeper.verify(token).inspect_err(|error| self.note(error))
    }

    /// Notes why somebody is not let in.
    pub(super) fn note(&self, error: &AuthError) {
        tracing::debug!(%error, "token refused");
        self.metrics.on_auth_failure(error.as_str());
    }
}

/// What the request said about its sender.
#[derive(Debug)]
pub enum Introduction {
    /// Nothing: the token comes in `hello`.
    ByHello,
    /// Its token is good.
    Proven(Box<Identity>),
    /// Its token is not.
    Failed(AuthError),
    /// It names subprotocols, but none of ours.
    WrongVersion,
    /// It failed from there too often; when to come back.
    TooMany(Duration),
}

/// One connection's side of the dialogue; lives in its task.
pub struct Chat {
    services: Arc<Services>,
    outbox: Arc<Outbox>,
    bad_frames: u32,
    standing: Standing,
    /// What the metrics know of already.
    counted: Traffic,
}

/// How far the dialogue has come.
enum Standing {
    /// Not introduced yet; perhaps its request brought an identity.
    Stranger(Box<Stranger>),
    /// In the count.
    Guest(Guest),
    /// Told to go; nothing that it says counts any more.
    Dismissed,
}

struct Stranger {
    identity: Option<Box<Identity>>,
    visitor: Visitor,
    arrival: Option<Box<traces::Arrival>>,
}

impl Chat {
    /// A dialogue that begins, or ends at once with the reason why.
    #[must_use]
    pub fn new(services: Arc<Services>, outbox: Arc<Outbox>, visitor: Visitor, introduction: Introduction) -> Self {
        let (identity, introduction) = match introduction {
            Introduction::Proven(identity) => (Some(identity), Introduction::ByHello),
            other => (None, other),
        };
        let standing = Standing::Stranger(Box::new(Stranger { identity, visitor, arrival: None }));
        let mut chat = Self { services, outbox, bad_frames: 0, standing, counted: Traffic::default() };
        match introduction {
            Introduction::ByHello | Introduction::Proven(_) => {}
            Introduction::TooMany(retry_in) => chat.turn_away(retry_in),
            Introduction::Failed(error) => chat.refuse(&Dismissal::Token(error)),
            Introduction::WrongVersion => chat.dismiss(&Close::UnsupportedVersion.closing()),
        }
        chat
    }

    /// With what its trace has to know of its request.
    #[must_use]
    pub fn arrived(mut self, arrival: Option<Box<traces::Arrival>>) -> Self {
        if let Standing::Stranger(stranger) = &mut self.standing {
            stranger.arrival = arrival;
        }
        self
    }

    /// Counted when the client is heard and at the end, not with every frame: nobody waits for a counter.
    fn count_traffic(&mut self) {
        let sent = self.outbox.traffic();
        self.services.metrics.on_sent(sent.events - self.counted.events, sent.bytes - self.counted.bytes);
        self.counted = sent;
    }

    fn say(&self, message: &wire::Server<'_>) {
        self.outbox.send_control(&Frame::text(message.to_json().as_bytes()));
    }

    fn dismiss(&mut self, closing: &Closing) {
        self.outbox.close(closing.code, &closing.to_json());
        if let Standing::Stranger(_) = self.standing {
            self.standing = Standing::Dismissed;
        }
    }

    /// Too many come from where he comes from, or the node is overloaded.
    fn turn_away(&mut self, retry_in: Duration) {
        self.services.metrics.on_turned_away();
        self.dismiss(&Close::Overload.closing().after(retry_in));
    }

    fn complain(&mut self, complaint: &Complaint) {
        let error = wire::Server::Error {
            code: complaint.code.as_str(),
            message: &complaint.message,
            thread: complaint.thread.as_deref(),
            run: complaint.run.as_deref(),
            reference: complaint.reference.as_deref(),
            retry_in: None,
        };
        self.say(&error);
        self.bad_frames += 1;
        if self.bad_frames >= self.services.max_bad_frames {
            self.dismiss(&Close::BadProtocol.closing());
        }
    }

    fn refuse(&mut self, why: &Dismissal) {
        let closing = why.closing();
        self.say_refused(why.code(), why.sentence(), closing.retry_ms());
        self.dismiss(&closing);
    }

    fn say_refused(&self, code: ErrorCode, message: &str, retry_in: Option<u64>) {
        let code = code.as_str();
        self.say(&wire::Server::Error { code, message, thread: None, run: None, reference: None, retry_in });
    }

    fn on_client(&mut self, message: Client) -> Result<(), Complaint> {
        match message {
            Client::Hello(hello) => self.on_hello(hello),
            Client::Open(open) => self.guest()?.open(&self.services, open),
            Client::Leave(leave) => self.guest()?.leave(&leave.thread),
            Client::Run(run) => self.on_run(*run),
            Client::Stop(stop) => self.guest()?.stop(&self.services, &stop.thread, &stop.run),
            Client::Ack(ack) => self.guest()?.ack(&self.services, ack),
        }
    }

    fn guest(&self) -> Result<&Guest, Complaint> {
        match &self.standing {
            Standing::Guest(guest) => Ok(guest),
            Standing::Stranger(_) | Standing::Dismissed => {
                Err(Complaint::bad_frame("Say hello first: the first frame is {\"type\":\"hello\"}."))
            }
        }
    }

    fn on_hello(&mut self, hello: wire::Hello) -> Result<(), Complaint> {
        let heartbeat = match hello.heartbeat.as_deref() {
            None | Some("ws") => Heartbeat::Protocol,
            Some("app") => Heartbeat::Application,
            Some(other) => {
                let other: String = other.chars().take(MAX_QUOTED).collect();
                return Err(Complaint::bad_frame(format!("`heartbeat` is \"app\" or \"ws\", not {other:?}.")));
            }
        };
        match &mut self.standing {
            Standing::Dismissed => Ok(()),
            Standing::Guest(guest) => {
                match guest.refresh(&self.services, hello.token.as_deref())? {
                    Refresh::Taken => {}
                    Refresh::Refused(why) => self.refuse(&why),
                    Refresh::Later(error) => {
                        self.say_refused(error.code(), error.sentence(), error.closing().retry_ms());
                    }
                    Refresh::TooSoon(wait) => {
                        let limited = ErrorCode::RateLimited.row().sentence;
                        self.say_refused(ErrorCode::RateLimited, limited, Some(wait.as_millis().max(1) as u64));
                    }
                }
                Ok(())
            }
            Standing::Stranger(_) => {
                self.introduce(&hello, heartbeat);
                Ok(())
            }
        }
    }

    /// A stranger becomes a guest, or goes. The identity of the request counts before the token of the frame.
    fn introduce(&mut self, hello: &wire::Hello, heartbeat: Heartbeat) {
        let Standing::Stranger(stranger) = &mut self.standing else { return };
        let visitor = stranger.visitor.clone();
        if let Some(retry_in) = self.services.driver.shed() {
            return self.turn_away(retry_in);
        }
        let identity = match (stranger.identity.take(), hello.token.as_deref()) {
            (Some(identity), _) => Ok(*identity),
            (None, Some(token)) => {
                let credential = Some(visitor.token(token));
                if let Some(retry_in) = visitor.held_off(credential) {
                    return self.turn_away(retry_in);
                }
                let verified = self.services.verify(token);
                verified.inspect_err(|error| visitor.failed(credential, error)).map_err(Dismissal::Token)
            }
            // Too many connect from his network, and he proves nothing. Who does is served all the same (hazard R20).
            (None, None) => match visitor.retry_in() {
                Some(retry_in) => return self.turn_away(retry_in),
                None => Err(Dismissal::NoToken),
            },
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(why) => return self.refuse(&why),
        };
        // For the audit trail only: a name that is none is no reason to turn its tab away.
        let client = hello.client.as_deref().and_then(|client| ClientId::parse(client).ok());
        let (user, plan, proof) = (identity.user.clone(), identity.plan.clone(), identity.proof);
        let (connection, arrival) = (ConnectionId::from_random(random_bits()), stranger.arrival.take());
        let traces = &self.services.traces;
        let joined = arrival.and_then(|arrival| traces.connected(connection, &user, "websocket", *arrival));
        let registration = self.services.driver.connect(Arrival {
            expires_in: identity.expires_in(),
            user: identity.user,
            plan: identity.plan,
            proof: identity.proof,
            connection,
            // An unknown or malformed one is ignored without an error (protocol.md, rule 3).
            prev: hello.prev.as_deref().and_then(|prev| prev.parse().ok()),
            heartbeat,
            address: visitor.address(),
            line: Arc::clone(&self.outbox) as Arc<dyn Line>,
        });
        tracing::debug!(
            connection = %registration.connection(), user = %registration.user(), sdk = hello.sdk.as_deref(), "hello"
        );
        let agents = identity.agents;
        let guest = Guest { registration, plan, agents, client, refreshed: None, _joined: joined };
        self.standing = Standing::Guest(guest);
        // From here on a revocation or a logout finds the connection; one that came since the check has not.
        if let Err(error) = self.services.doorkeeper.recheck(&user, proof) {
            self.refuse(&Dismissal::Token(error));
        }
    }

    fn on_run(&self, run: wire::Run) -> Result<(), Complaint> {
        let guest = self.guest()?;
        let about_this = |complaint| Complaint {
            thread: Some(run.thread.clone()).filter(|thread| thread.len() <= MAX_ID_BYTES),
            run: Some(run.run.clone()).filter(|run| run.len() <= MAX_ID_BYTES),
            ..complaint
        };
        let thread = guest.thread(&run.thread).map_err(about_this)?;
        let run_id = RunId::parse(&run.run).map_err(|error| about_this(Complaint::bad_id("run", &error)))?;
        let key = SessionKey::new(guest.registration.user().clone(), thread);
        if !self.services.sessions.is_attached(&key, guest.registration.connection()) {
            self.not_open(&run.thread, Some(&run.run));
            return Ok(());
        }
        guest.registration.used(key.clone());
        let reply = Arc::clone(&self.outbox) as Arc<dyn Sink>;
        let (plan, agents) = (guest.plan.clone(), guest.agents.clone());
        let trace = self.services.traces.asker(guest.registration.connection());
        let start = StartRun { key, plan, agents, run: run_id, input: run.input, agent: run.agent, reply, trace };
        self.services.runs.start(start);
        Ok(())
    }

    fn not_open(&self, thread: &str, run: Option<&str>) {
        let row = ErrorCode::NotOpen.row();
        self.say(&wire::Server::Error {
            code: row.word,
            message: row.sentence,
            thread: Some(thread),
            run,
            reference: None,
            retry_in: None,
        });
    }
}

impl Handler for Chat {
    fn on_text(&mut self, text: &str) {
        if let Standing::Guest(guest) = &self.standing {
            guest.registration.heard(Sign::Data);
        }
        let outcome = match Client::parse(text) {
            Ok(message) => self.on_client(message),
            Err(error) => Err(Complaint::bad_frame(format!("This frame is not of lychgate.v1: {error}."))),
        };
        match outcome {
            Ok(()) => self.bad_frames = 0,
            Err(complaint) => self.complain(&complaint),
        }
        self.count_traffic();
    }

    fn on_binary(&mut self, _bytes: &[u8]) {
        self.complain(&Complaint::bad_frame("This protocol has text frames only."));
    }

    fn on_pulse(&mut self) {
        if let Standing::Guest(guest) = &self.standing {
            guest.registration.heard(Sign::Pong);
        }
        self.count_traffic();
    }

    fn on_write(&mut self, progress: WriteProgress) {
        if let Standing::Guest(guest) = &self.standing {
            guest.registration.backlog(progress);
            match progress {
                WriteProgress::Moved | WriteProgress::Cleared => {
                    self.services.sessions.drained(guest.registration.connection());
                }
                WriteProgress::Blocked => {}
            }
        }
    }

    fn on_ping_written(&mut self) {
        if let Standing::Guest(guest) = &self.standing {
            guest.registration.ping_written();
        }
    }

    fn on_last_words(&mut self, sign: Sign) {
        if let Standing::Guest(guest) = &self.standing {
            guest.registration.heard(sign);
        }
    }

    fn on_violation(&mut self, violation: Violation) {
        let code = match violation {
            Violation::TooLarge => ErrorCode::TooLarge,
            Violation::Protocol(_) | Violation::InvalidText | Violation::TooManyFragments | Violation::TooManyPings => {
                ErrorCode::BadFrame
            }
        };
        self.complain(&Complaint::new(code, format!("The connection is closed: {}.", violation.reason())));
    }

    fn is_identified(&self) -> bool {
        match self.standing {
            Standing::Stranger(_) => false,
            Standing::Guest(_) | Standing::Dismissed => true,
        }
    }

    fn on_hello_timeout(&mut self) {
        let retry_in = match &self.standing {
            Standing::Stranger(stranger) => stranger.visitor.retry_in(),
            Standing::Guest(_) | Standing::Dismissed => None,
        };
        match retry_in {
            Some(retry_in) => self.turn_away(retry_in),
            None => self.dismiss(&Close::HelloTimeout.closing()),
        }
    }

    fn on_end(&mut self, ending: Ending) {
        tracing::trace!(ending = ending.as_str(), "the connection ended");
        match std::mem::replace(&mut self.standing, Standing::Dismissed) {
            // Dropping the registration gives the slots back now, not when the close handshake is over.
            Standing::Guest(mut guest) => guest.registration.ended(ending.end()),
            Standing::Stranger(_) | Standing::Dismissed => {}
        }
    }

    fn on_gone(&mut self) {
        self.count_traffic();
    }
}
