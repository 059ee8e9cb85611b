use serde_json::{Value, json};

use super::*;
use crate::journal::Snapshot;

fn custom() -> Event {
    Event::build(&json!({"type": "CUSTOM", "name": "n", "value": 1}))
}

fn delta(entry: &Entry) -> String {
    let event: Value = serde_json::from_str(entry.event.json().get()).unwrap();
    event["delta"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_run_longer_than_the_bound_is_joined_and_still_starts_with_its_start() {
    let place = Place::new();
    let journal = place.open_with(|config| config.max_events_per_thread = 64);
    let key = key("ann", "t");
    run(&journal, &key, "r1").await;
    journal.append(&key, vec![started("r2", "go on")]).await.unwrap();
    let mut answer = String::new();
    for piece in 0..1_000 {
        let piece = format!("{piece} ");
        journal.append(&key, vec![content("m", &piece)]).await.unwrap();
        answer.push_str(&piece);
    }
    let snapshot = journal.snapshot(&key).await.unwrap();
    let entries = journal.read(&key, snapshot.cut, 1_000).await.unwrap();
    assert!(entries.len() <= 64, "{}", entries.len());
    assert_eq!(entries[0].event.kind(), "RUN_STARTED");
    assert_eq!(entries.iter().map(delta).collect::<String>(), answer);
    let inside = journal.read(&key, snapshot.cut + 5, 1).await.unwrap_err();
    assert!(
        matches!(inside, JournalError::Trimmed(_)),
        "whoever left off inside a joined piece must not be served a part of it twice"
    );
    journal.append(&key, vec![finished("r2")]).await.unwrap();
    let messages = journal.snapshot(&key).await.unwrap().messages;
    assert_eq!(messages.last().unwrap().rest["content"], answer);
}

#[tokio::test]
async fn a_run_of_events_that_cannot_be_joined_ends_at_the_bound_and_harms_nobody_else() {
    let place = Place::new();
    let journal = place.open_with(|config| config.max_events_per_thread = 8);
    let (key, other) = (key("ann", "t"), key("bob", "t"));
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    for _ in 0..7 {
        journal.append(&key, vec![custom()]).await.unwrap();
    }
    let (refused, taken) = tokio::join!(
        journal.append(&key, vec![custom()]),
        journal.append(&other, vec![started("r", "q"), content("m", "a")])
    );
    assert!(matches!(refused, Err(JournalError::Unavailable(_))), "{refused:?}");
    assert_eq!(taken.unwrap().len(), 2, "one request of a batch fails alone");
    assert_eq!(journal.trouble(), None);
    journal.append(&key, vec![finished("r")]).await.unwrap();
    assert!(journal.snapshot(&key).await.unwrap().run.is_none(), "its end is recorded all the same");
}

#[tokio::test]
async fn a_run_of_more_bytes_than_a_thread_may_hold_is_refused_but_for_its_end() {
    let place = Place::new();
    let journal = place.open_with(|config| config.max_bytes_per_thread = 100_000);
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    let big = "x".repeat(30_000);
    let mut taken = 0;
    while journal.append(&key, vec![content("m", &big)]).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 3);
    journal.append(&key, vec![finished("r")]).await.unwrap();
    run(&journal, &key, "r2").await;
    assert_eq!(journal.snapshot(&key).await.unwrap().run, None);
}

#[tokio::test]
async fn the_messages_of_a_thread_are_bounded_in_number_and_bytes_before_and_after_they_are_folded() {
    let place = Place::new();
    let journal = place.open_with(|config| {
        config.max_messages_per_thread = 6;
        config.max_bytes_per_thread = 65_536;
    });
    let key = key("ann", "t");
    for r in 0..5 {
        run(&journal, &key, &format!("r{r}")).await;
    }
    let ids = |snapshot: &Snapshot| snapshot.messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    let expected = ["u-r2", "m-r2", "u-r3", "m-r3", "u-r4", "m-r4"];
    for _ in 0..2 {
        let snapshot = journal.snapshot(&key).await.unwrap();
        assert_eq!((ids(&snapshot), snapshot.more), (expected.map(str::to_owned).to_vec(), true));
        let page = journal.messages(&key, Some("m-r2"), 5).await.unwrap();
        assert_eq!((page.messages.len(), page.more), (1, true));
        kept_up(&place).await;
    }
    assert_eq!(place.number("SELECT count(*) FROM message"), 6);
    let long = "x".repeat(40_000);
    for r in ["long1", "long2"] {
        journal.append(&key, vec![started(r, "q"), content(r, &long), finished(r)]).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(ids(&journal.snapshot(&key).await.unwrap()), ["u-long2", "long2"]);
        kept_up(&place).await;
    }
    assert_eq!(place.number("SELECT messages FROM thread"), 2);
    assert_eq!(place.number("SELECT bytes - (SELECT sum(octet_length(json)) FROM message) FROM thread"), 0);
}

#[tokio::test]
async fn history_never_begins_with_an_orphaned_tool_result() {
    let place = Place::new();
    let journal = place.open_with(|config| config.max_messages_per_thread = 3);
    let key = key("ann", "t");
    let call = json!({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f"});
    let result = json!({"type": "TOOL_CALL_RESULT", "messageId": "t", "toolCallId": "c", "content": "1"});
    let events =
        vec![started("r1", "q"), Event::build(&call), Event::build(&result), content("m", "a"), finished("r1")];
    journal.append(&key, events).await.unwrap();
    journal.append(&key, vec![started("r2", "q"), finished("r2")]).await.unwrap();
    for _ in 0..2 {
        let messages = journal.snapshot(&key).await.unwrap().messages;
        assert_eq!(messages.iter().map(|m| m.role.as_str()).collect::<Vec<_>>(), ["assistant", "user"]);
        kept_up(&place).await;
    }
}

#[tokio::test]
async fn a_history_that_is_replaced_as_a_whole_replaces_the_rows() {
    let place = Place::new();
    let journal = place.open();
    let key = key("ann", "t");
    for r in ["r1", "r2"] {
        run(&journal, &key, r).await;
    }
    kept_up(&place).await;
    let kept = json!([{"id": "x", "role": "system", "content": "only me"}]);
    let snapshot = Event::build(&json!({"type": "MESSAGES_SNAPSHOT", "messages": kept}));
    journal.append(&key, vec![started("r3", "q"), snapshot, finished("r3")]).await.unwrap();
    for _ in 0..2 {
        let messages = journal.snapshot(&key).await.unwrap().messages;
        assert_eq!(serde_json::to_value(&messages).unwrap(), kept);
        kept_up(&place).await;
    }
    assert_eq!(place.number("SELECT count(*) FROM message"), 1);
}

#[tokio::test]
async fn what_is_kept_are_the_last_finished_run_and_the_run_in_flight() {
    let place = Place::new();
    let journal = place.open();
    let key = key("ann", "t");
    for r in 0..40 {
        run(&journal, &key, &format!("r{r}")).await;
    }
    kept_up(&place).await;
    assert_eq!(place.number("SELECT count(*) FROM event"), 3);
    journal.append(&key, vec![started("next", "q"), content("m", "a")]).await.unwrap();
    kept_up(&place).await;
    let snapshot = journal.snapshot(&key).await.unwrap();
    assert_eq!(journal.read(&key, snapshot.oldest, 100).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_thread_that_nobody_writes_to_any_more_is_joined() {
    let place = Place::new();
    let journal = place.open_with(|config| config.compact_after = std::time::Duration::ZERO);
    let key = key("ann", "t");
    let mut events = vec![started("r", "q")];
    events.extend((0..3_000).map(|piece| content("m", &format!("{piece} "))));
    events.push(finished("r"));
    let answer: String = events.iter().map(|event| delta(&Entry { offset: 0, event: event.clone() })).collect();
    journal.append(&key, events).await.unwrap();
    becomes(|| place.number("SELECT joined = head FROM thread") == 1).await;
    let entries = journal.read(&key, 0, 10_000).await.unwrap();
    assert!(entries.len() < 10, "{}", entries.len());
    assert_eq!(entries.iter().map(delta).collect::<String>(), answer);
    assert!(matches!(journal.read(&key, 7, 10).await, Err(JournalError::Trimmed(_))));
}

#[tokio::test]
async fn a_thread_past_its_retention_goes_and_its_offsets_are_never_given_again() {
    let place = Place::new();
    let journal = place.open();
    let (old, new) = (key("ann", "old"), key("ann", "new"));
    let mut events = vec![started("r", "q")];
    events.extend((0..3_000).map(|_| custom()));
    events.push(finished("r"));
    journal.append(&old, events).await.unwrap();
    run(&journal, &new, "r").await;
    journal.close().await.unwrap();
    drop(journal);
    let day = 24 * 3_600 * 1_000;
    place.database().execute("UPDATE thread SET written = written - ? WHERE name = 'old'", [2 * day]).unwrap();

    let journal = place.open_with(|config| config.retention = Some(std::time::Duration::from_secs(24 * 3_600)));
    becomes(|| place.number("SELECT count(*) FROM thread") == 1).await;
    assert_eq!(place.number("SELECT count(*) FROM event"), 3);
    let gone = journal.snapshot(&old).await.unwrap();
    assert!(gone.messages.is_empty() && gone.head > 3_002, "{gone:?}");
    assert!(matches!(journal.read(&old, 3_002, 10).await, Err(JournalError::Trimmed(_))), "it is told to start over");
    let again = journal.append(&old, vec![started("r", "q")]).await.unwrap();
    assert!(again[0].offset > 3_002);
}

#[tokio::test]
async fn a_thread_that_is_spoken_to_while_it_is_forgotten_keeps_the_rest_and_says_so() {
    let place = Place::new();
    let journal = place.open();
    let key = key("ann", "t");
    for r in 0..400 {
        run(&journal, &key, &format!("r{r}")).await;
    }
    let mut events = vec![started("long", "q")];
    events.extend((0..600).map(|_| custom()));
    events.push(finished("long"));
    journal.append(&key, events).await.unwrap();
    kept_up(&place).await;
    assert!(!change::forget_some(&place.database(), 1).unwrap());
    run(&journal, &key, "again").await;
    for _ in 0..2 {
        let snapshot = journal.snapshot(&key).await.unwrap();
        assert!(snapshot.more && snapshot.messages.len() < 500, "{}", snapshot.messages.len());
        kept_up(&place).await;
        assert_eq!(place.number("SELECT messages - (SELECT count(*) FROM message) FROM thread"), 0);
        assert_eq!(place.number("SELECT bytes - (SELECT sum(octet_length(json)) FROM message) FROM thread"), 0);
    }
}

#[tokio::test]
async fn known_runs_and_publications_are_bounded() {
    let place = Place::new();
    let journal = place.open();
    let key = key("ann", "t");
    for r in 0..1_100 {
        let batch = |run: &str| vec![started(run, "q"), finished(run)];
        journal.append(&key, batch(&format!("r{r}"))).await.unwrap();
        journal.append_once(&key, &format!("k{r}"), batch("publication")).await.unwrap();
    }
    kept_up(&place).await;
    for table in ["run", "publication"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {table}")), 1_024);
    }
    assert!(!journal.knows_run(&key, &RunId::parse("r75").unwrap()).await.unwrap());
    assert!(journal.knows_run(&key, &RunId::parse("r76").unwrap()).await.unwrap());
    assert!(journal.append_once(&key, "k1099", vec![custom()]).await.unwrap().is_none());
    assert!(journal.append_once(&key, "k0", vec![custom()]).await.unwrap().is_some());
}

#[tokio::test]
async fn the_write_ahead_log_starts_over_while_somebody_writes() {
    let place = Place::new();
    let journal = place.open();
    let big = "x".repeat(100_000);
    for round in 0..1_500 {
        let key = key("ann", &format!("t{}", round % 50));
        let run = format!("r{round}");
        journal.append(&key, vec![started(&run, "q"), content(&run, &big), finished(&run)]).await.unwrap();
    }
    let mut wal = files_database(&place).into_os_string();
    wal.push("-wal");
    let length = std::fs::metadata(wal).unwrap().len();
    assert!(length < 100 * 1_024 * 1_024, "{length} bytes after 300 MB were written");
}
