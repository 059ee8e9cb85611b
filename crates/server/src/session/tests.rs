use std::time::{Duration, Instant};

use lychgate_core::{Pressure, ThreadId, UserId};
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::journal::faulty::{Faulty, Late};
use crate::journal::memory::Memory;
use crate::sink::recorder::Recorder;
use crate::wire::event::Event;

mod across_nodes;

const WINDOW: u64 = 512;

fn key() -> SessionKey {
    SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t\"1").unwrap())
}

fn connection(n: u128) -> ConnectionId {
    ConnectionId::from_random(n)
}

fn memory() -> Memory {
    let config = config::Journal {
        kind: config::JournalKind::Memory,
        max_bytes: 256 * 1_024 * 1_024,
        max_events_per_thread: 8_192,
        max_messages_per_thread: 1_000,
        ..config::Journal::default()
    };
    Memory::new(&config, "epoch-1")
}

fn sessions(journal: Arc<dyn Journal>, window: u64) -> Arc<Sessions> {
    let sessions = Sessions::new(Arc::clone(&journal), Handle::current(), window);
    journal.follow(sessions.clone());
    sessions
}

fn start(run: &str) -> Event {
    let input = json!({"messages": [{"id": format!("u-{run}"), "role": "user", "content": "q"}]});
    Event::build(&json!({"type": "RUN_STARTED", "threadId": "t", "runId": run, "input": input}))
}

fn piece(text: &str) -> Event {
    Event::build(&json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": text}))
}

fn finish(run: &str) -> Event {
    Event::build(&json!({"type": "RUN_FINISHED", "threadId": "t", "runId": run}))
}

/// A tab: its connection, what it was given, and what it made of it.
struct Tab {
    connection: ConnectionId,
    heartbeat: Heartbeat,
    sink: Arc<Recorder>,
    offset: u64,
    epoch: Option<String>,
    text: String,
    kinds: Vec<String>,
    resets: usize,
    /// How often it opened; the number is the `ref` of the open.
    opens: AtomicU64,
    /// The `ref` of the last `opened`.
    opened: u64,
}

impl Tab {
    fn new(n: u128, heartbeat: Heartbeat, sink: Recorder) -> Self {
        Self {
            connection: connection(n),
            heartbeat,
            sink: Arc::new(sink),
            offset: 0,
            epoch: None,
            text: String::new(),
            kinds: Vec::new(),
            resets: 0,
            opens: AtomicU64::new(0),
            opened: 0,
        }
    }

    fn open(n: u128, sessions: &Sessions) -> Self {
        let tab = Self::new(n, Heartbeat::Application, Recorder::new());
        tab.attach(sessions);
        tab
    }

    /// Opens, where it left off.
    fn attach(&self, sessions: &Sessions) {
        let resume = self.epoch.as_deref().map(|epoch| Resume { after: self.offset, epoch: epoch.into() });
        let reference = self.opens.fetch_add(1, Ordering::Relaxed) + 1;
        sessions.attach(Attach {
            key: key(),
            connection: self.connection,
            sink: self.sink.clone(),
            heartbeat: self.heartbeat,
            resume,
            reference: Some(reference.to_string().into()),
            usage: Usage { used: 1, limit: 20, level: Pressure::Ok, reserve_left: None },
        });
    }

    /// Loses the socket and everything that was on its way, and comes back on another one.
    fn cut(&mut self, n: u128, sessions: &Sessions) {
        sessions.detach(&key(), self.connection);
        self.connection = connection(n);
        self.sink = Arc::new(Recorder::new());
        self.attach(sessions);
    }

    /// Processes what came; every frame has to follow from the one before.
    fn process(&mut self) {
        for frame in self.sink.take() {
            self.process_one(&frame);
        }
    }

    fn process_one(&mut self, frame: &Value) {
        let is_opened = frame["type"] == "opened";
        if let Some(reference) = frame["ref"].as_str().filter(|_| is_opened) {
            self.opened = reference.parse().unwrap();
        }
        if self.opened < self.opens.load(Ordering::Relaxed) {
            // It opened anew on this very socket: what comes before the answer belongs to the open before.
            return;
        }
        match frame["type"].as_str().unwrap() {
            "opened" => {
                self.epoch = Some(frame["epoch"].as_str().unwrap().to_owned());
                let after = frame["after"].as_u64().unwrap();
                if frame["reset"] == true {
                    self.resets += 1;
                    self.offset = after;
                    let answers = frame["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "assistant");
                    self.text = answers.map(|message| message["content"].as_str().unwrap()).collect();
                }
                assert_eq!(after, self.offset, "a resume starts where the client left off");
            }
            "event" => {
                let offset = frame["offset"].as_u64().unwrap();
                assert!(offset > self.offset, "{offset} after {}", self.offset);
                self.offset = offset;
                self.text.push_str(frame["event"]["delta"].as_str().unwrap_or(""));
                self.kinds.push(frame["event"]["type"].as_str().unwrap().to_owned());
            }
            other => panic!("unexpected {other}"),
        }
    }

    fn ack(&self, sessions: &Sessions) {
        sessions.ack(&key(), self.connection, self.offset);
    }
}

/// Polls until `done`, for ten seconds of real time at most.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::task::yield_now().await;
    }
}

