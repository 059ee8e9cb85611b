//! Why something did not happen, as a client can tell.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::frame::{Closed, Refused};

/// Why something did not happen.
#[derive(Debug)]
pub enum Mishap {
    /// The gateway said `error`.
    Refused(Box<Refused>),
    /// The gateway ended the session that was waited for.
    Closed(Box<Closed>),
    /// The socket ended.
    Ended(Ended),
    /// The gateway said nothing that fits for so long.
    Mute(Duration),
    /// The upgrade was answered with this HTTP status.
    Status(u16),
    /// The gateway broke the protocol.
    Protocol(String),
    /// The socket could not be made or used.
    Io(io::Error),
}

/// How a socket ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The close code; none where the socket ended without a close frame.
    pub code: Option<u16>,
    /// The close reason as it came.
    pub reason: String,
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "refused with {}: {}", refused.code, refused.message),
            Self::Closed(closed) => write!(f, "the session of {} was closed: {}", closed.thread, closed.reason),
            Self::Ended(Ended { code: Some(code), reason }) => write!(f, "the socket was closed with {code} {reason}"),
            Self::Ended(Ended { code: None, .. }) => f.write_str("the socket ended without a close frame"),
            Self::Mute(waited) => write!(f, "no answer within {waited:?}"),
            Self::Status(status) => write!(f, "the upgrade was answered with HTTP status {status}"),
            Self::Protocol(what) => write!(f, "the gateway broke the protocol: {what}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Mishap {}

impl From<Option<CloseFrame>> for Ended {
    fn from(close: Option<CloseFrame>) -> Self {
        close.map_or_else(Self::default, |close| Self {
            code: Some(close.code.into()),
            reason: close.reason.to_string(),
        })
    }
}

impl From<tungstenite::Error> for Mishap {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) if is_end(&error) => Self::Ended(Ended::default()),
            tungstenite::Error::Io(error) => Self::Io(error),
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Self::Ended(Ended::default()),
            tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Ended(Ended::default())
            }
            tungstenite::Error::Http(response) => Self::Status(response.status().as_u16()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
}
