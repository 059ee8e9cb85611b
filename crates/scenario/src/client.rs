//! A client of `lychgate.v1` that knows how to behave, and how not to.
//!
//! ```text
//! Endpoint --dial--> TcpStream --upgrade--> Client --hello, open, run, ack--> gateway
//!                                            |  ^---------frames-------------'
//!                                            |  backlog: read while waiting for something else, in order
//!                                            |--> mute: it goes on reading, nothing that it says leaves any more
//!                                            '--> Silent: the socket stays open, nobody reads and nobody speaks
//! ```
//!
//! A client answers pings while somebody reads from it: there is no task behind it. Every wait has a deadline.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub mod depart;
pub mod endpoint;
pub mod frame;
pub mod mishap;
pub mod token;
pub mod transcript;
mod wire;

use endpoint::Endpoint;
use frame::{Frame, Opened, Welcome};
pub use mishap::{Ended, Mishap};
use wire::Wire;

/// How long a client waits for an answer before it calls the gateway mute. Longer than the 10 s within which every
/// authenticated user is promised a session.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Frames that a client keeps while it waits for another one; beyond it the wait fails.
const BACKLOG: usize = 65_536;

/// Events of one thread after which a client acknowledges, as the SDK does.
const ACKNOWLEDGE_EVERY: u64 = 64;

/// Who connects, and how he shows it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The source address; none for the system's choice.
    pub source: Option<Ipv4Addr>,
    /// How the token travels.
    pub credential: Credential,
}

/// How a token travels to the gateway.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum Credential {
    /// It does not.
    #[default]
    None,
    /// As the subprotocol `lychgate.bearer.<JWT>`, as a browser has to.
    Subprotocol(String),
    /// In the `Authorization` header.
    Header(String),
    /// A login's cookie, shown by a page of this origin.
    Cookie {
        /// All cookies, as the header has them.
        line: String,
        /// Whose page it is.
        origin: String,
    },
}

/// What counts as life on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Data frames alone: pings are answered with `ack`.
    App,
    /// Protocol pongs too.
    Ws,
}

/// `hello` to the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hello<'a> {
    /// The connection that this one replaces.
    pub prev: Option<&'a str>,
    /// What counts as life; none to leave it out.
    pub heartbeat: Option<Heartbeat>,
    /// A token, where the upgrade brought none.
    pub token: Option<&'a str>,
}

/// `open` to the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open<'a> {
    /// The thread; none for a new one.
    pub thread: Option<&'a str>,
    /// Where to resume: the last processed offset and its epoch.
    pub resume: Option<(u64, &'a str)>,
    /// The client's name for this open.
    pub reference: Option<&'a str>,
}

/// What a client saw of the limit, for verdicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// The most sessions that any frame said this user held.
    pub most_used: usize,
    /// By how many the limit was exceeded at worst.
    pub over_limit: usize,
    /// Pings that came.
    pub pings: u64,
}

/// A connection to a gateway.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Wire>,
    backlog: VecDeque<Frame>,
    processed: BTreeMap<String, u64>,
    unacknowledged: u64,
    owes_ack: bool,
    acknowledges: bool,
    is_frozen: bool,
    hangs: bool,
    /// The last protocol ping that came while it was mute.
    unanswered: Option<Bytes>,
    seen: Seen,
}

impl Client {
    /// Dials and upgrades; says nothing yet.
    ///
    /// # Errors
    /// [`Mishap::Io`], [`Mishap::Status`], [`Mishap::Mute`] after [`PATIENCE`], and [`Mishap::Protocol`] where the
    /// gateway did not pick `lychgate.v1`.
    pub async fn connect(endpoint: &Endpoint, caller: &Caller) -> Result<Self, Mishap> {
        let upgrade = async {
            let stream = Wire::new(endpoint.dial(caller.source).await.map_err(Mishap::Io)?);
            let config =
                WebSocketConfig::default().read_buffer_size(4_096).write_buffer_size(0).max_write_buffer_size(4 << 20);
            let request = request(endpoint, &caller.credential)?;
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.map_err(Mishap::from)
        };
        let (socket, response) = timeout(PATIENCE, upgrade).await.map_err(|_| Mishap::Mute(PATIENCE))??;
        let picked = response.headers().get("sec-websocket-protocol").map(|value| value.as_bytes());
        if picked != Some(b"lychgate.v1") {
            return Err(Mishap::Protocol(format!("it picked the subprotocol {picked:?}")));
        }
        Ok(Self {
            socket,
            backlog: VecDeque::new(),
            processed: BTreeMap::new(),
            unacknowledged: 0,
            owes_ack: false,
            acknowledges: true,
            is_frozen: false,
            hangs: false,
            unanswered: None,
            seen: Seen::default(),
        })
    }