async fn until_at(tab: &mut Tab, offset: u64) {
    until(&format!("offset {offset}"), || {
        tab.process();
        tab.offset >= offset
    })
    .await;
}

async fn until_opened(tab: &mut Tab) {
    until("opened", || {
        tab.process();
        tab.epoch.is_some()
    })
    .await;
}

#[tokio::test]
async fn the_first_open_of_a_thread_is_a_reset_and_events_follow_live() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    let tab = Tab::open(1, &sessions);
    until("opened", || !tab.sink.frames().is_empty()).await;
    let limits = json!({"used": 1, "limit": 20, "level": "ok"});
    let opened = json!({"type": "opened", "thread": "t\"1", "ref": "1", "epoch": "epoch-1", "after": 0, "head": 0,
        "limits": limits, "reset": true, "messages": []});
    assert_eq!(tab.sink.take(), [opened]);

    journal.append(&key(), vec![start("r"), piece("a")]).await.unwrap();
    until("events", || tab.sink.frames().len() == 2).await;
    let second = json!({"type": "event", "thread": "t\"1", "offset": 2,
        "event": {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "a"}});
    assert_eq!(tab.sink.frames()[1], second);
    assert!(sessions.is_attached(&key(), tab.connection));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_run_continues_with_its_run_started() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    journal.append(&key(), vec![start("r1"), piece("one"), finish("r1")]).await.unwrap();
    journal.append(&key(), vec![start("r2"), piece("tw")]).await.unwrap();
    let tab = Tab::open(1, &sessions);
    until("events", || tab.sink.frames().len() == 3).await;
    let frames = tab.sink.take();
    assert_eq!((&frames[0]["after"], &frames[0]["head"], &frames[0]["run"]), (&json!(3), &json!(5), &json!("r2")));
    assert_eq!(frames[0]["messages"].as_array().unwrap().len(), 2);
    assert_eq!(frames[1]["event"]["type"], "RUN_STARTED");
    assert_eq!(frames[2]["event"]["delta"], "tw");
}

