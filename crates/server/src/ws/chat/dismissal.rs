//! Why somebody is sent away, or what he brought is not taken.

use std::time::Duration;

use crate::auth::AuthError;
use crate::close::{Close, Closing, ErrorCode};

/// What becomes of a token that a guest brings later.
pub(super) enum Refresh {
    /// It counts from now on.
    Taken,
    /// It proves nothing, or somebody else, and he has to go.
    Refused(Dismissal),
    /// It is good for nothing yet, or no more, and another one may be; what he has counts meanwhile.
    Later(AuthError),
    /// It was not looked at, because the one before was just now; when it will be.
    TooSoon(Duration),
}

/// Why somebody is sent away.
pub(super) enum Dismissal {
    /// He showed none.
    NoToken,
    /// His fresh token speaks for somebody else.
    AnotherUser,
    /// This is wrong with his token.
    Token(AuthError),
}

impl Dismissal {
    pub(super) fn sentence(&self) -> &'static str {
        match self {
            Self::NoToken => {
                "There is no token: send one in hello.token, or as subprotocol lychgate.bearer.<JWT>, \
                 or as Authorization header."
            }
            Self::AnotherUser => "The fresh token is of another user than this connection.",
            Self::Token(error) => error.sentence(),
        }
    }

    pub(super) fn closing(&self) -> Closing {
        match self {
            Self::NoToken | Self::AnotherUser => Close::Unauthorized.closing(),
            Self::Token(error) => error.closing(),
        }
    }

    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::NoToken | Self::AnotherUser => ErrorCode::Unauthorized,
            Self::Token(error) => error.code(),
        }
    }
}
