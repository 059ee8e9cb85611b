//! Frames of ours, read back: for routes that tell in another protocol what a session says in this one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a frame of ours says, borrowed from it.
#[derive(Debug)]
pub enum Told<'a> {
    /// The session is there, and where its events go on.
    Opened(Opened<'a>),
    /// One event of the log.
    Event(Event<'a>),
    /// The session is over for this reader.
    Closed(Closed<'a>),
    /// Something was refused.
    Error(Error<'a>),
    /// The open waits.
    Queued(Queued),
    /// The run waits for the one before it.
    RunQueued(RunQueued),
    /// The run is over already.
    RunEnded,
    /// The node is being drained: come back, elsewhere.
    Reconnect(Advice),
    /// Hello, pings, and advice that may be ignored.
    Other,
}

/// `opened`, less what concerns its client alone.
#[derive(Debug, Deserialize)]
pub struct Opened<'a> {
    /// The client's name for the open.
    #[serde(rename = "ref", borrow)]
    pub reference: Option<Cow<'a, str>>,
    /// The incarnation of the log.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// Events follow from here, exclusive.
    pub after: u64,
    /// The last offset of the log.
    pub head: u64,
    /// The run in flight.
    #[serde(borrow)]
    pub run: Option<Cow<'a, str>>,
    /// The reader replaces what it has.
    #[serde(default)]
    pub reset: bool,
    /// With `reset`: by these.
    #[serde(borrow)]
    pub messages: Option<&'a RawValue>,
    /// With `reset`: and by this.
    #[serde(borrow)]
    pub state: Option<&'a RawValue>,
    /// With `reset`: whether there are older ones.
    #[serde(default)]
    pub more: bool,
}

/// `event`.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// Its place in the log.
    pub offset: u64,
    /// The event, as it stands there.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// `closed`.
#[derive(Debug, Deserialize)]
pub struct Closed<'a> {
    /// Why, as a word of [`crate::close`].
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
    /// Milliseconds to wait before coming back.
    pub retry_in: Option<u64>,
}

/// `error`.
#[derive(Debug, Deserialize)]
pub struct Error<'a> {
    /// The run that it is about, if it is about one.
    #[serde(borrow)]
    pub run: Option<Cow<'a, str>>,
    /// One word of protocol.md rule 13.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Milliseconds to wait before trying again.
    pub retry_in: Option<u64>,
}

/// `notice queued`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Queued {
    /// 1 is next.
    pub position: usize,
    /// Milliseconds until it is served at the latest.
    pub deadline: u64,
}

/// `notice run_queued`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RunQueued {
    /// 1 is next.
    pub position: usize,
}

/// `notice reconnect`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Advice {
    /// Milliseconds to wait before coming back.
    pub retry_in: u64,
}

/// The fields that are read first.
#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
}

impl<'a> Told<'a> {
    /// Reads the payload of a text frame.
    ///
    /// # Errors
    /// It is no frame of ours.
    pub fn parse(payload: &'a [u8]) -> Result<Self, serde_json::Error> {
        let tag: Tag<'a> = serde_json::from_slice(payload)?;
        Ok(match (&*tag.kind, tag.code.as_deref()) {
            ("opened", _) => Self::Opened(serde_json::from_slice(payload)?),
            ("event", _) => Self::Event(serde_json::from_slice(payload)?),
            ("closed", _) => Self::Closed(serde_json::from_slice(payload)?),
            ("error", _) => Self::Error(serde_json::from_slice(payload)?),
            ("notice", Some("queued")) => Self::Queued(serde_json::from_slice(payload)?),
            ("notice", Some("run_queued")) => Self::RunQueued(serde_json::from_slice(payload)?),
            ("notice", Some("run_ended")) => Self::RunEnded,
            ("notice", Some("reconnect")) => Self::Reconnect(serde_json::from_slice(payload)?),
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Notice, Opened as OurOpened, Reconnect, Server};
    use super::*;

    fn limits() -> Limits {
        Limits { used: 1, limit: 20, level: "ok", reserve_until: None }
    }

    #[test]
    fn what_we_say_is_read_back_as_it_was_meant() {
        let opened = Server::Opened(OurOpened {
            thread: "t\"1",
            reference: Some("again"),
            epoch: "e\\1",
            after: 3,
            head: 9,
            run: Some("r1"),
            limits: limits(),
            reset: true,
            messages: Some(&[]),
            state: None,
            more: true,
        });
        let text = opened.to_json();
        let Told::Opened(read) = Told::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!((&*read.epoch, read.after, read.head, read.run.as_deref()), ("e\\1", 3, 9, Some("r1")));
        assert_eq!((read.reference.as_deref(), read.reset, read.more), (Some("again"), true, true));
        assert_eq!(read.messages.unwrap().get(), "[]");

        let text =
            Server::Notice(Notice::Queued { thread: "t1", reference: None, position: 2, deadline: 800 }).to_json();
        let Told::Queued(read) = Told::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!((read.position, read.deadline), (2, 800));

        let text = Server::Notice(Notice::RunQueued { thread: "t1", run: "r1", position: 3 }).to_json();
        let Told::RunQueued(read) = Told::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!(read.position, 3);

        let text = Server::Notice(Notice::RunEnded { thread: "t1", run: "r1" }).to_json();
        assert!(matches!(Told::parse(text.as_bytes()).unwrap(), Told::RunEnded));

        let text = Server::Notice(Notice::Reconnect { why: "draining", retry_in: 700, deadline: 9_000 }).to_json();
        let Told::Reconnect(read) = Told::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!(read.retry_in, 700);

        let closed = Server::Closed {
            thread: "t1",
            reference: None,
            reason: "evicted",
            reconnect: Reconnect::OnDemand,
            retry_in: None,
            message: Some("Made room."),
            level: None,
            evidence: None,
        };
        let text = closed.to_json();
        let Told::Closed(read) = Told::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!((&*read.reason, read.message.as_deref()), ("evicted", Some("Made room.")));

        for other in [Server::Ping, Server::Notice(Notice::Limit(limits()))] {
            assert!(matches!(Told::parse(other.to_json().as_bytes()).unwrap(), Told::Other));
        }
    }

    #[test]
    fn an_event_is_borrowed_letter_by_letter() {
        let text = br#"{"type":"event","thread":"t","offset":7,"event":{"type":"CUSTOM", "value": 1.0}}"#;
        let Told::Event(event) = Told::parse(text).unwrap() else { panic!("an event") };
        assert_eq!((event.offset, event.event.get()), (7, r#"{"type":"CUSTOM", "value": 1.0}"#));
    }
}
