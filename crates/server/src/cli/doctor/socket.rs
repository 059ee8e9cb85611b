//! The way that users come: does a WebSocket come through whatever stands in between, and is a ping answered?
//!
//! ```text
//!  --url ─► TCP ─► TLS ─► GET /v1/ws, Upgrade ─► 101? ─► ping ─► pong?       no token is needed: a guest may be silent for 5 s
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::finding::Finding;
use crate::error::Error;

const CHECK: &str = "websocket";
const PATH: &str = "/v1/ws";
const SUBPROTOCOL: &str = "lychgate.v1";

/// For each step. A guest who says nothing is closed after `websocket.hello_timeout`, 5 s by default.
const WITHIN: Duration = Duration::from_secs(4);
const MAX_BYTES: usize = 64 * 1_024;
const PROBE: &[u8] = b"doctor";

/// Where users come in.
#[derive(Debug)]
pub(super) struct Door {
    url: Url,
    is_tls: bool,
}

impl Door {
    /// # Errors
    /// [`Error::Usage`] says how it is written.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Usage(
                "--url is no address of users; write such as wss://chat.example.org or ws://127.0.0.1:8787".to_owned(),
            )
        };
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        let is_tls = match url.scheme() {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => return Err(wrong()),
        };
        if !url.has_host() || !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong());
        }
        url.set_scheme(if is_tls { "wss" } else { "ws" }).map_err(|()| wrong())?;
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(Self { url, is_tls })
    }
}

/// Tries it.
pub(super) async fn look(door: &Door) -> Vec<Finding> {
    let url = door.url.as_str();
    let found = match connect(door).await {
        Ok(stream) => upgrade(door, stream).await,
        Err(why) => Err(Finding::wrong(
            CHECK,
            format!("{url} cannot be reached: {why}"),
            "Is the gateway, or the proxy before it, running there? Does its certificate name this host?",
        )),
    };
    vec![found.unwrap_or_else(|finding| finding)]
}

/// A stream of either kind.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

async fn connect(door: &Door) -> Result<Box<dyn Wire>, String> {
    let host = door.url.host_str().unwrap_or_default();
    let port = door.url.port_or_known_default().unwrap_or(443);
    let bare = host.trim_matches(['[', ']']);
    let tcp = timeout(WITHIN, TcpStream::connect((bare, port))).await;
    let tcp = tcp.map_err(|_| "nobody answers".to_owned())?.map_err(|error| error.to_string())?;
    if !door.is_tls {
        return Ok(Box::new(tcp));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
    let tls = timeout(WITHIN, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
    let tls = tls.map_err(|_| "the TLS handshake does not end".to_owned())?.map_err(|error| error.to_string())?;
    Ok(Box::new(tls))
}

async fn upgrade(door: &Door, stream: Box<dyn Wire>) -> Result<Finding, Finding> {
    let url = door.url.as_str();
    let foreign = |why: String| {
        Finding::wrong(
            CHECK,
            format!("{url}: {why}"),
            "The path of a gateway is /v1/ws; does a proxy in between rewrite it?",
        )
    };
    let mut request = url.into_client_request().map_err(|error| foreign(error.to_string()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let bounds = WebSocketConfig::default()
        .max_message_size(Some(MAX_BYTES))
        .max_frame_size(Some(MAX_BYTES))
        .max_write_buffer_size(MAX_BYTES * 4);
    match timeout(WITHIN, client_async_with_config(request, stream, Some(bounds))).await {
        Err(_) => Err(foreign("it takes the request and answers nothing".to_owned())),
        Ok(Ok((socket, _))) => ping(url, socket).await,
        Ok(Err(WsError::Http(response))) if response.status() == 426 => Err(Finding::wrong(
            CHECK,
            format!("{url}: the request arrives without its header Upgrade (status 426): a proxy in between strips it"),
            "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
             \"upgrade\". docs/network.md has more.",
        )),
        Ok(Err(WsError::Http(response))) => Err(foreign(format!("it answers with status {}", response.status()))),
        // The library's list of errors is open for all that concerns us.
        Ok(Err(error)) => Err(foreign(error.to_string())),
    }
}

async fn ping(url: &str, mut socket: WebSocketStream<Box<dyn Wire>>) -> Result<Finding, Finding> {
    let unanswered = |why: &str| {
        Finding::wrong(
            CHECK,
            format!("{url}: the upgrade comes through, but {why}"),
            "Something in between buffers or filters frames: let it pass WebSockets through as they are.",
        )
    };
    let answered = async {
        socket.send(Message::Ping(PROBE.into())).await.ok()?;
        loop {
            match socket.next().await?.ok()? {
                Message::Pong(answer) if answer.as_ref() == PROBE => return Some(()),
                Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(_) => return None,
            }
        }
    };
    let heard = timeout(WITHIN, answered).await;
    // It has proven what it should; how it ends is nobody's concern.
    let _ = timeout(WITHIN, socket.close(None)).await;
    match heard {
        Ok(Some(())) => Ok(Finding::ok(CHECK, format!("{url}: upgrade and ping come through"))),
        Ok(None) => Err(unanswered("the connection ends before a ping is answered")),
        Err(_) => Err(unanswered("a ping is not answered")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_users_may_be_written_as_people_know_it() {
        for (text, meant) in [
            ("https://chat.example.org", "wss://chat.example.org/v1/ws"),
            ("ws://127.0.0.1:8787", "ws://127.0.0.1:8787/v1/ws"),
            ("wss://chat.example.org/other/ws", "wss://chat.example.org/other/ws"),
        ] {
            assert_eq!(Door::parse(text).unwrap().url.as_str(), meant);
        }
        for text in ["chat.example.org", "ftp://h", "wss://me:geheim@h", "wss://h/?token=geheim"] {
            let error = Door::parse(text).unwrap_err();
            assert!(error.exit_code() == 2 && !error.to_string().contains("geheim"));
        }
    }
}
