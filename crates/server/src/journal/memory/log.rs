//! The log of one thread: the events that a client may still resume from, and the messages of everything before.
//!
//! ```text
//!        gone, folded into messages | last finished run | run in flight
//!                             floor-'                                  '-head
//! ```
//!
//! What is kept: the run in flight from its RUN_STARTED on, because a client that is reset continues there; the last
//! finished run, so that whoever is a little behind resumes without a reset; the messages of all finished runs; the
//! hashes of the last 1,024 run ids. Where one run alone outgrows the bound, its older pieces of text are joined: a
//! client that left off inside a joined piece is reset, never served a part of it twice.

use std::collections::VecDeque;
use std::sync::Arc;

use lychgate_core::RunId;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::journal::fold::{History, fold};
use crate::journal::merge::merge;
use crate::journal::{Entry, JournalError, Snapshot};
use crate::wire::Message;
use crate::wire::event::Event;

/// Run ids that one thread remembers; the oldest is forgotten first.
const MAX_KNOWN_RUNS: usize = 1_024;
/// Longest text that pieces are joined to within a log.
const JOINED_BYTES: usize = 16 * 1_024;
/// What an event costs beside its JSON: its head, its counters, its place.
const EVENT_BYTES: usize = 256;
/// What a message costs beside its text: its tree of fields and its counters.
const MESSAGE_BYTES: usize = 960;
/// What a thread costs that holds nothing.
const LOG_BYTES: usize = 384;

/// How much one thread may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_events: usize,
    pub(super) max_messages: usize,
}

/// A run that has not ended, and the offset of its RUN_STARTED.
struct Flight {
    run: RunId,
    start: u64,
}

/// Events and messages, ready to be used or as text. A thread that was not written to for a while costs its text alone.
enum Body {
    Open {
        events: VecDeque<Entry>,
        history: History,
    },
    Packed {
        /// JSON: `[[offset, event], ...]`.
        events: Box<str>,
        /// JSON: `[message, ...]`.
        messages: Box<str>,
        /// JSON of the shared state.
        state: Option<Box<str>>,
    },
}

/// One thread.
pub(super) struct Log {
    head: u64,
    floor: u64,
    flight: Option<Flight>,
    /// Where the last finished run started.
    finished: Option<u64>,
    body: Body,
    runs: VecDeque<u64>,
    /// Hashes of the keys of what was appended once.
    onces: VecDeque<u64>,
    more: bool,
    /// When its first event was written and when a run last began or ended, in milliseconds since 1970.
    pub(super) created: u64,
    pub(super) touched: u64,
    /// Taken out of the map; whoever still holds it looks the thread up anew.
    pub(super) dead: bool,
    /// When it was last written to, on the clock of the journal.
    pub(super) written: u64,
    message_bytes: usize,
    event_bytes: usize,
}

/// What an event weighs against the bound in bytes.
pub(super) fn weight(event: &Event) -> usize {
    event.json().get().len() + EVENT_BYTES
}

impl Log {
    /// An empty log whose first offset is `floor + 1`.
    pub(super) fn new(floor: u64) -> Self {
        Self {
            head: floor,
            floor,
            flight: None,
            finished: None,
            body: Body::Open { events: VecDeque::new(), history: History::default() },
            runs: VecDeque::new(),
            onces: VecDeque::new(),
            more: false,
            created: 0,
            touched: 0,
            dead: false,
            written: 0,
            message_bytes: 0,
            event_bytes: 0,
        }
    }

    /// The last offset.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Whether a run has not ended.
    pub(super) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Bytes of memory, estimated.
    pub(super) fn bytes(&self) -> usize {
        LOG_BYTES + (self.runs.len() + self.onces.len()) * size_of::<u64>() + self.message_bytes + self.event_bytes
    }

    /// Whether a run with this hash was started here.
    pub(super) fn knows(&self, run: u64) -> bool {
        self.runs.contains(&run)
    }

    /// Whether something was appended under a key with this hash.
    pub(super) fn did(&self, once: u64) -> bool {
        self.onces.contains(&once)
    }

    /// Something was appended under a key with this hash.
    pub(super) fn remember(&mut self, once: u64) {
        if self.onces.len() == MAX_KNOWN_RUNS {
            self.onces.pop_front();
        }
        self.onces.push_back(once);
    }

