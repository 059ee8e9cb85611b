//! `GET /v1/admin/live`: what the node is, and what it decides, as it happens, for a page that somebody looks at.
//!
//! ```text
//! upgrade --page? key, token, login?--> Console (answers, signs of life)      one of 16 places
//!    |            '- no: accepted, said why, closed with its code             |
//!    '- a foreign page: 403                                                   v
//!                        History, decisions, Board, still allowed? --> Teller --> outbox
//! ```
//!
//! Nothing waits for a console that does not read: a sample that does not fit is left out and counted, decisions are asked for
//! again when there is room, and the record of decisions is the bound of what can be made up for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::Method;
use lychgate_core::RequestId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::console::Console;
use self::teller::Teller;
use super::Control;
use super::access::{Asking, Denied, Proven};
use crate::api::refused::Refused;
use crate::auth::Access as Use;
use crate::close::{Close, Closing, ErrorCode};
use crate::config::{Config, Role, WebSocket};
use crate::driver::random_bits;
use crate::outbox::{Frame, Outbox, Sent};
use crate::wire;
use crate::wire::admin::{Error, Live};
use crate::ws::Upgrade;

mod console;
mod reel;
mod teller;
mod vitals;

/// The one subprotocol that is spoken here.
const PROTOCOL: &str = "lychgate.live.v1";

/// Consoles at a time: each costs a sample every two seconds, and a look at the decisions up to four times a second.
const MAX_CONSOLES: usize = 16;

/// The longest frame of a console: it has nothing to say but `ack`.
const MAX_FRAME_BYTES: usize = 1_024;

const ROUTE: &str = "/v1/admin/live";

/// What all consoles share.
pub(super) struct Stage {
    bounds: Arc<WebSocket>,
    places: Arc<Semaphore>,
    patience: Patience,
}

/// How long a console may stay silent, or take nothing.
#[derive(Clone, Copy, Debug)]
struct Patience {
    ping_every: Duration,
    /// From a ping that was written to a word: long enough for a second one.
    answer_within: Duration,
    take_within: Duration,
}

impl Stage {
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            bounds: Arc::new(WebSocket { max_message_bytes: MAX_FRAME_BYTES, ..config.websocket.clone() }),
            places: Arc::new(Semaphore::new(MAX_CONSOLES)),
            patience: Patience {
                ping_every: limits.ping_interval,
                answer_within: limits.ping_interval + limits.ping_answer,
                take_within: limits.write_stall,
            },
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("free", &self.places.available_permits()).finish_non_exhaustive()
    }
}

/// What a handshake comes to.
enum Introduction {
    /// An operator, and his place.
    Proven(Proven, Role, OwnedSemaphorePermit),
    /// Nobody who may look; he is told why.
    Denied(Denied),
    /// Every place is taken.
    Crowd,
    /// He names subprotocols, but none of ours.
    WrongVersion,
}

/// A WebSocket of `lychgate.live.v1`: a sample of the node every two seconds after those of the last 15 minutes, decisions of
/// interest and alerts as they come. docs/admin.md has its frames.
#[utoipa::path(
    get, path = "/v1/admin/live", tag = "operators", security(("key" = [])),
    responses(
        (status = 101, description = "A WebSocket. Whoever may not look is told so on it, and closed with the code that says why."),
        (status = 401, description = "No WebSocket handshake, and no key.", body = Error),
        (status = 403, description = "A page that is none of ours.", body = Error),
        (status = 426, description = "No WebSocket handshake.", body = Error)
    )
)]
pub(super) async fn connect(State(control): State<Arc<Control>>, mut request: Request) -> Result<Response, Refused> {
    let upgrade = Upgrade::from_request(&mut request, &[PROTOCOL]);
    let (parts, _) = request.into_parts();
    let mut upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        // Not before he has shown who he is: whoever is nobody learns nothing.
        Err(rejection) => {
            control.admit(&parts, Role::Read).await?;
            return Ok(rejection.into_response());
        }
    };
    let bearer = upgrade.take_bearer();
    let asking = Asking { access: Use::Socket, headers: &parts.headers, subprotocol: bearer.as_deref() };
    let introduction = match upgrade.speaks_another_version() {
        true => Introduction::WrongVersion,
        false => introduce(&control, asking).await?,
    };
    let bounds = Arc::clone(&control.stage.bounds);
    Ok(upgrade.serve(&bounds, move |outbox| welcome(control, outbox, introduction)))
}

/// Who it is. The page that asks is judged first: one that is not ours gets no socket, whatever it shows.
async fn introduce(control: &Arc<Control>, asking: Asking<'_>) -> Result<Introduction, Refused> {
    let request = RequestId::from_random(random_bits());
    let note = |denied: &Denied| control.note_denied(denied, request, &Method::GET, ROUTE);
    match control.access.identify_socket(asking).await {
        Ok((proven, role)) => Ok(match Arc::clone(&control.stage.places).try_acquire_owned() {
            Ok(place) => Introduction::Proven(proven, role, place),
            Err(_) => Introduction::Crowd,
        }),
        Err(denied @ Denied::ForeignPage) => {
            note(&denied);
            Err(denied.refused())
        }
        Err(denied) => {
            note(&denied);
            Ok(Introduction::Denied(denied))
        }
    }
}

/// Begins to tell, or says on the socket, where a browser can read it (hazard R10), why not.
fn welcome(control: Arc<Control>, outbox: Arc<Outbox>, introduction: Introduction) -> Console {
    let patience = control.stage.patience;
    let max_bad_frames = control.stage.bounds.max_bad_frames;
    match introduction {
        Introduction::Proven(proven, role, place) => {
            let console = Console::new(Arc::clone(&outbox), patience, max_bad_frames, place);
            tokio::spawn(Teller::new(control, outbox, &console, (proven, role)).run());
            return console;
        }
        Introduction::Denied(denied) => {
            let refused = denied.refused();
            outbox.send_control(&Frame::text(refused.to_frame().to_json().as_bytes()));
            close(&outbox, &denied.closing());
        }
        Introduction::Crowd => {
            let full =
                format!("{MAX_CONSOLES} consoles are connected to this node already; it is tried again by itself.");
            complain(&outbox, ErrorCode::RateLimited, &full);
            close(&outbox, &Close::Overload.closing());
        }
        Introduction::WrongVersion => {
            complain(&outbox, ErrorCode::BadFrame, "This address speaks the subprotocol lychgate.live.v1.");
            close(&outbox, &Close::UnsupportedVersion.closing());
        }
    }
    Console::dismissed(outbox, patience, max_bad_frames)
}

/// Sends a frame, if it fits.
fn send(outbox: &Outbox, frame: &Live<'_>) -> Sent {
    let text = serde_json::to_string(frame).expect("a struct of text and numbers always serialises");
    outbox.send(&Frame::text(text.as_bytes()))
}

fn complain(outbox: &Outbox, code: ErrorCode, message: &str) {
    let row = code.row();
    let error = wire::Server::Error {
        code: row.word,
        message,
        thread: None,
        run: None,
        reference: None,
        retry_in: row.retry_in.map(wire::millis),
    };
    outbox.send_control(&Frame::text(error.to_json().as_bytes()));
}

fn close(outbox: &Outbox, closing: &Closing) {
    outbox.close(closing.code, &closing.to_json());
}
