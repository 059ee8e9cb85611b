//! Lines of one kind that come faster than anybody reads: the first of each second are written, then one of many, and
//! how many there were is told when the second is over. Warnings and errors are written all.
//!
//! ```text
//! line -> warn, error, or within the first of this second, or one of `every` -> written
//!      '-> counted; `tell` (four times a second, and at the end) -> "1,234 more like this"
//! ```
//!
//! A kind is a place in the program that writes lines, so that there are only so many, whoever sends what.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config;

/// Lines about lines; they are never counted themselves.
const OWN: &str = "lychgate::log";

/// Characters by which a kind is told.
const MAX_NAME_CHARS: usize = 120;

/// What is written of a storm, and what was not.
pub(super) struct Storm {
    bounds: config::Storm,
    origin: Instant,
    kinds: RwLock<HashMap<Identifier, Arc<Mutex<Kind>>>>,
    left_out: AtomicU64,
}

/// One kind of line in the present second.
#[derive(Default)]
struct Kind {
    /// Since the start.
    second: u64,
    seen: u32,
    left_out: u64,
    /// Of seconds that are over, and not told yet.
    owed: u64,
    /// Its `event`, or its text where it has none; read when the first of its lines is left out.
    name: Option<String>,
}

impl Storm {
    pub(super) fn new(bounds: config::Storm) -> Arc<Self> {
        Arc::new(Self { bounds, origin: Instant::now(), kinds: RwLock::default(), left_out: AtomicU64::new(0) })
    }

    /// Lines that were left out since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Tells what was left out in seconds that are over.
    pub(super) fn tell(&self) {
        self.tell_at(self.origin.elapsed());
    }

    /// Tells everything that was left out, at the end of the program.
    pub(super) fn tell_all(&self) {
        self.tell_at(Duration::MAX);
    }

    pub(super) fn tell_at(&self, now: Duration) {
        let owed: Vec<_> = {
            let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
            kinds.values().filter_map(|kind| lock(kind).owed(now.as_secs())).collect()
        };
        for (name, lines) in owed {
            let text = grouped(lines);
            tracing::info!(target: OWN, event = "log.left_out", like = name, lines, "{text} more like this");
        }
    }

    fn takes(&self, event: &Event<'_>, now: Duration) -> bool {
        let metadata = event.metadata();
        if self.bounds.lines == 0 || *metadata.level() <= Level::WARN || metadata.target() == OWN {
            return true;
        }
        let kind = self.kind(metadata.callsite());
        let mut kind = lock(&kind);
        kind.roll(now.as_secs());
        kind.seen = kind.seen.saturating_add(1);
        let beyond = kind.seen.saturating_sub(self.bounds.lines);
        if beyond.is_multiple_of(self.bounds.every.max(1)) {
            return true;
        }
        kind.left_out += 1;
        kind.name.get_or_insert_with(|| Name::of(event));
        self.left_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn kind(&self, callsite: Identifier) -> Arc<Mutex<Kind>> {
        let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(&callsite).map(Arc::clone);
        known.unwrap_or_else(|| {
            Arc::clone(self.kinds.write().unwrap_or_else(PoisonError::into_inner).entry(callsite).or_default())
        })
    }
}

impl Kind {
    /// A new second begins.
    fn roll(&mut self, second: u64) {
        if second > self.second {
            self.owed += std::mem::take(&mut self.left_out);
            (self.second, self.seen) = (second, 0);
        }
    }

    /// What it has to tell of seconds before this one.
    fn owed(&mut self, second: u64) -> Option<(String, u64)> {
        self.roll(second);
        match std::mem::take(&mut self.owed) {
            0 => None,
            lines => Some((self.name.clone().unwrap_or_default(), lines)),
        }
    }
}

fn lock(kind: &Mutex<Kind>) -> MutexGuard<'_, Kind> {
    kind.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands before everything that writes.
pub(super) struct Gate(pub(super) Arc<Storm>);

impl<S: Subscriber> Layer<S> for Gate {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.takes(event, self.0.origin.elapsed())
    }
}

/// What a kind is called.
#[derive(Default)]
struct Name {
    event: Option<String>,
    message: String,
}

impl Name {
    fn of(event: &Event<'_>) -> String {
        let mut name = Self::default();
        event.record(&mut name);
        name.event.unwrap_or(name.message).chars().take(MAX_NAME_CHARS).collect()
    }
}

impl Visit for Name {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => self.event = Some(value.to_owned()),
            "message" => self.message.push_str(value),
            // The names of fields are whatever a line says.
            _ => {}
        }
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
