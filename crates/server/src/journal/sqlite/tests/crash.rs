//! A process that is killed in the middle of its appends, again and again on the same file.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::journal::fold::{History, fold};

/// Tells a copy of this test that it is the one to be killed, and where it writes.
const VICTIM: &str = "LYCHGATE_TEST_JOURNAL_VICTIM";
const STREAMS: usize = 8;

struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says what was acknowledged, one line each, until it is killed.
async fn append_for_ever(directory: PathBuf) {
    let config = config::Journal { directory, durability: config::Durability::Full, ..config::Journal::default() };
    let journal = Arc::new(Sqlite::open(&config, "test").unwrap());
    for (key, _) in journal.unfinished(100).await.unwrap() {
        journal.append(&key, vec![finished("cut")]).await.unwrap();
    }
    let mut streams = tokio::task::JoinSet::new();
    for stream in 0..STREAMS {
        let journal = Arc::clone(&journal);
        streams.spawn(async move {
            let key = key("ann", &format!("t{stream}"));
            for run in 0_u64.. {
                let run = format!("{}-{run}", std::process::id());
                journal.append(&key, vec![started(&run, "q")]).await.unwrap();
                for piece in 0..20 {
                    let text = format!("{stream} {run} {piece}.");
                    let offset = journal.append(&key, vec![content(&run, &text)]).await.unwrap()[0].offset;
                    println!("ACK {stream} {offset} {text}");
                }
                journal.append(&key, vec![finished(&run)]).await.unwrap();
            }
        });
    }
    streams.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_process_was_killed() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return append_for_ever(directory.into()).await;
    }
    let place = Place::new();
    let name = "journal::sqlite::tests::crash::what_was_acknowledged_is_there_after_the_process_was_killed";
    for lines in [50, 300, 171, 1_000] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(VICTIM, &place.0).stdout(Stdio::piped());
        let mut victim = Victim(command.spawn().unwrap());
        let mut said = BufReader::new(victim.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged: Vec<String> = said.by_ref().filter(|line| line.starts_with("ACK ")).take(lines).collect();
        assert_eq!(acknowledged.len(), lines);
        // SIGKILL; then what was on its way to us is read to its end.
        victim.0.kill().unwrap();
        acknowledged.extend(said.filter(|line| line.starts_with("ACK ")));
        drop(victim);
        assert_all_there(&place, &acknowledged).await;
    }
}

async fn assert_all_there(place: &Place, acknowledged: &[String]) {
    let mut opened = None;
    // The kernel gives the lock back a moment after the process is gone.
    becomes(|| {
        opened = Sqlite::open(&place.config(), "other").ok();
        opened.is_some()
    })
    .await;
    let journal = opened.unwrap();
    let mut streams = Vec::new();
    for stream in 0..STREAMS {
        let key = key("ann", &format!("t{stream}"));
        let snapshot = journal.snapshot(&key).await.unwrap();
        assert_eq!(&*snapshot.epoch, "test", "a killed process loses nothing, so that it is the same log");
        let entries = journal.read(&key, snapshot.oldest, 100_000).await.unwrap();
        assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        // All that is there, in its order: the messages, then what is in flight.
        let mut history = History { messages: snapshot.messages, state: None };
        entries.iter().filter(|entry| entry.offset > snapshot.cut).for_each(|entry| fold(&mut history, &entry.event));
        let answers = history.messages.iter().filter(|message| message.role == "assistant");
        let told: String = answers.map(|message| message.rest["content"].as_str().unwrap()).collect();
        streams.push((entries, told, 0, 0));
    }
    // A line that the kill cut in the middle was not said.
    for line in acknowledged.iter().filter(|line| line.ends_with('.')) {
        let mut words = line.splitn(4, ' ').skip(1);
        let stream: usize = words.next().unwrap().parse().unwrap();
        let offset: u64 = words.next().unwrap().parse().unwrap();
        let text = words.next().unwrap();
        let (entries, told, last, from) = &mut streams[stream];
        assert!(offset > *last, "{line}: an offset is given once, and offsets rise");
        *last = offset;
        if let Some(entry) = entries.iter().find(|entry| entry.offset == offset) {
            assert!(entry.event.json().get().contains(text), "{line}, and its offset holds another event");
        }
        let at =
            told[*from..].find(text).unwrap_or_else(|| panic!("{line} was acknowledged and is not there, in order"));
        *from += at + text.len();
        assert!(!told[*from..].contains(text), "{line} is there twice");
    }
    journal.close().await.unwrap();
}
