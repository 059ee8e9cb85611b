//! An issuer that publishes its keys on loopback, and behaves or does not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::soon;

/// What it answers with.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These keys.
    Keys(String),
    /// Nothing, ever; the connection stays open.
    Silence,
    /// It is down: whoever connects is hung up on.
    HangUp,
    /// Another address.
    Elsewhere(String),
    /// So many bytes of JSON, which it announces, or not.
    Bytes { count: usize, announced: bool },
}

/// What it saw.
#[derive(Default)]
struct Seen {
    /// The first line of each request.
    requests: Vec<String>,
    /// Bytes of bodies that were taken from it.
    taken: usize,
}

/// One issuer. Dropping it takes it down.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    seen: watch::Sender<Seen>,
    since: Instant,
    _task: AbortOnDropHandle<()>,
}

impl Provider {
    pub(crate) async fn start(answer: Answer) -> Self {
        let since = Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, seen) = (Arc::new(Mutex::new(answer)), watch::Sender::default());
        let (answers, sees) = (Arc::clone(&answer), seen.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, Arc::clone(&answers), sees.clone()));
            }
        });
        Self { address, answer, seen, since, _task: AbortOnDropHandle::new(task) }
    }

    /// The line of the configuration that names it.
    pub(crate) fn line(&self, issuer: &str) -> String {
        format!(r#"auth.issuers.{issuer}.jwks_url = "http://{}/jwks.json""#, self.address)
    }

    pub(crate) fn now(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.borrow().requests.clone()
    }

    pub(crate) fn taken(&self) -> usize {
        self.seen.borrow().taken
    }

    /// It was asked as often as that.
    pub(crate) async fn asked(&self, times: usize) {
        let mut seen = self.seen.subscribe();
        drop(soon(seen.wait_for(|seen| seen.requests.len() >= times)).await.unwrap());
    }

    /// Fails if it was asked more than once in 10 s. Whoever asks with 10 s between asks at most so often since the start.
    pub(crate) fn was_left_in_peace(&self) {
        let most = self.since.elapsed().as_secs() / 10 + 1;
        let requests = self.requests().len() as u64;
        assert!(requests <= most, "asked {requests} times; at most {most} are right");
    }
}

async fn serve(mut socket: TcpStream, answer: Arc<Mutex<Answer>>, seen: watch::Sender<Seen>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    seen.send_modify(|seen| seen.requests.push(first));
    let answer = answer.lock().unwrap().clone();
    let ok = |length: String| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}Connection: close\r\n\r\n")
    };
    let (head, body) = match answer {
        Answer::Keys(keys) => (ok(format!("Content-Length: {}\r\n", keys.len())), keys),
        Answer::Silence => return std::future::pending().await,
        Answer::HangUp => return,
        Answer::Elsewhere(url) => {
            (format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"), String::new())
        }
        Answer::Bytes { count, announced } => {
            let length = if announced { format!("Content-Length: {count}\r\n") } else { String::new() };
            (ok(length), format!("{{\"keys\":[\"{}\"]}}", "x".repeat(count - 13)))
        }
    };
    if socket.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    for piece in body.as_bytes().chunks(1024) {
        match socket.write(piece).await {
            Ok(written) if written == piece.len() => seen.send_modify(|seen| seen.taken += written),
            Ok(_) | Err(_) => return,
        }
    }
}
