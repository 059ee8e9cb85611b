//! One tab: its registration, and the far end of its socket with everything that it was told.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use lychgate_core::{ConnectionId, End, Heartbeat, Proof, SessionKey, Sign, ThreadId, UserId};
use serde_json::Value;
use shuttle::thread;

use super::super::{Arrival, Registration};
use super::node::{ADDRESS, Node, PATIENCE};
use crate::outbox::Outbox;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime without threads");
}

/// Whether a tab answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    Answers,
    /// Half open: it reads and never says a word.
    Silent,
}

/// What a tab knows of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Asked,
    Open,
    Over,
}

pub(super) struct Tab {
    node: Arc<Node>,
    registration: Option<Registration>,
    pub(super) user: UserId,
    pub(super) id: ConnectionId,
    pub(super) manners: Manners,
    pub(super) outbox: Arc<Outbox>,
    peer: UnixStream,
    unread: Vec<u8>,
    greeted: bool,
    threads: BTreeMap<String, View>,
    /// Came over by `prev`: may be closed before it was opened.
    claim: Option<&'static str>,
    pings: usize,
    /// The close code with its reason, or none for a socket that was torn down.
    closed: Option<Option<(u16, String)>>,
}

impl Tab {
    /// Connects; with `prev` it replaces that connection and claims its thread.
    pub(super) fn connect(node: Arc<Node>, user: &str, n: u128, prev: Option<(u128, &'static str)>) -> Self {
        let (ours, peer) = UnixStream::pair().expect("a pair of sockets");
        for end in [&ours, &peer] {
            end.set_nonblocking(true).unwrap();
        }
        let (user, id) = (UserId::parse(user).unwrap(), ConnectionId::from_random(n));
        // The outbox writes to any connected stream; a pair of sockets needs no network and no accept.
        let stream = std::net::TcpStream::from(OwnedFd::from(ours));
        let stream = RUNTIME.with(|runtime| {
            let _context = runtime.enter();
            let stream = tokio::net::TcpStream::from_std(stream).unwrap();
            // From here on the runtime knows that it can be written to, and no schedule depends on when it learns so.
            runtime.block_on(stream.writable()).unwrap();
            stream
        });
        let outbox = Outbox::new(stream, 65_536);
        let arrival = Arrival {
            user: user.clone(),
            connection: id,
            prev: prev.map(|(prev, _)| ConnectionId::from_random(prev)),
            heartbeat: Heartbeat::Protocol,
            expires_in: None,
            plan: None,
            proof: Proof::default(),
            address: ADDRESS.into(),
            line: outbox.clone(),
        };
        let registration = Some(node.driver.connect(arrival));
        let (unread, threads) = (Vec::new(), BTreeMap::new());
        let mut tab = Self {
            node,
            registration,
            user,
            id,
            manners: Manners::Answers,
            outbox,
            peer,
            unread,
            greeted: false,
            threads,
            claim: prev.map(|(_, thread)| thread),
            pings: 0,
            closed: None,
        };
        tab.listen();
        assert!(tab.greeted || tab.closed.is_some(), "hello or a refusal is there when `connect` returns");
        tab
    }

    pub(super) fn key(&self, thread: &str) -> SessionKey {
        SessionKey::new(self.user.clone(), ThreadId::parse(thread).unwrap())
    }

    pub(super) fn registration(&self) -> &Registration {
        self.registration.as_ref().expect("the tab has not left")
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Asks for a session.
    pub(super) fn open(&mut self, thread: &str) {
        self.threads.insert(thread.to_owned(), View::Asked);
        self.node.ledger.asks(self.id, self.key(thread));
        let context = self.node.context(&self.user, self.id, thread);
        self.registration().open(context, None, None);
    }

    /// Lives on until the open is answered: opened, over, or the whole connection closed.
    pub(super) fn await_answer(&mut self, thread: &str) {
        let waits = |tab: &Self| tab.threads[thread] == View::Asked && tab.closed.is_none();
        self.live_while(&format!("{thread} is never answered (I3)"), waits);
    }

    /// Lives as long as the condition holds, which must not be for ever.
    pub(super) fn live_while(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut turns = 0;
        while holds(self) {
            turns += 1;
            assert!(turns < PATIENCE, "{what}");
            self.turn();
        }
    }

    /// Reads what came, and answers it.
    pub(super) fn turn(&mut self) {
        self.listen();
        let pings = std::mem::take(&mut self.pings);
        if pings > 0 && self.manners == Manners::Answers {
            self.registration().heard(Sign::Data);
        }
        thread::yield_now();
    }

    /// What the tab was told is what is true, at one moment in which nothing can change.
    pub(super) fn check(&mut self) {
        let node = self.node.clone();
        let user = self.user.clone();
        let _still = node.driver.shard(&user);
        self.listen();
        if self.closed.is_none() {
            for (thread, view) in &self.threads {
                let told = *view == View::Open;
                let is = node.ledger.is_attached(&self.key(thread), self.id);
                assert_eq!(told, is, "{thread} of {}: the tab was told {view:?}", self.user);
            }
        }
    }

    /// The tab's task ends; every path drops the registration.
    pub(super) fn leave(mut self, end: End) {
        let mut registration = self.registration.take().expect("a tab leaves once");
        registration.ended(end);
        drop(registration);
        self.outbox.leave();
        self.listen();
        let told = self.threads.values().all(|view| *view != View::Asked) || self.closed.is_some();
        // A refusal and an eviction come with words: a code that says whether to come back, and a reason (hazard R11).
        if let Some(Some((code, reason))) = &self.closed {
            assert!((1000..5000).contains(code) && reason.contains("\"reason\""), "{code} {reason}");
        }
        assert!(told || self.manners == Manners::Silent || end == End::Lost, "an open was never answered");
    }

    /// Reads everything that the driver has written.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        let gone = loop {
            match self.peer.read(&mut buffer) {
                Ok(0) => break true,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        while let Some((opcode, payload)) = self.next_frame() {
            self.hear(opcode, &payload);
        }
        if gone {
            self.closed.get_or_insert(None);
        }
    }

    /// Cuts the next frame off; the server's frames are not masked.
    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (opcode, short) = (*self.unread.first()? & 0x0f, usize::from(*self.unread.get(1)?));
        let (head, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes([*self.unread.get(2)?, *self.unread.get(3)?]))),
            _ => (2, short),
        };
        if self.unread.len() < head + length {
            return None;
        }
        let rest = self.unread.split_off(head + length);
        let frame = std::mem::replace(&mut self.unread, rest);
        Some((opcode, frame[head..].to_vec()))
    }

    fn hear(&mut self, opcode: u8, payload: &[u8]) {
        assert!(self.closed.is_none(), "a frame after the close frame");
        match opcode {
            0x1 => {
                let message: Value = serde_json::from_slice(payload).unwrap();
                self.hear_message(message["type"].as_str().unwrap(), &message);
            }
            0x8 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                self.closed = Some(Some((code, String::from_utf8(payload[2..].to_vec()).unwrap())));
            }
            0x9 => {}
            other => panic!("no frame of ours: opcode {other}"),
        }
    }

    fn hear_message(&mut self, kind: &str, message: &Value) {
        assert!(self.greeted || kind == "hello" || kind == "error", "{kind} before hello");
        match kind {
            "hello" => {
                assert_eq!(message["user"], self.user.as_str(), "hello for somebody else (I8)");
                assert_eq!(message["connection"], self.id.to_string(), "hello for another connection");
                assert!(!std::mem::replace(&mut self.greeted, true), "hello twice");
            }
            "ping" => self.pings += 1,
            "opened" => self.moves(message, View::Asked, View::Open),
            "closed" if self.claim.take_if(|claim| message["thread"] == **claim).is_some() => {}
            "closed" => self.moves(message, View::Open, View::Over),
            "error" => {
                assert!(!message["message"].as_str().unwrap().is_empty(), "an error without words");
                if let Some(thread) = message["thread"].as_str() {
                    self.threads.insert(thread.to_owned(), View::Over);
                }
            }
            "notice" | "event" => {}
            other => panic!("nobody says {other}"),
        }
    }

    /// What is said of a thread follows from what was said before; a thread that nobody asked for is somebody else's.
    fn moves(&mut self, message: &Value, from: View, to: View) {
        let thread = message["thread"].as_str().unwrap();
        self.claim.take_if(|claim| *claim == thread);
        let was = self.threads.insert(thread.to_owned(), to);
        assert_eq!(was, Some(from), "{message} to {} (I8, order)", self.user);
    }
}
