//! An endpoint of the OpenAI protocol on loopback that says as much of its answer as the test lets it, and no more.
//!
//! ```text
//! test --allow(n)--> endpoint --"1 " "2 " ... "n "--> gateway
//! ```
//!
//! Every piece of an answer is its own number: a copy of the text shows at a glance what is missing, twice, or out of order.

use std::io::Write as _;
use std::ops::Range;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;

/// A running endpoint; every request is answered from the first piece on. It ends with the test's runtime.
pub(super) struct Backend {
    pub(super) url: String,
    allowed: watch::Sender<usize>,
    asked: watch::Receiver<usize>,
    answer: Answer,
}

/// What it says to everybody.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    /// Pieces of a whole answer.
    pub(super) pieces: usize,
    /// Bytes that each piece is filled up to.
    pub(super) width: usize,
}

impl Answer {
    fn piece(self, number: usize) -> String {
        format!("{:<width$} ", number, width = self.width)
    }

    /// The first `count` pieces, joined.
    pub(super) fn text(self, count: usize) -> String {
        (1..=count).map(|number| self.piece(number)).collect()
    }
}

impl Backend {
    /// Starts one that says nothing yet.
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (allowed, allowance) = watch::channel(0);
        let (asks, asked) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer, allowance.clone(), asks.clone()));
            }
        });
        Self { url, allowed, asked, answer }
    }

    /// How many requests it was sent.
    pub(super) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// From now on every answer may go on to this piece.
    pub(super) fn allow(&self, pieces: usize) {
        self.allowed.send_replace(pieces);
    }

    /// Allows so many more pieces one after the other, while others go on with what they do.
    pub(super) async fn trickle(&self, more: Range<usize>) {
        for piece in more {
            self.allow(piece + 1);
            yield_now().await;
        }
    }

    /// Every answer may go on to its end.
    pub(super) fn allow_all(&self) {
        self.allow(self.answer.pieces);
    }
}

/// Whoever hangs up is not our concern: the gateway of these tests is killed.
async fn serve(
    mut socket: TcpStream,
    answer: Answer,
    mut allowed: watch::Receiver<usize>,
    asks: watch::Sender<usize>,
) -> Option<()> {
    read_request(&mut socket).await?;
    asks.send_modify(|asked| *asked += 1);
    socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n").await.ok()?;
    let mut said = 0;
    while said < answer.pieces {
        let allowed = *allowed.wait_for(|allowed| *allowed > said).await.ok()?;
        let mut bytes = Vec::new();
        for number in said + 1..=allowed.min(answer.pieces) {
            let chunk = json!({"choices": [{"index": 0, "delta": {"content": answer.piece(number)}}]});
            write!(bytes, "data: {chunk}\n\n").ok()?;
            said = number;
        }
        socket.write_all(&bytes).await.ok()?;
    }
    socket.write_all(b"data: [DONE]\n\n").await.ok()
}

/// To the end of the body: an answer to half a request would be a reset to whoever still writes.
async fn read_request(socket: &mut TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
        if body.len() >= length {
            return Some(());
        }
    }
}
