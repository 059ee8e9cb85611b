//! One append, from its lane to the follower: sent until it is answered or its time is over.
//!
//! ```text
//! script --answered--> done --> follower --> whoever waits
//!    ^        '--no room--> join or fold, once
//!    '--unknown: again, under the same sequence--'      time over --> unavailable; settled later, so that it comes never late
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lychgate_core::{RunId, SessionKey};
use redis::{FromRedisValue, Value};
use tokio::time::{Instant, sleep_until};

use super::error::Failure;
use super::lane::{Flight, Job, Outcome, Wanted};
use super::link::WITHIN;
use super::thread::{Events, entries};
use super::{Inner, keys, scripts};
use crate::journal::{Anew, Entry, JournalError};
use crate::wire::event::Event;

/// Between two attempts, at first and at most.
const AGAIN: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];
/// The end of a run is taken above every bound, up to this size.
const END_BYTES: usize = 16 * 1_024;

/// Numbers appends; a thread's appends are numbered in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Sequence(AtomicU64);

impl Sequence {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the script says.
enum Answer {
    Appended {
        first: u64,
        before: Before,
        missed: Vec<Entry>,
    },
    Known,
    /// Of a run that is not in flight. A former one of this node may be, whose end was lost: it began here.
    Gone(Option<u64>),
    Cut,
    Late,
    Busy(String),
    Full {
        of: String,
        is_in_flight: bool,
    },
}

/// What stood there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// What this node wrote last.
    Ours,
    /// What this node may not have told its follower.
    Others,
}

/// One append and what it goes by.
struct Append<'a> {
    key: &'a SessionKey,
    once: &'a str,
    events: &'a [Event],
    sequence: u64,
    flight: Option<Flight>,
    /// A writer that is known to be gone, whose run this may end.
    dead: String,
    deadline: Instant,
}

impl Append<'_> {
    fn starts(&self) -> bool {
        self.events.first().is_some_and(|event| event.kind() == "RUN_STARTED")
    }

    fn is_small_end(&self) -> bool {
        let bytes: usize = self.events.iter().map(|event| event.json().get().len()).sum();
        let starts = self.events.iter().any(|event| event.kind() == "RUN_STARTED");
        !starts && bytes <= END_BYTES && self.events.last().is_some_and(Event::ends_run)
    }
}

impl Inner {
    /// Works off the lane of one thread.
    pub(super) async fn work(&self, key: SessionKey) {
        while let Some(Job { wanted, deadline, reply, _room }) = self.lanes.next(&key) {
            let outcome = match wanted {
                // Whoever waits behind others that were not answered is told no later than they.
                _ if Instant::now() >= deadline => Err(late()),
                Wanted::Append { once, events } => self.append(&key, once.as_deref(), events, deadline).await,
                Wanted::Rehearse(event) => self.rehearse(&key, event).await,
            };
            // Whoever asked may have gone; what is written is told all the same.
            let _ = reply.send(outcome);
        }
    }

    async fn append(&self, key: &SessionKey, once: Option<&str>, events: Vec<Event>, deadline: Instant) -> Outcome {
        let flight = self.flights.of(key);
        let sequence = self.sequence.next();
        let once = once.unwrap_or_default();
        let mut append = Append { key, once, events: &events, sequence, flight, dead: String::new(), deadline };
        if append.starts() {
            // Before it is in the log: a run that nobody knows of would never be ended (R18).
            let mut note = redis::cmd("SADD");
            note.arg(self.keys.open(&self.writer)).arg(keys::member(key));
            self.again(deadline, || self.link.command::<Value>(&note)).await?;
        }
        match self.sent(&mut append).await {
            Ok(Answer::Appended { first, before, missed }) => {
                let appended: Vec<Entry> =
                    (first..).zip(events).map(|(offset, event)| Entry { offset, event }).collect();
                self.on_appended(key, flight, before, missed, &appended).await;
                Ok(Some(appended))
            }
            Ok(Answer::Known) => Ok(None),
            Ok(Answer::Gone(Some(start))) => {
                // Whoever looks for runs that nobody drives ends it.
                self.flights.put(key, Some(Flight { start, head: None }));
                self.undriven.put(key, start);
                Err(JournalError::Gone)
            }
            Ok(Answer::Gone(None) | Answer::Late) => {
                self.flights.put(key, None);
                self.close_open(key).await;
                Err(JournalError::Gone)
            }
            Ok(Answer::Cut) => {
                // Whoever looks for runs that nobody drives ends it: it is in flight in the log.
                if let Some(flight) = flight {
                    self.flights.put(key, Some(Flight { head: None, ..flight }));
                    self.undriven.put(key, flight.start);
                }
                Err(JournalError::Gone)
            }
            Ok(Answer::Busy(_)) => {
                Err(JournalError::Unavailable("a run of this thread is in flight on another node".to_owned()))
            }
            Ok(Answer::Full { of, is_in_flight }) => Err(self.too_much(&of, is_in_flight)),
            Err(failure) => {
                if let Failure::Unknown(_) = failure {
                    self.unsettled.put(key, sequence);
                }
                Err(failure.into())
            }
        }
    }

