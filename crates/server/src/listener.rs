//! Our own accept loop: everything is bounded before anybody has said who he is.
//!
//! ```text
//!  accept ─► seat in the Pool ─► PROXY, TLS ─► rate of the address ─► HTTP/1.1 under a header deadline ─► axum::Router
//!     │           └─ full: a stranger of the largest crowd goes          └─ upgrade: the socket leaves HTTP, the seat stays
//!     └─ out of descriptors: pause, longer each time
//! ```
//!
//! `axum::serve` sets no header deadline, so that a silent socket would stay for ever (hazard R22), and forgets upgraded
//! sockets at shutdown (hazard R23). Here every task sits on a [`Seat`], and [`Listener::serve`] returns when all have
//! ended.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::driver::Overload;

mod arrival;
mod backoff;
mod forwarded;
mod pool;
pub mod proxy;
mod rates;
mod stream;
mod tls;
mod visitor;

use arrival::Threshold;
use backoff::AcceptBackoff;
pub(crate) use pool::Known;
pub use pool::{Occupancy, Pool, Seat};
pub use rates::{Credential, Rates};
pub use stream::Stream;
pub use tls::{Certificates, Reloaded};
pub use visitor::Visitor;

/// Room for a request's head, a token among its headers included (hazard R31).
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Connections that the kernel completes before we accept them. The standard library's 128 overflow in a storm, and
/// whoever comes then waits a second for his next try.
const BACKLOG: i32 = 1024;

/// After the first question of the kernel's keepalive: how often more, and after what share of the silence each.
const KEEPALIVE_RETRIES: u32 = 4;

/// What a full node says to somebody whom it cannot even give a seat.
fn full(retry_in: Duration) -> String {
    let millis = retry_in.as_millis();
    let body = format!(r#"{{"type":"error","code":"overload","message":"This node is full.","retry_in":{millis}}}"#);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        millis.div_ceil(1000),
        body.len(),
    )
}

/// Binds a listening socket that a storm of connects does not overflow.
///
/// # Errors
/// What the kernel says, for example that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A bound socket and the connections that came through it.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    server: config::Server,
    liveness: config::Liveness,
    certificates: Option<Arc<Certificates>>,
    pool: Arc<Pool>,
}

impl Listener {
    /// Takes a socket that is bound and listens already, so that the caller knows its port. Every connection that it
    /// accepts is watched by the kernel as `liveness` says. Speaks TLS where `server.tls` is set. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// What the kernel says about the socket; [`io::ErrorKind::InvalidData`] when the files of `server.tls` are broken.
    pub fn new(
        socket: std::net::TcpListener,
        server: &config::Server,
        liveness: &config::Liveness,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let broken = |fault| io::Error::new(io::ErrorKind::InvalidData, fault);
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            server: server.clone(),
            liveness: liveness.clone(),
            certificates: server.tls.clone().map(Certificates::new).transpose().map_err(broken)?,
            pool: Pool::new(server.max_unidentified, max_connections(server.max_descriptor_percent)),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What it shows in the TLS handshake, to be reloaded on demand; none where it is plain.
    #[must_use]
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// The connections, for metrics.
    #[must_use]
    pub fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Accepts and serves until `stop`, then closes the listening socket and waits until every connection has ended,
    /// for `grace` at most; what is left then is ended. Whoever owns the WebSockets closes them meanwhile, with a code
    /// that says when to come back (hazard R11).
    ///
    /// Every request carries [`ConnectInfo<SocketAddr>`], its [`Visitor`] and its [`Seat`] as extensions; the address is
    /// that of the client, also behind a trusted proxy.
    ///
    /// [`ConnectInfo<SocketAddr>`]: axum::extract::ConnectInfo
    pub async fn serve(self, router: Router, stop: CancellationToken, grace: Duration) {
        let Self { socket, server, liveness, certificates, pool } = self;
        // Not hyper-util's `auto::Builder`: with upgrades it waits for the first bytes to tell HTTP/1 from HTTP/2, even
        // when only HTTP/1 is allowed, and under no deadline at all (hazard R22).
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(server.header_timeout)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_HEAD_BYTES);
        if let Some(certificates) = &certificates {
            tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(certificates).watch()));
        }
        let rates = Rates::new(server.connects_per_second_per_address);
        let (full, origin) = (Overload::default(), Instant::now());
        let threshold =
            Arc::new(Threshold { server, certificates, rates, http, router, stop: stop.clone(), full, origin });
        let mut backoff = AcceptBackoff::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff.reset();
                    if let Err(error) = set_options(&stream, &liveness) {
                        // It only fails on a socket that is gone already.
                        tracing::debug!(%peer, %error, "socket options");
                        continue;
                    }
                    admit(&pool, stream, peer, &threshold);
                }
                Err(error) => {
                    if let Some(pause) = backoff.pause_after(&error) {
                        tokio::select! {
                            () = stop.cancelled() => break,
                            () = sleep(pause) => {}
                        }
                    }
                }
            }
        }
        drop(socket);
        let ended = pool.close(grace).await;
        if ended > 0 {
            tracing::warn!(connections = ended, "connections were ended because they outlived the drain");
        }
    }
}

/// Gives the connection a seat and a task, or tells it that the node is full.
fn admit(pool: &Arc<Pool>, stream: TcpStream, peer: SocketAddr, threshold: &Arc<Threshold>) {
    let Some(seat) = pool.take_seat(peer.ip()) else {
        // Best effort: whoever does not get these bytes, or expects TLS, sees a closed connection.
        let _ = stream.try_write(full(threshold.turned_out()).as_bytes());
        tracing::debug!(%peer, "refused: every connection of this node is identified, and the node is full");
        return;
    };
    seat.spawn(arrival::serve(Arc::clone(threshold), stream, peer, seat.clone()));
}

/// Has the kernel send at once, and watch the connection: it notices what no heartbeat reaches, such as a request that
/// is never finished, and what the gate has no record of any more.
fn set_options(stream: &TcpStream, liveness: &config::Liveness) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // Frames are gathered before they are written; what is written should leave.
    socket.set_tcp_nodelay(true)?;
    let again = (liveness.tcp_keepalive / KEEPALIVE_RETRIES).max(Duration::from_secs(1));
    let keepalive =
        TcpKeepalive::new().with_time(liveness.tcp_keepalive).with_interval(again).with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(liveness.tcp_user_timeout))?;
    Ok(())
}

/// The share of the process's descriptor limit that connections may take: the rest is for files, agents and peers.
#[must_use]
pub fn max_connections(percent: usize) -> usize {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(percent) / 100,
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_node_answers_whole_http_with_a_time_to_come_back() {
        let answer = full(Duration::from_millis(7_300));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 8\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&error["code"], &error["retry_in"]), (&"overload".into(), &7_300.into()));
    }
}
