//! The log in this process: gone with it, and the fastest.
//!
//! ```text
//! append -> shard: find or make the thread -> thread: store, tell the follower -> acknowledged
//! ```
//!
//! A shard is locked to look a thread up, a thread to be written or read; the follower is told under the thread's lock,
//! so it hears every thread in order, and nobody else's thread waits for it. A thread that nobody wrote to has no log.
//!
//! Of a thread at rest the messages and the last finished run are kept. The threads that ended a run last stay as they
//! are, 16 to a shard; older ones are packed as JSON text, which is an eighth of the size. Above `max_bytes` the threads
//! without a run in flight first lose their events, then go altogether, least recently written first.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::ready;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use lychgate_core::{RunId, SessionKey, ThreadId, UserId};

use self::log::{Bounds, Log, weight};
use super::{
    Entry, Follower, Journal, JournalError, JournalFuture, MessagePage, Snapshot, ThreadPage, ThreadSummary, title,
};
use crate::config;
use crate::wire::event::Event;
use crate::wire::unix_ms;

mod log;
#[cfg(test)]
mod tests;

/// Locks that threads are spread over.
const SHARDS: usize = 64;
/// Threads of one shard that stay unpacked after a run.
const WARM_PER_SHARD: usize = 16;
/// The end of a run is taken above the bound too, up to this size: a log that cannot record an end would show a run
/// in flight for ever (R18).
const END_BYTES: usize = 16 * 1_024;

type Thread = Arc<Mutex<Log>>;

#[derive(Default)]
struct Shard {
    threads: HashMap<SessionKey, Thread>,
    /// Threads that ended a run, with the time of that write; the oldest is packed when a new one comes.
    warm: VecDeque<(u64, Weak<Mutex<Log>>)>,
}

/// The journal `memory`.
pub struct Memory {
    epoch: Arc<str>,
    bounds: Bounds,
    max_bytes: usize,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    bytes: AtomicUsize,
    clock: AtomicU64,
    /// The highest offset of a thread that went. New logs start above it, so that an offset of a log that went never
    /// names an event of the one that took its place (R19).
    floor: AtomicU64,
    evicting: Mutex<()>,
    follower: OnceLock<Arc<dyn Follower>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("epoch", &self.epoch).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// A poisoned lock guards a log that is whole all the same: every change to it is made before the follower is told.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Memory {
    /// An empty journal. `epoch` is random text, another one in every process.
    #[must_use]
    pub fn new(config: &config::Journal, epoch: &str) -> Self {
        Self {
            epoch: epoch.into(),
            bounds: Bounds { max_events: config.max_events_per_thread, max_messages: config.max_messages_per_thread },
            max_bytes: config.max_bytes,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            bytes: AtomicUsize::new(0),
            clock: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            evicting: Mutex::new(()),
            follower: OnceLock::new(),
        }
    }