    /// Takes all of `events` or none. `hash` names runs that are to be remembered; it is keyed, so that nobody can make
    /// two ids meet.
    pub(super) fn append(
        &mut self,
        events: Vec<Event>,
        bounds: Bounds,
        hash: impl Fn(&RunId) -> Option<u64>,
    ) -> Result<Vec<Entry>, JournalError> {
        self.unpack();
        let ends = events.last().is_some_and(Event::ends_run);
        if self.make_places(events.len(), bounds.max_events) < events.len() && !ends {
            let why = format!("the run has more than {} events that cannot be joined", bounds.max_events);
            return Err(JournalError::Unavailable(why));
        }
        let mut appended = Vec::with_capacity(events.len());
        for event in events {
            self.head += 1;
            let entry = Entry { offset: self.head, event };
            self.event_bytes += weight(&entry.event);
            if let Body::Open { events, .. } = &mut self.body {
                events.push_back(entry.clone());
            }
            self.account(&entry, bounds, &hash);
            appended.push(entry);
        }
        Ok(appended)
    }

    /// Follows the runs: where one starts, where it ends, and what becomes a message.
    fn account(&mut self, entry: &Entry, bounds: Bounds, hash: &impl Fn(&RunId) -> Option<u64>) {
        match entry.event.kind() {
            "RUN_STARTED" => {
                self.end_flight(bounds);
                self.trim_to(self.finished.map_or(entry.offset - 1, |start| start - 1));
                let run = entry.event.head().run_id.as_deref().map(RunId::parse);
                if let Some(Ok(run)) = run {
                    if let Some(hash) = hash(&run) {
                        if self.runs.len() == MAX_KNOWN_RUNS {
                            self.runs.pop_front();
                        }
                        self.runs.push_back(hash);
                    }
                    self.flight = Some(Flight { run, start: entry.offset });
                }
            }
            "RUN_FINISHED" | "RUN_ERROR" => self.end_flight(bounds),
            _ if self.flight.is_none() => self.fold_from(entry.offset, bounds),
            _ => {}
        }
    }

    fn end_flight(&mut self, bounds: Bounds) {
        if let Some(flight) = self.flight.take() {
            self.fold_from(flight.start, bounds);
            self.finished = Some(flight.start);
        }
    }

    /// Turns the events from `start` on into messages.
    fn fold_from(&mut self, start: u64, bounds: Bounds) {
        let Body::Open { events, history } = &mut self.body else {
            return;
        };
        let first = events.partition_point(|entry| entry.offset < start);
        for entry in events.range(first..) {
            fold(history, &entry.event);
        }
        let messages = &mut history.messages;
        if messages.len() > bounds.max_messages {
            let mut cut = messages.len() - bounds.max_messages;
            // Models refuse a history that begins with the result of a call that it does not show.
            cut += messages[cut..].iter().take_while(|message| message.role == "tool").count();
            messages.drain(..cut);
            self.more = true;
        }
        self.message_bytes = history_weight(history);
    }

    /// Makes places for `wanted` more events, as far as possible, and says how many there are.
    fn make_places(&mut self, wanted: usize, max: usize) -> usize {
        let free = |body: &Body| match body {
            Body::Open { events, .. } => max.saturating_sub(events.len()),
            Body::Packed { .. } => 0,
        };
        if free(&self.body) >= wanted {
            return free(&self.body);
        }
        match &self.flight {
            Some(flight) => {
                self.trim_to(flight.start - 1);
                if free(&self.body) < wanted {
                    self.join_older_half();
                }
            }
            None => self.trim_to(self.head),
        }
        free(&self.body)
    }

    /// Joins pieces of text in the older half, where nobody reads who is nearly up to date.
    fn join_older_half(&mut self) {
        let Body::Open { events, .. } = &mut self.body else {
            return;
        };
        let older: Vec<Entry> = events.drain(..events.len() / 2).collect();
        for entry in merge(older, JOINED_BYTES).into_iter().rev() {
            events.push_front(entry);
        }
        self.event_bytes = events.iter().map(|entry| weight(&entry.event)).sum();
    }

    /// Lets go of the events up to `floor`.
    fn trim_to(&mut self, floor: u64) {
        let Body::Open { events, .. } = &mut self.body else {
            return;
        };
        let count = events.partition_point(|entry| entry.offset <= floor);
        let gone: usize = events.drain(..count).map(|entry| weight(&entry.event)).sum();
        self.event_bytes -= gone;
        self.floor = self.floor.max(floor.min(self.head));
    }

    /// The entries after `after`. An offset that no kept entry ends at is one to be reset from (R19).
    pub(super) fn read(&self, after: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        if after >= self.head {
            return Ok(Vec::new());
        }
        let unpacked;
        let events = match &self.body {
            Body::Open { events, .. } => events,
            Body::Packed { events, .. } => {
                unpacked = unpack_events(events);
                &unpacked
            }
        };
        let first = events.partition_point(|entry| entry.offset <= after);
        let boundary = first.checked_sub(1).map_or(self.floor, |before| events[before].offset);
        if boundary != after {
            return Err(JournalError::Trimmed(self.floor));
        }
        Ok(events.range(first..).take(limit).cloned().collect())
    }