#[tokio::test]
async fn a_client_resumes_where_it_left_off_or_is_told_to_start_over() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    journal.append(&key(), vec![start("r"), piece("a"), piece("b"), finish("r")]).await.unwrap();
    let cases = [("epoch-1", 2, Some(2)), ("epoch-1", 4, Some(4)), ("epoch-1", 5, None), ("another", 2, None)];
    for (n, (epoch, after, resumed)) in cases.into_iter().enumerate() {
        let mut tab = Tab::new(n as u128, Heartbeat::Application, Recorder::new());
        (tab.offset, tab.epoch) = (after, Some(epoch.to_owned()));
        tab.attach(&sessions);
        until("opened", || !tab.sink.frames().is_empty()).await;
        let opened = &tab.sink.frames()[0];
        let is_reset = opened.get("reset").is_some();
        assert_eq!(
            (opened["after"].as_u64().unwrap(), is_reset),
            (resumed.unwrap_or(4), resumed.is_none()),
            "case {n}"
        );
        assert_eq!(opened.get("messages").is_some(), is_reset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_many_times_gets_every_event_once_and_in_order() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), 64);
    let mut tab = Tab::open(0, &sessions);
    until_opened(&mut tab).await;
    journal.append(&key(), vec![start("r")]).await.unwrap();
    let mut whole = String::new();
    let mut random = Random(7);
    for n in 0..500_u128 {
        let text = format!("{n} ");
        journal.append(&key(), vec![piece(&text)]).await.unwrap();
        whole.push_str(&text);
        match random.below(8) {
            0 => tab.cut(n + 1, &sessions),
            1 => tab.process(),
            2 => {
                tab.process();
                tab.ack(&sessions);
            }
            _ => {}
        }
    }
    journal.append(&key(), vec![finish("r")]).await.unwrap();
    until("everything", || {
        tab.process();
        tab.ack(&sessions);
        tab.offset == 502
    })
    .await;
    assert_eq!((tab.text, tab.resets), (whole, 1));
}

#[tokio::test]
async fn of_three_tabs_the_one_that_stops_acknowledging_is_paused_alone() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), 10);
    let mut tabs = [1, 2, 3].map(|n| Tab::open(n, &sessions));
    for tab in &mut tabs {
        until_opened(tab).await;
    }
    journal.append(&key(), vec![start("r")]).await.unwrap();
    let mut whole = String::new();
    for n in 0..100 {
        let text = format!("{n} ");
        journal.append(&key(), vec![piece(&text)]).await.unwrap();
        whole.push_str(&text);
        for tab in &mut tabs[..2] {
            until_at(tab, n + 2).await;
            tab.ack(&sessions);
        }
    }
    let [one, two, silent] = &mut tabs;
    assert_eq!((&one.text, &two.text), (&whole, &whole), "all tabs see the same stream");
    silent.process();
    assert_eq!(silent.offset, 10, "its window holds ten events");

    sessions.ack(&key(), silent.connection, 5_000);
    sessions.ack(&key(), silent.connection, 0);
    tokio::task::yield_now().await;
    silent.process();
    assert_eq!(silent.offset, 10, "an ack from the future or the past opens nothing");

    silent.ack(&sessions);
    until_at(silent, 101).await;
    assert_eq!(silent.text, whole);
    assert!(silent.kinds.len() < 30, "adjacent pieces are joined for whoever is behind: {}", silent.kinds.len());
}

#[tokio::test]
async fn a_plain_client_is_paused_by_its_sink_and_goes_on_when_there_is_room() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), 2);
    let mut tab = Tab::new(1, Heartbeat::Protocol, Recorder::with_capacity(5));
    tab.attach(&sessions);
    until_opened(&mut tab).await;
    tab.sink.drain();
    journal.append(&key(), vec![start("r")]).await.unwrap();
    for n in 0..20 {
        let step = json!({"type": "CUSTOM", "name": "n", "value": n});
        journal.append(&key(), vec![Event::build(&step)]).await.unwrap();
    }
    tab.process();
    assert_eq!(tab.offset, 5, "no ack is asked of it, but its room is bounded");
    for expected in [10, 15, 20, 21] {
        assert!(tab.sink.drain());
        sessions.drained(tab.connection);
        until_at(&mut tab, expected).await;
        assert_eq!(tab.offset, expected);
    }
    assert!(sessions.full.iter().all(|shard| lock(shard).is_empty()), "nobody waits any more");
}

