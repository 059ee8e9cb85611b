//! From an accepted socket to HTTP: for whom is it, is it encrypted, and how often does he come.
//!
//! ```text
//!  accepted ─► PROXY header (of trusted proxies) ─► TLS handshake ─► HTTP/1.1 ─► request, with a Visitor and a Seat
//!     '──────── server.handshake_timeout ──────────────────'          '─ server.header_timeout
//! ```

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::HeaderMap;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use lychgate_core::Time;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::forwarded;
use super::pool::Seat;
use super::proxy::{OnBehalfOf, ProxyFault, read_header};
use super::rates::Rates;
use super::stream::Stream;
use super::tls::Certificates;
use super::visitor::Visitor;
use crate::config;
use crate::driver::{Overload, come_back_after};

/// What every connection of a listener passes.
pub(super) struct Threshold {
    pub(super) server: config::Server,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) rates: Arc<Rates>,
    pub(super) http: http1::Builder,
    pub(super) router: Router,
    pub(super) stop: CancellationToken,
    /// No seat was left.
    pub(super) full: Overload,
    pub(super) origin: Instant,
}

impl Threshold {
    /// Notes that there is no seat for somebody; answers when he is to come back.
    pub(super) fn turned_out(&self) -> Duration {
        let now = Time::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX));
        self.full.measure(now, true);
        come_back_after(self.full.lasting(now).unwrap_or_default())
    }
}

/// Why a connection never came to HTTP.
#[derive(Debug, thiserror::Error)]
enum Unready {
    #[error(transparent)]
    Proxy(#[from] ProxyFault),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
}

/// One connection: who is on it now.
struct Visit {
    threshold: Arc<Threshold>,
    party: Party,
    seat: Seat,
    /// Behind a proxy each request may be somebody else's.
    visitor: Mutex<Option<Visitor>>,
}

/// Who is at the other end, before any request.
#[derive(Clone, Copy)]
struct Party {
    /// Whom the socket is from, or whom the PROXY header named.
    address: SocketAddr,
    /// It is a proxy of ours, whose requests may be for others.
    speaks_for_others: bool,
}

/// Serves one connection to its end, or until an upgrade takes it away.
pub(super) async fn serve(threshold: Arc<Threshold>, socket: TcpStream, from: SocketAddr, seat: Seat) {
    let ready = tokio::select! {
        ready = timeout(threshold.server.handshake_timeout, make_ready(&threshold, socket, from, &seat)) => ready,
        () = threshold.stop.cancelled() => return,
    };
    match ready {
        Ok(Ok((stream, party))) => serve_http(Visit::new(threshold, party, seat), stream).await,
        Ok(Err(fault @ (Unready::Tls(_) | Unready::Proxy(ProxyFault::Silent)))) => {
            tracing::debug!(peer = %from, %fault, "closed before HTTP");
        }
        // A trusted proxy that does not speak as it was configured to keeps all of its clients out.
        Ok(Err(Unready::Proxy(fault))) => tracing::warn!(peer = %from, %fault, "a connection of a proxy was closed"),
        Err(_) => tracing::debug!(peer = %from, "closed: the handshake took too long"),
    }
}

/// Everything before HTTP.
async fn make_ready(
    threshold: &Threshold,
    mut socket: TcpStream,
    from: SocketAddr,
    seat: &Seat,
) -> Result<(Stream, Party), Unready> {
    let server = &threshold.server;
    let party = |address: SocketAddr| Party { address, speaks_for_others: server.trusts(address.ip()) };
    let party = match server.proxy_protocol && server.trusts(from.ip()) {
        true => match read_header(&mut socket).await? {
            OnBehalfOf::Itself => party(from),
            OnBehalfOf::Client(address) => party(address),
            // All of them are one crowd, and what their requests say of their origin is their own word.
            OnBehalfOf::Somebody => Party { address: from, speaks_for_others: false },
        },
        false => party(from),
    };
    // At once, or all who are in their TLS handshake would be the balancer's one crowd.
    seat.comes_from(party.address.ip());
    let stream = match &threshold.certificates {
        None => Stream::Plain(socket),
        // A future of several kilobytes, for nodes with TLS alone.
        Some(certificates) => {
            Stream::Tls(Box::new(Box::pin(certificates.acceptor().accept(socket)).await.map_err(Unready::Tls)?))
        }
    };
    Ok((stream, party))
}

async fn serve_http(visit: Visit, stream: Stream) {
    let threshold = Arc::clone(&visit.threshold);
    let peer = visit.party.address;
    let router = TowerToHyperService::new(threshold.router.clone());
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let visitor = visit.visitor(request.headers());
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(SocketAddr::new(visitor.address(), peer.port())));
        extensions.insert(visitor);
        extensions.insert(visit.seat.clone());
        let response = router.call(request.map(Body::new));
        async move { Ok::<_, Infallible>(response.await.unwrap_or_else(|never| match never {})) }
    });
    let mut connection = pin!(threshold.http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = threshold.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "the HTTP connection ended early");
    }
}

impl Visit {
    fn new(threshold: Arc<Threshold>, party: Party, seat: Seat) -> Self {
        let visit = Self { threshold, party, seat, visitor: Mutex::new(None) };
        // Whoever speaks for others is looked at when he says for whom.
        if !party.speaks_for_others {
            *visit.lock() = Some(visit.greet(party.address.ip()));
        }
        visit
    }

    /// Whose request this is.
    fn visitor(&self, headers: &HeaderMap) -> Visitor {
        let own = self.party.address.ip();
        let address = match self.party.speaks_for_others {
            true => forwarded::client(headers, &self.threshold.server).unwrap_or(own),
            false => own,
        };
        let mut last = self.lock();
        match &*last {
            Some(visitor) if visitor.address() == address => visitor.clone(),
            Some(_) | None => last.insert(self.greet(address)).clone(),
        }
    }

    /// Counts a connect. A proxy of ours is no crowd, however many clients it has.
    fn greet(&self, address: IpAddr) -> Visitor {
        self.seat.comes_from(address);
        let retry_in = match self.party.speaks_for_others && self.threshold.server.trusts(address) {
            true => None,
            false => self.threshold.rates.connect(address),
        };
        Visitor::new(address, retry_in, Arc::clone(&self.threshold.rates))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Visitor>> {
        self.visitor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
