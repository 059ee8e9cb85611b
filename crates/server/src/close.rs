//! One table: refusal, eviction or protocol error -> close code, reason word, HTTP status, reconnect class, sentence.
//!
//! ```text
//! EvictReason ---.
//! Refusal -------+--> Close --closing()--> Closing { code, reason, http, reconnect, retry_in, sentence }
//! protocol fault '                            |- close frame:  code + {"reason":"draining","reconnect":true}
//!                                             '- closed frame: reason, reconnect class, retry_in, message
//! Refusal, fault ----> ErrorCode --row()--> word, HTTP status, sentence (the `error` frame and HTTP error bodies)
//! ```
//!
//! Every close says whether and when to come back (hazard R11: a wrong code is a lockout). Between 4000 and 4999 the
//! code alone says it too: `code % 1000 < 500` means reconnect and resume, every other one means stop.

use std::time::Duration;

use lychgate_core::{EvictReason, Eviction, Refusal};
use serde::Serialize;

use crate::wire::{self, Reconnect, millis};

/// The longest reason that a WebSocket close frame can carry (RFC 6455, section 5.5), in bytes.
pub const MAX_REASON_BYTES: usize = 123;

/// What ends a socket, or a session on it: one row of the table each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client left or closed by itself, or nobody came back to a session. Nobody is waiting to be told.
    Done,
    /// Something of ours failed; coming back helps.
    Retry,
    /// The node is being drained.
    Draining,
    /// The client took no byte for too long.
    Slow,
    /// The client stopped answering.
    Unresponsive,
    /// The token expired.
    TokenExpired,
    /// No `hello` came in time.
    HelloTimeout,
    /// The node or the address is full, and everybody on it is protected.
    Overload,
    /// Too many frames that are not of this protocol.
    BadProtocol,
    /// No token, or one that proves nothing.
    Unauthorized,
    /// Proven who it is, but not allowed.
    Forbidden,
    /// The client speaks another version.
    UnsupportedVersion,
    /// A newer connection of the same tab took over.
    Superseded,
    /// It made room for a newer session or connection of the same user.
    Evicted,
    /// An operator closed it.
    ClosedByAdmin,
    /// The user logged out.
    LoggedOut,
}

/// Everything that is said when a socket or a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// WebSocket close code.
    pub code: u16,
    /// The word on the wire, in logs and in metrics.
    pub reason: &'static str,
    /// Whether and how the client comes back by itself.
    pub reconnect: Reconnect,
    /// When it comes back; none leaves it to the client's own back-off.
    pub retry_in: Option<Duration>,
    /// The status where there is no socket yet, or never will be (HTTP routes).
    pub http: u16,
    /// For people.
    pub sentence: &'static str,
}

impl Close {
    /// Every row, for tests and documentation.
    pub const ALL: [Self; 16] = [
        Self::Done,
        Self::Retry,
        Self::Draining,
        Self::Slow,
        Self::Unresponsive,
        Self::TokenExpired,
        Self::HelloTimeout,
        Self::Overload,
        Self::BadProtocol,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnsupportedVersion,
        Self::Superseded,
        Self::Evicted,
        Self::ClosedByAdmin,
        Self::LoggedOut,
    ];

    /// The row of the table. `retry_in` is the default; [`Closing::after`] sets another.
    #[must_use]
    #[rustfmt::skip]
    pub fn closing(self) -> Closing {
        use Reconnect::{Never, OnDemand, Resume};
        let row = |code, reason, http, reconnect, retry_in: Option<u64>, sentence| Closing {
            code, reason, reconnect, retry_in: retry_in.map(Duration::from_millis), http, sentence,
        };
        match self {
            Self::Done => row(1000, "done", 200, Never, None, "This conversation was closed on your side."),
            Self::Retry => row(4000, "retry", 503, Resume, None, "The connection was interrupted; it is restored by itself."),
            Self::Draining => row(4001, "draining", 503, Resume, Some(1_000), "This server is being restarted; the connection moves to another one by itself."),
            Self::Slow => row(4002, "slow", 408, Resume, None, "Your device took no data for too long; the connection is restored by itself."),
            Self::Unresponsive => row(4003, "unresponsive", 408, Resume, None, "Your device did not answer for too long; the connection is restored by itself."),
            Self::TokenExpired => row(4004, "token_expired", 401, Resume, None, "Your login has expired; it is renewed and the connection restored."),
            Self::HelloTimeout => row(4005, "hello_timeout", 408, Resume, None, "The connection took too long to introduce itself; it is tried again."),
            Self::Overload => row(4006, "overload", 503, Resume, Some(5_000), "This server is full at the moment; the connection is tried again by itself."),
            Self::BadProtocol => row(4500, "bad_protocol", 400, Never, None, "The client sent messages that this server does not understand; please reload the page."),
            Self::Unauthorized => row(4501, "unauthorized", 401, Never, None, "You are not logged in, or the login is not valid here; please log in again."),
            Self::Forbidden => row(4503, "forbidden", 403, Never, None, "You are not allowed to use this."),
            Self::UnsupportedVersion => row(4506, "unsupported_version", 400, Never, None, "This page is too old or too new for the server; please reload it."),
            Self::Superseded => row(4510, "superseded", 409, Never, None, "This tab continues on a newer connection of its own."),
            Self::Evicted => row(4511, "evicted", 409, OnDemand, None, "This tab was closed to make room for a newer one; it comes back as soon as you use it."),
            Self::ClosedByAdmin => row(4512, "closed_by_admin", 403, Never, None, "An operator closed this connection; you can connect again when you want to."),
            Self::LoggedOut => row(4513, "logged_out", 401, Never, None, "You are logged out; please log in again."),
        }
    }
}