#[tokio::test]
async fn an_open_that_finds_no_room_is_answered_with_its_ref_when_there_is_some() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), 2);
    let mut tab = Tab::new(1, Heartbeat::Protocol, Recorder::with_capacity(1));
    tab.sink.fill();
    tab.attach(&sessions);
    until("it waits for room", || sessions.full.iter().any(|shard| !lock(shard).is_empty())).await;
    tab.process();
    assert_eq!(tab.opened, 0, "nothing was taken, and nobody was closed for it");
    while tab.opened == 0 {
        tab.sink.drain();
        sessions.drained(tab.connection);
        until_opened(&mut tab).await;
    }
    assert_eq!((tab.opened, tab.resets), (1, 1));
}

#[tokio::test]
async fn a_tab_whose_events_are_gone_is_reset_and_never_served_a_hole() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), 2);
    let mut tab = Tab::open(1, &sessions);
    until_opened(&mut tab).await;
    let mut whole = String::new();
    for run in 0..4 {
        let text = format!("answer {run}.");
        journal
            .append(&key(), vec![start(&format!("r{run}")), piece(&text), finish(&format!("r{run}"))])
            .await
            .unwrap();
        whole.push_str(&text);
    }
    tab.process();
    assert_eq!((tab.offset, tab.resets), (2, 1));
    tab.ack(&sessions);
    until("a second reset", || {
        tab.process();
        tab.resets == 2
    })
    .await;
    assert_eq!((&tab.text, tab.offset), (&whole, 12));
    journal.append(&key(), vec![start("r9")]).await.unwrap();
    until_at(&mut tab, 13).await;
}

#[tokio::test]
async fn the_same_connection_attached_again_starts_anew() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    let mut tab = Tab::open(1, &sessions);
    until_opened(&mut tab).await;
    journal.append(&key(), vec![start("r"), piece("a")]).await.unwrap();
    until_at(&mut tab, 2).await;
    tab.epoch = None;
    tab.attach(&sessions);
    until("a second reset", || {
        tab.process();
        tab.resets == 2 && tab.offset == 2
    })
    .await;
    assert_eq!(tab.text, "a");
    journal.append(&key(), vec![piece("b")]).await.unwrap();
    until_at(&mut tab, 3).await;
    assert_eq!(tab.text, "ab", "one attachment, one copy of each event");
}

#[tokio::test]
async fn a_detached_or_closed_connection_is_given_nothing_more_and_leaves_nothing_behind() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    let mut left = Tab::open(1, &sessions);
    let mut closed = Tab::open(2, &sessions);
    until_opened(&mut left).await;
    until_opened(&mut closed).await;
    sessions.detach(&key(), left.connection);
    closed.sink.close();
    journal.append(&key(), vec![start("r"), piece("a")]).await.unwrap();
    left.process();
    closed.process();
    assert_eq!((left.offset, closed.offset), (0, 0));
    assert!(!sessions.is_attached(&key(), left.connection));
    sessions.detach(&key(), closed.connection);
    assert!(sessions.shards.iter().all(|shard| lock(shard).is_empty()));
}

