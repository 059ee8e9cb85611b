//! What a gateway says, read tolerantly: unknown fields are ignored, unknown frames and notices are kept as such.
//!
//! These are types of our own, not those of the server, because a client that is compiled from the server's types would
//! never notice that the server broke the protocol. A test beside holds both against each other.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// One frame from the gateway.
#[derive(Debug, Clone)]
pub enum Frame {
    /// `hello`: the connection is registered.
    Hello(Welcome),
    /// `opened`: the connection is attached to a session.
    Opened(Box<Opened>),
    /// `event`: one AG-UI event of a thread.
    Event(Event),
    /// `closed`: the connection is attached to a session no longer.
    Closed(Closed),
    /// `notice`: advice.
    Notice(Notice),
    /// `error`: something was refused.
    Error(Refused),
    /// `ping`: to be answered with `ack`.
    Ping,
    /// A frame of a type that we do not know; carries the type. A client has to ignore it.
    Unknown(String),
}

/// `hello`.
#[derive(Debug, Clone, Deserialize)]
pub struct Welcome {
    /// The id of this connection: `prev` of the one that will replace it.
    pub connection: String,
    /// The verified user.
    pub user: String,
    /// Milliseconds between two pings.
    pub ping: u64,
    /// Unacknowledged events at most, per thread.
    pub window: u64,
    /// Seconds until the token expires.
    pub expires_in: Option<u64>,
    /// The user's sessions against his limit.
    pub limits: Limits,
}

/// `opened`.
#[derive(Debug, Clone, Deserialize)]
pub struct Opened {
    /// Which thread.
    pub thread: String,
    /// The name that the client gave to its open.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The incarnation of the log.
    pub epoch: String,
    /// Events follow from here, exclusive.
    pub after: u64,
    /// The last offset of the log.
    pub head: u64,
    /// The run in flight.
    pub run: Option<String>,
    /// The user's sessions against his limit.
    pub limits: Limits,
    /// The client replaces what it has by `messages`.
    #[serde(default)]
    pub reset: bool,
    /// The thread's messages, with `reset`.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Older messages are left out of the frame.
    #[serde(default)]
    pub more: bool,
}

/// A message of a thread; only what the plans compare.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Unique in its thread.
    pub id: String,
    /// Who spoke.
    pub role: String,
    /// What was said, where it is plain text.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub content: Option<String>,
}

/// `event`.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Which thread.
    pub thread: String,
    /// Its place in the thread's log.
    pub offset: u64,
    /// The AG-UI event as it came.
    pub event: Box<RawValue>,
}

/// What the plans read of an AG-UI event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Agui {
    /// For example `TEXT_MESSAGE_CONTENT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of RUN_* events.
    pub run_id: Option<String>,
    /// Of TEXT_MESSAGE_* events.
    pub message_id: Option<String>,
    /// The text that a *_CONTENT or *_ARGS event adds.
    pub delta: Option<String>,
    /// What RUN_ERROR says, for programs.
    pub code: Option<String>,
}

impl Event {
    /// Reads the AG-UI event; one that is no object of ours has an empty `kind`.
    #[must_use]
    pub fn agui(&self) -> Agui {
        serde_json::from_str(self.event.get()).unwrap_or_default()
    }
}

/// `closed`.
#[derive(Debug, Clone, Deserialize)]
pub struct Closed {
    /// Which thread.
    pub thread: String,
    /// The name that the client gave to the open that this answers, where it was never answered by `opened`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why, in one word.
    pub reason: String,
    /// `resume`, `on_demand` or `never`.
    pub reconnect: String,
    /// Milliseconds to wait before.
    pub retry_in: Option<u64>,
}

/// `notice`.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The user's pressure band changed.
    Limit(Limits),
    /// The open waits at this position; 1 is next.
    Queued {
        /// Which thread.
        thread: String,
        /// The name that the client gave to its open.
        reference: Option<String>,
        /// 1 is next.
        position: u64,
    },
    /// Come back, to another node, after `retry_in`; the socket is closed after `deadline` at the earliest.
    Reconnect {
        /// In milliseconds.
        retry_in: u64,
        /// In milliseconds.
        deadline: u64,
    },
    /// Any other advice; carries its code.
    Other(String),
}

/// `error`.
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// One word of rule 13 of the protocol.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Which thread.
    pub thread: Option<String>,
    /// Which run.
    pub run: Option<String>,
    /// The name that the client gave to its open.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Milliseconds to wait before trying again.
    pub retry_in: Option<u64>,
}

/// A user's sessions against his limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Sessions that he holds.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
    /// `ok`, `watch`, `warn`, `high` or `full`.
    pub level: String,
    /// While the reserve admits more than the limit: until when.
    #[serde(default)]
    pub reserve_until: Option<u64>,
}

impl Limits {
    /// By how many sessions the limit then in force is exceeded: while the reserve admits, by what is beyond the reserve.
    #[must_use]
    pub fn excess(&self) -> usize {
        let reserve = if self.reserve_until.is_some() { RESERVE } else { 0 };
        self.used.saturating_sub(self.limit + reserve)
    }
}

/// Sessions that a gateway with default limits admits beyond the limit while its reserve is open.
const RESERVE: usize = 5;

