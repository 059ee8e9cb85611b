//! What lies between a node and Redis, so that it can be slow, silent or cut for that node alone.
//!
//! ```text
//! node --> Proxy (a task for each connection, bounded) --Line--> redis-server
//! ```
//!
//! What is sent into silence is not lost: it arrives when the line is open again, as TCP repeats it. A command that is late
//! is what tombstones are for.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Connections at a time; a gateway needs a handful.
const MOST: usize = 64;

/// Pieces that are under way in one direction.
const UNDER_WAY: usize = 64;

/// Bytes of a piece.
const PIECE: usize = 16 << 10;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It carries.
    Open,
    /// It carries after so long, in each direction.
    Slow(Duration),
    /// It carries nothing, and says nothing about it.
    Silent,
    /// Connections are reset, and so are new ones.
    Cut,
}

/// A line to a server, from a port of its own. Dropping it resets all connections.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A line that is open.
    ///
    /// # Errors
    /// When there is no free port.
    pub(super) async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (line, lines) = watch::channel(Line::Open);
        Ok(Self { address, line, task: tokio::spawn(serve(listener, server, lines)) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, line: watch::Receiver<Line>) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if carried.len() < MOST => {
                if let Ok((node, _)) = accepted {
                    carried.spawn(carry(node, server, line.clone()));
                }
            }
            Some(_) = carried.join_next() => {}
        }
    }
}

/// One connection, until either end closes it or the line is cut.
async fn carry(mut node: TcpStream, server: SocketAddr, line: watch::Receiver<Line>) {
    let mut cuts = line.clone();
    let connected = TcpStream::connect(server).await.ok().filter(|_| *line.borrow() != Line::Cut);
    let Some(mut server) = connected else {
        // A reset, as from a port where nobody listens. Where it cannot be set the connection is closed all the same.
        drop(node.set_zero_linger());
        return;
    };
    for stream in [&node, &server] {
        // Slower without it, and right all the same.
        drop(stream.set_nodelay(true));
    }
    let is_cut = {
        let (from_node, to_node) = node.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            _ = cuts.wait_for(|line| *line == Line::Cut) => true,
            () = pump(from_node, to_server, line.clone()) => false,
            () = pump(from_server, to_node, line.clone()) => false,
        }
    };
    if is_cut {
        [&node, &server].into_iter().for_each(|stream| drop(stream.set_zero_linger()));
    }
}

/// One direction, until its end.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, line: watch::Receiver<Line>) {
    let (sent, mut under_way) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY);
    let mut lines = line.clone();
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let delay = match *line.borrow() {
                Line::Slow(delay) => delay,
                Line::Open | Line::Silent | Line::Cut => Duration::ZERO,
            };
            let piece = Bytes::copy_from_slice(&piece[..length]);
            if sent.send((Instant::now() + delay, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = under_way.recv().await {
            sleep_until(due).await;
            let is_over = lines.wait_for(|line| *line != Line::Silent).await.is_err();
            if is_over || to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::super::redis::{Line as Connection, Redis};
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_silent_line_carries_late_what_was_sent_and_a_cut_one_nothing() {
        let redis = Redis::start().await.unwrap();
        let proxy = Proxy::start(redis.address()).await.unwrap();
        let mut connection = Connection::open(proxy.address()).await.unwrap();
        assert_eq!(connection.ask(&["PING"]).await.unwrap(), ["PONG"]);
        proxy.set(Line::Silent);
        let mut asked = Box::pin(connection.ask(&["INCR", "n"]));
        assert!(timeout(Duration::from_millis(100), &mut asked).await.is_err(), "the line is silent");
        proxy.set(Line::Open);
        assert_eq!(asked.await.unwrap(), ["1"]);
        proxy.set(Line::Cut);
        assert!(connection.ask(&["PING"]).await.is_err());
        let late = async { Connection::open(proxy.address()).await?.ask(&["PING"]).await };
        assert!(late.await.is_err());
    }

    #[tokio::test]
    async fn a_slow_line_takes_as_long_in_each_direction() {
        let redis = Redis::start().await.unwrap();
        let proxy = Proxy::start(redis.address()).await.unwrap();
        let mut connection = Connection::open(proxy.address()).await.unwrap();
        proxy.set(Line::Slow(Duration::from_millis(30)));
        let begun = Instant::now();
        assert_eq!(connection.ask(&["PING"]).await.unwrap(), ["PONG"]);
        assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
    }
}
