//! Why a request is not answered as it wished: a status with the `error` frame as its body, or, once an answer has begun,
//! what stands at its end.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lychgate_core::IdError;
use serde_json::{Value, json};

use crate::close::{Close, Closing, ErrorCode};
use crate::wire::{self, Reconnect, millis, told};

/// Long enough that a person has used the page again, or closed it.
const STAY_AWAY: Duration = Duration::from_secs(60 * 60);

/// A refusal, in the words of the one table ([`crate::close`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// In milliseconds.
    retry_in: Option<u64>,
    reconnect: Reconnect,
}

impl Refused {
    /// With a sentence of its own in place of the table's.
    pub(super) fn saying(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..Self::from(code) }
    }

    /// A request that is not one of ours; names the field and says how to mend it.
    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::saying(ErrorCode::BadFrame, message)
    }

    /// An id that is none.
    pub(super) fn bad_id(field: &str, error: &IdError) -> Self {
        Self::bad(format!("`{field}` {error}."))
    }

    /// The same word and sentence with another status, where HTTP has a better one.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// As HTTP says it.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The word for programs.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Whether the same request would be refused again.
    pub(super) fn is_final(&self) -> bool {
        self.status.is_client_error() && self.retry_in.is_none()
    }

    /// With another time to come back.
    pub(super) fn after(self, retry_in: Duration) -> Self {
        Self { retry_in: Some(millis(retry_in)), ..self }
    }

    /// The end of an answer that has begun: RUN_ERROR. When to ask again travels in `metadata.lychgate.retry_in`.
    pub(super) fn to_run_error(&self) -> Value {
        let mut event = json!({"type": "RUN_ERROR", "code": self.code, "message": self.message});
        if let Some(retry_in) = self.retry_in {
            event["metadata"] = json!({"lychgate": {"retry_in": retry_in}});
        }
        event
    }

    /// When an EventSource that comes back by itself may do so; none leaves it to its own few seconds. One that lost its
    /// place to a newer one would take it by force again, and the two would push each other out for ever (hazard R5).
    pub(super) fn reconnect_in(&self) -> Option<Duration> {
        match self.reconnect {
            Reconnect::Resume => self.retry_in.map(Duration::from_millis),
            Reconnect::OnDemand | Reconnect::Never => Some(STAY_AWAY),
        }
    }

    /// The same as the `error` frame.
    pub(super) fn to_frame(&self) -> wire::Server<'_> {
        wire::Server::Error {
            code: &self.code,
            message: &self.message,
            thread: None,
            run: None,
            reference: None,
            retry_in: self.retry_in,
        }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        let row = code.row();
        Self {
            status: status(row.http),
            code: Cow::Borrowed(row.word),
            message: Cow::Borrowed(row.sentence),
            retry_in: row.retry_in.map(millis),
            reconnect: Reconnect::Resume,
        }
    }
}

impl From<&Closing> for Refused {
    fn from(closing: &Closing) -> Self {
        Self {
            status: status(closing.http),
            code: Cow::Borrowed(closing.reason),
            message: Cow::Borrowed(closing.sentence),
            retry_in: closing.retry_ms(),
            reconnect: closing.reconnect,
        }
    }
}

impl From<told::Error<'_>> for Refused {
    fn from(error: told::Error<'_>) -> Self {
        let row = ErrorCode::ALL.into_iter().map(ErrorCode::row).find(|row| row.word == error.code);
        Self {
            status: row.map_or(StatusCode::INTERNAL_SERVER_ERROR, |row| status(row.http)),
            code: Cow::Owned(error.code.into_owned()),
            message: Cow::Owned(error.message.into_owned()),
            retry_in: error.retry_in,
            reconnect: Reconnect::Resume,
        }
    }
}

impl From<told::Closed<'_>> for Refused {
    fn from(closed: told::Closed<'_>) -> Self {
        let row = Close::ALL.into_iter().map(Close::closing).find(|row| row.reason == closed.reason);
        Self {
            status: row.map_or(StatusCode::INTERNAL_SERVER_ERROR, |row| status(row.http)),
            code: Cow::Owned(closed.reason.into_owned()),
            message: closed.message.map_or(Cow::Borrowed(""), |message| Cow::Owned(message.into_owned())),
            retry_in: closed.retry_in,
            reconnect: row.map_or(Reconnect::Resume, |row| row.reconnect),
        }
    }
}

/// A refusal is never a success, whatever its row says of a close that nobody waits for.
fn status(http: u16) -> StatusCode {
    let status = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match status.is_client_error() || status.is_server_error() {
        true => status,
        false => StatusCode::CONFLICT,
    }
}

impl IntoResponse for Refused {
    /// `Retry-After` mirrors `retry_in`, rounded up to whole seconds; a 401 names the scheme, as RFC 9110 asks.
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(CONTENT_TYPE, json)], self.to_frame().to_json()).into_response();
        if let Some(retry_in) = self.retry_in {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_in.div_ceil(1000)));
        }
        // Whether an address comes too often is judged once for each connection: whoever comes back later makes a new one.
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::told::Told;

    #[test]
    fn every_word_of_the_tables_has_the_status_of_its_row_and_none_is_a_success() {
        for code in ErrorCode::ALL {
            let frame = code.to_frame().to_json();
            let Told::Error(error) = Told::parse(frame.as_bytes()).unwrap() else { panic!("{frame}") };
            assert_eq!(Refused::from(error), Refused::from(code));
        }
        for close in Close::ALL {
            let refused = Refused::from(&close.closing());
            assert!(refused.status.as_u16() >= 400, "{close:?} is answered with {}", refused.status);
            let closing = close.closing();
            let frame = closing.to_frame("t1", None, None).to_json();
            let Told::Closed(closed) = Told::parse(frame.as_bytes()).unwrap() else { panic!("{frame}") };
            assert_eq!(Refused::from(closed), refused);
            let comes_back = closing.reconnect == Reconnect::Resume;
            assert_eq!(refused.reconnect_in().is_some_and(|wait| wait >= STAY_AWAY), !comes_back, "{close:?}");
        }
    }

    #[test]
    fn an_error_that_passes_says_when_to_come_back() {
        let response = Refused::from(ErrorCode::Draining).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let event = Refused::from(ErrorCode::Draining).to_run_error();
        assert_eq!(event["metadata"]["lychgate"]["retry_in"], 1_000);
    }
}