    /// Bytes that all threads hold, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Threads that have a log.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).threads.len()).sum()
    }

    /// All threads of a user lie in one shard, so that a list of them looks at no other.
    fn shard(&self, user: &UserId) -> &Mutex<Shard> {
        let spread = usize::try_from(self.hasher.hash_one(user) % SHARDS as u64).unwrap_or(0);
        &self.shards[spread]
    }

    fn find(&self, key: &SessionKey) -> Option<Thread> {
        lock(self.shard(key.user())).threads.get(key).cloned()
    }

    fn find_or_make(&self, key: &SessionKey) -> Thread {
        let mut shard = lock(self.shard(key.user()));
        if let Some(thread) = shard.threads.get(key) {
            return Arc::clone(thread);
        }
        let log = Log::new(self.floor.load(Ordering::SeqCst));
        self.bytes.fetch_add(log.bytes(), Ordering::Relaxed);
        let thread = Arc::new(Mutex::new(log));
        shard.threads.insert(key.clone(), Arc::clone(&thread));
        thread
    }

    fn append_now(
        &self,
        key: &SessionKey,
        once: Option<u64>,
        events: Vec<Event>,
    ) -> Result<Option<Vec<Entry>>, JournalError> {
        let wanted: usize = events.iter().map(weight).sum();
        let ends = events.last().is_some_and(Event::ends_run);
        self.reserve(wanted, ends)?;
        let thread = self.find_or_make(key);
        let mut log = lock(&thread);
        if log.dead {
            // It went between the two locks; nobody else is likely to come in between again.
            drop(log);
            self.bytes.fetch_sub(wanted, Ordering::Relaxed);
            return self.append_now(key, once, events);
        }
        if once.is_some_and(|once| log.did(once)) {
            drop(log);
            self.bytes.fetch_sub(wanted, Ordering::Relaxed);
            return Ok(None);
        }
        let before = log.bytes();
        let appended = log.append(events, self.bounds, |run| once.is_none().then(|| self.hasher.hash_one(run)));
        log.written = self.clock.fetch_add(1, Ordering::Relaxed);
        if ends || log.touched == 0 {
            log.touched = unix_ms();
        }
        if log.created == 0 {
            log.created = log.touched;
        }
        if let (Some(once), Ok(_)) = (once, &appended) {
            log.remember(once);
        }
        self.bytes.fetch_add(log.bytes(), Ordering::Relaxed);
        self.bytes.fetch_sub(before + wanted, Ordering::Relaxed);
        if let (Ok(entries), Some(follower)) = (&appended, self.follower.get()) {
            follower.appended(key, entries);
        }
        let written = log.written;
        drop(log);
        if ends && appended.is_ok() {
            self.cool(key, written, &thread);
            // Its messages were made beside its events just now, and weigh something too.
            self.evict();
        }
        appended.map(Some)
    }

    /// As [`Self::append_now`], into a log that is let go of before anybody can find it.
    fn rehearse_now(&self, key: &SessionKey, event: Event) -> Result<(), JournalError> {
        let wanted = weight(&event);
        self.reserve(wanted, false)?;
        // Whoever makes this thread would hold its shard's lock.
        drop(lock(self.shard(key.user())));
        let mut log = Log::new(self.floor.load(Ordering::SeqCst));
        let appended = log.append(vec![event], self.bounds, |_| None);
        self.bytes.fetch_sub(wanted, Ordering::Relaxed);
        if let Some(follower) = self.follower.get() {
            follower.appended(key, &appended?);
        }
        Ok(())
    }

    /// Remembers that this thread is at rest now, and packs the one that has been for longest.
    fn cool(&self, key: &SessionKey, written: u64, thread: &Thread) {
        let mut shard = lock(self.shard(key.user()));
        shard.warm.push_back((written, Arc::downgrade(thread)));
        let oldest = (shard.warm.len() > WARM_PER_SHARD).then(|| shard.warm.pop_front()).flatten();
        drop(shard);
        let Some((written, thread)) = oldest.and_then(|(written, thread)| Some((written, thread.upgrade()?))) else {
            return;
        };
        let mut log = lock(&thread);
        if log.written == written && !log.dead {
            self.shrink(&mut log, Log::pack);
        }
    }

    fn shrink(&self, log: &mut Log, how: impl FnOnce(&mut Log)) {
        let before = log.bytes();
        how(log);
        self.bytes.fetch_add(log.bytes(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// Counts `wanted` bytes in, after making room where there is none.
    fn reserve(&self, wanted: usize, ends: bool) -> Result<(), JournalError> {
        let fits = || self.bytes() <= self.max_bytes;
        self.bytes.fetch_add(wanted, Ordering::Relaxed);
        if fits() {
            return Ok(());
        }
        self.evict();
        if fits() || (ends && wanted <= END_BYTES) {
            return Ok(());
        }
        self.bytes.fetch_sub(wanted, Ordering::Relaxed);
        let why = format!("{} bytes are held by runs in flight", self.max_bytes);
        Err(JournalError::Unavailable(why))
    }

    /// Frees a sixteenth more than is needed, so that a full journal is not searched at every append.
    fn evict(&self) {
        let _one_at_a_time = lock(&self.evicting);
        if self.bytes() <= self.max_bytes {
            return;
        }
        let is_enough = || self.bytes() <= self.max_bytes - self.max_bytes / 16;
        let at_rest = self.at_rest();
        for (written, _, thread) in &at_rest {
            if is_enough() {
                return;
            }
            if let Some(mut log) = try_lock(thread)
                && log.written == *written
            {
                self.shrink(&mut log, Log::strip);
            }
        }
        for (written, key, _) in &at_rest {
            if is_enough() {
                return;
            }
            self.remove(key, *written);
        }
    }

    /// Threads without a run in flight, least recently written first. A thread that is locked is in use.
    fn at_rest(&self) -> Vec<(u64, SessionKey, Thread)> {
        let mut at_rest = Vec::new();
        for shard in &self.shards {
            for (key, thread) in &lock(shard).threads {
                if let Some(log) = try_lock(thread)
                    && !log.is_in_flight()
                {
                    at_rest.push((log.written, key.clone(), Arc::clone(thread)));
                }
            }
        }
        at_rest.sort_unstable_by_key(|(written, ..)| *written);
        at_rest
    }

    fn remove(&self, key: &SessionKey, written: u64) {
        let mut shard = lock(self.shard(key.user()));
        let Some(thread) = shard.threads.get(key).cloned() else {
            return;
        };
        let Some(mut log) = try_lock(&thread) else { return };
        if log.written == written && !log.is_in_flight() {
            // Raised while the shard is locked: whoever makes this thread anew starts above.
            // One above its head: who saw all of it has to hear that it is gone.
            self.floor.fetch_max(log.head() + 1, Ordering::SeqCst);
            log.dead = true;
            self.bytes.fetch_sub(log.bytes(), Ordering::Relaxed);
            shard.threads.remove(key);
        }
    }

    fn read_now(&self, key: &SessionKey, after: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        match self.find(key) {
            Some(thread) => lock(&thread).read(after, limit),
            None => Log::new(self.floor.load(Ordering::SeqCst)).read(after, limit),
        }
    }

    fn threads_now(&self, user: &UserId, before: Option<u64>, limit: usize) -> ThreadPage {
        let of_user: Vec<(SessionKey, Thread)> = {
            let shard = lock(self.shard(user));
            let of_user = shard.threads.iter().filter(|(key, _)| key.user() == user);
            of_user.map(|(key, thread)| (key.clone(), Arc::clone(thread))).collect()
        };
        let rank = |(key, thread): (SessionKey, Thread)| {
            let rank = lock(&thread).written;
            (rank, key, thread)
        };
        let mut ranked: Vec<_> = of_user.into_iter().map(rank).collect();
        ranked.retain(|(rank, ..)| before.is_none_or(|before| *rank < before));
        ranked.sort_unstable_by_key(|(rank, ..)| Reverse(*rank));
        let more = ranked.len() > limit;
        ranked.truncate(limit);
        let summary = |(_, key, thread): (u64, SessionKey, Thread)| summary(key.thread().clone(), &lock(&thread));
        ThreadPage { threads: ranked.into_iter().map(summary).collect(), more }
    }

    fn messages_now(&self, key: &SessionKey, before: Option<&str>, limit: usize) -> MessagePage {
        let Some(thread) = self.find(key) else { return MessagePage::default() };
        let log = lock(&thread);
        MessagePage::of(log.history().messages, log.has_more(), before, limit)
    }

    fn snapshot_now(&self, key: &SessionKey) -> Snapshot {
        let epoch = Arc::clone(&self.epoch);
        match self.find(key) {
            Some(thread) => lock(&thread).snapshot(epoch),
            None => Log::new(self.floor.load(Ordering::SeqCst)).snapshot(epoch),
        }
    }
}

fn summary(thread: ThreadId, log: &Log) -> ThreadSummary {
    let messages = log.history().messages;
    ThreadSummary {
        thread,
        rank: log.written,
        created: log.created,
        written: log.touched,
        head: log.head(),
        messages: messages.len() as u64,
        run: log.run().cloned(),
        title: title(&messages),
    }
}

impl Journal for Memory {
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>> {
        Box::pin(ready(self.append_now(key, None, events).map(Option::unwrap_or_default)))
    }

    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>> {
        Box::pin(ready(self.append_now(key, Some(self.hasher.hash_one(once)), events)))
    }

    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()> {
        Box::pin(ready(self.rehearse_now(key, event)))
    }

    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage> {
        Box::pin(ready(Ok(self.threads_now(user, before, limit))))
    }

    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage> {
        Box::pin(ready(Ok(self.messages_now(key, before, limit))))
    }

    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        let open = |(key, thread): (&SessionKey, &Thread)| Some((key.clone(), lock(thread).run()?.clone()));
        let of_shard =
            |shard: &Mutex<Shard>| lock(shard).threads.iter().filter_map(open).take(limit).collect::<Vec<_>>();
        Box::pin(ready(Ok(self.shards.iter().flat_map(of_shard).take(limit).collect())))
    }

    /// None: threads at rest make room, and a run that finds none is told.
    fn trouble(&self) -> Option<String> {
        None
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self) as u64
    }

    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>> {
        Box::pin(ready(self.read_now(key, after, limit)))
    }

    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot> {
        Box::pin(ready(Ok(self.snapshot_now(key))))
    }

    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool> {
        let run = self.hasher.hash_one(run);
        Box::pin(ready(Ok(self.find(key).is_some_and(|thread| lock(&thread).knows(run)))))
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        if self.follower.set(follower).is_err() {
            tracing::error!("a journal has one follower; the second one is not told anything");
        }
    }
}
