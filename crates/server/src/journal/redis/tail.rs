//! Hears of what other nodes append to threads that somebody attends here.
//!
//! ```text
//! attend, leave --> wanted --> subscriptions on a connection of their own (R16)
//! another node's append --PUBLISH--> "there is more" --> follower: whoever attends reads it from the log
//! connection lost, or silent for a ping --> another one, everything subscribed anew, everybody reads (R17)
//! ```
//!
//! A message says no more than that there is more: it may come late, twice or never, and the log is the truth. Nothing is
//! kept of it, so nothing of it has to be bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lychgate_core::SessionKey;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisResult};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::link::WITHIN;

/// Between two pings: a connection that is dead and says nothing is found by them (R17).
const PING_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);
/// Threads in one command.
const AT_ONCE: usize = 512;

/// What is wanted of the subscriber, and what it has done of it.
#[derive(Default)]
pub(super) struct Attended {
    /// Threads by their channels.
    wanted: Mutex<HashMap<String, Wanted>>,
    changed: Notify,
}

struct Wanted {
    key: SessionKey,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody told the server yet.
    New,
    /// The server tells us.
    Told,
    /// Nobody attends it any more.
    Left,
}

/// The lost connection; what was wanted of it is wanted of the next one.
struct Lost;

impl Attended {
    fn wanted(&self) -> MutexGuard<'_, HashMap<String, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody attends the thread.
    pub(super) fn attend(&self, channel: String, key: &SessionKey) {
        let mut wanted = self.wanted();
        match wanted.get_mut(&channel) {
            Some(known) if known.state == State::Left => known.state = State::New,
            Some(_) => return,
            None => drop(wanted.insert(channel, Wanted { key: key.clone(), state: State::New })),
        }
        drop(wanted);
        self.changed.notify_one();
    }

    /// Nobody attends it any more.
    pub(super) fn leave(&self, channel: &str) {
        if let Some(known) = self.wanted().get_mut(channel) {
            known.state = State::Left;
        }
        self.changed.notify_one();
    }

    fn key(&self, channel: &str) -> Option<SessionKey> {
        self.wanted().get(channel).map(|known| known.key.clone())
    }

    /// Another connection: the server knows of none.
    fn begin_anew(&self) {
        let mut wanted = self.wanted();
        wanted.retain(|_, known| known.state != State::Left);
        wanted.values_mut().for_each(|known| known.state = State::New);
    }

    /// Some that are in this state, and leave it.
    fn take(&self, state: State) -> Vec<(String, SessionKey)> {
        let mut wanted = self.wanted();
        let found = wanted.iter().filter(|(_, known)| known.state == state).take(AT_ONCE);
        let found: Vec<_> = found.map(|(channel, known)| (channel.clone(), known.key.clone())).collect();
        for (channel, _) in &found {
            match state {
                State::Left => drop(wanted.remove(channel)),
                State::New | State::Told => {
                    wanted.entry(channel.clone()).and_modify(|known| known.state = State::Told);
                }
            }
        }
        found
    }
}

/// Listens until it is told to stop.
pub(super) async fn keep(inner: Arc<Inner>, stop: CancellationToken) {
    let listening = async {
        loop {
            if let Some((connection, server)) = inner.link.subscriber().await {
                let (sink, messages) = connection.split();
                inner.attended.begin_anew();
                let Lost = inner.listen(sink, messages, &server).await;
                tracing::debug!("the journal's subscriber lost its connection");
            }
            sleep(PAUSE).await;
        }
    };
    stop.run_until_cancelled(listening).await;
}

impl Inner {
    async fn listen(&self, mut sink: PubSubSink, mut messages: PubSubStream, server: &Arc<str>) -> Lost {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.subscribe(&mut sink).await.is_err() {
            return Lost;
        }
        loop {
            let done = tokio::select! {
                message = messages.next() => message.map(|message| self.on_message(&message)).ok_or(Lost),
                () = self.attended.changed.notified() => self.subscribe(&mut sink).await,
                // Another server is asked by now: what is appended there may not be heard here.
                _ = pings.tick() => match self.link.is_asked(server) {
                    true => in_time(sink.ping::<redis::Value>()).await.map(drop),
                    false => Err(Lost),
                },
            };
            if done.is_err() {
                return Lost;
            }
        }
    }

    /// There is more in a thread, unless it is what this node wrote and has told already.
    fn on_message(&self, message: &Msg) {
        if message.get_payload_bytes() == self.writer.as_bytes() {
            return;
        }
        if let (Some(key), Some(follower)) = (self.attended.key(message.get_channel_name()), self.follower.get()) {
            follower.behind(&key);
        }
    }

    /// Has the server do what is wanted. Once a subscription stands, whoever attends reads: what was appended before it
    /// stood is told by nobody.
    async fn subscribe(&self, sink: &mut PubSubSink) -> Result<(), Lost> {
        loop {
            let left = self.attended.take(State::Left);
            if !left.is_empty() {
                let channels: Vec<&String> = left.iter().map(|(channel, _)| channel).collect();
                in_time(sink.unsubscribe(channels)).await?;
            }
            let new = self.attended.take(State::New);
            if !new.is_empty() {
                let channels: Vec<&String> = new.iter().map(|(channel, _)| channel).collect();
                in_time(sink.subscribe(channels)).await?;
                if let Some(follower) = self.follower.get() {
                    new.iter().for_each(|(_, key)| follower.behind(key));
                }
            }
            if left.is_empty() && new.is_empty() {
                return Ok(());
            }
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T, Lost> {
    match timeout(WITHIN, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Lost),
    }
}
