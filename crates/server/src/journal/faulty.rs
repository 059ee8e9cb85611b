//! Journals for tests: one that fails when it is told to, and one that tells its follower late, as a journal on disk may.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use lychgate_core::{RunId, SessionKey, UserId};

use super::memory::Memory;
use super::{Entry, Follower, Journal, JournalError, JournalFuture, MessagePage, Snapshot, ThreadPage};
use crate::wire::event::Event;

/// Memory, and faults as a test orders them.
#[derive(Debug)]
pub(crate) struct Faulty {
    memory: Memory,
    reads_fail: AtomicBool,
    appends_fail: AtomicBool,
    appends_hang: AtomicBool,
}

impl Faulty {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            reads_fail: AtomicBool::new(false),
            appends_fail: AtomicBool::new(false),
            appends_hang: AtomicBool::new(false),
        }
    }

    pub(crate) fn fail_reads(&self, fails: bool) {
        self.reads_fail.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn fail_appends(&self, fails: bool) {
        self.appends_fail.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn hang_appends(&self, hangs: bool) {
        self.appends_hang.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    fn reading<'a, T: Send + 'a>(&'a self, read: impl FnOnce() -> JournalFuture<'a, T>) -> JournalFuture<'a, T> {
        unless(&self.reads_fail, read)
    }

    fn writing<'a, T: Send + 'a>(&'a self, write: impl FnOnce() -> JournalFuture<'a, T>) -> JournalFuture<'a, T> {
        match self.appends_hang.load(Ordering::SeqCst) {
            true => Box::pin(std::future::pending()),
            false => unless(&self.appends_fail, write),
        }
    }
}

fn unless<'a, T: Send + 'a>(fails: &AtomicBool, act: impl FnOnce() -> JournalFuture<'a, T>) -> JournalFuture<'a, T> {
    match fails.load(Ordering::SeqCst) {
        true => Box::pin(std::future::ready(Err(JournalError::Unavailable("broken".to_owned())))),
        false => act(),
    }
}

impl Journal for Faulty {
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>> {
        self.writing(|| self.memory.append(key, events))
    }

    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>> {
        self.reading(|| self.memory.read(key, after, limit))
    }

    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot> {
        self.reading(|| self.memory.snapshot(key))
    }

    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool> {
        self.memory.knows_run(key, run)
    }

    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>> {
        self.writing(|| self.memory.append_once(key, once, events))
    }

    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()> {
        self.writing(|| self.memory.rehearse(key, event))
    }

    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage> {
        self.reading(|| self.memory.threads(user, before, limit))
    }

    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage> {
        self.reading(|| self.memory.messages(key, before, limit))
    }

    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        self.memory.unfinished(limit)
    }

    fn trouble(&self) -> Option<String> {
        self.memory.trouble()
    }

    fn bytes(&self) -> u64 {
        Journal::bytes(&self.memory)
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        self.memory.follow(follower);
    }
}

/// Memory whose follower hears of an append only when the test says so; a reader sees it before.
#[derive(Default)]
pub(crate) struct Late {
    follower: OnceLock<Arc<dyn Follower>>,
    untold: Mutex<VecDeque<(SessionKey, Vec<Entry>)>>,
}

impl Late {
    /// Tells the follower of the next append, if there is one.
    pub(crate) fn tell(&self) -> bool {
        // One lock over both, or two who tell could tell in the wrong order.
        let mut untold = self.untold.lock().unwrap();
        let next = untold.pop_front();
        if let (Some((key, entries)), Some(follower)) = (&next, self.follower.get()) {
            follower.appended(key, entries);
        }
        next.is_some()
    }

    /// Puts itself between the journal and its follower.
    pub(crate) fn between(journal: &dyn Journal, follower: Arc<dyn Follower>) -> Arc<Self> {
        let late = Arc::new(Self { follower: follower.into(), untold: Mutex::default() });
        journal.follow(late.clone());
        late
    }
}

impl Follower for Late {
    fn appended(&self, key: &SessionKey, entries: &[Entry]) {
        self.untold.lock().unwrap().push_back((key.clone(), entries.to_vec()));
    }
}
