//! `GET /v1/ws`: from a request to a dialogue.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::ORIGIN;
use http::{Request, StatusCode};

use super::chat::{Chat, Introduction, Services};
use super::upgrade::{Rejection, Upgrade};
use crate::auth::{Access, Identity, Shown};
use crate::close::ErrorCode;
use crate::config;
use crate::listener::Visitor;
use crate::wire;

/// The one subprotocol that we speak.
pub const PROTOCOL: &str = "lychgate.v1";

/// What the route needs.
#[derive(Clone, Debug)]
pub struct Door {
    /// What every dialogue shares.
    pub services: Arc<Services>,
    /// Bounds of the WebSocket layer.
    pub bounds: Arc<config::WebSocket>,
}

/// The route.
pub fn routes(door: Door) -> Router {
    Router::new().route("/v1/ws", any(connect)).with_state(door)
}

async fn connect(State(door): State<Door>, mut request: Request<Body>) -> Response {
    let mut upgrade = match Upgrade::from_request(&mut request, &[PROTOCOL]) {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(visitor) = request.extensions().get::<Visitor>().cloned() else {
        return Rejection::Listener.into_response();
    };
    let headers = request.headers();
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("(not text)"));
    if let Err(refused) = door.services.doorkeeper.check_origin(origin) {
        return foreign_origin(&refused.to_string());
    }
    let arrival = door.services.traces.arrival(headers);
    let introduction = match upgrade.speaks_another_version() {
        true => Introduction::WrongVersion,
        false => {
            let token = upgrade.take_bearer();
            let shown =
                Shown { access: Access::Socket, headers, query: request.uri().query(), subprotocol: token.as_deref() };
            introduce(&door.services, shown, &visitor).await
        }
    };
    let services = Arc::clone(&door.services);
    upgrade.serve(&door.bounds, move |outbox| Chat::new(services, outbox, visitor, introduction).arrived(arrival))
}

/// What the request proves. A bad token is answered on the socket, where a browser can read it (hazard R10), and so is
/// one that failed so often that nobody looks at it before its time.
async fn introduce(services: &Services, shown: Shown<'_>, visitor: &Visitor) -> Introduction {
    let credential = visitor.credential(&shown);
    if let Some(retry_in) = visitor.held_off(credential) {
        return Introduction::TooMany(retry_in);
    }
    match services.doorkeeper.identify(shown).await {
        Ok(None) => Introduction::ByHello,
        Ok(Some(identity)) => Introduction::Proven(Box::<Identity>::new(identity)),
        Err(error) => {
            visitor.failed(credential, &error);
            services.note(&error);
            Introduction::Failed(error)
        }
    }
}

fn foreign_origin(message: &str) -> Response {
    let body = wire::Server::Error {
        code: ErrorCode::Forbidden.as_str(),
        message,
        thread: None,
        run: None,
        reference: None,
        retry_in: None,
    };
    (StatusCode::FORBIDDEN, axum::Json(body)).into_response()
}
