use futures_util::FutureExt;

use super::*;
use crate::journal::ThreadSummary;
use crate::journal::conformance::Heard;

#[tokio::test]
async fn everything_is_there_after_the_journal_was_closed_and_opened_again() {
    let place = Place::new();
    let (mine, other) = (key("ann", "t"), key("bob", "t"));
    let journal = place.open();
    run(&journal, &mine, "r1").await;
    journal.append_once(&mine, "k", vec![started("p", "q"), finished("p")]).await.unwrap();
    journal.append(&other, vec![started("r", "q"), content("m", "half")]).await.unwrap();
    let before = journal.snapshot(&mine).await.unwrap();
    journal.close().await.unwrap();
    assert!(journal.append(&mine, vec![content("m", "x")]).await.is_err());
    assert!(journal.trouble().is_some());
    drop(journal);

    let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
    let after = journal.snapshot(&mine).await.unwrap();
    assert_eq!((after.epoch, after.head, &after.messages), (before.epoch, before.head, &before.messages));
    assert!(journal.append_once(&mine, "k", vec![content("m", "x")]).await.unwrap().is_none());
    assert!(journal.knows_run(&mine, &RunId::parse("r1").unwrap()).await.unwrap());
    let orphan = (other.clone(), RunId::parse("r").unwrap());
    assert_eq!(journal.unfinished(10).await.unwrap(), [orphan]);
    let entries = journal.append(&other, vec![finished("r")]).await.unwrap();
    assert_eq!(entries[0].offset, 3, "offsets go on");
    assert!(journal.unfinished(10).await.unwrap().is_empty());
    let ann = UserId::parse("ann").unwrap();
    run(&journal, &key("ann", "later"), "r").await;
    let names = |threads: &[ThreadSummary]| threads.iter().map(|t| t.thread.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&journal.threads(&ann, None, 9).await.unwrap().threads), ["later", "t"], "ranks go on");
}

#[tokio::test]
async fn a_copy_in_place_of_the_file_is_another_log() {
    let place = Place::new();
    let journal = place.open();
    run(&journal, &key("ann", "t"), "r").await;
    journal.close().await.unwrap();
    drop(journal);
    let (file, copy) = (files_database(&place), place.0.join("copy"));
    std::fs::copy(&file, &copy).unwrap();
    std::fs::rename(&copy, &file).unwrap();
    let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
    let snapshot = journal.snapshot(&key("ann", "t")).await.unwrap();
    assert_eq!((&*snapshot.epoch, snapshot.head), ("another epoch", 3));
}

#[tokio::test]
async fn a_backup_that_was_copied_over_the_file_is_another_log() {
    let place = Place::new();
    let (file, backup) = (files_database(&place), place.0.join("backup"));
    let key = key("ann", "t");
    for round in ["r1", "r2"] {
        let journal = place.open();
        run(&journal, &key, round).await;
        journal.close().await.unwrap();
        if !backup.exists() {
            std::fs::copy(&file, &backup).unwrap();
        }
    }
    // The same file by every name that the system has for it.
    std::fs::copy(&backup, &file).unwrap();
    let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
    let snapshot = journal.snapshot(&key).await.unwrap();
    assert_eq!((&*snapshot.epoch, snapshot.head), ("another epoch", 3));
}

