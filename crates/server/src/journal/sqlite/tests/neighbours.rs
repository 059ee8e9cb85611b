//! Other programs that write to the file, and other threads of the journal that are sick: nobody else ends by them.

use super::*;

/// Another program that has the file to itself.
fn seize(place: &Place) -> Connection {
    let db = place.database();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    db
}

fn appended(journal: &Arc<Sqlite>, key: &SessionKey, event: Event) -> tokio::task::JoinHandle<Outcome> {
    let (journal, key) = (Arc::clone(journal), key.clone());
    tokio::spawn(async move { journal.append(&key, vec![event]).await.map(Some) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_another_program_that_writes_and_probes_are_told() {
    let place = Place::new();
    let journal = Arc::new(place.open());
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    let other = seize(&place);
    let late = appended(&journal, &key, content("m", "a"));
    becomes(|| journal.trouble().is_some_and(|trouble| trouble.contains("another program"))).await;
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(late.await.unwrap().unwrap().unwrap()[0].offset, 2, "no run ends by a neighbour");
    becomes(|| journal.trouble().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_closed_waits_for_no_other_program() {
    let place = Place::new();
    let journal = Arc::new(place.open());
    let other = seize(&place);
    let late = appended(&journal, &key("ann", "t"), started("r", "q"));
    becomes(|| journal.trouble().is_some()).await;
    journal.close().await.unwrap();
    assert!(late.await.unwrap().is_err());
    other.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_go_on_beside_a_long_deletion() {
    let place = Place::new();
    let journal = place.open();
    let (long, mine) = (key("ann", "long"), key("bob", "t"));
    run(&journal, &long, "r").await;
    kept_up(&place).await;
    let steps = 100;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                INSERT INTO event SELECT 1, i, '{\"type\":\"CUSTOM\"}' FROM n";
    place.database().execute(rows, [steps * 1_024]).unwrap();
    let mut archive = Archive::open_to_delete(&place.0).unwrap();
    let deletion = std::thread::spawn(move || archive.delete(&long, false).unwrap());
    journal.append(&mine, vec![started("r", "q")]).await.unwrap();
    let mut taken = 0;
    while !deletion.is_finished() {
        journal.append(&mine, vec![content("m", "a")]).await.unwrap();
        taken += 1;
    }
    assert_eq!(deletion.join().unwrap(), Deletion::Done);
    assert!(taken > steps / 2, "{taken} appends got in between {steps} steps");
}

/// Writes nonsense over the page of the file in which `text` stands.
fn break_page(place: &Place, text: &str) {
    let mut bytes = std::fs::read(files_database(place)).unwrap();
    let pages: Vec<usize> = bytes
        .chunks(4_096)
        .enumerate()
        .filter(|(_, page)| page.windows(text.len()).any(|part| part == text.as_bytes()))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(pages.len(), 1);
    bytes[pages[0] * 4_096..][..4_096].fill(0xa5);
    std::fs::write(files_database(place), bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_page_fails_the_thread_that_needs_it_and_nobody_else_in_its_batch() {
    let place = Place::new();
    let journal = place.open();
    let [sick, between, well, third] = ["sick", "between", "well", "third"].map(|thread| key("ann", thread));
    for (key, last) in [(&sick, "the page that breaks"), (&between, "x"), (&well, "x"), (&third, "x")] {
        let pieces = (0..200).map(|_| content("m", "a piece of text")).chain([content("m", last)]);
        journal.append(key, [started("r", "q")].into_iter().chain(pieces).collect()).await.unwrap();
    }
    journal.close().await.unwrap();
    drop(journal);
    let journal = Arc::new(place.open());
    break_page(&place, "the page that breaks");

    // While another program has the file, all that come meanwhile gather into one batch.
    let other = seize(&place);
    let first = appended(&journal, &third, content("m", "a"));
    becomes(|| journal.trouble().is_some()).await;
    let before = journal.commits();
    let late = [&sick, &well].map(|key| appended(&journal, key, content("m", "b")));
    // A trial of upkeep may stand among them.
    becomes(|| journal.jobs.max_capacity() - journal.jobs.capacity() >= 2).await;
    // What the writer remembers of the pages goes with this.
    other.execute_batch("UPDATE meta SET value = value + 1 WHERE key = 'rank'; COMMIT").unwrap();
    first.await.unwrap().unwrap();
    let [of_sick, of_well] = late;
    let refused = of_sick.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("malformed"), "{refused}");
    of_well.await.unwrap().unwrap();
    assert_eq!(journal.commits() - before, 2, "the first, and the one that is well");
    assert!(journal.trouble().unwrap().contains("malformed"));
}

/// Deletes a thread whose run is in flight as `lychgate threads delete --force` does; `steps` of it, or all.
fn delete(place: &Place, id: i64, steps: usize) {
    let db = place.database();
    for _ in 0..steps {
        if place.number("SELECT count(*) FROM thread") == 0 || change::forget_some(&db, id).unwrap() {
            return;
        }
    }
}

async fn long_run(journal: &Sqlite, key: &SessionKey) {
    let pieces = (0..3_000).map(|_| content("m", "a"));
    journal.append(key, [started("r", "q")].into_iter().chain(pieces).collect()).await.unwrap();
}

#[tokio::test]
async fn a_run_whose_thread_is_being_deleted_writes_nothing_more_however_long_it_takes() {
    for steps in [1, 2, 99] {
        let place = Place::new();
        let journal = place.open();
        let key = key("ann", "t");
        long_run(&journal, &key).await;
        delete(&place, 1, steps);
        let rows = place.number("SELECT count(*) FROM event");
        let rest = [vec![content("m", "b")], vec![content("m", "c"), finished("r")]];
        for events in rest {
            assert_eq!(journal.append(&key, events).await.unwrap_err(), JournalError::Gone);
        }
        delete(&place, 1, 99);
        for once in ["end:1", "publication:p"] {
            let end = vec![content("m", "b"), finished("r")];
            assert_eq!(journal.append_once(&key, once, end).await.unwrap_err(), JournalError::Gone, "{once}");
        }
        assert!(rows < 3_000);
        assert_eq!(place.number("SELECT count(*) FROM thread"), 0, "nothing made the thread anew");
        journal.append_once(&key, "publication:q", vec![started("p", "q"), finished("p")]).await.unwrap().unwrap();
        run(&journal, &key, "r2").await;
        assert_eq!(journal.snapshot(&key).await.unwrap().messages.len(), 3, "what starts anew is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_was_deleted_while_its_run_waited_for_the_file_is_gone_too() {
    let place = Place::new();
    let journal = Arc::new(place.open());
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    let other = seize(&place);
    let late = appended(&journal, &key, content("m", "a"));
    becomes(|| journal.trouble().is_some()).await;
    assert!(change::forget_some(&other, 1).unwrap());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(late.await.unwrap().unwrap_err(), JournalError::Gone);
}

/// Stays with the first thread that it hears of until it may go on.
struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

impl Follower for Stuck {
    fn appended(&self, key: &SessionKey, _: &[Entry]) {
        if key.thread().as_str() == "slow" {
            let _ = self.0.lock().unwrap().recv();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_busy_with_one_thread_does_not_hold_up_all_others() {
    let place = Place::new();
    let journal = Arc::new(place.open());
    let (go_on, may_go_on) = sync_channel(1);
    journal.follow(Arc::new(Stuck(Mutex::new(may_go_on))));
    let slow = appended(&journal, &key("ann", "slow"), started("r", "q"));
    let mut others = tokio::task::JoinSet::new();
    for user in 0..64 {
        let journal = Arc::clone(&journal);
        others.spawn(async move { journal.append(&key(&format!("user {user}"), "t"), vec![started("r", "q")]).await });
    }
    let first = tokio::time::timeout(PATIENCE, others.join_next()).await.expect("all wait for one");
    first.unwrap().unwrap().unwrap();
    assert!(!slow.is_finished());
    go_on.send(()).unwrap();
    slow.await.unwrap().unwrap();
    assert!(others.join_all().await.iter().all(Result::is_ok));
}
