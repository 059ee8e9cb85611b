//! Whatever stands in the file of a journal, in its pages, its write-ahead log or its rows: it is opened or refused, what
//! is asked is answered or refused, and nothing panics.
//!
//! The first byte of an input says where the rest goes. Each input gets a directory of its own, under the one for
//! temporary files.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use lychgate::config::Journal as Config;
use lychgate::journal::sqlite::{Archive, Sqlite};
use lychgate::journal::{Journal, JournalError};
use lychgate::wire::event::Event;
use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use tokio::runtime::{Builder, Runtime};

fuzz_target!(|input: &[u8]| {
    let Some((&place, bytes)) = input.split_first() else { return };
    let directory = Directory::new();
    let database = directory.0.join("journal.db");
    match place % 4 {
        0 => write(&database, bytes),
        1 => write(&database, &scribbled(whole(), bytes)),
        2 => {
            write(&database, whole());
            write(&directory.0.join("journal.db-wal"), &scribbled(log(), bytes));
        }
        _ => {
            write(&database, whole());
            let text = String::from_utf8_lossy(bytes);
            let db = rusqlite::Connection::open(&database).expect("a whole journal opens");
            db.execute("UPDATE event SET json = ?", [&text]).expect("a whole journal is written");
            db.execute("UPDATE message SET json = ? WHERE position % 2 = 0", [&text])
                .expect("a whole journal is written");
        }
    }
    runtime().block_on(ask_everything(&directory.0));
});

/// `bytes` four at a time: where, and what.
fn scribbled(whole: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut scribbled = whole.to_vec();
    for change in bytes.chunks_exact(4) {
        let at = usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        let length = scribbled.len();
        scribbled[at % length] = change[3];
    }
    scribbled
}

/// A small journal, closed in order.
fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let directory = Directory::new();
        runtime().block_on(async {
            let journal = open(&directory.0).expect("an empty directory takes a journal");
            fill(&journal).await;
            journal.close().await.expect("it closes");
        });
        std::fs::read(directory.0.join("journal.db")).expect("it was written")
    })
}

/// The write-ahead log of a journal that was not closed.
fn log() -> &'static [u8] {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    LOG.get_or_init(|| {
        let directory = Directory::new();
        write(&directory.0.join("journal.db"), whole());
        runtime().block_on(async {
            let journal = open(&directory.0).expect("a whole journal opens");
            fill(&journal).await;
            std::fs::read(directory.0.join("journal.db-wal")).expect("it was written")
        })
    })
}

async fn fill(journal: &Sqlite) {
    for thread in 0..10 {
        let _ = journal.append(&key(thread), run()).await;
    }
}

async fn ask_everything(directory: &Path) {
    let Some(journal) = open(directory) else { return };
    let ann = UserId::parse("ann").expect("an id");
    sound(journal.threads(&ann, None, 50).await);
    sound(journal.unfinished(50).await);
    for thread in 0..4 {
        let key = key(thread);
        if let Some(snapshot) = sound(journal.snapshot(&key).await) {
            sound(journal.read(&key, snapshot.oldest, 50).await);
        }
        sound(journal.messages(&key, None, 50).await);
        sound(journal.knows_run(&key, &RunId::parse("r").expect("an id")).await);
        sound(journal.append(&key, run()).await);
    }
    assert!(!journal.trouble().unwrap_or_default().contains("unexpectedly"));
    journal.close().await.expect("it closes, in order or not");
    if let Ok(archive) = Archive::open(directory) {
        for key in sound(archive.keys(None, None, 50)).unwrap_or_default() {
            sound(archive.read(&key));
        }
    }
}

/// The threads of a journal survive a panic and say so; here it is a finding.
fn sound<T>(answer: Result<T, JournalError>) -> Option<T> {
    if let Err(JournalError::Unavailable(why)) = &answer {
        assert!(!why.contains("unexpectedly"), "{why}");
    }
    answer.ok()
}

fn open(directory: &Path) -> Option<Sqlite> {
    Sqlite::open(&Config { directory: directory.to_owned(), ..Config::default() }, "fuzz").ok()
}

fn key(thread: u32) -> SessionKey {
    let thread = ThreadId::parse(&format!("t{thread}")).expect("an id");
    SessionKey::new(UserId::parse("ann").expect("an id"), thread)
}

fn run() -> Vec<Event> {
    let event = |json: &str| {
        let json = serde_json::value::RawValue::from_string(json.to_owned()).expect("JSON");
        Event::parse(json).expect("an event")
    };
    [
        r#"{"type":"RUN_STARTED","threadId":"t","runId":"r","input":{"messages":[{"id":"u","role":"user","content":"q"}]}}"#,
        r#"{"type":"STATE_SNAPSHOT","snapshot":{"step":1}}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"an answer"}"#,
        r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r"}"#,
    ]
    .map(event)
    .to_vec()
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().expect("a runtime"))
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the directory for temporary files takes a file");
}

/// A directory that goes with its input.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("lychgate-fuzz-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the directory for temporary files takes a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
