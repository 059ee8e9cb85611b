//! Echoes every message: the listener, the upgrade, the limits and the frame layer of Lychgate, and nothing else.
//!
//! It is what Autobahn's conformance suite and the measurements of bytes per connection run against.
//!
//! ```text
//! cargo run --release -p lychgate --example echo -- --listen 127.0.0.1:9001
//! ```

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use lychgate::config;
use lychgate::listener::{self, Listener};
use lychgate::outbox::{Frame, Outbox};
use lychgate::ws::{Ending, Handler, Upgrade, Violation};
use lychgate_core::WriteProgress;
use tokio_util::sync::CancellationToken;

/// The smallest fragment that a message of the largest size may consist of.
const SMALLEST_FRAGMENT: usize = 64;

/// Echoes every WebSocket message.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// The longest message.
    #[arg(long, default_value_t = 256 * 1024)]
    max_message_bytes: usize,
}

struct Echo(Arc<Outbox>);

impl Handler for Echo {
    fn on_text(&mut self, text: &str) {
        self.0.send_control(&Frame::text(text.as_bytes()));
    }

    fn on_binary(&mut self, bytes: &[u8]) {
        self.0.send_control(&Frame::binary(bytes));
    }

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

async fn echo(State(bounds): State<Arc<config::WebSocket>>, mut request: Request) -> Response {
    match Upgrade::from_request(&mut request, &[]) {
        Ok(upgrade) => upgrade.serve(&bounds, Echo),
        Err(rejection) => rejection.into_response(),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bounds = Arc::new(config::WebSocket {
        hello_timeout: Duration::from_secs(5),
        max_message_bytes: arguments.max_message_bytes,
        max_fragments: arguments.max_message_bytes.div_ceil(SMALLEST_FRAGMENT),
        max_pings_per_second: 10,
        max_bad_frames: 8,
        window: 512,
        outbox_bytes: 65_536,
        close_timeout: Duration::from_secs(2),
    });
    let server = config::Server {
        listen: arguments.listen,
        public_url: None,
        admin_listen: arguments.listen,
        environment: config::Environment::Test,
        drain_timeout: Duration::from_secs(1),
        max_connections_per_address: usize::MAX,
        max_descriptor_percent: 80,
        max_unidentified: 1024,
        header_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(5),
        connects_per_second_per_address: NonZeroU32::MAX,
        readiness_interval: Duration::from_secs(5),
        proxy_protocol: false,
        trusted_proxies: Vec::new(),
        forwarded_header: config::ForwardedHeader::default(),
        tls: None,
        admin_tls: None,
    };
    let listener = Listener::new(listener::bind(arguments.listen)?, &server, &config::Liveness::default())?;
    println!("echo listens on {}", listener.local_addr()?);
    let router = Router::new().route("/", get(echo)).with_state(bounds);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopped.cancel();
        }
    });
    listener.serve(router, stop, server.drain_timeout).await;
    Ok(())
}