    /// What this client saw of the limit so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Says hello and waits for the answer. A client whose heartbeat is not [`Heartbeat::App`] knows nothing of `ack`
    /// from then on.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn hello(&mut self, hello: Hello<'_>) -> Result<Welcome, Mishap> {
        self.acknowledges = hello.heartbeat == Some(Heartbeat::App);
        let heartbeat = hello.heartbeat.map(|heartbeat| match heartbeat {
            Heartbeat::App => "app",
            Heartbeat::Ws => "ws",
        });
        self.say(&without_nulls(json!({
            "type": "hello", "prev": hello.prev, "heartbeat": heartbeat, "token": hello.token, "sdk": "scenario"
        })))
        .await?;
        self.until(PATIENCE, |frame| match frame {
            Frame::Hello(welcome) => Some(Ok(welcome.clone())),
            other => other.refusal().map(|refused| Err(Mishap::Refused(Box::new(refused.clone())))),
        })
        .await?
    }

    /// Opens a thread and waits until it is open.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn open(&mut self, open: Open<'_>) -> Result<Opened, Mishap> {
        self.ask_open(open).await?;
        self.opened(open.thread).await
    }

    /// Asks for a thread without waiting for the answer.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn ask_open(&mut self, open: Open<'_>) -> Result<(), Mishap> {
        let (after, epoch) = open.resume.unzip();
        self.say(&without_nulls(json!({
            "type": "open", "thread": open.thread, "after": after, "epoch": epoch, "ref": open.reference
        })))
        .await
    }

    /// Waits until `thread` (none: any) is open.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn opened(&mut self, thread: Option<&str>) -> Result<Opened, Mishap> {
        let is_it = |name: Option<&str>| thread.is_none() || name.is_none() || thread == name;
        self.until(PATIENCE, |frame| {
            let opened = frame.opened().filter(|opened| is_it(Some(&opened.thread)));
            let refused = frame.refusal().filter(|refused| is_it(refused.thread.as_deref()));
            let closed = frame.closed().filter(|closed| thread == Some(&closed.thread));
            None.or_else(|| opened.map(|opened| Ok(opened.clone())))
                .or_else(|| refused.map(|refused| Err(Mishap::Refused(Box::new(refused.clone())))))
                .or_else(|| closed.map(|closed| Err(Mishap::Closed(Box::new(closed.clone())))))
        })
        .await?
    }

    /// Asks for a run whose one new message says `text`; its id is `u-<run>`.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn run(&mut self, thread: &str, run: &str, text: &str) -> Result<(), Mishap> {
        self.say(&json!({
            "type": "run", "thread": thread, "run": run,
            "input": { "messages": [{ "id": format!("u-{run}"), "role": "user", "content": text }] }
        }))
        .await
    }

    /// Asks to cancel a run.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn stop(&mut self, thread: &str, run: &str) -> Result<(), Mishap> {
        self.say(&json!({ "type": "stop", "thread": thread, "run": run })).await
    }

    /// Lets a session go.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn leave(&mut self, thread: &str) -> Result<(), Mishap> {
        self.say(&json!({ "type": "leave", "thread": thread })).await
    }

    /// Says that it is alive and what it has processed.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn ack(&mut self) -> Result<(), Mishap> {
        let frame = json!({ "type": "ack", "at": &self.processed });
        self.say(&frame).await?;
        self.unacknowledged = 0;
        self.owes_ack = false;
        Ok(())
    }

    /// Sends one JSON frame.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn say(&mut self, frame: &Value) -> Result<(), Mishap> {
        self.say_raw(Raw::text(frame.to_string())).await
    }

    /// Sends anything, also what no client should.
    ///
    /// # Errors
    /// Those of the socket, and [`Mishap::Mute`] where the gateway takes nothing for [`PATIENCE`].
    pub async fn say_raw(&mut self, message: Raw) -> Result<(), Mishap> {
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(Mishap::from),
            Err(_) => Err(Mishap::Mute(PATIENCE)),
        }
    }

    /// The next frame in order; pings are answered on the way. Safe to cancel: neither a frame nor an answer is lost.
    ///
    /// # Errors
    /// [`Mishap::Ended`] when the socket ended, [`Mishap::Protocol`] when the gateway broke the protocol.
    pub async fn next(&mut self) -> Result<Frame, Mishap> {
        match self.backlog.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    /// Reads until `pick` takes something out of a frame. Frames that it does not want stay in order for [`Self::next`]
    /// and for later waits.
    ///
    /// # Errors
    /// [`Mishap::Mute`] after `deadline`, else those of [`Self::next`].
    pub async fn until<T>(
        &mut self,
        deadline: Duration,
        mut pick: impl FnMut(&Frame) -> Option<T>,
    ) -> Result<T, Mishap> {
        if let Some((index, picked)) = self.backlog.iter().enumerate().find_map(|(i, frame)| Some((i, pick(frame)?))) {
            self.backlog.remove(index);
            return Ok(picked);
        }
        let search = async {
            loop {
                let frame = self.read().await?;
                if let Some(picked) = pick(&frame) {
                    return Ok(picked);
                }
                if self.backlog.len() == BACKLOG {
                    return Err(Mishap::Protocol(format!("{BACKLOG} frames came and not the one that was waited for")));
                }
                self.backlog.push_back(frame);
            }
        };
        timeout(deadline, search).await.unwrap_or(Err(Mishap::Mute(deadline)))
    }

    async fn read(&mut self) -> Result<Frame, Mishap> {
        loop {
            // Before the next frame is read rather than after the last one: a caller who gives up while we write would
            // otherwise lose the frame.
            let is_due = self.owes_ack || self.unacknowledged >= ACKNOWLEDGE_EVERY;
            if is_due && self.acknowledges && !self.is_frozen && !self.is_mute() {
                self.ack().await?;
            }
            let message = match self.socket.next().await {
                Some(message) => message.map_err(Mishap::from)?,
                None => return Err(Mishap::Ended(Ended::default())),
            };
            let text = match message {
                Raw::Text(text) => text,
                Raw::Close(close) => {
                    if self.hangs {
                        self.mute();
                    }
                    return Err(Mishap::Ended(Ended::from(close)));
                }
                Raw::Binary(_) => return Err(Mishap::Protocol("it sent a binary frame".to_owned())),
                Raw::Ping(payload) => {
                    if self.is_mute() {
                        self.unanswered = Some(payload);
                    }
                    continue;
                }
                Raw::Pong(_) | Raw::Frame(_) => continue,
            };
            let frame = Frame::parse(&text).map_err(|error| Mishap::Protocol(format!("{error} in {text}")))?;
            self.note(&frame);
            if !matches!(frame, Frame::Ping) {
                return Ok(frame);
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        if let Some(limits) = frame.limits() {
            self.seen.most_used = self.seen.most_used.max(limits.used);
            self.seen.over_limit = self.seen.over_limit.max(limits.excess());
        }
        match frame {
            Frame::Ping => {
                self.seen.pings += 1;
                self.owes_ack = true;
            }
            Frame::Event(event) => {
                self.unacknowledged += 1;
                match self.processed.get_mut(&event.thread) {
                    Some(at) => *at = event.offset,
                    None => drop(self.processed.insert(event.thread.clone(), event.offset)),
                }
            }
            Frame::Hello(_)
            | Frame::Opened(_)
            | Frame::Closed(_)
            | Frame::Notice(_)
            | Frame::Error(_)
            | Frame::Unknown(_) => {}
        }
    }
}

fn request(endpoint: &Endpoint, credential: &Credential) -> Result<Request, Mishap> {
    let protocols = match credential {
        Credential::Subprotocol(token) => format!("lychgate.v1, lychgate.bearer.{token}"),
        Credential::None | Credential::Header(_) | Credential::Cookie { .. } => "lychgate.v1".to_owned(),
    };
    let mut request = Request::builder()
        .uri(endpoint.url())
        .header("Host", endpoint.authority())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Protocol", protocols);
    match credential {
        Credential::None | Credential::Subprotocol(_) => {}
        Credential::Header(token) => request = request.header("Authorization", format!("Bearer {token}")),
        Credential::Cookie { line, origin } => request = request.header("Cookie", line).header("Origin", origin),
    }
    request.body(()).map_err(|error| Mishap::Protocol(error.to_string()))
}

/// Absent, not null: the protocol omits what is not said.
fn without_nulls(mut frame: Value) -> Value {
    if let Some(fields) = frame.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    frame
}
