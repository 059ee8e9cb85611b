//! The last quarter of an hour of this node, for people who look at it now: a sample every two seconds, in a ring.
//!
//! ```text
//! thread "history" --scrape, census--> take(): differences to the reading before --> ring (450) --> after(), all()
//!                                                                                '--> listen(): there is a new one
//! ```
//!
//! What is not a number of a scrape is not known here either, so that the page, the dashboard and the alerts cannot disagree.
//! The ring begins empty with the process; a sample that could not be taken in time is not there, and nobody makes one up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::Census;
use tokio::sync::watch;

use self::reading::Reading;
pub use self::reading::{AgentTotals, Spread};
use crate::wire::admin::{AgentSample, Bands, Sample};
use crate::wire::millis;

mod reading;

/// Between two samples.
pub const EVERY: Duration = Duration::from_secs(2);

/// Samples that are kept: 15 minutes of them.
pub const KEPT: usize = 450;

/// Every agent by its name, and what its breaker is.
pub type Breakers = Vec<(Arc<str>, &'static str)>;

/// What somebody saw who looked at everything at one moment.
#[derive(Debug)]
pub struct Seen<'a> {
    /// When, in milliseconds since 1970: for people.
    pub unix_ms: u64,
    /// When, since any fixed moment: for spans.
    pub now: Duration,
    /// The text of a scrape.
    pub text: &'a str,
    /// The count that the scrape was made from.
    pub census: &'a Census,
    /// As of this moment.
    pub breakers: Breakers,
}

/// The samples. Share it in an `Arc`.
#[derive(Debug)]
pub struct History {
    kept: Mutex<Kept>,
    /// The number of the newest one.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Arc<Sample>>,
    /// Samples that were ever taken; the newest has this number.
    taken: u64,
    last: Reading,
    last_at: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl History {
    /// Makes a sample of what was seen, and tells whoever listens. What is counted rises from the start of the process, so that
    /// the first sample tells of all that was before it.
    pub fn take(&self, seen: &Seen<'_>) {
        let reading = Reading::of(seen.text);
        let number = {
            let mut kept = self.kept();
            let sample = sample(seen, &reading, &kept);
            kept.last = reading;
            kept.last_at = seen.now;
            kept.samples.push_back(Arc::new(sample));
            if kept.samples.len() > KEPT {
                kept.samples.pop_front();
            }
            kept.taken += 1;
            kept.taken
        };
        self.newest.send_replace(number);
    }

    /// The samples after the one of this number (0: all that are kept), oldest first, and the number of the newest.
    #[must_use]
    pub fn after(&self, number: u64) -> (Vec<Arc<Sample>>, u64) {
        let kept = self.kept();
        let wanted = usize::try_from(kept.taken.saturating_sub(number)).unwrap_or(usize::MAX);
        let skip = kept.samples.len().saturating_sub(wanted);
        (kept.samples.iter().skip(skip).cloned().collect(), kept.taken)
    }

    /// Changes with every sample, to its number.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// What every agent did since the start, as of the newest sample.
    #[must_use]
    pub fn agents(&self) -> BTreeMap<String, AgentTotals> {
        self.kept().last.agents.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole after every step of its own, whoever panicked.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sample(seen: &Seen<'_>, now: &Reading, kept: &Kept) -> Sample {
    let before = &kept.last;
    let Census { users, sessions, lingering, connections, runs, waiting, by_pressure, by_use, .. } = *seen.census;
    let [ok, watch, warn, high, full] = by_pressure.map(|users| users as u64);
    let waited = now.waited.since(&before.waited);
    // Of the first sample nobody knows how long it stands for.
    let span = if kept.taken > 0 { seen.now.saturating_sub(kept.last_at) } else { Duration::ZERO };
    let cpu_seconds = if span.is_zero() { 0.0 } else { (now.cpu_seconds - before.cpu_seconds).max(0.0) };
    Sample {
        at: seen.unix_ms,
        span_ms: millis(span),
        sessions: sessions as u64,
        lingering: lingering as u64,
        connections: connections as u64,
        runs: runs as u64,
        waiters: waiting as u64,
        users: users as u64,
        bands: Bands { ok, watch, warn, high, full },
        histogram: by_use.iter().map(|users| *users as u64).collect(),
        admissions: risen(&now.admissions, &before.admissions),
        reclaims: risen(&now.reclaims, &before.reclaims),
        lockouts_prevented: now.lockouts_prevented.saturating_sub(before.lockouts_prevented),
        refusals: now.refusals.saturating_sub(before.refusals),
        zombies: now.zombies.saturating_sub(before.zombies),
        verdicts_disproved: now.verdicts_disproved.saturating_sub(before.verdicts_disproved),
        admission_p50_ms: waited.percentile_ms(0.5),
        admission_p99_ms: waited.percentile_ms(0.99),
        runtime_lag_ms: now.runtime_lag_seconds * 1_000.0,
        reaper_lag_ms: now.reaper_lag_seconds * 1_000.0,
        resident_bytes: now.resident_bytes as u64,
        cpu: cpu_seconds / span.as_secs_f64().max(f64::MIN_POSITIVE),
        agents: seen.breakers.iter().map(|(name, breaker)| agent(name, breaker, now, before)).collect(),
    }
}

fn agent(name: &str, breaker: &str, now: &Reading, before: &Reading) -> (String, AgentSample) {
    let nothing = AgentTotals::default();
    let [now, before] = [now, before].map(|reading| reading.agents.get(name).unwrap_or(&nothing));
    let began = now.first_event.since(&before.first_event);
    let sample = AgentSample {
        runs: now.ended().saturating_sub(before.ended()),
        errors: now.failed().saturating_sub(before.failed()),
        first_event_p50_ms: began.percentile_ms(0.5),
        first_event_p99_ms: began.percentile_ms(0.99),
        breaker: breaker.to_owned(),
    };
    (name.to_owned(), sample)
}

/// By how much each count has risen.
fn risen(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let before = |word: &String| before.get(word).copied().unwrap_or_default();
    now.iter().map(|(word, count)| (word.clone(), count.saturating_sub(before(word)))).collect()
}

#[cfg(test)]
mod tests;
