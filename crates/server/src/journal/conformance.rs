//! What every journal promises, as one test that each of them runs.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use serde_json::json;

use super::fold::{History, fold};
use super::{Entry, Follower, Journal, JournalError, MessagePage, ThreadPage};
use crate::wire::event::Event;

pub(crate) fn key(user: &str, thread: &str) -> SessionKey {
    SessionKey::new(UserId::parse(user).unwrap(), ThreadId::parse(thread).unwrap())
}

pub(crate) fn started(run: &str, question: &str) -> Event {
    let message = json!({"id": format!("u-{run}"), "role": "user", "content": question});
    Event::build(&json!({"type": "RUN_STARTED", "threadId": "t", "runId": run, "input": {"messages": [message]}}))
}

pub(crate) fn content(message: &str, delta: &str) -> Event {
    Event::build(&json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": delta}))
}

pub(crate) fn finished(run: &str) -> Event {
    Event::build(&json!({"type": "RUN_FINISHED", "threadId": "t", "runId": run}))
}

fn kinds(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.kind()).collect()
}

#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<(SessionKey, u64)>>);

impl Follower for Heard {
    fn appended(&self, key: &SessionKey, entries: &[Entry]) {
        let mut heard = self.0.lock().unwrap();
        heard.extend(entries.iter().map(|entry| (key.clone(), entry.offset)));
    }
}

/// Runs every promise against journals of this kind, each on an empty one.
pub(crate) async fn conforms(make: impl Fn() -> Arc<dyn Journal>) {
    an_unwritten_thread_is_empty(&*make()).await;
    what_was_appended_is_read_in_order(&*make()).await;
    a_snapshot_is_cut_before_the_run_in_flight(&*make()).await;
    threads_are_apart(&*make()).await;
    runs_are_known_once_started(&*make()).await;
    a_gone_offset_is_said_to_be_gone(&*make()).await;
    what_is_appended_once_is_there_once(&*make()).await;
    threads_are_listed_by_their_last_activity(&*make()).await;
    messages_are_paged_backwards(&*make()).await;
    the_state_is_told_as_of_the_cut(&*make()).await;
    runs_left_open_are_told_until_they_are_ended(&*make()).await;
    the_follower_hears_everything_in_order(make()).await;
    a_rehearsal_is_heard_and_leaves_nothing(make()).await;
    an_append_that_nobody_waits_for_is_whole_or_not_there(make()).await;
    many_threads_are_written_at_once(make()).await;
    a_snapshot_and_what_follows_it_are_the_whole_log(make()).await;
}

async fn an_unwritten_thread_is_empty(journal: &dyn Journal) {
    let key = key("ann", "t");
    let snapshot = journal.snapshot(&key).await.unwrap();
    assert_eq!((snapshot.head, snapshot.cut, snapshot.oldest), (0, 0, 0));
    assert!(snapshot.run.is_none() && snapshot.messages.is_empty() && !snapshot.more);
    assert!(!snapshot.epoch.is_empty());
    assert!(journal.read(&key, 0, 10).await.unwrap().is_empty());
}

async fn a_rehearsal_is_heard_and_leaves_nothing(journal: Arc<dyn Journal>) {
    let heard = Arc::new(Heard::default());
    journal.follow(heard.clone());
    let (own, written) = (SessionKey::new(UserId::of_gateway(), ThreadId::parse("t").unwrap()), key("ann", "t"));
    let last = journal.append(&written, vec![started("r", "q"), finished("r")]).await.unwrap()[1].offset;
    for _ in 0..3 {
        let before = journal.snapshot(&own).await.unwrap().cut;
        journal.rehearse(&own, content("m", "a")).await.unwrap();
        let (key, offset) = heard.0.lock().unwrap().last().unwrap().clone();
        assert!(key == own && offset > before, "a reader who stands at the head takes it: {offset} after {before}");
        let after = journal.snapshot(&own).await.unwrap();
        assert_eq!((after.head, after.messages.len()), (before, 0));
        assert!(journal.read(&own, before, 10).await.unwrap().is_empty());
    }
    assert!(journal.threads(own.user(), None, 10).await.unwrap().threads.is_empty());
    assert_eq!(journal.snapshot(&written).await.unwrap().head, last);
    assert!(journal.unfinished(10).await.unwrap().is_empty());
}

