//! Files that somebody scribbled into: whatever they hold, nothing panics, and what is answered is an answer or an error.

use proptest::prelude::*;
use rusqlite::params;

use super::*;

static WHOLE: tokio::sync::OnceCell<Vec<u8>> = tokio::sync::OnceCell::const_new();

/// A small journal, as bytes of its file.
async fn whole() -> Vec<u8> {
    WHOLE.get_or_init(made).await.clone()
}

async fn made() -> Vec<u8> {
    let place = Place::new();
    let journal = place.open();
    for thread in 0..20 {
        run(&journal, &key("ann", &format!("t{thread}")), "r").await;
    }
    kept_up(&place).await;
    journal.append(&key("ann", "t3"), vec![started("r2", "q"), content("m", "half")]).await.unwrap();
    journal.close().await.unwrap();
    std::fs::read(files_database(&place)).unwrap()
}

/// An answer or an error, but no panic: one of a thread of the journal shows as this text.
fn sound<T>(answer: Result<T, JournalError>) -> Option<T> {
    if let Err(JournalError::Unavailable(why)) = &answer {
        assert!(!why.contains("unexpectedly"), "{why}");
    }
    answer.ok()
}

/// Asks everything that a gateway asks, and appends.
async fn ask_everything(place: &Place) {
    let Ok(journal) = Sqlite::open(&place.config(), "other") else { return };
    let ann = UserId::parse("ann").unwrap();
    sound(journal.threads(&ann, None, 50).await);
    sound(journal.unfinished(50).await);
    for thread in ["t3", "t7"] {
        let key = key("ann", thread);
        if let Some(snapshot) = sound(journal.snapshot(&key).await) {
            sound(journal.read(&key, snapshot.oldest, 50).await);
        }
        sound(journal.messages(&key, None, 50).await);
        sound(journal.knows_run(&key, &RunId::parse("r").unwrap()).await);
        sound(journal.append(&key, vec![started("r9", "q"), content("m9", "a"), finished("r9")]).await);
    }
    let trouble = journal.trouble().unwrap_or_default();
    assert!(!trouble.contains("unexpectedly"), "{trouble}");
    journal.close().await.unwrap();
    assert!(journal.trouble().unwrap().contains("closed"), "its threads ended as they should");
    if let Ok(archive) = Archive::open(&place.0) {
        for key in sound(archive.keys(None, None, 50)).unwrap_or_default() {
            sound(archive.read(&key));
        }
    }
}

fn on_a_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_scribbling_makes_it_panic(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in prop::option::of(any::<prop::sample::Index>())) {
        on_a_runtime(async {
            let mut bytes = whole().await;
            for (at, byte) in &places {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let place = Place::new();
            std::fs::create_dir_all(&place.0).unwrap();
            std::fs::write(files_database(&place), bytes).unwrap();
            ask_everything(&place).await;
        });
    }

    #[test]
    fn no_row_makes_it_panic(json in ".{0,60}", number in any::<i64>(), user in "\\PC{0,3}") {
        on_a_runtime(async {
            let place = Place::new();
            std::fs::create_dir_all(&place.0).unwrap();
            std::fs::write(files_database(&place), whole().await).unwrap();
            let db = place.database();
            db.execute("UPDATE event SET json = ?", [&json]).unwrap();
            db.execute("UPDATE message SET json = ? WHERE position = 2", [&json]).unwrap();
            for column in ["head", "floor", "folded", "joined", "run_start", "finished", "rank", "bytes", "more"] {
                let _ = db.execute(&format!("UPDATE thread SET {column} = ? WHERE id % 3 = 0"), [number]);
            }
            db.execute("UPDATE thread SET name = ?, run = ? WHERE id = 5", params![user, json]).unwrap();
            db.execute("UPDATE meta SET value = ? WHERE key IN ('floor', 'rank')", [number]).unwrap();
            drop(db);
            ask_everything(&place).await;
        });
    }
}
