//! What every route reads of a request: who asks, what he named in the path and the query, and what he sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lychgate_core::{SessionKey, ThreadId};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Clients;
use super::refused::Refused;
use crate::auth::{Access, Identity, Shown};
use crate::close::ErrorCode;
use crate::listener::{Known, Seat, Visitor};
use crate::telemetry::traces;

/// From the end of a request's head to the end of its body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Somebody who proved who he is, with the connection that he is on.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) address: IpAddr,
    pub(super) seat: Seat,
    /// Keeps his connection from being turned out until his request is answered.
    pub(super) known: Option<Known>,
    /// What its trace has to know.
    pub(super) arrival: Option<Box<traces::Arrival>>,
}

impl Caller {
    /// His thread of this name. Whatever name he gives, it is one of his own (I8).
    pub(super) fn key(&self, thread: &str) -> Result<SessionKey, Refused> {
        let thread = ThreadId::parse(thread).map_err(|error| Refused::bad_id("thread", &error))?;
        Ok(SessionKey::new(self.identity.user.clone(), thread))
    }
}

impl FromRequestParts<Arc<Clients>> for Caller {
    type Rejection = Refused;

    /// The user comes from a verified token alone. The connection is no stranger's any more,
    /// while he is being served.
    async fn from_request_parts(parts: &mut Parts, clients: &Arc<Clients>) -> Result<Self, Refused> {
        let seat = parts.extensions.get::<Seat>().cloned();
        let visitor = parts.extensions.get::<Visitor>();
        let (Some(seat), Some(visitor)) = (seat, visitor) else {
            tracing::error!("a request did not come through our listener");
            return Err(ErrorCode::Internal.into());
        };
        let shown = Shown {
            access: Access::from(&parts.method),
            headers: &parts.headers,
            query: parts.uri.query(),
            subprotocol: None,
        };
        let arrival = clients.traces.arrival(&parts.headers);
        let identity = clients.identify(shown, visitor).await?;
        let known = seat.ask(&identity.user);
        Ok(Self { identity, address: visitor.address(), seat, known, arrival })
    }
}

/// The names in a path; what cannot be read is answered with an error frame.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(error) => Err(Refused::bad(format!("The path cannot be read: {error}."))),
        }
    }
}

/// The parameters of a query; unknown ones are ignored.
#[derive(Debug)]
pub(super) struct Asked(HashMap<String, String>);

impl Asked {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, if one is given.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refused> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Refused::bad(format!("`{name}` in the query must be a whole number, 0 or more.")))
        };
        self.text(name).map(parse).transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Query::<HashMap<String, String>>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(Refused::bad(format!("The query cannot be read: {error}."))),
        }
    }
}

/// Reads a whole body of at most `bytes`, within [`BODY_WITHIN`]. One that says that it is longer is not read at all.
pub(super) async fn read_body(headers: &HeaderMap, body: Body, bytes: usize) -> Result<Bytes, Refused> {
    let too_large = || Refused::saying(ErrorCode::TooLarge, format!("The body is larger than {bytes} bytes."));
    let says = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if says.is_some_and(|says| says > bytes) {
        return Err(too_large());
    }
    match timeout(BODY_WITHIN, Limited::new(body, bytes).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused::bad("The body ended in the middle.")),
        Err(_) => Err(Refused::bad(format!("The body did not arrive within {} s.", BODY_WITHIN.as_secs()))),
    }
}
