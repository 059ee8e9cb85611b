//! One conversation with the gateway: what it says, what we answer, what outlives a socket. No I/O but the screen.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::screen::Screen;
use crate::error::Error;

/// We acknowledge after so many events; the gateway's window is larger (protocol.md, rule 7).
const ACK_EVERY: u64 = 64;
/// ... and after this long with something to acknowledge.
const ACK_AFTER: Duration = Duration::from_secs(1);
/// A thread that is busy with somebody else's run is asked again so often.
const MAX_BUSY: u32 = 60;
/// The close that asks for another token.
const TOKEN_EXPIRED: u16 = 4004;
const FAR: Duration = Duration::from_secs(3600);

/// What a frame means for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Go,
    /// It is registered; so often it will be pinged.
    Greeted { ping: Duration },
    /// It is over, or about to be; come back.
    Lost { retry_in: Option<Duration> },
    /// It is over; come back when the person wants something.
    OnDemand,
}

/// What was asked and is not answered yet.
struct Question {
    run: String,
    message: String,
    text: String,
    /// Its RUN_STARTED was seen, so that text that comes now belongs to it.
    started: bool,
    busy: u32,
}

/// How far the thread is open on this connection. Without it a line that comes while an `open` is under way would open
/// a second thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The gateway has not said hello.
    Unknown,
    /// Registered, and attached to nothing.
    Closed,
    /// `open` was sent.
    Opening,
    /// `opened` came.
    Open,
}

pub(super) struct Conversation<O: Write, N: Write> {
    pub(super) screen: Screen<O, N>,
    one_shot: bool,
    thread: Option<String>,
    connection: Option<String>,
    place: Option<(u64, String)>,
    question: Option<Question>,
    /// Our name for the first open: the same one again, over a connection that replaces this one, is the same open.
    reference: String,
    standing: Standing,
    unacknowledged: u64,
    ack_at: Option<Instant>,
    again_at: Option<Instant>,
}

impl<O: Write, N: Write> Conversation<O, N> {
    pub(super) fn new(thread: Option<String>, message: Option<String>, screen: Screen<O, N>) -> Self {
        let mut conversation = Self {
            screen,
            one_shot: message.is_some(),
            thread,
            connection: None,
            place: None,
            question: None,
            reference: uuid::Uuid::new_v4().to_string(),
            standing: Standing::Unknown,
            unacknowledged: 0,
            ack_at: None,
            again_at: None,
        };
        if let Some(text) = message {
            conversation.ask(text);
        }
        conversation
    }

    /// Whether nothing is asked that has no answer yet.
    pub(super) fn is_idle(&self) -> bool {
        self.question.is_none()
    }

    /// Takes a line of the person; an empty one is none.
    pub(super) fn ask(&mut self, text: String) {
        if !text.trim().is_empty() {
            self.question = Some(Question {
                run: uuid::Uuid::new_v4().to_string(),
                message: uuid::Uuid::new_v4().to_string(),
                text,
                started: false,
                busy: 0,
            });
        }
    }

    pub(super) fn hello(&self) -> Value {
        let mut hello =
            json!({ "type": "hello", "heartbeat": "app", "sdk": concat!("cli/", env!("CARGO_PKG_VERSION")) });
        if let Some(prev) = &self.connection {
            hello["prev"] = json!(prev);
        }
        hello
    }

    /// What gives the slot back.
    pub(super) fn leave(&mut self) -> Option<Value> {
        let thread = self.thread.as_ref().filter(|_| self.standing == Standing::Open)?;
        Some(json!({ "type": "leave", "thread": thread }))
    }

    /// Takes a line while a connection stands.
    pub(super) fn ask_now(&mut self, text: String, outgoing: &mut Vec<Value>) {
        self.ask(text);
        if self.question.is_some() {
            self.advance(outgoing);
        }
    }

    /// The next step towards an answer: open the thread, then send the question. A question that was sent before is a
    /// no-op for a gateway that knows it (protocol.md, rule 6).
    fn advance(&mut self, outgoing: &mut Vec<Value>) {
        match self.standing {
            Standing::Unknown | Standing::Opening => {}
            Standing::Closed => {
                self.standing = Standing::Opening;
                outgoing.push(self.open());
            }
            Standing::Open => {
                if let (Some(thread), Some(question)) = (&self.thread, &self.question) {
                    let input = super::input(&question.message, &question.text);
                    outgoing.push(json!({ "type": "run", "thread": thread, "run": question.run, "input": input }));
                }
            }
        }
    }

    /// When [`Conversation::on_due`] wants to be called.
    pub(super) fn due(&self) -> Instant {
        let far = Instant::now() + FAR;
        self.ack_at.unwrap_or(far).min(self.again_at.unwrap_or(far))
    }