    /// Where the thread stands.
    pub(super) fn snapshot(&self, epoch: Arc<str>) -> Snapshot {
        let History { messages, state } = self.history();
        Snapshot {
            state,
            epoch,
            head: self.head,
            run: self.flight.as_ref().map(|flight| (flight.run.clone(), flight.start)),
            messages,
            cut: self.flight.as_ref().map_or(self.head, |flight| flight.start - 1),
            oldest: self.floor,
            more: self.more,
        }
    }

    /// Messages and state up to the run in flight.
    pub(super) fn history(&self) -> History {
        match &self.body {
            Body::Open { history, .. } => history.clone(),
            Body::Packed { messages, state, .. } => unpack_history(messages, state.as_deref()),
        }
    }

    /// Whether older messages are gone.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// The run that has not ended.
    pub(super) fn run(&self) -> Option<&RunId> {
        self.flight.as_ref().map(|flight| &flight.run)
    }

    /// Turns a thread at rest into text and keeps of its events the last finished run alone.
    pub(super) fn pack(&mut self) {
        if self.flight.is_some() {
            return;
        }
        self.trim_to(self.finished.map_or(self.head, |start| start - 1));
        let Body::Open { events, history } = &self.body else {
            return;
        };
        let events: Vec<(u64, &RawValue)> = events.iter().map(|e| (e.offset, e.event.json())).collect();
        let state = history.state.as_ref().map(serde_json::to_string).transpose();
        let (Ok(events), Ok(messages), Ok(state)) =
            (serde_json::to_string(&events), serde_json::to_string(&history.messages), state)
        else {
            return;
        };
        self.event_bytes = events.len();
        self.message_bytes = messages.len() + state.as_ref().map_or(0, String::len);
        self.runs.shrink_to_fit();
        self.body =
            Body::Packed { events: events.into(), messages: messages.into(), state: state.map(String::into_boxed_str) };
    }

    /// Lets go of every event of a thread at rest; its messages stay.
    pub(super) fn strip(&mut self) {
        if self.flight.is_none() {
            self.finished = None;
            self.pack();
        }
        if let Body::Packed { events, .. } = &mut self.body {
            *events = "[]".into();
            self.event_bytes = events.len();
            self.floor = self.head;
        }
    }

    fn unpack(&mut self) {
        if let Body::Packed { events, messages, state } = &self.body {
            let (events, history) = (unpack_events(events), unpack_history(messages, state.as_deref()));
            self.event_bytes = events.iter().map(|entry| weight(&entry.event)).sum();
            self.message_bytes = history_weight(&history);
            self.body = Body::Open { events, history };
        }
    }
}

fn unpack_events(text: &str) -> VecDeque<Entry> {
    let entries: Vec<(u64, Box<RawValue>)> =
        serde_json::from_str(text).expect("a log reads back the events that it packed");
    let entry = |(offset, json): (u64, Box<RawValue>)| Entry {
        offset,
        event: Event::parse(json).expect("a packed event was an event before"),
    };
    entries.into_iter().map(entry).collect()
}

/// Reads each message on its own: as one array they would stand a level deeper than when they came, and the deepest
/// that JSON allows would not read back.
fn unpack_history(messages: &str, state: Option<&str>) -> History {
    let messages: Vec<&RawValue> =
        serde_json::from_str(messages).expect("a log reads back the messages that it packed");
    let message = |json: &RawValue| serde_json::from_str(json.get()).expect("a packed message was a message before");
    let state = state.map(|json| serde_json::from_str(json).expect("a log reads back the state that it packed"));
    History { messages: messages.into_iter().map(message).map(Arc::new).collect(), state: state.map(Arc::new) }
}

fn history_weight(history: &History) -> usize {
    let messages = history.messages.iter().map(|message| message_weight(message));
    messages.sum::<usize>() + history.state.as_deref().map_or(0, value_weight)
}

fn message_weight(message: &Message) -> usize {
    let fields = message.rest.iter().map(|(key, value)| key.len() + value_weight(value));
    MESSAGE_BYTES + message.id.len() + message.role.len() + fields.sum::<usize>()
}

fn value_weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_weight).sum(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| key.len() + value_weight(value));
                MESSAGE_BYTES + fields.sum::<usize>()
            }
        }
}
