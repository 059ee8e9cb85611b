//! Whatever a client sends before it is a client: the real listener answers it at most once before an upgrade, ends the
//! connection, and never panics; nothing that follows a bad beginning is served.
//!
//! ```text
//!  first byte: behind a proxy or not --> bytes --> loopback --> Listener: PROXY header, HTTP, Forwarded, Upgrade --> answer
//! ```
//!
//! Everything runs on one thread, so that an input has the same way each time.

#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::any;
use libfuzzer_sys::fuzz_target;
use lychgate::config::{Config, WebSocket};
use lychgate::listener::{self, Listener, proxy};
use lychgate::outbox::Outbox;
use lychgate::ws::{Ending, Handler, Upgrade, Violation};
use lychgate_core::WriteProgress;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// No answer takes longer, on any machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// In the clear, with and without a proxy in front of it.
const CONFIGURATIONS: [&str; 2] = [
    "server.trusted_proxies = [\"127.0.0.1\"]",
    "server.proxy_protocol = true\nserver.trusted_proxies = [\"127.0.0.0/8\"]\nserver.forwarded_header = \"forwarded\"",
];

fuzz_target!(|input: &[u8]| {
    let Some((&place, bytes)) = input.split_first() else { return };
    // A header that is whole may also be longer than the listener would read.
    let _ = proxy::parse_header(bytes);
    let answer = runtime().block_on(exchange(listeners()[usize::from(place) % 2], bytes));
    let statuses = answer.windows(9).filter(|bytes| bytes.starts_with(b"HTTP/1.1 ")).count();
    let upgrades = answer.windows(13).filter(|bytes| bytes.starts_with(b"HTTP/1.1 101 ")).count();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    assert!(upgrades <= 1 && upgrades <= statuses, "{}", String::from_utf8_lossy(&answer));
});

/// Sends all of it, and nothing more; answers what comes back before the end.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let talk = async {
        let mut stream = TcpStream::connect(address).await.expect("a listener that listens");
        // The other side may have closed before it heard everything.
        let _sent = stream.write_all(bytes).await;
        let _ended = stream.shutdown().await;
        let _heard = stream.read_to_end(&mut answer).await;
        // With RST, or the ports of this machine would soon all be waiting.
        let _reset = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    };
    assert!(timeout(PATIENCE, talk).await.is_ok(), "the connection should have ended");
    answer
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().expect("a runtime"))
}

fn listeners() -> &'static [SocketAddr; 2] {
    static LISTENERS: OnceLock<[SocketAddr; 2]> = OnceLock::new();
    LISTENERS.get_or_init(|| CONFIGURATIONS.map(start))
}

/// A listener that upgrades whatever may be.
fn start(keys: &str) -> SocketAddr {
    let _inside = runtime().enter();
    let text = format!("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n{keys}");
    let config = Config::from_toml(&text).expect("a configuration");
    let socket = listener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = Listener::new(socket, &config.server, &config.liveness).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let bounds: Arc<WebSocket> = Arc::new(config.websocket);
    let accept = move |mut request: Request| {
        let bounds = Arc::clone(&bounds);
        async move {
            match Upgrade::from_request(&mut request, &["lychgate.v1"]) {
                Ok(mut upgrade) => {
                    drop(upgrade.take_bearer());
                    upgrade.serve(&bounds, Deaf)
                }
                Err(rejection) => rejection.into_response(),
            }
        }
    };
    let router = Router::new().fallback(any(accept));
    runtime().spawn(listener.serve(router, CancellationToken::new(), Duration::ZERO));
    address
}

/// Whoever made it through says nothing, and is told nothing.
struct Deaf(#[expect(dead_code, reason = "the connection lives as long as somebody holds it")] Arc<Outbox>);

impl Handler for Deaf {
    fn on_text(&mut self, _text: &str) {}
    fn on_binary(&mut self, _bytes: &[u8]) {}
    fn on_pulse(&mut self) {}
    fn on_write(&mut self, _progress: WriteProgress) {}
    fn on_ping_written(&mut self) {}
    fn is_identified(&self) -> bool {
        true
    }
    fn on_hello_timeout(&mut self) {}
    fn on_violation(&mut self, _violation: Violation) {}
    fn on_end(&mut self, _ending: Ending) {}
}
