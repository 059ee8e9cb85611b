//! A server on a free port whose handler echoes text and records what it is told.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use lychgate::config;
use lychgate::listener::{self, Listener, Pool};
use lychgate::outbox::{Frame, Outbox};
use lychgate::ws::{Ending, Handler, Upgrade, Violation};
use lychgate_core::WriteProgress;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::peer::soon;
use crate::tls::authority::Authority;

/// More than any test records.
const RECORD: usize = 4096;

/// A deadline that no test reaches, and one that a test waits for.
const PATIENT: Duration = Duration::from_secs(60);
const HASTY: Duration = Duration::from_millis(100);

/// A text that makes the handler panic.
pub(crate) const PANIC: &str = "panic";

/// What the handler was told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Text(String),
    Binary(Vec<u8>),
    Pulse,
    Write(WriteProgress),
    PingWritten,
    HelloTimeout,
    Violation(Violation),
    End(Ending),
    Gone,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pool: Arc<Pool>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    outboxes: mpsc::Receiver<Arc<Outbox>>,
    told: mpsc::Receiver<Told>,
}

/// What a test may want otherwise.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) websocket: config::WebSocket,
    pub(crate) liveness: config::Liveness,
    pub(crate) header_timeout: Duration,
    pub(crate) max_unidentified: usize,
    pub(crate) grace: Duration,
    pub(crate) identified: bool,
    /// With it, the server speaks TLS.
    pub(crate) authority: Option<Arc<Authority>>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            websocket: config::WebSocket {
                hello_timeout: PATIENT,
                max_message_bytes: 65_536,
                max_fragments: 16,
                max_pings_per_second: 10,
                max_bad_frames: 8,
                window: 512,
                outbox_bytes: 65_536,
                close_timeout: PATIENT,
            },
            liveness: config::Liveness::default(),
            header_timeout: PATIENT,
            max_unidentified: 1024,
            grace: HASTY,
            identified: true,
            authority: None,
        }
    }
}

impl Setting {
    /// For tests that wait for the deadline of the header, of `hello` or of the close.
    pub(crate) fn hasty() -> Self {
        let mut setting = Self { header_timeout: HASTY, ..Self::default() };
        setting.websocket.hello_timeout = HASTY;
        setting.websocket.close_timeout = HASTY;
        setting
    }
}

struct Recorder {
    outbox: Arc<Outbox>,
    told: mpsc::Sender<Told>,
    identified: Arc<AtomicBool>,
}

impl Recorder {
    fn record(&self, told: Told) {
        // The test may have ended already.
        let _ = self.told.try_send(told);
    }
}

impl Handler for Recorder {
    fn on_text(&mut self, text: &str) {
        assert_ne!(text, PANIC, "a handler that panics when it is told to");
        self.record(Told::Text(text.to_owned()));
        self.identified.store(true, Ordering::Relaxed);
        self.outbox.send_control(&Frame::text(text.as_bytes()));
    }

    fn on_binary(&mut self, bytes: &[u8]) {
        self.record(Told::Binary(bytes.to_owned()));
    }

    fn on_pulse(&mut self) {
        self.record(Told::Pulse);
    }

    fn on_write(&mut self, progress: WriteProgress) {
        self.record(Told::Write(progress));
    }

    fn on_ping_written(&mut self) {
        self.record(Told::PingWritten);
    }

    fn is_identified(&self) -> bool {
        self.identified.load(Ordering::Relaxed)
    }

    fn on_hello_timeout(&mut self) {
        self.record(Told::HelloTimeout);
        self.outbox.close(4005, "");
    }

    fn on_violation(&mut self, violation: Violation) {
        self.record(Told::Violation(violation));
        self.outbox.send_control(&Frame::text(b"you are told first"));
    }

    fn on_end(&mut self, ending: Ending) {
        self.record(Told::End(ending));
    }

    fn on_gone(&mut self) {
        self.record(Told::Gone);
    }
}

impl Server {
    pub(crate) fn start(setting: Setting) -> Self {
        let (outbox_in, outboxes) = mpsc::channel(RECORD);
        let (told_in, told) = mpsc::channel(RECORD);
        let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let server = config::Server {
            readiness_interval: Duration::from_secs(5),
            public_url: None,
            listen: address,
            admin_listen: address,
            environment: config::Environment::Test,
            drain_timeout: setting.grace,
            max_connections_per_address: 100,
            max_descriptor_percent: 80,
            max_unidentified: setting.max_unidentified,
            header_timeout: setting.header_timeout,
            handshake_timeout: Duration::from_secs(5),
            connects_per_second_per_address: NonZeroU32::MAX,
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            forwarded_header: config::ForwardedHeader::default(),
            tls: setting.authority.as_ref().map(|authority| authority.tls()),
            admin_tls: None,
        };
        let listener = Listener::new(socket, &server, &setting.liveness).unwrap();
        let bounds = Arc::new(setting.websocket);
        let accept = move |mut request: Request| async move {
            match Upgrade::from_request(&mut request, &["lychgate.v1"]) {
                Ok(upgrade) => upgrade.serve(&bounds, move |outbox| {
                    let _ = outbox_in.try_send(Arc::clone(&outbox));
                    Recorder { outbox, told: told_in, identified: Arc::new(AtomicBool::new(setting.identified)) }
                }),
                Err(rejection) => rejection.into_response(),
            }
        };
        let accept = move |request: Request| {
            let accept = accept.clone();
            async move { Response::into_response(accept(request).await) }
        };
        let stop = CancellationToken::new();
        let pool = listener.pool();
        let task = tokio::spawn(listener.serve(Router::new().route("/", any(accept)), stop.clone(), setting.grace));
        Self { address, pool, stop, task, outboxes, told }
    }

    /// The outbox of the next connection.
    pub(crate) async fn outbox(&mut self) -> Arc<Outbox> {
        soon(self.outboxes.recv()).await.unwrap()
    }

    /// The next thing that any handler was told.
    pub(crate) async fn told(&mut self) -> Told {
        soon(self.told.recv()).await.expect("a handler goes on")
    }

    /// Skips what comes before the end, then expects the end, the closed descriptor, and nothing else.
    pub(crate) async fn expect_end(&mut self, ending: Ending) {
        loop {
            if let Told::End(told) = self.told().await {
                assert_eq!(told, ending);
                break;
            }
        }
        assert_eq!(self.told().await, Told::Gone);
        assert!(self.told.try_recv().is_err(), "nothing follows the end");
    }
}