async fn what_was_appended_is_read_in_order(journal: &dyn Journal) {
    let key = key("ann", "t");
    let first = journal.append(&key, vec![started("r", "q"), content("m", "a")]).await.unwrap();
    let second = journal.append(&key, vec![content("m", "b"), content("m", "c")]).await.unwrap();
    let appended: Vec<u64> = first.iter().chain(&second).map(|entry| entry.offset).collect();
    assert!(appended[0] >= 1 && appended.windows(2).all(|pair| pair[0] < pair[1]), "{appended:?}");

    // Read while the run is in flight: pieces of one that ended may be joined at any time.
    let all = journal.read(&key, 0, 100).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.offset).collect::<Vec<_>>(), appended);
    assert_eq!(all[0].event.kind(), "RUN_STARTED");
    assert!(kinds(&all[1..]).iter().all(|kind| *kind == "TEXT_MESSAGE_CONTENT"));
    let tail = journal.read(&key, appended[1], 1).await.unwrap();
    assert_eq!(tail.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [appended[2]]);
    assert_eq!(tail[0].event.json().get(), content("m", "b").json().get());
    let last = journal.append(&key, vec![finished("r")]).await.unwrap()[0].offset;
    assert!(last > appended[3]);
    let head = journal.snapshot(&key).await.unwrap().head;
    assert_eq!(head, last);
    assert!(journal.read(&key, head, 10).await.unwrap().is_empty());
    assert!(journal.read(&key, head + 10, 10).await.unwrap().is_empty());
    let whole = journal.read(&key, 0, 100).await.unwrap();
    assert_eq!((whole[0].event.kind(), whole.last().unwrap().offset), ("RUN_STARTED", head));
}

async fn a_snapshot_is_cut_before_the_run_in_flight(journal: &dyn Journal) {
    let key = key("ann", "t");
    journal.append(&key, vec![started("r1", "one"), content("m1", "answer"), finished("r1")]).await.unwrap();
    let rest = journal.snapshot(&key).await.unwrap();
    assert_eq!((rest.cut, rest.run.is_none(), rest.messages.len()), (rest.head, true, 2));

    let second = journal.append(&key, vec![started("r2", "two"), content("m2", "half an ")]).await.unwrap();
    let flying = journal.snapshot(&key).await.unwrap();
    assert_eq!(flying.run, Some((RunId::parse("r2").unwrap(), second[0].offset)));
    assert_eq!((flying.cut, flying.messages.len()), (rest.head, 2), "what is in flight is no history yet");
    assert_eq!(flying.messages[1].rest["content"], "answer");
    let follows = journal.read(&key, flying.cut, 10).await.unwrap();
    assert_eq!(kinds(&follows), ["RUN_STARTED", "TEXT_MESSAGE_CONTENT"]);

    journal.append(&key, vec![content("m2", "answer"), finished("r2")]).await.unwrap();
    let done = journal.snapshot(&key).await.unwrap();
    assert_eq!((done.cut, done.run.is_none(), done.messages.len()), (done.head, true, 4));
    assert_eq!(done.messages[3].rest["content"], "half an answer");
}

async fn threads_are_apart(journal: &dyn Journal) {
    journal.append(&key("ann", "t"), vec![started("r", "mine")]).await.unwrap();
    for other in [key("bob", "t"), key("ann", "t2"), key("ann:t", "t"), key("ann", ":t")] {
        assert_eq!(journal.snapshot(&other).await.unwrap().head, 0, "{other}");
        assert!(journal.read(&other, 0, 10).await.unwrap().is_empty());
        assert!(!journal.knows_run(&other, &RunId::parse("r").unwrap()).await.unwrap());
    }
}

