use serde_json::{Value, json};

use super::*;
use crate::journal::conformance::{conforms, content, finished, key, started};

fn journal(change: impl FnOnce(&mut config::Journal)) -> Memory {
    let mut config = config::Journal {
        kind: config::JournalKind::Memory,
        max_bytes: 256 * 1_024 * 1_024,
        max_events_per_thread: 8_192,
        max_messages_per_thread: 1_000,
        ..config::Journal::default()
    };
    change(&mut config);
    Memory::new(&config, "test")
}

async fn run(journal: &Memory, key: &SessionKey, run: &str) {
    let events = vec![started(run, "question"), content(&format!("m-{run}"), "answer"), finished(run)];
    journal.append(key, events).await.unwrap();
}

/// Packs everything that is at rest, as time would.
fn pack_all(journal: &Memory) {
    for (_, _, thread) in journal.at_rest() {
        journal.shrink(&mut lock(&thread), Log::pack);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_promises_of_a_journal() {
    conforms(|| Arc::new(journal(|_| {}))).await;
}

#[tokio::test]
async fn a_packed_thread_answers_as_it_did_before() {
    let journal = journal(|_| {});
    let key = key("ann", "t");
    for r in ["r1", "r2"] {
        run(&journal, &key, r).await;
    }
    let text = |entries: &[Entry]| -> Vec<String> {
        entries.iter().map(|e| format!("{} {}", e.offset, e.event.json())).collect()
    };
    let before = journal.snapshot(&key).await.unwrap();
    let events = journal.read(&key, 3, 10).await.unwrap();
    assert_eq!(events.len(), 3);
    pack_all(&journal);
    let after = journal.snapshot(&key).await.unwrap();
    assert_eq!((after.head, after.cut, &after.messages), (before.head, before.cut, &before.messages));
    assert_eq!(text(&journal.read(&key, 3, 10).await.unwrap()), text(&events));
    run(&journal, &key, "r3").await;
    assert_eq!(journal.snapshot(&key).await.unwrap().messages.len(), 6);
    assert!(journal.knows_run(&key, &RunId::parse("r1").unwrap()).await.unwrap());
}

#[tokio::test]
async fn the_deepest_message_that_json_allows_survives_packing() {
    let journal = journal(|_| {});
    let key = key("ann", "t");
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let result = json!({"type": "TOOL_CALL_RESULT", "messageId": "m", "toolCallId": "c", "content": deep});
    let events = vec![started("r", "q"), Event::build(&result), finished("r")];
    journal.append(&key, events).await.unwrap();
    pack_all(&journal);
    let messages = journal.snapshot(&key).await.unwrap().messages;
    assert_eq!(messages[1].rest["content"], deep);
}

#[tokio::test]
async fn a_thread_at_rest_is_small() {
    let journal = journal(|_| {});
    let threads = 200;
    for thread in 0..threads {
        let key = key(&format!("user {thread}"), "t");
        for r in 0..10 {
            run(&journal, &key, &format!("run-{r}")).await;
        }
    }
    let open = journal.bytes() / threads;
    pack_all(&journal);
    let packed = journal.bytes() / threads;
    assert!(packed < 2_500, "{packed} bytes packed, {open} before");
    assert!(packed * 4 < open, "{packed} bytes packed, {open} before");
}

#[tokio::test]
async fn a_run_longer_than_the_bound_is_joined_and_still_starts_with_its_start() {
    let journal = journal(|config| config.max_events_per_thread = 64);
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
    assert!(entries.len() <= 64);
    assert_eq!(entries[0].event.kind(), "RUN_STARTED");
    let delta = |entry: &Entry| {
        serde_json::from_str::<Value>(entry.event.json().get()).unwrap()["delta"].as_str().unwrap().to_owned()
    };
    assert_eq!(entries[1..].iter().map(delta).collect::<String>(), answer);
    assert_eq!(
        journal.read(&key, snapshot.cut + 5, 1).await.unwrap_err(),
        JournalError::Trimmed(snapshot.oldest),
        "whoever left off inside a joined piece must not be served a part of it twice"
    );
    journal.append(&key, vec![finished("r2")]).await.unwrap();
    let messages = journal.snapshot(&key).await.unwrap().messages;
    assert_eq!(messages.last().unwrap().rest["content"], answer);
}

#[tokio::test]
async fn a_run_of_events_that_cannot_be_joined_ends_at_the_bound() {
    let journal = journal(|config| config.max_events_per_thread = 8);
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    let custom = || Event::build(&json!({"type": "CUSTOM", "name": "n", "value": 1}));
    let mut taken = 0;
    let refused = loop {
        match journal.append(&key, vec![custom()]).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100);
    };
    assert!(matches!(refused, JournalError::Unavailable(_)));
    assert_eq!(taken, 7);
    journal.append(&key, vec![finished("r")]).await.unwrap();
    assert!(journal.snapshot(&key).await.unwrap().run.is_none(), "its end is recorded all the same");
}

#[tokio::test]
async fn a_full_journal_lets_go_of_the_least_recently_written_and_never_of_a_run_in_flight() {
    let journal = journal(|config| config.max_bytes = 200_000);
    let flying = key("ann", "flying");
    journal.append(&flying, vec![started("r", "q"), content("m", "half")]).await.unwrap();
    for thread in 0..1_000 {
        run(&journal, &key("ann", &format!("t{thread}")), "r").await;
        assert!(journal.bytes() <= 200_000, "{} after {thread}", journal.bytes());
    }
    assert!(journal.thread_count() < 500);
    let snapshot = journal.snapshot(&flying).await.unwrap();
    assert_eq!(snapshot.head, 2);
    assert_eq!(journal.read(&flying, 0, 10).await.unwrap().len(), 2);
    assert_eq!(journal.snapshot(&key("ann", "t999")).await.unwrap().messages.len(), 2);
    assert!(journal.snapshot(&key("ann", "t0")).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn an_offset_of_a_thread_that_went_never_names_an_event_of_its_successor() {
    let journal = journal(|config| config.max_bytes = 100_000);
    let gone = key("ann", "gone");
    for r in 0..10 {
        run(&journal, &gone, &format!("r{r}")).await;
    }
    let head = journal.snapshot(&gone).await.unwrap().head;
    for thread in 0..1_000 {
        run(&journal, &key("ann", &format!("t{thread}")), "r").await;
    }
    assert!(journal.snapshot(&gone).await.unwrap().messages.is_empty(), "it went");
    for r in 0..20 {
        run(&journal, &gone, &format!("again{r}")).await;
    }
    for after in 1..head {
        assert!(
            matches!(journal.read(&gone, after, 10).await, Err(JournalError::Trimmed(_))),
            "a silent hole at {after}"
        );
    }
}

#[tokio::test]
async fn what_cannot_fit_is_refused_but_the_end_of_a_run_is_taken() {
    let journal = journal(|config| config.max_bytes = 20_000);
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q")]).await.unwrap();
    let big = "x".repeat(4_000);
    let mut taken = 0;
    while journal.append(&key, vec![content("m", &big)]).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 4);
    let held = journal.bytes();
    assert!(journal.append(&key, vec![content("m", &big)]).await.is_err());
    assert_eq!(journal.bytes(), held, "what is refused is not counted");
    journal.append(&key, vec![finished("r")]).await.unwrap();
    assert!(journal.snapshot(&key).await.unwrap().run.is_none());
}

#[tokio::test]
async fn history_is_bounded_and_never_begins_with_an_orphaned_tool_result() {
    let journal = journal(|config| config.max_messages_per_thread = 3);
    let key = key("ann", "t");
    let call = json!({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f"});
    let result = json!({"type": "TOOL_CALL_RESULT", "messageId": "t", "toolCallId": "c", "content": "1"});
    let events =
        vec![started("r1", "q"), Event::build(&call), Event::build(&result), content("m", "a"), finished("r1")];
    journal.append(&key, events).await.unwrap();
    let roles = |snapshot: &Snapshot| snapshot.messages.iter().map(|m| m.role.clone()).collect::<Vec<_>>();
    let snapshot = journal.snapshot(&key).await.unwrap();
    assert_eq!((roles(&snapshot), snapshot.more), (vec!["assistant".into(), "tool".into(), "assistant".into()], true));
    journal.append(&key, vec![started("r2", "q"), finished("r2")]).await.unwrap();
    assert_eq!(roles(&journal.snapshot(&key).await.unwrap()), ["assistant", "user"]);
}

#[tokio::test]
async fn a_thread_that_nobody_wrote_to_costs_nothing() {
    let journal = journal(|_| {});
    for thread in 0..1_000 {
        let key = key(&format!("user {thread}"), "t");
        journal.snapshot(&key).await.unwrap();
        journal.read(&key, 0, 10).await.unwrap();
    }
    assert_eq!((journal.thread_count(), journal.bytes()), (0, 0));
}

#[tokio::test]
async fn known_runs_are_bounded() {
    let journal = journal(|_| {});
    let key = key("ann", "t");
    for r in 0..1_030 {
        run(&journal, &key, &format!("r{r}")).await;
    }
    let known = |run: &'static str| {
        let (journal, key) = (&journal, &key);
        async move { journal.knows_run(key, &RunId::parse(run).unwrap()).await.unwrap() }
    };
    assert!(!known("r5").await);
    assert!(known("r6").await);
    assert!(known("r1029").await);
}