#[tokio::test]
async fn a_backup_that_was_made_since_the_last_opening_is_another_log_when_it_replaces_a_later_file() {
    let place = Place::new();
    let (file, backup) = (files_database(&place), place.0.join("backup"));
    let key = key("ann", "t");
    let journal = place.open();
    run(&journal, &key, "r").await;
    place.database().execute("VACUUM INTO ?", [backup.to_str()]).unwrap();
    run(&journal, &key, "r2").await;
    let mark = || std::fs::read_to_string(place.0.join("lock")).unwrap();
    let rank = place.number("SELECT value FROM meta WHERE key = 'rank'");
    becomes(|| mark().starts_with(&format!("{rank:020} "))).await;
    // What a gateway that is killed leaves: the mark of its opening.
    let left = mark();
    let whole = place.0.join("whole");
    place.database().execute("VACUUM INTO ?", [whole.to_str()]).unwrap();
    journal.close().await.unwrap();
    drop(journal);
    for (copied, epoch) in [(&whole, "test"), (&backup, "another epoch")] {
        std::fs::write(place.0.join("lock"), &left).unwrap();
        std::fs::copy(copied, &file).unwrap();
        let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
        assert_eq!(&*journal.snapshot(&key).await.unwrap().epoch, epoch);
        journal.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_crash_before_another_boot_makes_another_log_unless_it_was_full() {
    for (durability, epoch) in [("normal", "another epoch"), ("full", "test")] {
        let place = Place::new();
        let journal = place.open();
        journal.close().await.unwrap();
        drop(journal);
        let set = "UPDATE meta SET value = ?1 WHERE key = ?2";
        for (value, key) in [("no", "closed"), ("an earlier boot", "boot"), (durability, "durability")] {
            assert_eq!(place.database().execute(set, [value, key]).unwrap(), 1);
        }
        let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
        assert_eq!(&*journal.snapshot(&key("ann", "t")).await.unwrap().epoch, epoch);
    }
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_any_more_is_written_and_told() {
    let place = Place::new();
    let journal = place.open();
    let heard = Arc::new(Heard::default());
    journal.follow(heard.clone());
    for round in 0..100 {
        let key = key("ann", &format!("t{round}"));
        // There is room in the queue, so that one poll of a task that has not polled too much is enough to be in it.
        tokio::task::yield_now().await;
        let _ = journal.append(&key, vec![started("r", "q"), finished("r")]).now_or_never();
    }
    journal.close().await.unwrap();
    assert_eq!(heard.0.lock().unwrap().len(), 200);
    assert_eq!(place.number("SELECT count(*) FROM event"), 200, "closing writes what is on its way");
}

#[tokio::test]
async fn a_journal_that_is_dropped_without_a_word_gives_its_directory_back() {
    let place = Place::new();
    let journal = place.open();
    run(&journal, &key("ann", "t"), "r").await;
    drop(journal);
    becomes(|| Sqlite::open(&place.config(), "x").is_ok()).await;
}

#[test]
fn a_thread_is_remembered_only_while_a_run_is_in_flight() {
    let place = Place::new();
    let directory = Directory::claim(&place.0).unwrap();
    let (db, _) = open::prepare(&directory, config::Durability::Normal, "test").unwrap();
    let bounds = Bounds { max_events: 99, max_messages: 99, max_bytes: 99_999 };
    let mut ledger = Ledger::new(&db, bounds).unwrap();
    let mut append = |events: Vec<Event>| {
        let wanted = Wanted { key: key("ann", "t"), once: None, events, is_rehearsal: false };
        ledger.begin(&db).unwrap();
        ledger.append(&db, &wanted, wanted::Room::Enough).unwrap();
        ledger.open_threads()
    };
    assert_eq!(append(vec![content("m", "outside of a run")]), 0);
    assert_eq!(append(vec![started("r", "q")]), 1);
    assert_eq!(append(vec![content("m", "a")]), 1);
    assert_eq!(append(vec![finished("r")]), 0);
}

#[test]
fn what_is_kept_back_for_a_full_disk_goes_to_ends_of_runs_and_to_nothing_else() {
    let place = Place::new();
    let directory = Directory::claim(&place.0).unwrap();
    let (db, _) = open::prepare(&directory, config::Durability::Normal, "test").unwrap();
    let bounds = Bounds { max_events: 99, max_messages: 99, max_bytes: 99_999 };
    let mut ledger = Ledger::new(&db, bounds).unwrap();
    let mut append = |thread: &str, once: Option<&str>, room, events: Vec<Event>| {
        let wanted = Wanted { key: key("ann", thread), once: once.map(str::to_owned), events, is_rehearsal: false };
        ledger.begin(&db).unwrap();
        ledger.append(&db, &wanted, room).is_ok()
    };
    assert!(append("t", None, wanted::Room::Enough, vec![started("r", "q")]));
    let whole = || vec![started("p", "q"), finished("p")];
    for thread in ["t", "at rest"] {
        assert!(!append(thread, Some("k"), wanted::Room::ForEnds, whole()));
        assert!(!append(thread, None, wanted::Room::ForEnds, whole()));
    }
    assert!(!append("at rest", None, wanted::Room::ForEnds, vec![finished("r")]));
    assert!(append("t", None, wanted::Room::ForEnds, vec![content("m", "a"), finished("r")]));
}