async fn runs_are_known_once_started(journal: &dyn Journal) {
    let key = key("ann", "t");
    let [one, two] = ["r1", "r2"].map(|run| RunId::parse(run).unwrap());
    assert!(!journal.knows_run(&key, &one).await.unwrap());
    journal.append(&key, vec![started("r1", "q")]).await.unwrap();
    assert!(journal.knows_run(&key, &one).await.unwrap());
    journal.append(&key, vec![finished("r1")]).await.unwrap();
    assert!(journal.knows_run(&key, &one).await.unwrap());
    assert!(!journal.knows_run(&key, &two).await.unwrap());
}

async fn a_gone_offset_is_said_to_be_gone(journal: &dyn Journal) {
    let key = key("ann", "t");
    for run in 0..20 {
        let run = format!("r{run}");
        journal.append(&key, vec![started(&run, "q"), content(&run, "a"), finished(&run)]).await.unwrap();
    }
    let snapshot = journal.snapshot(&key).await.unwrap();
    for after in 0..=snapshot.head {
        match journal.read(&key, after, 1_000).await {
            Ok(entries) => {
                let offsets: Vec<u64> = entries.iter().map(|entry| entry.offset).collect();
                assert!(after >= snapshot.oldest, "{after} < {}", snapshot.oldest);
                assert_eq!(offsets, (after + 1..=snapshot.head).collect::<Vec<_>>(), "a silent hole (R19)");
            }
            // A log may let go of more at any time; what it names is never behind what is asked for.
            Err(JournalError::Trimmed(oldest)) => assert!(after < oldest && oldest >= snapshot.oldest, "{after}"),
            Err(error @ (JournalError::Unavailable(_) | JournalError::Gone)) => panic!("{error}"),
        }
    }
    let mut oldest = snapshot.oldest;
    while let Err(JournalError::Trimmed(later)) = journal.read(&key, oldest, 1).await {
        assert!(later > oldest, "a log that names an offset continues from there");
        oldest = later;
    }
}

async fn what_is_appended_once_is_there_once(journal: &dyn Journal) {
    let (mine, other) = (key("ann", "t"), key("ann", "t2"));
    let batch = || vec![started("p", "q"), finished("p")];
    assert_eq!(journal.append_once(&mine, "k1", batch()).await.unwrap().unwrap().len(), 2);
    assert!(journal.append_once(&mine, "k1", batch()).await.unwrap().is_none());
    assert!(journal.append_once(&mine, "k2", batch()).await.unwrap().is_some());
    let publication = RunId::parse("p").unwrap();
    assert!(!journal.knows_run(&mine, &publication).await.unwrap(), "it is known by its key, and takes no run's place");
    assert!(journal.append_once(&other, "k1", batch()).await.unwrap().is_some(), "a key is a thread's own");
    assert_eq!(journal.snapshot(&mine).await.unwrap().head, 4);
}