impl From<EvictReason> for Close {
    fn from(reason: EvictReason) -> Self {
        match reason {
            EvictReason::Left | EvictReason::ClientClosed | EvictReason::LingerEnded => Self::Done,
            EvictReason::Unresponsive => Self::Unresponsive,
            EvictReason::Slow => Self::Slow,
            EvictReason::TokenExpired => Self::TokenExpired,
            EvictReason::Superseded => Self::Superseded,
            EvictReason::MadeRoom | EvictReason::MadeRoomForConnection => Self::Evicted,
            EvictReason::ByAdmin => Self::ClosedByAdmin,
            EvictReason::LoggedOut => Self::LoggedOut,
            EvictReason::Revoked => Self::Unauthorized,
            EvictReason::Draining => Self::Draining,
        }
    }
}

impl From<EvictReason> for Closing {
    fn from(reason: EvictReason) -> Self {
        Close::from(reason).closing()
    }
}

impl From<Refusal> for Closing {
    /// What a socket is closed with when its connect was refused.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Draining { retry_in } => Close::Draining.closing().after(retry_in),
            // For a client it is the same, whether the node is full or spares itself: come back later.
            Refusal::Overload { retry_in } | Refusal::Shed { retry_in } => Close::Overload.closing().after(retry_in),
            // It ends an open and never a socket; were it to, coming back is right.
            Refusal::NoSlot { retry_in } => Close::Retry.closing().after(retry_in),
            Refusal::NotConnected => Close::Retry.closing(),
        }
    }
}

impl Closing {
    /// The same with another time to come back. A class that does not come back by itself gets none.
    #[must_use]
    pub fn after(self, retry_in: Duration) -> Self {
        let retry_in = match self.reconnect {
            Reconnect::Resume => Some(retry_in),
            Reconnect::OnDemand | Reconnect::Never => None,
        };
        Self { retry_in, ..self }
    }

    /// The time to come back, in whole milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_in.map(millis)
    }

    /// The close frame's reason: JSON of at most [`MAX_REASON_BYTES`] bytes, for example
    /// `{"reason":"draining","reconnect":true,"retry_in":7300}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body {
            reason: &'static str,
            reconnect: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_in: Option<u64>,
        }
        let body =
            Body { reason: self.reason, reconnect: self.reconnect == Reconnect::Resume, retry_in: self.retry_ms() };
        serde_json::to_string(&body).expect("a struct of text, truth and number always serialises")
    }

    /// The `closed` frame that tells a connection it is attached to `thread` no longer; `eviction` says how a session
    /// was reclaimed.
    #[must_use]
    pub fn to_frame<'a>(
        &'a self,
        thread: &'a str,
        reference: Option<&'a str>,
        eviction: Option<Eviction>,
    ) -> wire::Server<'a> {
        wire::Server::Closed {
            thread,
            reference,
            reason: self.reason,
            reconnect: self.reconnect,
            retry_in: self.retry_ms(),
            message: Some(self.sentence),
            level: eviction.map(|eviction| eviction.level.as_str()),
            evidence: eviction.map(|eviction| wire::Evidence::from(eviction.evidence)),
        }
    }
}

