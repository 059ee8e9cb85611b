//! A journal whose appends are timed and counted.
//!
//! ```text
//! run --append--> Measured --append--> the journal
//!                    '--took, outcome--> metrics
//! ```

use std::sync::Arc;
use std::time::Instant;

use lychgate_core::{RunId, SessionKey, UserId};

use super::{Entry, Follower, Journal, JournalError, JournalFuture, MessagePage, Snapshot, ThreadPage};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::AppendOutcome;
use crate::wire::event::Event;

/// Around another journal, which does all the work.
#[derive(Debug)]
pub struct Measured {
    journal: Arc<dyn Journal>,
    metrics: Arc<Metrics>,
}

impl Measured {
    /// Tells `metrics` of every append.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, metrics: Arc<Metrics>) -> Self {
        Self { journal, metrics }
    }

    fn told<T>(&self, since: Instant, answer: Result<T, JournalError>) -> Result<T, JournalError> {
        let outcome = match &answer {
            Ok(_) => AppendOutcome::Done,
            Err(JournalError::Unavailable(_) | JournalError::Trimmed(_)) => AppendOutcome::Unavailable,
            Err(JournalError::Gone) => AppendOutcome::Gone,
        };
        self.metrics.on_append(outcome, since.elapsed());
        answer
    }
}

impl Journal for Measured {
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>> {
        let since = Instant::now();
        let append = self.journal.append(key, events);
        Box::pin(async move { self.told(since, append.await) })
    }

    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>> {
        let since = Instant::now();
        let append = self.journal.append_once(key, once, events);
        Box::pin(async move { self.told(since, append.await) })
    }

    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>> {
        self.journal.read(key, after, limit)
    }

    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot> {
        self.journal.snapshot(key)
    }

    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool> {
        self.journal.knows_run(key, run)
    }

    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage> {
        self.journal.threads(user, before, limit)
    }

    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage> {
        self.journal.messages(key, before, limit)
    }

    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        self.journal.unfinished(limit)
    }

    fn abandoned(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        self.journal.abandoned(limit)
    }

    fn left_behind<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Option<RunId>> {
        self.journal.left_behind(key)
    }

    fn trouble(&self) -> Option<String> {
        self.journal.trouble()
    }

    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()> {
        self.journal.rehearse(key, event)
    }

    fn bytes(&self) -> u64 {
        self.journal.bytes()
    }

    fn attend(&self, key: &SessionKey) {
        self.journal.attend(key);
    }

    fn leave(&self, key: &SessionKey) {
        self.journal.leave(key);
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        self.journal.follow(follower);
    }

    fn close(&self) -> JournalFuture<'_, ()> {
        self.journal.close()
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::ThreadId;

    use super::*;
    use crate::config::Config;
    use crate::journal::faulty::Faulty;
    use crate::journal::memory::Memory;
    use crate::telemetry::Population;

    #[tokio::test]
    async fn an_append_is_counted_and_timed_by_what_became_of_it() {
        let config = Config::from_toml("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"").unwrap();
        let faulty = Arc::new(Faulty::new(Memory::new(&config.journal, "epoch")));
        let metrics = Arc::new(Metrics::new());
        let journal = Measured::new(Arc::clone(&faulty) as Arc<dyn Journal>, Arc::clone(&metrics));
        let key = SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t").unwrap());
        let event = || vec![Event::build(&serde_json::json!({"type": "CUSTOM", "name": "n", "value": 1}))];
        journal.append(&key, event()).await.unwrap();
        journal.append_once(&key, "once", event()).await.unwrap();
        faulty.fail_appends(true);
        journal.append(&key, event()).await.unwrap_err();
        let text = metrics.encode(&Population { journal_bytes: journal.bytes(), ..Population::default() });
        for line in [
            "lychgate_journal_appends_total{outcome=\"done\"} 2\n",
            "lychgate_journal_appends_total{outcome=\"unavailable\"} 1\n",
            "lychgate_journal_append_seconds_count 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("lychgate_journal_bytes 0\n"), "{text}");
    }
}