async fn threads_are_listed_by_their_last_activity(journal: &dyn Journal) {
    let ann = UserId::parse("ann").unwrap();
    assert_eq!(journal.threads(&ann, None, 10).await.unwrap(), ThreadPage::default());
    for thread in ["t1", "t2", "t3"] {
        journal
            .append(&key("ann", thread), vec![started("r", "  \nWhat is it?\nReally"), finished("r")])
            .await
            .unwrap();
    }
    journal.append(&key("bob", "t"), vec![started("r", "q"), finished("r")]).await.unwrap();
    journal.append(&key("ann", "t1"), vec![started("r2", "again")]).await.unwrap();

    let top = journal.threads(&ann, None, 2).await.unwrap();
    let names = |page: &ThreadPage| page.threads.iter().map(|t| t.thread.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!((names(&top), top.more), (vec!["t1".to_owned(), "t3".to_owned()], true));
    let first = &top.threads[0];
    assert_eq!((first.run.as_ref().map(RunId::as_str), first.messages, first.head), (Some("r2"), 1, 3));
    assert_eq!(first.title.as_deref(), Some("What is it?"));
    assert!(first.created > 0 && first.created <= first.written);
    let rest = journal.threads(&ann, Some(top.threads[1].rank), 2).await.unwrap();
    assert_eq!((names(&rest), rest.more), (vec!["t2".to_owned()], false));
}

async fn messages_are_paged_backwards(journal: &dyn Journal) {
    let key = key("ann", "t");
    assert!(journal.messages(&key, None, 10).await.unwrap().messages.is_empty());
    for run in ["r1", "r2"] {
        let answer = content(&format!("m-{run}"), "answer");
        journal.append(&key, vec![started(run, "q"), answer, finished(run)]).await.unwrap();
    }
    journal.append(&key, vec![started("r3", "in flight")]).await.unwrap();
    let ids = |page: &MessagePage| page.messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    let last = journal.messages(&key, None, 3).await.unwrap();
    assert_eq!((ids(&last), last.more), (["m-r1", "u-r2", "m-r2"].map(str::to_owned).to_vec(), true));
    let first = journal.messages(&key, Some("m-r1"), 3).await.unwrap();
    assert_eq!((ids(&first), first.more), (vec!["u-r1".to_owned()], false));
    let none = journal.messages(&key, Some("nobody"), 3).await.unwrap();
    assert!(none.messages.is_empty() && !none.more);
}

async fn the_state_is_told_as_of_the_cut(journal: &dyn Journal) {
    let key = key("ann", "t");
    let state = |n: u32| Event::build(&json!({"type": "STATE_SNAPSHOT", "snapshot": {"n": n}}));
    journal.append(&key, vec![started("r1", "q"), state(1), finished("r1")]).await.unwrap();
    journal.append(&key, vec![started("r2", "q"), state(2)]).await.unwrap();
    let told = journal.snapshot(&key).await.unwrap().state;
    assert_eq!(told.as_deref(), Some(&json!({"n": 1})));
    journal.append(&key, vec![finished("r2")]).await.unwrap();
    assert_eq!(journal.snapshot(&key).await.unwrap().state.as_deref(), Some(&json!({"n": 2})));
}

async fn runs_left_open_are_told_until_they_are_ended(journal: &dyn Journal) {
    assert!(journal.unfinished(10).await.unwrap().is_empty());
    for user in ["ann", "bob", "cyd"] {
        journal.append(&key(user, "t"), vec![started("r", "q"), content("m", "half")]).await.unwrap();
    }
    journal.append(&key("bob", "t"), vec![finished("r")]).await.unwrap();
    let mut open = journal.unfinished(10).await.unwrap();
    open.sort_by_key(|(key, _)| key.to_string());
    let run = RunId::parse("r").unwrap();
    assert_eq!(open, [(key("ann", "t"), run.clone()), (key("cyd", "t"), run)]);
    assert_eq!(journal.unfinished(1).await.unwrap().len(), 1);
    for user in ["ann", "cyd"] {
        journal.append(&key(user, "t"), vec![finished("r")]).await.unwrap();
    }
    assert!(journal.unfinished(10).await.unwrap().is_empty());
}

async fn the_follower_hears_everything_in_order(journal: Arc<dyn Journal>) {
    let heard = Arc::new(Heard::default());
    journal.follow(heard.clone());
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (journal, heard) = (Arc::clone(&journal), Arc::clone(&heard));
        writers.push(tokio::spawn(async move {
            let key = key("ann", if writer % 2 == 0 { "even" } else { "odd" });
            for _ in 0..100 {
                let entries = journal.append(&key, vec![content("m", "x"), content("m", "y")]).await.unwrap();
                let heard = heard.0.lock().unwrap();
                for entry in entries {
                    assert!(heard.contains(&(key.clone(), entry.offset)), "told after the answer");
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let heard = heard.0.lock().unwrap();
    for thread in ["even", "odd"] {
        let offsets: Vec<u64> =
            heard.iter().filter(|(of, _)| *of == key("ann", thread)).map(|(_, offset)| *offset).collect();
        assert_eq!(offsets.len(), 400);
        assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

async fn an_append_that_nobody_waits_for_is_whole_or_not_there(journal: Arc<dyn Journal>) {
    let heard = Arc::new(Heard::default());
    journal.follow(heard.clone());
    for round in 0..50 {
        let key = key("ann", &format!("t{round}"));
        let append = journal.append(&key, vec![started("r", "q"), content("m", "a"), finished("r")]);
        // Polled once: it is on its way, and whoever asked for it goes.
        assert!(append.now_or_never().is_none_or(|done| done.is_ok()));
    }
    for round in 0..50 {
        let key = key("ann", &format!("t{round}"));
        // Acknowledged after what came before it on this thread, whose fate is decided then: threads wait for each other in
        // no order.
        journal.append(&key, vec![content("m", "x")]).await.unwrap();
        let offsets: Vec<u64> = journal.read(&key, 0, 10).await.unwrap().iter().map(|entry| entry.offset).collect();
        assert!(matches!(offsets.len(), 1 | 4), "{offsets:?}");
        let heard = heard.0.lock().unwrap();
        let heard: Vec<u64> = heard.iter().filter(|(of, _)| *of == key).map(|(_, offset)| *offset).collect();
        assert_eq!(heard, offsets, "what is written is told");
    }
}

async fn many_threads_are_written_at_once(journal: Arc<dyn Journal>) {
    let mut writers = Vec::new();
    for user in 0..40 {
        let journal = Arc::clone(&journal);
        writers.push(tokio::spawn(async move {
            let key = key(&format!("user {user}"), "t");
            for run in ["r1", "r2", "r3"] {
                journal.append(&key, vec![started(run, "q")]).await.unwrap();
                for _ in 0..10 {
                    journal.append(&key, vec![content(run, &format!("{user} "))]).await.unwrap();
                }
                journal.append(&key, vec![finished(run)]).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for user in 0..40 {
        let snapshot = journal.snapshot(&key(&format!("user {user}"), "t")).await.unwrap();
        assert_eq!((snapshot.head, snapshot.messages.len(), snapshot.run), (36, 6, None));
        for answer in [1, 3, 5] {
            assert_eq!(snapshot.messages[answer].rest["content"], format!("{user} ").repeat(10));
        }
    }
}

/// What a client does that is reset again and again while somebody writes: it never misses a piece, and gets none twice.
async fn a_snapshot_and_what_follows_it_are_the_whole_log(journal: Arc<dyn Journal>) {
    let key = key("ann", "t");
    let writer = {
        let (journal, key) = (Arc::clone(&journal), key.clone());
        tokio::spawn(async move {
            for run in 0..12 {
                let run = format!("r{run}");
                journal.append(&key, vec![started(&run, "q")]).await.unwrap();
                for piece in 0..30 {
                    journal.append(&key, vec![content(&run, &format!("{piece},"))]).await.unwrap();
                }
                journal.append(&key, vec![finished(&run)]).await.unwrap();
            }
        })
    };
    let whole: String = (0..30).map(|piece| format!("{piece},")).collect();
    loop {
        let is_over = writer.is_finished();
        let snapshot = journal.snapshot(&key).await.unwrap();
        let mut history = History { messages: snapshot.messages, state: snapshot.state };
        let mut after = snapshot.cut;
        while let Ok(entries) = journal.read(&key, after, 7).await
            && let Some(last) = entries.last()
        {
            after = last.offset;
            entries.iter().for_each(|entry| fold(&mut history, &entry.event));
        }
        let answers = history.messages.iter().filter(|message| message.role == "assistant");
        let texts: Vec<&str> = answers.map(|answer| answer.rest["content"].as_str().unwrap()).collect();
        if let Some((last, before)) = texts.split_last() {
            assert!(before.iter().all(|text| *text == whole), "{texts:?}");
            assert!(whole.starts_with(last), "{last}");
        }
        if is_over {
            assert_eq!(texts, vec![whole.as_str(); 12]);
            return writer.await.unwrap();
        }
    }
}