/// What an `error` frame or an HTTP error body may say in `code` (protocol.md, rule 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not a frame or body of this protocol.
    BadFrame,
    /// Beyond the bound on bytes.
    TooLarge,
    /// The thread is not open on this connection.
    NotOpen,
    /// The queue ended without a slot; only where the operator chose `force = "never"`.
    NoSlot,
    /// Somebody else's.
    Forbidden,
    /// The thread has a run in flight.
    Busy,
    /// No token, or one that proves nothing.
    Unauthorized,
    /// The agent behind the gateway gives no answer.
    AgentUnavailable,
    /// Too much at once from this client, or for this node.
    RateLimited,
    /// The node is being drained.
    Draining,
    /// Our own fault.
    Internal,
    /// HTTP only: there is nothing at this path.
    NotFound,
    /// HTTP only: the path exists, the method does not.
    MethodNotAllowed,
    /// HTTP only: it contradicts what was asked for before.
    Conflict,
}

/// One row of the error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The word on the wire.
    pub word: &'static str,
    /// The status of an HTTP answer.
    pub http: u16,
    /// When to try again, if nobody knows better.
    pub retry_in: Option<Duration>,
    /// For people.
    pub sentence: &'static str,
}

impl ErrorCode {
    /// Every row, for tests and documentation.
    pub const ALL: [Self; 14] = [
        Self::BadFrame,
        Self::TooLarge,
        Self::NotOpen,
        Self::NoSlot,
        Self::Forbidden,
        Self::Busy,
        Self::Unauthorized,
        Self::AgentUnavailable,
        Self::RateLimited,
        Self::Draining,
        Self::Internal,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
    ];

    /// The row of the table.
    #[must_use]
    #[rustfmt::skip]
    pub fn row(self) -> ErrorRow {
        let row = |word, http, retry_in: Option<u64>, sentence| ErrorRow {
            word, http, retry_in: retry_in.map(Duration::from_millis), sentence,
        };
        match self {
            Self::BadFrame => row("bad_frame", 400, None, "The message is not one of this protocol."),
            Self::TooLarge => row("too_large", 413, None, "The message is larger than this server accepts."),
            Self::NotOpen => row("not_open", 409, None, "This conversation is not open on this connection; open it first."),
            Self::NoSlot => row("no_slot", 503, Some(5_000), "All your conversations are busy at the moment; please try again."),
            Self::Forbidden => row("forbidden", 403, None, "You are not allowed to use this."),
            Self::Busy => row("busy", 409, Some(1_000), "An answer is still being written in this conversation; wait for it or stop it."),
            Self::Unauthorized => row("unauthorized", 401, None, "You are not logged in, or the login is not valid here; please log in again."),
            Self::AgentUnavailable => row("agent_unavailable", 502, Some(5_000), "The assistant does not answer at the moment; please try again."),
            Self::RateLimited => row("rate_limited", 429, Some(5_000), "The server has too much to do at the moment; please try again."),
            Self::Draining => row("draining", 503, Some(1_000), "This server is being restarted; the connection moves to another one by itself."),
            Self::Internal => row("internal", 500, Some(1_000), "Something went wrong on the server; please try again."),
            Self::NotFound => row("not_found", 404, None, "There is nothing at this address."),
            Self::MethodNotAllowed => row("method_not_allowed", 405, None, "This address exists, but not for this HTTP method."),
            Self::Conflict => row("conflict", 409, None, "This contradicts what was asked for before."),
        }
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().word
    }

    /// The plain `error` frame: the row's own sentence and time to try again.
    #[must_use]
    pub fn to_frame(self) -> wire::Server<'static> {
        let row = self.row();
        wire::Server::Error {
            code: row.word,
            message: row.sentence,
            thread: None,
            run: None,
            reference: None,
            retry_in: row.retry_in.map(millis),
        }
    }
}

impl From<Refusal> for ErrorCode {
    /// What an open that is refused is answered with. A full node has no word of its own in rule 13; `rate_limited`
    /// with a time to come back is the one that clients already treat as "later".
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Draining { .. } => Self::Draining,
            Refusal::Overload { .. } | Refusal::Shed { .. } => Self::RateLimited,
            Refusal::NoSlot { .. } => Self::NoSlot,
            Refusal::NotConnected => Self::NotOpen,
        }
    }
}

/// When a refused client is to come back.
#[must_use]
pub fn retry_after(refusal: Refusal) -> Option<Duration> {
    match refusal {
        Refusal::Draining { retry_in }
        | Refusal::Overload { retry_in }
        | Refusal::Shed { retry_in }
        | Refusal::NoSlot { retry_in } => Some(retry_in),
        Refusal::NotConnected => None,
    }
}

#[cfg(test)]
mod tests;
