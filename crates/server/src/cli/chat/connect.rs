//! From a URL and a token to a WebSocket that speaks `lychgate.v1`.

use tokio::time::timeout;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{HANDSHAKE, Socket};
use crate::error::Error;

const SUBPROTOCOL: &str = "lychgate.v1";
/// The history of a long thread comes in one frame.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The library's own bound is none (hazard R24).
const MAX_WRITE_BYTES: usize = 4 * 1024 * 1024;

/// Connects within [`HANDSHAKE`]. The token travels in a header, never in the URL.
pub(super) async fn connect(url: &str, token: &str) -> Result<Socket, Error> {
    if !url.starts_with("ws://") {
        let text = format!("--url {url:?} is not understood; write ws://HOST:PORT/v1/ws (this client speaks no TLS)");
        return Err(Error::Usage(text));
    }
    let mut request =
        url.into_client_request().map_err(|error| Error::Usage(format!("--url {url:?} is not understood: {error}")))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Error::Usage("--token holds characters that no token has; paste it again".to_owned()))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .max_write_buffer_size(MAX_WRITE_BYTES);
    match timeout(HANDSHAKE, connect_async_with_config(request, Some(config), true)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(Error::Chat(why(url, &error))),
        Err(_) => Err(Error::Chat(format!("{url} does not answer; is this a gateway of Lychgate?"))),
    }
}

fn why(url: &str, error: &WsError) -> String {
    match error {
        WsError::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("Nobody listens at {url}.\n  Start a gateway with `lychgate demo`, or name another one with --url.")
        }
        WsError::Http(response) => format!(
            "{url} answered with HTTP {} instead of a WebSocket.\n  The path of a gateway is /v1/ws.",
            response.status()
        ),
        // The library's list of errors is open for all that concerns us.
        other => format!("{url} cannot be reached: {other}"),
    }
}
