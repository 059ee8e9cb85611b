use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::journal::Journal;
use crate::journal::conformance::{content, finished, key, started};
use crate::journal::sqlite::Sqlite;
use crate::wire::event::Event;

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("lychgate-threads-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A journal that a gateway works on.
async fn working(directory: &Path) -> Sqlite {
    let config = config::Journal { directory: directory.to_owned(), ..config::Journal::default() };
    let journal = Sqlite::open(&config, "test").unwrap();
    for thread in ["t1", "t2", "t3"] {
        let state = Event::build(&json!({"type": "STATE_SNAPSHOT", "snapshot": {"step": 1}}));
        let events = vec![started("r", "What is it?"), content("m", "a \u{1b}[31mgate"), state, finished("r")];
        journal.append(&key("ann", thread), events).await.unwrap();
    }
    journal.append(&key("bob", "t"), vec![started("r", "q"), content("m", "half")]).await.unwrap();
    journal
}

fn open(directory: &Directory) -> Archive {
    Archive::open(&directory.0).unwrap()
}

const SURE: Consent = Consent { yes: true, force: false };

#[tokio::test]
async fn threads_are_listed_while_a_gateway_works() {
    let directory = Directory::new();
    let _journal = working(&directory.0).await;
    let (threads, more) = open(&directory).list(None, 3).unwrap();
    assert!(more);
    let table = list_as_table(&threads, more);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("USER") && lines[1].contains("bob") && lines[1].contains("in flight"), "{table}");
    assert!(lines[2].contains("t3") && lines[2].contains("What is it?") && lines[4].contains("--limit"), "{table}");
    let (of_ann, more) = open(&directory).list(Some(&UserId::parse("ann").unwrap()), 9).unwrap();
    assert!(!more);
    let json = list_as_json(&of_ann);
    let threads: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(threads.iter().map(|t| t["thread"].as_str().unwrap()).collect::<Vec<_>>(), ["t3", "t2", "t1"]);
}

#[tokio::test]
async fn a_thread_is_shown_without_what_a_terminal_would_obey() {
    let directory = Directory::new();
    let _journal = working(&directory.0).await;
    let text = show(&open(&directory).read(&key("ann", "t1")).unwrap().unwrap());
    assert!(text.contains("user:\n  What is it?") && text.contains("assistant:\n  a \u{fffd}[31mgate"), "{text}");
    assert!(!text.contains('\u{1b}'));
    assert!(open(&directory).read(&key("ann", "nothing")).unwrap().is_none());
}

#[tokio::test]
async fn an_export_holds_every_thread_with_its_messages_state_and_events() {
    let directory = Directory::new();
    let _journal = working(&directory.0).await;
    let archive = open(&directory);
    let mut out = Vec::new();
    for key in archive.keys(None, None, 99).unwrap() {
        export(&archive.read(&key).unwrap().unwrap(), &mut out).unwrap();
    }
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |field: &str| lines.iter().filter(|line| line.get(field).is_some()).count();
    assert_eq!((count("thread"), count("message"), count("state"), count("offset")), (4, 6, 3, 14));
    assert_eq!((lines[0]["thread"].as_str(), lines[0]["epoch"].as_str()), (Some("t1"), Some("test")));
    assert_eq!(lines[1]["message"]["content"], "What is it?");
    assert_eq!(lines[4]["event"]["type"], "RUN_STARTED");
    let next = archive.keys(None, Some(&key("ann", "t2")), 99).unwrap();
    assert_eq!(next, [key("ann", "t3"), key("bob", "t")]);
}

#[tokio::test]
async fn a_thread_is_deleted_under_a_gateway_that_works_and_a_run_protects_its_own() {
    let directory = Directory::new();
    let journal = working(&directory.0).await;
    let mut archive = Archive::open_to_delete(&directory.0).unwrap();
    delete(&mut archive, &Which::One(key("ann", "t1")), SURE).unwrap();
    assert!(journal.snapshot(&key("ann", "t1")).await.unwrap().messages.is_empty());
    assert_eq!(journal.snapshot(&key("ann", "t2")).await.unwrap().messages.len(), 2);

    let error = delete(&mut archive, &Which::One(key("bob", "t")), SURE).unwrap_err().to_string();
    assert!(error.contains("in flight") && error.contains("--force"), "{error}");
    delete(&mut archive, &Which::One(key("bob", "t")), Consent { yes: true, force: true }).unwrap();
    assert!(journal.append(&key("bob", "t"), vec![content("m", "more")]).await.is_err());

    delete(&mut archive, &Which::AllOf(UserId::parse("ann").unwrap()), SURE).unwrap();
    assert!(archive.list(None, 9).unwrap().0.is_empty());
    let error = delete(&mut archive, &Which::One(key("ann", "t1")), SURE).unwrap_err().to_string();
    assert!(error.contains("no thread \"t1\" of \"ann\""), "{error}");
}

#[test]
fn a_directory_without_a_journal_is_named_with_the_way_out() {
    let directory = Directory::new();
    let error = Error::from(Archive::open(&directory.0).unwrap_err());
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--data"), "{error}");
}
