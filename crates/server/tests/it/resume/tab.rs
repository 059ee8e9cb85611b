//! A tab as a careful client writes it: it remembers what it has processed, and goes on from there however it was cut.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::stage::Random;
use crate::gateway::{Client, Doors};
use crate::golden_path::told;

/// Events that a tab with heartbeat `app` processes before it acknowledges them.
const ACK_EVERY: u64 = 16;

/// How a tab loses its socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// RST: the machine crashed and came back.
    Reset,
    /// A close frame, as when a page is left.
    Close,
    /// FIN without a close frame: the process was ended.
    Vanish,
    /// Nothing at all: the network is gone. The socket stays, and nobody reads from it or answers on it.
    Silence,
}

const CUTS: [Cut; 4] = [Cut::Reset, Cut::Close, Cut::Vanish, Cut::Silence];

/// How far a tab gets before it is cut again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// It said hello.
    Hello,
    /// It asked to open, and heard nothing.
    OpenAsked,
    /// It was told where it stands, asked again, and heard nothing.
    Opened,
    /// It heard the answer up to this piece.
    Piece(usize),
}

/// One tab with one question.
pub(super) struct Tab {
    doors: Doors,
    user: &'static str,
    thread: String,
    question: Value,
    client: Option<Client>,
    /// The connection before, for `prev`.
    prev: Value,
    pub(super) epoch: Value,
    is_acknowledging: bool,
    /// Whether it asks again on every socket, answered or not.
    pub(super) insists: bool,
    /// The last offset that it has processed.
    pub(super) after: u64,
    /// Everything that it was given of the run that it asked for, in order.
    pub(super) events: Vec<Value>,
    text: String,
    /// Sockets that went silent.
    silent: Vec<Client>,
}

impl Tab {
    /// One that has not connected yet.
    pub(super) fn new(doors: Doors, user: &'static str, question: Value) -> Self {
        Self {
            doors,
            user,
            thread: question["thread"].as_str().unwrap().to_owned(),
            question,
            client: None,
            prev: Value::Null,
            epoch: Value::Null,
            is_acknowledging: false,
            insists: false,
            after: 0,
            events: Vec::new(),
            text: String::new(),
            silent: Vec::new(),
        }
    }

    /// Connects, opens from where it left off, asks again what is not answered, and hears as much as it is to.
    pub(super) async fn join(&mut self, random: &mut Random, progress: Progress) {
        let mut hello = json!({"type": "hello"});
        // Some name the socket that they replace, and some were loaded anew and know of none.
        if random.below(2) == 0 && !self.prev.is_null() {
            hello["prev"] = self.prev.take();
        }
        self.is_acknowledging = random.below(2) == 0;
        if self.is_acknowledging {
            hello["heartbeat"] = json!("app");
        }
        let client = self.doors.connect_with(self.user, hello).await;
        self.prev = client.hello["connection"].clone();
        self.client = Some(client);
        match progress {
            Progress::Hello => {}
            Progress::OpenAsked => self.ask_to_open().await,
            Progress::Opened => self.open().await,
            Progress::Piece(number) => {
                self.open().await;
                while !self.text.split_whitespace().any(|word| word == number.to_string()) {
                    self.hear().await;
                }
            }
        }
    }

    /// The gateway is gone, and another one is here. All sockets are lost.
    pub(super) fn moves(&mut self, doors: Doors) {
        self.doors = doors;
        self.client = None;
        self.silent.clear();
    }

    /// Asks this next; the run before is over.
    pub(super) fn asks(&mut self, question: Value) {
        self.question = question;
        self.events.clear();
        self.text.clear();
    }

    /// Loses its socket.
    pub(super) async fn cut(&mut self, random: &mut Random) {
        let client = self.client.take().unwrap();
        match CUTS[random.below(CUTS.len())] {
            Cut::Reset => client.reset(),
            Cut::Close => client.close().await,
            Cut::Vanish => drop(client),
            Cut::Silence => self.silent.push(client),
        }
    }

    /// Hears the rest of the answer.
    pub(super) async fn hear_out(&mut self) {
        while !self.is_over() {
            self.hear().await;
        }
    }

    /// Hears on until its session is taken away, and its socket with it.
    pub(super) async fn hear_eviction(&mut self) {
        loop {
            let frame = self.client.as_mut().unwrap().expect_one_of(&["event", "closed"]).await;
            match frame["type"] == "closed" {
                true => {
                    break assert_eq!(
                        (&frame["reason"], &frame["reconnect"]),
                        (&json!("evicted"), &json!("on_demand"))
                    );
                }
                false => self.take(frame).await,
            }
        }
        let reason = self.client.take().unwrap().expect_close(4511).await;
        assert_eq!(reason["reason"], "evicted");
    }

    /// Whether it heard the end of its run.
    fn is_over(&self) -> bool {
        self.events.last().is_some_and(|frame| {
            let kind = frame["event"]["type"].as_str().unwrap();
            ["RUN_FINISHED", "RUN_ERROR"].contains(&kind)
        })
    }

    /// What it was told, adjacent pieces joined.
    pub(super) fn told(&self) -> Vec<Value> {
        told(&self.events)
    }

    async fn ask_to_open(&mut self) {
        let mut open = json!({"type": "open", "thread": self.thread});
        if !self.epoch.is_null() {
            open["after"] = json!(self.after);
            open["epoch"] = self.epoch.clone();
        }
        self.client.as_mut().unwrap().say(open).await;
    }

    async fn open(&mut self) {
        self.ask_to_open().await;
        let is_first = self.epoch.is_null();
        let client = self.client.as_mut().unwrap();
        let opened = client.expect("opened").await;
        assert_eq!(opened["reset"] == json!(true), is_first, "what is still held is never a reset: {opened}");
        self.epoch = opened["epoch"].clone();
        if !is_first {
            assert_eq!(opened["after"], self.after);
        }
        if self.insists || self.events.is_empty() {
            self.client.as_mut().unwrap().say(self.question.clone()).await;
        }
    }

    async fn hear(&mut self) {
        let frame = self.client.as_mut().unwrap().expect("event").await;
        self.take(frame).await;
    }

    async fn take(&mut self, frame: Value) {
        let before = std::mem::replace(&mut self.after, frame["offset"].as_u64().unwrap());
        let offset = self.after;
        assert!(offset > before, "{frame} after {before}");
        if self.is_acknowledging && offset / ACK_EVERY > before / ACK_EVERY {
            let ack = json!({"type": "ack", "at": {&*self.thread: offset}}).to_string();
            // The other side may have closed by now; what it sent before that is still read.
            let _sent = self.client.as_mut().unwrap().send(Message::text(ack)).await;
        }
        self.text.push_str(frame["event"]["delta"].as_str().unwrap_or_default());
        self.events.push(frame);
    }
}