    pub(super) fn on_due(&mut self, outgoing: &mut Vec<Value>) {
        let now = Instant::now();
        if self.ack_at.is_some_and(|at| at <= now) {
            outgoing.push(self.ack());
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.advance(outgoing);
        }
    }

    /// The socket is gone; what it knew has to be said again.
    pub(super) fn on_lost(&mut self) {
        self.standing = Standing::Unknown;
        self.ack_at = None;
        self.again_at = None;
        self.unacknowledged = 0;
    }

    pub(super) fn on_frame(&mut self, frame: &Value, outgoing: &mut Vec<Value>) -> Result<Next, Error> {
        match text(frame, "type") {
            "hello" => {
                self.connection = Some(text(frame, "connection").to_owned());
                self.standing = Standing::Closed;
                self.advance(outgoing);
                let ping = frame["ping"].as_u64().unwrap_or(20_000);
                return Ok(Next::Greeted { ping: Duration::from_millis(ping) });
            }
            "opened" => self.on_opened(frame, outgoing)?,
            "event" => self.on_event(frame, outgoing)?,
            "ping" => outgoing.push(self.ack()),
            "notice" => return Ok(self.on_notice(frame)),
            "error" => return self.on_error(frame),
            "closed" => return self.on_closed(frame),
            // Unknown frames are ignored (protocol.md, rule 13).
            _ => {}
        }
        Ok(Next::Go)
    }

    fn open(&self) -> Value {
        let mut open = json!({ "type": "open", "ref": self.reference });
        if let Some(thread) = &self.thread {
            open["thread"] = json!(thread);
        }
        if let Some((after, epoch)) = &self.place {
            open["after"] = json!(after);
            open["epoch"] = json!(epoch);
        }
        open
    }

    fn ack(&mut self) -> Value {
        self.unacknowledged = 0;
        self.ack_at = None;
        match (&self.thread, &self.place) {
            (Some(thread), Some((offset, _))) => json!({ "type": "ack", "at": { thread: offset } }),
            (_, _) => json!({ "type": "ack" }),
        }
    }

    fn on_opened(&mut self, frame: &Value, outgoing: &mut Vec<Value>) -> Result<(), Error> {
        let is_first = self.place.is_none();
        let thread = text(frame, "thread").to_owned();
        if self.thread.as_ref() != Some(&thread) {
            self.screen.note(&format!("conversation {thread}"));
        }
        self.thread = Some(thread);
        self.standing = Standing::Open;
        self.place = Some((frame["after"].as_u64().unwrap_or(0), text(frame, "epoch").to_owned()));
        let messages = frame["messages"].as_array();
        match (frame["reset"].as_bool(), is_first, messages) {
            (Some(true), true, Some(messages)) if !messages.is_empty() => {
                self.screen.note(&format!("{} earlier messages", messages.len()));
            }
            (Some(true), false, messages) => self.on_reset(messages.map_or(&[], Vec::as_slice))?,
            (_, _, _) => {}
        }
        self.advance(outgoing);
        Ok(())
    }

    /// The log no longer holds what we have seen. If our question is among the messages, so is its answer; otherwise it
    /// follows from its beginning.
    fn on_reset(&mut self, messages: &[Value]) -> Result<(), Error> {
        let Some(question) = &mut self.question else {
            return Ok(());
        };
        if question.started {
            self.screen.note("the answer is shown again from its beginning");
        }
        question.started = false;
        let Some(asked) = messages.iter().position(|message| message["id"] == question.message.as_str()) else {
            return Ok(());
        };
        let answers = messages[asked + 1..].iter().filter(|message| message["role"] == "assistant");
        for answer in answers {
            self.screen.answer(text(answer, "content"))?;
        }
        self.screen.end_line()?;
        self.question = None;
        Ok(())
    }

    fn on_event(&mut self, frame: &Value, outgoing: &mut Vec<Value>) -> Result<(), Error> {
        if let (Some((place, _)), Some(offset)) = (&mut self.place, frame["offset"].as_u64()) {
            *place = offset;
            self.unacknowledged += 1;
            self.ack_at.get_or_insert_with(|| Instant::now() + ACK_AFTER);
        }
        if self.unacknowledged >= ACK_EVERY {
            outgoing.push(self.ack());
        }
        let event = &frame["event"];
        let Some(question) = &mut self.question else {
            return Ok(());
        };
        let is_ours = text(event, "runId") == question.run;
        match (text(event, "type"), question.started) {
            ("RUN_STARTED", _) => question.started = is_ours,
            ("TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK", true) => self.screen.answer(text(event, "delta"))?,
            ("TEXT_MESSAGE_END", true) => self.screen.end_line()?,
            ("TOOL_CALL_START", true) => self.screen.note(&format!("uses {}", text(event, "toolCallName"))),
            ("RUN_FINISHED", true) => {
                self.screen.end_line()?;
                self.question = None;
            }
            ("RUN_ERROR", true) => {
                self.screen.end_line()?;
                return self.failed(text(event, "message"));
            }
            (_, _) => {}
        }
        Ok(())
    }

