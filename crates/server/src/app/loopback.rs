//! Readiness means delivery (hazard R26): the gateway opens a session for itself, appends to the journal, and waits until it
//! reads what it appended.
//!
//! ```text
//!  every readiness_interval:  locks of the gate ─► admission ─► journal ─► follower ─► Ear
//!                                                                                      '─ heard: ready
//!  /readyz ─► trouble(): the last trial failed, or the one under way takes too long     (asks no runtime, waits for no lock of theirs)
//! ```
//!
//! A trial costs one admission, one row that the next one takes the place of, and one frame; it shows in no count, no list,
//! no metric of users, and no log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lychgate_core::{SessionContext, SessionKey, UserId, WebSocketRequest};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::ear::Ear;
use crate::driver::Driver;
use crate::journal::{Journal, JournalError};
use crate::wire::admin::rfc3339;
use crate::wire::event::Event;
use crate::wire::unix_ms;

mod ear;
#[cfg(test)]
mod tests;

/// Between two looks at a lock that somebody holds.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long an event may take until it is sent again: a reader who is just catching up is not told of one that is in no log.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

const THREAD: &str = "loopback";

/// What a trial has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Gate,
    Admission,
    Journal,
    Delivery,
}

impl Stage {
    /// What is wrong where a trial does not get past it.
    fn hung(self) -> &'static str {
        match self {
            Self::Gate => "somebody holds a lock of the gate and does not let go",
            Self::Admission => "an open is not answered",
            Self::Journal => "the journal does not answer",
            Self::Delivery => "what the journal took does not reach its readers",
        }
    }
}

#[derive(Debug)]
struct State {
    /// When the trial under way began; none between two.
    began: Option<Instant>,
    stage: Stage,
    /// Why the last trial failed.
    failed: Option<String>,
    /// When the last trial that succeeded ended, in milliseconds since 1970; none since the start.
    delivered: Option<u64>,
    /// When the last trial ended, however it did.
    ended: Instant,
}

/// The trials of one node, and what came of them.
#[derive(Debug)]
pub(super) struct Loopback {
    driver: Arc<Driver>,
    journal: Arc<dyn Journal>,
    every: Duration,
    within: Duration,
    state: Mutex<State>,
}

impl Loopback {
    /// A trial `every` so often, each of which must be over `within` this time.
    pub(super) fn new(driver: Arc<Driver>, journal: Arc<dyn Journal>, every: Duration, within: Duration) -> Arc<Self> {
        let state = State { began: None, stage: Stage::Gate, failed: None, delivered: None, ended: Instant::now() };
        Arc::new(Self { driver, journal, every, within, state: Mutex::new(state) })
    }

    /// Tries for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once, and one has been made just now.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.attempt().await;
        }
    }

    /// Makes one trial, within its time.
    pub(super) async fn attempt(&self) {
        let began = Instant::now();
        {
            let mut state = self.state();
            state.began = Some(began);
            state.stage = Stage::Gate;
        }
        let outcome = timeout(self.within, self.deliver()).await;
        let mut state = self.state();
        let failed = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("{} (within {} ms)", state.stage.hung(), self.within.as_millis())),
        };
        match (&state.failed, &failed) {
            (None, Some(why)) => tracing::error!(why, "nothing can be delivered: the node is not ready"),
            (Some(_), None) => tracing::warn!("delivery works again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        if failed.is_none() {
            state.delivered = Some(unix_ms());
        }
        state.failed = failed;
        state.began = None;
        state.ended = Instant::now();
    }

    /// The way of an event, from the gate to a reader.
    async fn deliver(&self) -> Result<(), JournalError> {
        let mut place = 0;
        while let Some(held) = self.driver.held(place) {
            place = held;
            sleep(LOOK_EVERY).await;
        }
        self.enter(Stage::Admission);
        let ear = Arc::new(Ear::default());
        let registration = self.driver.connect_self(ear.clone());
        let request = WebSocketRequest {
            user: registration.user(),
            thread: Some(THREAD),
            client: None,
            connection: registration.connection(),
            operation: "open",
            component: "loopback",
            unix_ms: unix_ms(),
        };
        let context = SessionContext::from_websocket_request(&request, self.driver.entropy());
        let context = context.map_err(|error| JournalError::Unavailable(error.to_string()))?;
        let key = SessionKey::new(UserId::of_gateway(), context.thread().clone());
        registration.open(context, None, None);
        ear.opened().await;
        loop {
            self.enter(Stage::Journal);
            let event = Event::build(&json!({"type": "CUSTOM", "name": THREAD, "value": unix_ms()}));
            self.journal.rehearse(&key, event).await?;
            self.enter(Stage::Delivery);
            if timeout(AGAIN_AFTER, ear.heard()).await.is_ok() {
                return Ok(());
            }
        }
    }

    fn enter(&self, stage: Stage) {
        self.state().stage = stage;
    }

    /// Why nothing can be delivered, and since when; none while the last trial succeeded and the next one is in time. Asked
    /// from any thread: a runtime that hangs does not keep it from answering.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let overdue = state.began.filter(|began| began.elapsed() > self.within);
        let why = match (overdue, &state.failed) {
            (Some(_), _) => state.stage.hung(),
            (None, Some(why)) => why,
            (None, None) if state.began.is_none() && state.ended.elapsed() > self.every + self.within => {
                "no trial has been made"
            }
            (None, None) => return None,
        };
        Some(match state.delivered {
            Some(last) => format!("{why}; delivered last at {}", rfc3339(last)),
            None => format!("{why}; nothing was delivered since the start"),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each of its fields is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