#[tokio::test]
async fn long_history_is_cut_to_its_newest_part_and_says_so() {
    let journal = Arc::new(memory());
    let sessions = sessions(journal.clone(), WINDOW);
    let long = "x".repeat(30_000);
    for run in 0..16 {
        let answer = json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": format!("m{run}"), "delta": long});
        let run = format!("r{run}");
        journal.append(&key(), vec![start(&run), Event::build(&answer), finish(&run)]).await.unwrap();
    }
    let tab = Tab::open(1, &sessions);
    until("opened", || !tab.sink.frames().is_empty()).await;
    let opened = tab.sink.take().remove(0);
    let messages = opened["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &opened["more"], &messages[15]["id"]), (16, &json!(true), &json!("m15")));
}

#[test]
fn a_session_with_one_attachment_stays_small() {
    let allocation = size_of::<Mutex<Session>>() + 2 * size_of::<usize>();
    let entry = size_of::<(SessionKey, Arc<Mutex<Session>>)>() + 1;
    // A hash map is at worst seven sixteenths full.
    assert!(allocation + entry * 16 / 7 <= 300, "{allocation} + {entry}");
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_an_error_and_the_tab_recovers_with_it() {
    let journal = Arc::new(Faulty::new(memory()));
    journal.fail_reads(true);
    let sessions = sessions(journal.clone(), WINDOW);
    let mut tab = Tab::open(1, &sessions);
    until("an error", || !tab.sink.frames().is_empty()).await;
    let error = tab.sink.take().remove(0);
    assert_eq!((&error["type"], &error["code"], &error["ref"]), (&json!("error"), &json!("internal"), &json!("1")));
    tab.opened = 1;
    journal.fail_reads(false);
    journal.append(&key(), vec![start("r"), piece("a")]).await.unwrap();
    until_at(&mut tab, 2).await;
    assert_eq!((tab.text.as_str(), tab.resets), ("a", 1));
}

/// A small generator, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A tab that does everything a tab can, in random order, until it has seen the end.
async fn live_through(mut tab: Tab, sessions: Arc<Sessions>, seed: u64, head: u64) -> Tab {
    let mut random = Random(seed);
    let mut n = u128::from(seed) << 64;
    let deadline = Instant::now() + Duration::from_secs(20);
    while tab.offset < head {
        assert!(Instant::now() < deadline, "seed {seed} is stuck at {} of {head}", tab.offset);
        match random.below(16) {
            0 => {
                n += 1;
                tab.cut(n, &sessions);
            }
            1 => tab.attach(&sessions),
            2..6 => {
                tab.process();
                tab.ack(&sessions);
            }
            6..10 => {
                if tab.sink.drain() {
                    sessions.drained(tab.connection);
                }
            }
            _ => tab.process(),
        }
        tokio::task::yield_now().await;
    }
    tab
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_reach_every_tab_exactly_once_whatever_races() {
    for seed in 1..=12_u64 {
        let journal = Arc::new(memory());
        let sessions = sessions(journal.clone(), 16);
        race(seed, &*journal, &sessions, |_| {}).await;
    }
}

/// A journal on disk shows an event to readers before its follower hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_reach_every_tab_exactly_once_also_when_readers_see_them_before_they_are_told() {
    for seed in 1..=12_u64 {
        let journal = Arc::new(memory());
        let sessions = Sessions::new(journal.clone(), Handle::current(), 16);
        let late = Late::between(&*journal, sessions.clone());
        race(seed, &*journal, &sessions, |random| while random.below(3) != 0 && late.tell() {}).await;
    }
}

/// Four tabs do everything a tab can while a run is appended; `between` is called between two appends, and often enough
/// after the last.
async fn race(seed: u64, journal: &dyn Journal, sessions: &Arc<Sessions>, between: impl Fn(&mut Random)) {
    let head = 402;
    let mut tasks = Vec::new();
    for n in 0..4 {
        let heartbeat = if n % 2 == 0 { Heartbeat::Application } else { Heartbeat::Protocol };
        let tab = Tab::new(n, heartbeat, Recorder::with_capacity(7));
        tab.attach(sessions);
        let seed = seed * 1_000 + n as u64 + 1;
        tasks.push(tokio::spawn(live_through(tab, Arc::clone(sessions), seed, head)));
    }
    let mut random = Random(seed);
    let mut whole = String::new();
    journal.append(&key(), vec![start("r")]).await.unwrap();
    let mut left = head - 2;
    while left > 0 {
        let count = (random.below(5) + 1).min(left);
        let texts: Vec<String> = (0..count).map(|n| format!("{} ", left - n)).collect();
        journal.append(&key(), texts.iter().map(|text| piece(text)).collect()).await.unwrap();
        whole.extend(texts);
        left -= count;
        between(&mut random);
        tokio::task::yield_now().await;
    }
    journal.append(&key(), vec![finish("r")]).await.unwrap();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        between(&mut random);
        tokio::task::yield_now().await;
    }
    for task in tasks {
        let tab = task.await.unwrap();
        assert_eq!(tab.text, whole, "seed {seed}");
    }
}
