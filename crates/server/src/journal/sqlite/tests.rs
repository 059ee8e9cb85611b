use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::journal::conformance::conforms;

/// A directory that goes with the test.
pub(crate) struct Place(pub(crate) PathBuf);

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub(crate) fn new() -> Self {
        let name = format!("lychgate-journal-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn config(&self) -> config::Journal {
        config::Journal { directory: self.0.clone(), ..config::Journal::default() }
    }

    pub(crate) fn open(&self) -> Sqlite {
        Sqlite::open(&self.config(), "test").unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
