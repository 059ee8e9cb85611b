//! Configuration: embedded defaults, then a file, then the environment; checked once, then never again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub mod agents;

/// Everything that `lychgate serve` needs, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, environment, drain.
    pub server: Server,
    /// What the gate decides by (sections `[limits]` and `[liveness]`).
    pub limits: lychgate_core::Limits,
    /// Bounds of the WebSocket layer.
    pub websocket: WebSocket,
    /// Who may come in.
    pub auth: Auth,
    /// Who answers.
    pub agents: agents::Agents,
    /// Where events are kept.
    pub journal: Journal,
    /// What is written to standard error.
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where browsers connect. Default 127.0.0.1:8787.
    pub listen: SocketAddr,
    /// Health and metrics. Default 127.0.0.1:8788.
    pub admin_listen: SocketAddr,
    /// development, production or test: sets the interval of the reaper's sweeps.
    pub environment: Environment,
    /// From SIGTERM to the hard stop. Default 10 s.
    pub drain_timeout: Duration,
    /// Connections from one address (IPv6: /64); the newest wins. Default 100.
    pub max_connections_per_address: usize,
    /// Per cent of the process's descriptor limit that connections may take. Default 80.
    pub max_descriptor_percent: usize,
    /// Sockets that have not said who they are, at most. Default 1,024.
    pub max_unidentified: usize,
    /// From accept to the end of the request's header. Default 5 s.
    pub header_timeout: Duration,
}

/// Which profile of reaper intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Sweeps every 60 s.
    Development,
    /// Sweeps every 120 s.
    Production,
    /// Sweeps every second.
    Test,
}

/// `[websocket]`
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// From upgrade to identity and `hello`. Default 5 s.
    pub hello_timeout: Duration,
    /// A message from a client, in bytes, over all its fragments. Default 262,144.
    pub max_message_bytes: usize,
    /// Fragments of one message. Default 128.
    pub max_fragments: usize,
    /// Protocol pings from a client per second, sustained; beyond it the socket is closed. Default 10.
    pub max_pings_per_second: u32,
    /// Bad frames in a row of a client before 4500. Default 8.
    pub max_bad_frames: u32,
    /// Unacknowledged events per connection and thread. Default 512.
    pub window: u64,
    /// Bytes that wait for the kernel per connection before events stop. Default 65,536.
    pub outbox_bytes: usize,
    /// From our close frame to tearing the socket down. Default 2 s.
    pub close_timeout: Duration,
}

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Origins that may connect from a browser; empty: any (a token is needed all the same).
    pub origins: Vec<String>,
    /// Tokens that we accept.
    pub jwt: Jwt,
}

/// `[auth.jwt]`
#[derive(Clone)]
pub struct Jwt {
    /// HS256 secret, at least 32 bytes.
    pub secret: Vec<u8>,
    /// Required `iss`.
    pub issuer: String,
    /// Required `aud`.
    pub audience: String,
    /// Tolerated clock difference. Default 30 s.
    pub leeway: Duration,
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// `[journal]`
#[derive(Clone, Debug)]
pub struct Journal {
    /// Only `memory` so far.
    pub kind: JournalKind,
    /// Bytes of all threads together; beyond it finished threads go, least recently written first. Default 256 MiB.
    pub max_bytes: usize,
    /// Events that one thread keeps for resuming; older ones live on as messages. Default 8,192.
    pub max_events_per_thread: usize,
    /// Messages that one thread keeps. Default 1,000.
    pub max_messages_per_thread: usize,
    /// For backends on disk.
    pub path: Option<PathBuf>,
}

/// Which journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalKind {
    /// In this process; gone with it.
    Memory,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A filter as of `tracing_subscriber::EnvFilter`. Default `info`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