    fn on_notice(&mut self, frame: &Value) -> Next {
        let number = |name: &str| frame[name].as_u64().unwrap_or(0);
        match text(frame, "code") {
            "limit" => match text(frame, "level") {
                "ok" => {}
                _ => {
                    self.screen.note(&format!("{} of your {} conversations are open", number("used"), number("limit")))
                }
            },
            "queued" => self.screen.note(&format!("waiting for a place, number {} in the queue", number("position"))),
            "expiring" => self.screen.note(&format!("your login expires in {} s", number("expires_in"))),
            "reconnect" => {
                self.screen.note("the server asks to move; the conversation goes on");
                return Next::Lost { retry_in: Some(Duration::from_millis(number("retry_in"))) };
            }
            _ => match text(frame, "message") {
                "" => {}
                message => self.screen.note(message),
            },
        }
        Next::Go
    }

    fn on_error(&mut self, frame: &Value) -> Result<Next, Error> {
        let message = text(frame, "message").to_owned();
        let retry_in = frame["retry_in"].as_u64().map(Duration::from_millis);
        match (text(frame, "code"), retry_in, &mut self.question) {
            // The close that follows says whether to come back.
            ("unauthorized", _, _) => self.screen.note(&message),
            ("busy", retry_in, Some(question)) if question.busy < MAX_BUSY => {
                question.busy += 1;
                if question.busy == 1 {
                    self.screen.note(&message);
                }
                self.again_at = Some(Instant::now() + retry_in.unwrap_or(Duration::from_secs(1)));
            }
            ("not_open", _, _) => {
                self.standing = Standing::Closed;
                self.again_at = Some(Instant::now());
            }
            ("draining" | "no_slot" | "rate_limited", Some(retry_in), _) => {
                self.screen.note(&message);
                if self.standing == Standing::Opening {
                    self.standing = Standing::Closed;
                }
                self.again_at = Some(Instant::now() + retry_in);
            }
            (_, _, Some(_)) => self.failed(&message)?,
            (_, _, None) => self.screen.note(&message),
        }
        Ok(Next::Go)
    }

    /// The session ended while the socket stays: open it again, now, later or when it is needed.
    fn on_closed(&mut self, frame: &Value) -> Result<Next, Error> {
        self.standing = Standing::Closed;
        let message = text(frame, "message");
        if !message.is_empty() {
            self.screen.note(message);
        }
        match text(frame, "reconnect") {
            "resume" => {
                let retry_in = frame["retry_in"].as_u64().unwrap_or(250);
                self.again_at = Some(Instant::now() + Duration::from_millis(retry_in));
                Ok(Next::Go)
            }
            "on_demand" => self.evicted(),
            _ => Err(Error::Chat(format!("The conversation was closed: {}.", text(frame, "reason")))),
        }
    }

    /// An answer that nobody reads any more is still written; whoever wants it asks for the thread.
    fn evicted(&mut self) -> Result<Next, Error> {
        match self.question.take() {
            None => Ok(Next::Go),
            Some(_) => self
                .failed("The conversation made room for a newer one; name it with --thread to read the answer.")
                .map(|()| Next::Go),
        }
    }

    /// The gateway closed the socket: its reason says whether to come back, else the code does (rule 11).
    pub(super) fn on_close(&mut self, code: u16, reason: &str) -> Result<Next, Error> {
        let reason: Value = serde_json::from_str(reason).unwrap_or(Value::Null);
        let by_code = matches!(code, 1001 | 1006 | 1011..=1013) || ((4000..5000).contains(&code) && code % 1000 < 500);
        let retry_in = reason["retry_in"].as_u64().map(Duration::from_millis);
        match (reason["reconnect"].as_bool().unwrap_or(by_code), code) {
            // We have one token alone, and it is over: coming back with it would never end.
            (true, TOKEN_EXPIRED) => {
                let why = "The token has expired; make another one, such as with `lychgate token`, and start again.";
                Err(Error::Chat(why.to_owned()))
            }
            (true, _) => Ok(Next::Lost { retry_in }),
            (false, 4511) => self.evicted().map(|_| Next::OnDemand),
            (false, code) => {
                let word = text(&reason, "reason").replace('_', " ");
                let word = if word.is_empty() { "no reason given" } else { &word };
                Err(Error::Chat(format!("The gateway closed the connection: {word} (code {code}).")))
            }
        }
    }

    /// The question has no answer: one that was the only one ends the program, another only itself.
    fn failed(&mut self, why: &str) -> Result<(), Error> {
        self.question = None;
        match self.one_shot {
            true => Err(Error::Chat(why.to_owned())),
            false => {
                self.screen.note(why);
                Ok(())
            }
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
