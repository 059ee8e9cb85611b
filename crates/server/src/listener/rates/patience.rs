//! Who comes back too early has to wait longer each time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{LONGEST_PAUSE, SWEEP_EVERY};
use crate::driver::jittered;

/// The first pause; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Whoever has kept away for so long after his pause begins anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Repetitions by key, at most `most` keys; a key beyond them is told the first pause and not noted.
#[derive(Debug)]
pub(super) struct Patience<K> {
    most: usize,
    /// Repetitions that cost no pause.
    free: u32,
    noted: Mutex<Noted<K>>,
}

#[derive(Debug)]
struct Noted<K> {
    entries: HashMap<K, Entry>,
    swept: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    times: u32,
    /// The end of the pause.
    until: Instant,
}

impl<K: Hash + Eq> Patience<K> {
    pub(super) fn new(most: usize, free: u32) -> Self {
        Self { most, free, noted: Mutex::new(Noted { entries: HashMap::new(), swept: Instant::now() }) }
    }

    /// How long this key still has to wait; none if it need not.
    pub(super) fn pause(&self, key: &K) -> Option<Duration> {
        let entry = self.lock().entries.get(key).copied()?;
        Some(entry.until.saturating_duration_since(Instant::now())).filter(|pause| !pause.is_zero())
    }

    /// It has done it again. Answers how long it has to wait from now on.
    pub(super) fn again(&self, key: K) -> Duration {
        let now = Instant::now();
        let mut noted = self.lock();
        noted.sweep(now, self.most);
        let times = noted.entries.get(&key).map_or(0, |entry| match entry.until + FORGIVEN_AFTER > now {
            true => entry.times,
            false => 0,
        });
        let pause = match times.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(repeated) => jittered((FIRST_PAUSE * 2_u32.pow(repeated.min(6))).min(LONGEST_PAUSE)),
        };
        if noted.entries.len() < self.most || noted.entries.contains_key(&key) {
            noted.entries.insert(key, Entry { times: times.saturating_add(1), until: now + pause });
        }
        pause
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Noted<K>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Noted<K> {
    /// Drops whoever is forgiven, when a flood has filled the table and now and then anyway.
    fn sweep(&mut self, now: Instant, most: usize) {
        let every = match self.entries.len() >= most {
            true => SWEEP_EVERY,
            false => FORGIVEN_AFTER,
        };
        if now >= self.swept + every {
            self.swept = now;
            self.entries.retain(|_, entry| entry.until + FORGIVEN_AFTER > now);
        }
    }
}
