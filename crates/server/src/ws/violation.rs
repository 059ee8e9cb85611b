//! What a peer can do wrong at the level of RFC 6455, and the code that it is closed with.

use soketto::base;

/// A reason to fail the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame that RFC 6455 forbids. Close code 1002.
    Protocol(&'static str),
    /// Text or a close reason that is not UTF-8. Close code 1007.
    InvalidText,
    /// A message above `websocket.max_message_bytes`. Close code 1009.
    TooLarge,
    /// A message in more than `websocket.max_fragments` frames. Close code 1008.
    TooManyFragments,
    /// More protocol pings than `websocket.max_pings_per_second`. Close code 1008.
    TooManyPings,
}

impl Violation {
    /// The close code (RFC 6455, section 7.4.1).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::InvalidText => 1007,
            Self::TooManyFragments | Self::TooManyPings => 1008,
            Self::TooLarge => 1009,
        }
    }

    /// For people, in the close frame and in logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Protocol(what) => what,
            Self::InvalidText => "text is not UTF-8",
            Self::TooLarge => "the message is too large",
            Self::TooManyFragments => "the message has too many fragments",
            Self::TooManyPings => "too many pings",
        }
    }
}

impl From<base::Error> for Violation {
    fn from(error: base::Error) -> Self {
        match error {
            base::Error::PayloadTooLarge { .. } => Self::TooLarge,
            base::Error::FragmentedControl => Self::Protocol("a control frame is fragmented"),
            base::Error::InvalidControlFrameLen => Self::Protocol("a control frame is longer than 125 bytes"),
            base::Error::InvalidReservedBit(_) => Self::Protocol("a reserved bit is set"),
            base::Error::UnknownOpCode | base::Error::ReservedOpCode => Self::Protocol("the opcode is reserved"),
            // The codec does no I/O, and its enum is not closed.
            _ => Self::Protocol("the frame header is malformed"),
        }
    }
}
