//! From an HTTP request to a WebSocket: what is checked, what is answered, and where the socket goes.
//!
//! Refusals here are for requests that are no WebSocket of ours. A browser sees every status as the same 1006, so
//! whatever a client should understand is said after the upgrade, with a close code (hazard R10).

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::connection::Connection;
use super::handler::Handler;
use crate::config;
use crate::listener::{Seat, Stream};
use crate::outbox::{Outbox, Transport};
use crate::wire;

/// A subprotocol that carries a token; read, and never echoed (protocol.md, rule 1).
const BEARER: &str = "lychgate.bearer.";

/// A request that is a WebSocket handshake and waits for its answer.
pub struct Upgrade {
    accept: String,
    protocol: Option<&'static str>,
    echo: Option<HeaderValue>,
    bearer: Option<String>,
    on_upgrade: OnUpgrade,
    seat: Seat,
}

impl Upgrade {
    /// Checks a request (RFC 6455, section 4.2.1) that came through [`crate::listener::Listener`].
    ///
    /// `offered` lists the subprotocols that we speak, best first.
    ///
    /// # Errors
    /// [`Rejection`] is the response to give.
    pub fn from_request<B>(request: &mut Request<B>, offered: &[&'static str]) -> Result<Self, Rejection> {
        if request.method() != Method::GET {
            return Err(Rejection::Method);
        }
        let headers = request.headers();
        let asks = names(headers, &header::CONNECTION, "upgrade") && names(headers, &header::UPGRADE, "websocket");
        if !asks || request.version() != Version::HTTP_11 {
            return Err(Rejection::NotWebSocket);
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
            return Err(Rejection::Version);
        }
        let accept = accept(headers).ok_or(Rejection::Key)?;
        let protocols: Vec<&str> =
            items(headers, &header::SEC_WEBSOCKET_PROTOCOL).filter(|item| !item.is_empty()).collect();
        // What is no subprotocol is never echoed: it may be made to look like something else (RFC 6455, section 4.1).
        if !protocols.iter().all(|protocol| protocol.starts_with(BEARER) || is_token(protocol)) {
            return Err(Rejection::Protocol);
        }
        let protocol = offered.iter().copied().find(|ours| protocols.contains(ours));
        // A browser fails a handshake that takes none of its subprotocols, and never reads the close that says why: one
        // that speaks only others has the first of them echoed (hazard R10).
        let foreign = || protocols.iter().find(|protocol| !protocol.starts_with(BEARER)).copied();
        let echo = protocol.or_else(foreign).and_then(|protocol| HeaderValue::from_str(protocol).ok());
        let bearer = protocols.iter().find_map(|protocol| protocol.strip_prefix(BEARER)).map(str::to_owned);
        let seat = request.extensions_mut().remove::<Seat>().ok_or(Rejection::Listener)?;
        Ok(Self { accept, protocol, echo, bearer, on_upgrade: hyper::upgrade::on(request), seat })
    }

    /// The subprotocol that both sides speak; none if the client names none of ours.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// Whether the client names subprotocols, but none that we speak: it would misunderstand every frame. One that names none (a
    /// tool on a command line) is taken at its word.
    #[must_use]
    pub fn speaks_another_version(&self) -> bool {
        self.protocol.is_none() && self.echo.is_some()
    }

    /// The token that came as subprotocol `lychgate.bearer.<JWT>`.
    pub fn take_bearer(&mut self) -> Option<String> {
        self.bearer.take()
    }

    /// Answers with 101; when the socket is ready, `start` makes its handler and the connection's task runs.
    ///
    /// If the client goes before that, `start` is dropped without a call.
    pub fn serve<H, F>(self, bounds: &Arc<config::WebSocket>, start: F) -> Response
    where
        H: Handler,
        F: FnOnce(Arc<Outbox>) -> H + Send + 'static,
    {
        let Self { accept, protocol: _, echo, bearer: _, on_upgrade, seat } = self;
        let bounds = Arc::clone(bounds);
        seat.clone().spawn(async move {
            // The client may go before it has our answer; then there is nothing to serve.
            let Ok(upgraded) = on_upgrade.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() else {
                tracing::error!("an upgraded connection is not a stream of our listener");
                return;
            };
            let socket = match parts.io.into_inner() {
                Stream::Plain(socket) => Transport::from(socket),
                Stream::Tls(stream) => {
                    let (socket, session) = stream.into_inner();
                    Transport::tls(socket, session)
                }
            };
            let outbox = Outbox::new(socket, bounds.outbox_bytes);
            let handler = start(Arc::clone(&outbox));
            let connection = Connection::new(outbox, bounds, &parts.read_buf, seat.clone(), handler);
            // A task of its own: this one's future has room for the closure, which nobody needs any more.
            seat.spawn(connection);
        });
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = echo {
            response = response.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response.body(Body::empty()).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("protocol", &self.protocol)
            .field("has_bearer", &self.bearer.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a request is no WebSocket handshake of ours. As a response it is a status with the `error` frame as body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Not a GET: 405.
    Method,
    /// It does not ask for an upgrade to WebSocket over HTTP/1.1: 426.
    NotWebSocket,
    /// It asks for another version than 13: 426, naming ours.
    Version,
    /// `Sec-WebSocket-Key` is missing, double, or not 16 bytes in base64: 400.
    Key,
    /// `Sec-WebSocket-Protocol` names something that is no subprotocol: 400.
    Protocol,
    /// It came through a listener that is not ours; our mistake: 500.
    Listener,
}

impl Rejection {
    /// The status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotWebSocket | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Protocol => StatusCode::BAD_REQUEST,
            Self::Listener => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Method | Self::NotWebSocket | Self::Key | Self::Protocol => "bad_request",
            Self::Version => "unsupported_version",
            Self::Listener => "internal",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Method => "A WebSocket starts with GET.",
            Self::NotWebSocket => "This address speaks WebSocket: connect with a WebSocket client.",
            Self::Version => "Only WebSocket version 13 is spoken here.",
            Self::Key => "The Sec-WebSocket-Key header must be 16 bytes in base64.",
            Self::Protocol => "The Sec-WebSocket-Protocol header must be a list of tokens, such as lychgate.v1.",
            Self::Listener => "This server cannot upgrade the connection.",
        }
    }

    /// The header that says what would be right.
    fn remedy(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("GET"))),
            Self::NotWebSocket => Some((header::UPGRADE, HeaderValue::from_static("websocket"))),
            Self::Version => Some((header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
            Self::Key | Self::Protocol | Self::Listener => None,
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let body = wire::Server::Error {
            code: self.code(),
            message: self.message(),
            thread: None,
            run: None,
            reference: None,
            retry_in: None,
        };
        let mut response = (self.status(), axum::Json(body)).into_response();
        response.headers_mut().extend(self.remedy());
        response
    }
}

/// The items of a comma-separated header, over all its lines.
pub(super) fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn names(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    items(headers, name).any(|found| found.eq_ignore_ascii_case(item))
}

/// Whether it is a token (RFC 9110, section 5.6.2), as names of headers are, too.
fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// The value of `Sec-WebSocket-Accept`, if there is exactly one key and it is 16 bytes in base64.
fn accept(headers: &HeaderMap) -> Option<String> {
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) => match BASE64_STANDARD.decode(key.as_bytes()) {
            Ok(nonce) if nonce.len() == 16 => Some(derive_accept_key(key.as_bytes())),
            Ok(_) | Err(_) => None,
        },
        (None, _) | (Some(_), Some(_)) => None,
    }
}
