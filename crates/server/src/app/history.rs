//! Takes the samples of the history, on a thread of its own.
//!
//! ```text
//!  |--take--|........wait........|--take--|........|-----take, which hung----------|..|--take--|
//!  0                             2 s                                               ^ no sample is made up for later
//! ```
//!
//! A thread and no task: a runtime that runs late would take samples late, and what a page shows of such a node is the very
//! thing that somebody looks for. Whoever counts may have to wait for locks, and keeps nobody else waiting meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use crate::error::Error;
use crate::telemetry::history::{Breakers, EVERY, Seen};
use crate::telemetry::{History, Metrics, Population};
use crate::wire::unix_ms;

/// What the thread looks at.
pub(super) struct Lookout {
    /// Counts everything; may wait for locks.
    pub(super) population: Box<dyn Fn() -> Population + Send>,
    /// What each agent's breaker is.
    pub(super) breakers: Box<dyn Fn() -> Breakers + Send>,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
}

/// The running thread; dropping it stops it. Nobody waits for its end: it may wait for a lock.
#[derive(Debug)]
pub(super) struct Sampler {
    _running: SyncSender<()>,
}

impl Sampler {
    /// Takes the first sample now and one every two seconds.
    ///
    /// # Errors
    /// [`Error::System`] when the system denies a thread.
    pub(super) fn start(history: Arc<History>, lookout: Lookout) -> Result<Self, Error> {
        let (running, stopped) = sync_channel(0);
        let run = move || keep(&history, &lookout, &stopped);
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(run)
            .map_err(|source| Error::System { what: "start the thread for the history", source })?;
        Ok(Self { _running: running })
    }
}

fn keep(history: &History, lookout: &Lookout, stopped: &Receiver<()>) {
    let began = Instant::now();
    let mut next = began;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
        take(history, lookout, began);
        next = after(next, Instant::now());
    }
}

fn take(history: &History, lookout: &Lookout, began: Instant) {
    let begins = Instant::now();
    let population = (lookout.population)();
    let text = lookout.metrics.encode(&population);
    let (now, breakers) = (began.elapsed(), (lookout.breakers)());
    history.take(&Seen { unix_ms: unix_ms(), now, text: &text, census: &population.census, breakers });
    tracing::trace!(took_us = begins.elapsed().as_micros(), bytes = text.len(), "a sample of the history was taken");
}

/// When the next sample is due. Those that were missed are not made up for: they would all tell of one moment.
fn after(due: Instant, now: Instant) -> Instant {
    let missed = now.saturating_duration_since(due).as_nanos() / EVERY.as_nanos();
    due + EVERY * (u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sample_that_took_too_long_leaves_a_gap_and_the_rhythm_stays() {
        let due = Instant::now();
        let ahead = |late_ms: u64| (after(due, due + Duration::from_millis(late_ms)) - due).as_millis();
        assert_eq!([ahead(0), ahead(3), ahead(1_999)], [2_000; 3]);
        assert_eq!((ahead(2_000), ahead(7_100)), (4_000, 8_000));
    }

    #[test]
    fn the_thread_takes_a_sample_at_once_and_ends_with_its_owner() {
        let (history, metrics) = (Arc::new(History::default()), Arc::new(Metrics::new()));
        let held = Arc::downgrade(&metrics);
        let lookout = Lookout { population: Box::new(Population::default), breakers: Box::new(Vec::new), metrics };
        let sampler = Sampler::start(Arc::clone(&history), lookout).unwrap();
        let began = Instant::now();
        let waits = || assert!(began.elapsed() < Duration::from_secs(30));
        while history.after(0).0.is_empty() {
            waits();
            std::thread::yield_now();
        }
        drop(sampler);
        while held.upgrade().is_some() {
            waits();
            std::thread::yield_now();
        }
        assert_eq!(history.after(0).1, 1, "the second one was not due yet");
    }
}
