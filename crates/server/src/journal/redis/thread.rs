//! What a thread is, as the scripts tell it, and its history up to the run in flight.

use std::collections::HashMap;
use std::sync::Arc;

use lychgate_core::{RunId, SessionKey};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::Failure;
use crate::journal::Entry;
use crate::journal::fold::{History, fold, surplus};
use crate::wire::Message;
use crate::wire::event::Event;

/// How much one thread may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_events: usize,
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
}

/// Events as a stream gives them: the id and its fields.
pub(super) type Events = Vec<(String, Vec<String>)>;
/// What the script `view` answers.
pub(super) type Viewed = (String, HashMap<String, String>, Vec<String>, Events);

/// The fields of a thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Thread {
    pub(super) rank: u64,
    pub(super) created: u64,
    pub(super) written: u64,
    /// The last offset.
    pub(super) head: u64,
    /// Events up to here are gone.
    pub(super) floor: u64,
    /// Events up to here stand in the messages.
    pub(super) folded: u64,
    /// Where the last finished run started.
    pub(super) finished: Option<u64>,
    /// The run in flight, and the offset of its RUN_STARTED.
    pub(super) run: Option<(RunId, u64)>,
    /// Who drives it.
    pub(super) owner: String,
    /// Messages, and the bytes of their JSON.
    pub(super) messages: u64,
    pub(super) size: u64,
    /// Whether there were older messages.
    pub(super) more: bool,
    pub(super) title: Option<String>,
    pub(super) state: Option<String>,
}

impl Thread {
    /// None where nobody wrote to it.
    pub(super) fn parse(mut fields: HashMap<String, String>) -> Result<Option<Self>, Failure> {
        if fields.is_empty() {
            return Ok(None);
        }
        let run = fields.remove("run").unwrap_or_default();
        let mut text = |name: &str| fields.remove(name).filter(|text| !text.is_empty());
        let (owner, title, state, more) = (text("owner"), text("title"), text("state"), text("more"));
        let number = |name: &str| match fields.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| damaged(&format!("the field {name} of a thread"))),
        };
        let run = match number("start")? {
            None => None,
            Some(start) => Some((RunId::parse(&run).map_err(|_| damaged("the run of a thread"))?, start)),
        };
        let or_0 = |name: &str| number(name).map(Option::unwrap_or_default);
        Ok(Some(Self {
            rank: or_0("rank")?,
            created: or_0("created")?,
            written: or_0("written")?,
            head: number("head")?.ok_or_else(|| damaged("a thread without a head"))?,
            floor: or_0("floor")?,
            folded: or_0("folded")?,
            finished: number("finished")?,
            run,
            owner: owner.unwrap_or_default(),
            messages: or_0("messages")?,
            size: or_0("size")?,
            more: more.is_some(),
            title,
            state,
        }))
    }

    /// The run boundary that history ends at.
    pub(super) fn cut(&self) -> u64 {
        self.run.as_ref().map_or(self.head, |(_, start)| start.saturating_sub(1))
    }

    /// Whether there are finished events that the messages do not know of yet.
    pub(super) fn is_behind(&self) -> bool {
        self.folded < self.cut()
    }
}

/// A thread without its run in flight.
pub(super) struct Past {
    /// The incarnation of the log, without the server's part.
    pub(super) epoch: String,
    /// None where nobody wrote to it.
    pub(super) thread: Option<Thread>,
    /// What is shown.
    pub(super) history: History,
    /// What stands in the messages.
    pub(super) stored: Vec<Arc<Message>>,
    /// Older messages that the bounds took off the front of `history`.
    pub(super) gone: usize,
    /// Whether there were older messages.
    pub(super) more: bool,
}

impl Past {
    /// Folds what is not folded yet.
    pub(super) fn of(key: &SessionKey, viewed: Viewed, bounds: Bounds) -> Result<Self, Failure> {
        let (epoch, fields, messages, unfolded) = viewed;
        let named = |failure: Failure| match failure {
            Failure::Damaged(what) => Failure::Damaged(format!("{what} ({key}) cannot be read")),
            other @ (Failure::Unknown(_) | Failure::Refused(_)) => other,
        };
        let thread = Thread::parse(fields).map_err(named)?;
        let decode = |json: &String| parse_json(json, "a message of a thread").map(Arc::new);
        let stored: Vec<Arc<Message>> = messages.iter().map(decode).collect::<Result<_, _>>().map_err(named)?;
        let state = thread.as_ref().and_then(|thread| thread.state.as_deref());
        let state = state.map(|json| parse_json(json, "the state of a thread")).transpose().map_err(named)?;
        let mut history = History { messages: stored.clone(), state: state.map(Arc::new) };
        let mut bytes = thread.as_ref().map_or(0, |thread| thread.size);
        for entry in entries(unfolded).map_err(named)? {
            bytes += entry.event.json().get().len() as u64;
            fold(&mut history, &entry.event);
        }
        let gone = surplus(&history.messages, bounds.max_messages, bounds.max_bytes, bytes);
        let more = gone > 0 || thread.as_ref().is_some_and(|thread| thread.more);
        history.messages.drain(..gone);
        Ok(Self { epoch, thread, history, stored, gone, more })
    }
}

/// The entries of a stream.
pub(super) fn entries(events: Events) -> Result<Vec<Entry>, Failure> {
    let entry = |(id, mut fields): (String, Vec<String>)| {
        let offset = id.split('-').next().and_then(|offset| offset.parse().ok());
        let json = if fields.len() == 2 { fields.pop() } else { None };
        let event = json.and_then(|json| RawValue::from_string(json).and_then(Event::parse).ok());
        let (Some(offset), Some(event)) = (offset, event) else {
            return Err(damaged(&format!("the event {id} of a thread")));
        };
        Ok(Entry { offset, event })
    };
    events.into_iter().map(entry).collect()
}

fn parse_json<T: DeserializeOwned>(json: &str, what: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|_| damaged(what))
}

fn damaged(what: &str) -> Failure {
    Failure::Damaged(what.to_owned())
}
