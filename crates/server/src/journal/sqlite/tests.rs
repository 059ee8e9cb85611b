use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::journal::conformance::{conforms, content, finished, key, started};

mod bounds;
mod crash;
mod documented;
mod files;
mod full_disk;
mod garbled;
mod neighbours;
mod reopened;

/// Nothing here takes longer; nothing waits it out.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A directory that goes with the test.
pub(super) struct Place(pub(super) PathBuf);

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub(super) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    pub(super) fn within(parent: &Path) -> Self {
        let name = format!("lychgate-journal-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self(parent.join(name))
    }

    pub(super) fn config(&self) -> config::Journal {
        config::Journal { directory: self.0.clone(), ..config::Journal::default() }
    }

    pub(super) fn open(&self) -> Sqlite {
        Sqlite::open(&self.config(), "test").unwrap()
    }

    pub(super) fn open_with(&self, change: impl FnOnce(&mut config::Journal)) -> Sqlite {
        let mut config = self.config();
        change(&mut config);
        Sqlite::open(&config, "test").unwrap()
    }

    /// The file as another program sees it.
    pub(super) fn database(&self) -> Connection {
        let db = Connection::open(files_database(self)).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        db
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(super) fn files_database(place: &Place) -> PathBuf {
    super::files::database(&place.0)
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn run(journal: &Sqlite, key: &SessionKey, run: &str) {
    let events = vec![started(run, "question"), content(&format!("m-{run}"), "answer"), finished(run)];
    journal.append(key, events).await.unwrap();
}

/// Asks again until it is so.
pub(super) async fn becomes(mut is_so: impl FnMut() -> bool) {
    let soon = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, soon).await.expect("it should be so by now");
}

/// Until upkeep has nothing to do.
pub(super) async fn kept_up(place: &Place) {
    let now = crate::wire::unix_ms();
    becomes(|| place.number(&format!("SELECT count(*) FROM thread WHERE due <= {now}")) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_promises_of_a_journal() {
    let places: Mutex<Vec<Place>> = Mutex::default();
    conforms(|| {
        let place = Place::new();
        let journal = Arc::new(place.open());
        places.lock().unwrap().push(place);
        journal
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_its_promises_when_threads_are_folded_and_joined_at_once_and_appends_wait_for_the_disk() {
    let places: Mutex<Vec<Place>> = Mutex::default();
    conforms(|| {
        let place = Place::new();
        let journal = place.open_with(|config| {
            config.compact_after = std::time::Duration::ZERO;
            config.durability = config::Durability::Full;
            config.max_events_per_thread = 400;
        });
        places.lock().unwrap().push(place);
        Arc::new(journal)
    })
    .await;
}
