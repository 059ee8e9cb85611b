//! What a real server does when it stands still, forgets, dies or makes everybody wait.

use std::sync::Mutex;

use super::*;
use crate::journal::Anew;

/// Hears of logs that are others than before.
#[derive(Default)]
pub(super) struct Witness {
    appended: Mutex<Vec<u64>>,
    pub(super) anew: Mutex<Vec<String>>,
    pub(super) behind: Mutex<Vec<SessionKey>>,
}

impl Follower for Witness {
    fn appended(&self, _: &SessionKey, entries: &[Entry]) {
        self.appended.lock().unwrap().extend(entries.iter().map(|entry| entry.offset));
    }

    fn behind(&self, key: &SessionKey) {
        self.behind.lock().unwrap().push(key.clone());
    }

    fn begun_anew(&self, what: Anew<'_>) {
        self.anew.lock().unwrap().push(format!("{what:?}"));
    }
}

pub(super) fn witness(journal: &Redis) -> Arc<Witness> {
    let witness = Arc::new(Witness::default());
    journal.follow(witness.clone());
    witness
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.json().get()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_a_server_that_stands_still_is_unavailable_in_time_and_never_there_twice() {
    let server = Server::start();
    let journal = open(&server).await;
    let witness = witness(&journal);
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    server.freeze();
    let began = Instant::now();
    let error = journal.append(&t, vec![content("m", "unknown")]).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable(_)), "{error}");
    let waited = began.elapsed();
    assert!(waited < APPEND_WITHIN + Duration::from_secs(1), "{waited:?}");
    assert!(journal.trouble().is_some_and(|why| why.contains("Redis")));
    assert_eq!(*witness.appended.lock().unwrap(), [1], "what was not acknowledged is told to nobody (I7)");
    server.thaw();
    // The connections that were given up hold the same append several times.
    let last = journal.append(&t, vec![finished("r")]).await.unwrap();
    let all = journal.read(&t, 0, 10).await.unwrap();
    let unknown = texts(&all).iter().filter(|text| text.contains("unknown")).count();
    assert!(unknown <= 1 && all.last().unwrap().offset == last[0].offset, "{all:?}");
    let offsets: Vec<u64> = all.iter().map(|entry| entry.offset).collect();
    assert_eq!(*witness.appended.lock().unwrap(), offsets, "who follows has no hole where it was done after all");
    assert!(journal.trouble().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_outlives_a_pause_is_taken_once() {
    let server = Server::start();
    let journal = open(&server).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    // Longer than one answer may take: it is sent again while the first one waits in the server.
    server.pause(Duration::from_millis(1_200));
    let entries = journal.append(&t, vec![content("m", "once")]).await.unwrap();
    assert_eq!(entries[0].offset, 2);
    journal.append(&t, vec![finished("r")]).await.unwrap();
    assert_eq!(journal.read(&t, 0, 10).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_begun_by_an_append_that_was_given_up_is_found_and_ended() {
    let server = Server::start();
    let journal = open(&server).await;
    let (t, t2) = (key("ann", "t"), key("ann", "t2"));
    // As if the answer had not come: done all the same, and not done.
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    journal.inner.flights.put(&t, None);
    journal.inner.unsettled.put(&t, 1);
    journal.inner.unsettled.put(&t2, 2);
    journal.inner.beat().await.unwrap();
    assert_eq!(journal.abandoned(10).await.unwrap(), [(t.clone(), RunId::parse("r").unwrap())]);
    assert_eq!(journal.append(&t2, vec![content("m", "late")]).await.unwrap_err(), JournalError::Gone);
    journal.append(&t, vec![finished("r")]).await.unwrap();
    assert!(journal.abandoned(10).await.unwrap().is_empty());
    journal.append(&t2, vec![started("r2", "q")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_flush_the_log_has_another_epoch_and_the_run_in_flight_is_over() {
    let server = Server::start();
    let journal = open(&server).await;
    let witness = witness(&journal);
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q"), content("m", "a")]).await.unwrap();
    let before = journal.snapshot(&t).await.unwrap();
    witness.anew.lock().unwrap().clear();
    server.flush_all();
    assert_eq!(journal.append(&t, vec![content("m", "b")]).await.unwrap_err(), JournalError::Gone);
    let after = journal.snapshot(&t).await.unwrap();
    assert!(after.epoch != before.epoch && after.head == 0, "{after:?}");
    journal.append(&t, vec![started("r2", "q")]).await.unwrap();
    assert!(witness.anew.lock().unwrap()[0].starts_with("Thread"), "who saw the former log hears of it first");
    until("the pulse", async || witness.anew.lock().unwrap().iter().any(|what| what == "Everything").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_that_lost_everything_readers_start_over_and_appends_go_on() {
    let mut server = Server::start();
    let journal = open(&server).await;
    let witness = witness(&journal);
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q"), finished("r")]).await.unwrap();
    let before = journal.snapshot(&t).await.unwrap();
    server.kill();
    let began = Instant::now();
    assert!(matches!(journal.append(&t, vec![started("r2", "q")]).await, Err(JournalError::Unavailable(_))));
    assert!(journal.snapshot(&t).await.is_err());
    assert!(began.elapsed() < APPEND_WITHIN + ANSWER_WITHIN);
    server.restart();
    let after = until("an answer", async || journal.snapshot(&t).await.ok()).await;
    assert!(after.epoch != before.epoch && after.head == 0, "{after:?}");
    assert!(witness.anew.lock().unwrap().contains(&"Everything".to_owned()));
    assert_eq!(journal.append(&t, vec![started("r3", "q")]).await.unwrap()[0].offset, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_takes_nothing_but_the_ends_of_runs() {
    let server = Server::start();
    let journal = open(&server).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let error = journal.append(&t, vec![content("m", "a")]).await.unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    let lease = journal.inner.keys.lease(&journal.inner.writer);
    server.command(&["DEL", &lease]);
    journal.inner.beat().await.unwrap_err();
    assert_eq!(server.command(&["EXISTS", &lease]), "1", "it lives, and the others know");
    assert!(journal.trouble().is_some_and(|why| why.contains("OOM")));
    journal.append(&t, vec![finished("r")]).await.unwrap();
    assert!(journal.snapshot(&t).await.unwrap().run.is_none());
}