impl Frame {
    /// Reads one text frame.
    ///
    /// # Errors
    /// When it is no JSON object with a `type`, or lacks a field that the protocol promises for its type: the gateway
    /// broke the protocol, and the text says where.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type")]
            kind: String,
            code: Option<String>,
        }
        let head: Head = serde_json::from_str(text)?;
        Ok(match head.kind.as_str() {
            "hello" => Self::Hello(body(text)?),
            "opened" => Self::Opened(Box::new(body(text)?)),
            "event" => Self::Event(body(text)?),
            "closed" => Self::Closed(body(text)?),
            "notice" => Self::Notice(Notice::parse(text, head.code.unwrap_or_default())?),
            "error" => Self::Error(body(text)?),
            "ping" => Self::Ping,
            _ => Self::Unknown(head.kind),
        })
    }

    /// The event, if it is one of `thread`.
    #[must_use]
    pub fn event_of(&self, thread: &str) -> Option<&Event> {
        if let Self::Event(event) = self
            && event.thread == thread
        {
            return Some(event);
        }
        None
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refused> {
        if let Self::Error(refused) = self { Some(refused) } else { None }
    }

    /// The end of a session, if it is one.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        if let Self::Closed(closed) = self { Some(closed) } else { None }
    }

    /// The answer to an open, if it is one.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        if let Self::Opened(opened) = self { Some(opened) } else { None }
    }

    /// Where the user stands, if the frame says so.
    #[must_use]
    pub fn limits(&self) -> Option<&Limits> {
        match self {
            Self::Hello(welcome) => Some(&welcome.limits),
            Self::Opened(opened) => Some(&opened.limits),
            Self::Notice(Notice::Limit(limits)) => Some(limits),
            Self::Notice(Notice::Queued { .. } | Notice::Reconnect { .. } | Notice::Other(_))
            | Self::Event(_)
            | Self::Closed(_)
            | Self::Error(_)
            | Self::Ping
            | Self::Unknown(_) => None,
        }
    }
}

impl Notice {
    fn parse(text: &str, code: String) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Queued {
            thread: String,
            #[serde(rename = "ref")]
            reference: Option<String>,
            position: u64,
        }
        #[derive(Deserialize)]
        struct Reconnect {
            retry_in: u64,
            deadline: u64,
        }
        Ok(match code.as_str() {
            "limit" => Self::Limit(body(text)?),
            "reconnect" => {
                let Reconnect { retry_in, deadline } = body(text)?;
                Self::Reconnect { retry_in, deadline }
            }
            "queued" => {
                let Queued { thread, reference, position } = body(text)?;
                Self::Queued { thread, reference, position }
            }
            _ => Self::Other(code),
        })
    }
}

fn body<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

/// The content of a message may be a list of parts or absent; only plain text is compared.
fn text_or_nothing<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    Ok(value.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_writes_is_what_the_client_reads() {
        use lychgate::wire;
        let limits = wire::Limits { used: 3, limit: 20, level: "ok", reserve_until: None };
        let said = serde_json::to_string(&wire::Server::Hello {
            connection: "c_1",
            user: "ann",
            ping: 20_000,
            window: 512,
            expires_in: Some(60),
            limits,
        })
        .unwrap();
        let Frame::Hello(welcome) = Frame::parse(&said).unwrap() else { panic!("{said} is a hello") };
        assert_eq!((welcome.connection.as_str(), welcome.window, welcome.limits.used), ("c_1", 512, 3));

        let said = serde_json::to_string(&wire::Server::Opened(wire::Opened {
            thread: "t1",
            reference: Some("o1"),
            epoch: "e",
            after: 4,
            head: 9,
            run: None,
            limits,
            reset: false,
            messages: None,
            state: None,
            more: false,
        }))
        .unwrap();
        let Frame::Opened(opened) = Frame::parse(&said).unwrap() else { panic!("{said} is an opened") };
        assert_eq!((opened.after, opened.head, opened.reset, opened.messages.len()), (4, 9, false, 0));

        let said = serde_json::to_string(&wire::Server::Notice(wire::Notice::Limit(limits))).unwrap();
        assert_eq!(Frame::parse(&said).unwrap().limits().map(|limits| limits.used), Some(3));
        let said = serde_json::to_string(&wire::Server::Ping).unwrap();
        assert!(matches!(Frame::parse(&said), Ok(Frame::Ping)));
    }

    #[test]
    fn frames_and_notices_of_a_later_version_are_kept_as_unknown() {
        let later = Frame::parse(r#"{"type":"confetti","colour":"red"}"#).unwrap();
        assert!(matches!(later, Frame::Unknown(kind) if kind == "confetti"));
        let later = Frame::parse(r#"{"type":"notice","code":"weather","rain":true}"#).unwrap();
        assert!(matches!(later, Frame::Notice(Notice::Other(code)) if code == "weather"));
    }

    #[test]
    fn a_frame_without_a_promised_field_is_a_broken_protocol() {
        let error = Frame::parse(r#"{"type":"opened","thread":"t"}"#).unwrap_err();
        assert!(error.to_string().contains("epoch"), "{error}");
    }

    #[test]
    fn message_content_may_be_parts_or_absent() {
        let parts: Message = serde_json::from_str(r#"{"id":"1","role":"user","content":[{"type":"text"}]}"#).unwrap();
        let none: Message = serde_json::from_str(r#"{"id":"1","role":"user"}"#).unwrap();
        assert_eq!(parts, none);
    }
}