    fn too_much(&self, of: &str, is_in_flight: bool) -> JournalError {
        let (what, most) = match of {
            "events" => ("events that cannot be joined", self.bounds.max_events),
            _ => ("bytes", self.bounds.max_bytes),
        };
        let who = if is_in_flight { "run" } else { "thread" };
        JournalError::Unavailable(format!("the {who} has more than {most} {what}"))
    }

    /// Sends it until it is answered; makes room once, and asks once whether another node that is in the way is gone.
    async fn sent(&self, append: &mut Append<'_>) -> Result<Answer, Failure> {
        let (mut made_room, mut asked) = (false, false);
        loop {
            let answer = self.again(append.deadline, || self.send(append)).await?;
            match answer {
                Answer::Full { is_in_flight, .. } if !made_room => {
                    made_room = true;
                    match is_in_flight {
                        true => self.join_older_half(append.key).await?,
                        false => self.fold(append.key).await?,
                    }
                }
                Answer::Busy(owner) if !asked => {
                    asked = true;
                    if !self.again(append.deadline, || self.is_alive(&owner)).await? {
                        append.dead = owner;
                    }
                }
                answer => return Ok(answer),
            }
        }
    }

    /// Asks until the answer is known or it is too late. The same may be done twice: everything here bears that.
    pub(super) async fn again<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        deadline: Instant,
        ask: impl Fn() -> F,
    ) -> Result<T, Failure> {
        let [mut pause, longest] = AGAIN;
        loop {
            match ask().await {
                Err(failure @ Failure::Unknown(_)) if Instant::now() + pause >= deadline => return Err(failure),
                Err(Failure::Unknown(_)) => sleep_until(Instant::now() + pause).await,
                answer => return answer,
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn send(&self, append: &Append<'_>) -> Result<Answer, Failure> {
        let of = self.keys.of(append.key);
        let is_small_end = append.is_small_end();
        let script = if is_small_end { &scripts::APPEND_END } else { &scripts::APPEND };
        let mut asked = script.prepare_invoke();
        for key in [&of.user, &of.thread, &of.stream, &of.runs, &of.onces, &of.index, &of.sequences] {
            asked.key(key);
        }
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        asked.arg(&self.writer).arg(append.sequence).arg(fresh_epoch()).arg(append.key.thread().as_str());
        asked.arg(append.once).arg(number(append.flight.map(|flight| flight.start)));
        asked.arg(number(append.flight.and_then(|flight| flight.head)));
        asked.arg(self.bounds.max_events).arg(self.bounds.max_bytes).arg(&append.dead);
        asked.arg(number(self.retention_ms)).arg(if is_small_end { "end" } else { "" });
        for event in append.events {
            let (kind, run) = match event.kind() {
                "RUN_STARTED" => ("start", event.head().run_id.as_deref().filter(|run| RunId::parse(run).is_ok())),
                "RUN_FINISHED" | "RUN_ERROR" => ("end", None),
                _ => ("other", None),
            };
            asked.arg(kind).arg(run.unwrap_or_default()).arg(event.json().get());
        }
        let (answer, _) = self.link.ask::<Vec<Value>>(&asked, WITHIN).await?;
        parse(answer)
    }

    /// Tells the follower, and follows the run.
    async fn on_appended(
        &self,
        key: &SessionKey,
        flight: Option<Flight>,
        before: Before,
        missed: Vec<Entry>,
        appended: &[Entry],
    ) {
        let Some(last) = appended.last() else { return };
        let mut now = flight;
        for entry in appended {
            match entry.event.kind() {
                "RUN_STARTED" => now = Some(Flight { start: entry.offset, head: None }),
                "RUN_FINISHED" | "RUN_ERROR" => now = None,
                _ => {}
            }
        }
        let starts = appended.iter().any(|entry| entry.event.kind() == "RUN_STARTED");
        let ours = starts || flight.is_some_and(|flight| flight.head.is_some());
        self.flights.put(key, now.map(|flight| Flight { head: ours.then_some(last.offset), ..flight }));
        if let Some(follower) = self.follower.get() {
            // Of a run of ours what is missed is at hand. Before it others may have written, or we something whose outcome
            // is not known: what is told below must not be taken for all that is new.
            let is_at_hand = flight.is_some_and(|flight| flight.head.is_some());
            match before {
                Before::Nothing => follower.begun_anew(Anew::Thread(key)),
                Before::Ours if is_at_hand || !self.unsettled.has(key) => {}
                Before::Others if is_at_hand => {}
                Before::Ours | Before::Others => follower.behind(key),
            }
            if !missed.is_empty() {
                follower.appended(key, &missed);
            }
            follower.appended(key, appended);
        }
        if now.is_none() {
            self.upkeep.want(key);
            if starts || flight.is_some() {
                self.close_open(key).await;
            }
        }
    }

    /// The run is over. Where this is not heard, the next one who looks finds that it is.
    async fn close_open(&self, key: &SessionKey) {
        let mut forget = redis::cmd("SREM");
        forget.arg(self.keys.open(&self.writer)).arg(keys::member(key));
        if let Err(failure) = self.link.command::<Value>(&forget).await {
            tracing::debug!(%key, why = failure.text(), "a run that ended is still noted as open");
        }
    }

    async fn rehearse(&self, key: &SessionKey, event: Event) -> Outcome {
        let of = self.keys.of(key);
        let mut write = redis::cmd("SET");
        write.arg(format!("{}:rehearsed", of.user)).arg("").arg("PX").arg(1_000);
        self.link.command::<Value>(&write).await?;
        let mut head = redis::cmd("HGET");
        head.arg(&of.thread).arg("head");
        let head: Option<u64> = self.link.command(&head).await?;
        let entries = vec![Entry { offset: head.unwrap_or(0) + 1, event }];
        if let Some(follower) = self.follower.get() {
            follower.appended(key, &entries);
        }
        Ok(Some(entries))
    }
}

/// Nobody answered, and nobody is asked any more.
pub(super) fn late() -> JournalError {
    JournalError::Unavailable("Redis: no answer in time".to_owned())
}

/// What a log is known by that has to be made.
pub(super) fn fresh_epoch() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..16].to_owned()
}

