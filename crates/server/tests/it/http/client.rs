//! An HTTP client that sees every byte, and reads only when it is told to.

use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::{Doors, KEY, soon};
use crate::record;

/// A request to be made.
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    receive_buffer: Option<u32>,
    connection: &'static str,
}

impl Ask {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            receive_buffer: None,
            connection: "close",
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new("POST", path).body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body in chunks that says nothing of its length.
    pub(crate) fn chunked(self, chunks: impl Into<Vec<u8>>) -> Self {
        self.header("transfer-encoding", "chunked").body(chunks)
    }

    /// On a connection that stays for further requests.
    pub(crate) fn kept_alive(mut self) -> Self {
        self.connection = "keep-alive";
        self
    }

    /// With a token of this user.
    pub(crate) fn by(self, gateway: &Doors, user: &str) -> Self {
        let token = gateway.token(user);
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With the key of an operator who may change things.
    pub(crate) fn by_operator(self) -> Self {
        self.header("authorization", format!("Bearer {KEY}"))
    }

    /// On a socket whose kernel takes little.
    pub(crate) fn with_receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sends it to the user listener and reads the head of the answer.
    pub(crate) async fn send(self, gateway: &Doors) -> Answer {
        let mut answer = self.start(gateway).await;
        answer.read_head().await;
        answer
    }

    /// Sends it to the admin listener.
    pub(crate) async fn send_to_admin(self, gateway: &Doors) -> Answer {
        let doors = Doors { address: gateway.admin, admin: gateway.admin };
        self.send(&doors).await
    }

    /// Sends it and reads nothing.
    pub(crate) async fn start(self, gateway: &Doors) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let mut socket = soon(socket.connect(gateway.address)).await.unwrap();
        record::address(&self.path);
        self.headers.iter().for_each(|(name, value)| record::header(name, value));
        serde_json::from_slice(&self.body).iter().for_each(record::said);
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: {}\r\n", self.method, self.path, self.connection);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head.push_str("host: test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.headers.iter().any(|(name, _)| ["content-length", "transfer-encoding"].contains(&name.as_str())) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        soon(socket.write_all(format!("{head}\r\n").as_bytes())).await.unwrap();
        // A body that is too large is answered and the connection closed before all of it is written.
        let _ = soon(socket.write_all(&self.body)).await;
        Answer { socket, unread: Vec::new(), text: String::new(), status: 0, head: String::new() }
    }
}

/// An answer, as far as it was read.
pub(crate) struct Answer {
    socket: TcpStream,
    unread: Vec<u8>,
    /// The body that was read and not handed out yet.
    text: String,
    pub(crate) status: u16,
    pub(crate) head: String,
}

/// One server-sent event, or a comment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sse {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
    pub(crate) comment: Option<String>,
    /// In milliseconds.
    pub(crate) retry: Option<u64>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| line.split_once(": ").is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| value(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    /// Sends more of the body.
    pub(crate) async fn send_more(&mut self, bytes: &[u8]) {
        soon(self.socket.write_all(bytes)).await.unwrap();
    }

    /// Reads the head of an answer that was only started.
    pub(crate) async fn catch_up(&mut self) {
        self.read_head().await;
    }

    async fn read_head(&mut self) {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            assert!(self.read().await, "the connection ended in the head of the answer");
        };
        self.head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
        self.status = self.head.split(' ').nth(1).unwrap().parse().unwrap();
    }

    async fn read(&mut self) -> bool {
        soon(self.socket.read_buf(&mut self.unread)).await.unwrap_or(0) > 0
    }

    /// Reads the next chunk of the body into `text`; false at its end, which has to be the proper one.
    async fn read_chunk(&mut self) -> bool {
        loop {
            if let Some(end) = self.unread.windows(2).position(|bytes| bytes == b"\r\n") {
                let length = usize::from_str_radix(std::str::from_utf8(&self.unread[..end]).unwrap(), 16).unwrap();
                if self.unread.len() >= end + 2 + length + 2 {
                    let chunk: Vec<u8> = self.unread.drain(..end + 2 + length + 2).collect();
                    self.text.push_str(std::str::from_utf8(&chunk[end + 2..end + 2 + length]).unwrap());
                    return length > 0;
                }
            }
            assert!(self.read().await, "the answer was cut: {}", self.text);
        }
    }

    /// Lets so many bytes pass, a few at each tick: a thin line that never stands still. Nothing is parsed from here on.
    pub(crate) async fn trickle(&mut self, bytes: usize, at_a_tick: usize, tick: Duration) {
        let mut ticks = tokio::time::interval(tick);
        let mut passed = 0;
        while passed < bytes {
            ticks.tick().await;
            let enough = (passed + at_a_tick).min(bytes);
            while passed < enough {
                assert!(self.read().await, "cut after {passed} bytes");
                passed += self.unread.len();
                self.unread.clear();
            }
        }
    }

    /// Reads on until these bytes have come, whatever they belong to.
    pub(crate) async fn read_until(&mut self, bytes: &str) {
        while !self.unread.windows(bytes.len()).any(|window| window == bytes.as_bytes()) {
            assert!(self.read().await, "cut before {bytes}");
        }
    }

    /// Waits until the connection ends, and expects nothing more on it.
    pub(crate) async fn end(&mut self) {
        self.unread.clear();
        while self.read().await {}
    }

    /// The rest of the body, as it came.
    pub(crate) async fn rest(&mut self) -> String {
        if self.header("transfer-encoding") == Some("chunked") {
            while self.read_chunk().await {}
        } else {
            while self.read().await {}
            self.text.push_str(&String::from_utf8(std::mem::take(&mut self.unread)).unwrap());
        }
        std::mem::take(&mut self.text)
    }

    /// The body as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        let text = self.rest().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next event or comment; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Sse> {
        while !self.text.contains("\n\n") {
            if !self.read_chunk().await {
                assert_eq!(self.text, "", "the last event has no end");
                return None;
            }
        }
        let end = self.text.find("\n\n").unwrap();
        let block: String = self.text.drain(..end + 2).collect();
        Some(parse(&block))
    }

    /// All events that follow, comments aside.
    pub(crate) async fn events(&mut self) -> Vec<Sse> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            if event.comment.is_none() {
                events.push(event);
            }
        }
        events
    }

    /// Reads on to the first event of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Sse {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if event.data["type"] == kind {
                return event;
            }
        }
    }

    /// Goes with RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn parse(block: &str) -> Sse {
    let mut event = Sse::default();
    for line in block.trim_end_matches('\n').split('\n') {
        match line.split_once(": ").unwrap_or_else(|| panic!("no line of ours: {line:?}")) {
            ("", comment) => event.comment = Some(comment.to_owned()),
            ("data", data) => event.data = serde_json::from_str(data).unwrap(),
            ("event", name) => event.name = Some(name.to_owned()),
            ("id", id) => event.id = Some(id.to_owned()),
            ("retry", wait) => event.retry = Some(wait.parse().unwrap()),
            (field, _) => panic!("we send no field {field:?}"),
        }
    }
    event
}