fn parse(answer: Vec<Value>) -> Result<Answer, Failure> {
    let mut parts = answer.into_iter();
    let mut part = || parts.next().unwrap_or(Value::Nil);
    let word: String = read(part())?;
    Ok(match word.as_str() {
        "ok" => {
            let (first, fresh): (u64, String) = (read(part())?, read(part())?);
            let missed: Events = read(part())?;
            let before = match fresh.as_str() {
                "fresh" => Before::Nothing,
                "others" => Before::Others,
                _ => Before::Ours,
            };
            Answer::Appended { first, before, missed: entries(missed)? }
        }
        // Told by the first answer, which nobody heard.
        "done" => Answer::Appended { first: read(part())?, before: Before::Others, missed: Vec::new() },
        "known" => Answer::Known,
        "gone" => Answer::Gone(read::<String>(part())?.parse().ok()),
        "late" => Answer::Late,
        "cut" => Answer::Cut,
        "busy" => Answer::Busy(read(part())?),
        "full" => {
            let (of, place): (String, String) = (read(part())?, read(part())?);
            Answer::Full { of, is_in_flight: place == "flight" }
        }
        _ => return Err(Failure::Damaged(format!("an append was answered with {word:?}"))),
    })
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Failure> {
    T::from_redis_value(value).map_err(|error| Failure::Damaged(error.to_string()))
}
