use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{Stream, StreamExt, stream};
use lychgate_core::{ThreadId, UserId};
use serde_json::{Value, json};

use super::*;
use crate::agent::{AgentError, EventStream, RunRequest};
use crate::config;
use crate::journal::memory::Memory;
use crate::journal::{Entry, Follower};
use crate::sink::recorder::Recorder;
use crate::wire::event::Event;

mod endings;
mod publications;
mod waiting;

type Answer = dyn Fn(RunRequest) -> EventStream + Send + Sync;

/// An agent that answers as the test says.
struct Scripted(Box<Answer>);

impl Agent for Scripted {
    fn run(&self, request: RunRequest) -> EventStream {
        (self.0)(request)
    }
}

struct World {
    journal: Arc<dyn Journal>,
    runs: Arc<Runs>,
    changes: Arc<Mutex<Vec<RunChange>>>,
    reply: Arc<Recorder>,
    attended: Arc<AtomicBool>,
}

struct Around {
    agent: Arc<dyn Agent>,
    changes: Arc<Mutex<Vec<RunChange>>>,
    attended: Arc<AtomicBool>,
    told: Arc<Recorder>,
}

impl Surroundings for Around {
    fn agent(&self, name: Option<&str>) -> Option<(Arc<str>, Arc<dyn Agent>)> {
        matches!(name, None | Some("scripted")).then(|| ("scripted".into(), Arc::clone(&self.agent)))
    }

    fn max_runs(&self, _: &UserId) -> usize {
        MAX_RUNS
    }

    fn changed(&self, change: RunChange) {
        lock(&self.changes).push(change);
    }

    fn is_attended(&self, _: &SessionKey) -> bool {
        self.attended.load(Ordering::SeqCst)
    }

    fn tell(&self, _: &SessionKey, frame: &Frame) {
        self.told.send_control(frame);
    }
}

fn memory(max_bytes: usize) -> Memory {
    let config = config::Journal {
        kind: config::JournalKind::Memory,
        max_bytes,
        max_events_per_thread: 8_192,
        max_messages_per_thread: 1_000,
        ..config::Journal::default()
    };
    Memory::new(&config, "e")
}

fn world(answer: impl Fn(RunRequest) -> EventStream + Send + Sync + 'static) -> World {
    world_with(memory(256 * 1_024 * 1_024), answer)
}

/// Runs of one user at once.
const MAX_RUNS: usize = 4;

fn world_with(journal: Memory, answer: impl Fn(RunRequest) -> EventStream + Send + Sync + 'static) -> World {
    world_under(config::Runs::default(), journal, answer)
}

fn world_under(
    bounds: config::Runs,
    journal: Memory,
    answer: impl Fn(RunRequest) -> EventStream + Send + Sync + 'static,
) -> World {
    world_on(bounds, Arc::new(journal), answer)
}

fn world_on(
    bounds: config::Runs,
    journal: Arc<dyn Journal>,
    answer: impl Fn(RunRequest) -> EventStream + Send + Sync + 'static,
) -> World {
    let attended = Arc::new(AtomicBool::new(true));
    let changes = Arc::new(Mutex::new(Vec::new()));
    let reply = Arc::new(Recorder::new());
    let around = Around {
        agent: Arc::new(Scripted(Box::new(answer))),
        changes: Arc::clone(&changes),
        attended: Arc::clone(&attended),
        told: Arc::clone(&reply),
    };
    let runs = Runs::new(journal.clone(), bounds, Arc::new(around), Handle::current());
    World { journal, runs, changes, reply, attended }
}

fn key(thread: &str) -> SessionKey {
    SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse(thread).unwrap())
}

fn run_id(run: &str) -> RunId {
    RunId::parse(run).unwrap()
}

impl World {
    fn start(&self, thread: &str, run: &str) {
        let question = json!({"id": format!("u-{run}"), "role": "user", "content": "hello"});
        self.start_with(thread, run, None, json!({"messages": [question]}));
    }

    fn start_with(&self, thread: &str, run: &str, agent: Option<&str>, input: Value) {
        self.runs.start(StartRun {
            plan: None,
            agents: None,
            key: key(thread),
            run: run_id(run),
            input: serde_json::from_str(&input.to_string()).unwrap(),
            agent: agent.map(str::to_owned),
            reply: self.reply.clone(),
            trace: None,
        });
    }

    async fn events(&self, thread: &str) -> Vec<Value> {
        let entries = self.journal.read(&key(thread), 0, 10_000).await.unwrap();
        entries.iter().map(|entry| serde_json::from_str(entry.event.json().get()).unwrap()).collect()
    }

    async fn kinds(&self, thread: &str) -> Vec<String> {
        self.events(thread).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn last(&self, thread: &str) -> Value {
        self.events(thread).await.pop().unwrap()
    }

    /// Until no run is in flight; every run that was told to have started was told to have ended.
    async fn at_rest(&self) {
        until("no run in flight", || self.runs.in_flight() == 0).await;
        let changes = lock(&self.changes);
        let ended = changes.iter().filter(|change| matches!(change, RunChange::Ended { .. })).count();
        assert_eq!(ended * 2, changes.len(), "{changes:?}");
    }

    fn errors(&self) -> Vec<String> {
        let code = |frame: &Value| frame["code"].as_str().unwrap().to_owned();
        self.reply.frames().iter().map(code).collect()
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::task::yield_now().await;
    }
}

async fn until_kinds(world: &World, thread: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.kinds(thread).await.len() < count {
        assert!(Instant::now() < deadline, "never {count} events");
        tokio::task::yield_now().await;
    }
}

fn event(value: Value) -> Result<Event, AgentError> {
    Ok(Event::build(&value))
}

fn text(parts: &[&str]) -> Vec<Result<Event, AgentError>> {
    let part = |delta: &&str| event(json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": *delta}));
    let mut events = vec![event(json!({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}))];
    events.extend(parts.iter().map(part));
    events
}

fn done() -> Result<Event, AgentError> {
    event(json!({"type": "RUN_FINISHED", "threadId": "theirs", "runId": "theirs", "usage": [{"inputTokens": 3}]}))
}

fn answer(events: Vec<Result<Event, AgentError>>) -> EventStream {
    Box::pin(stream::iter(events))
}

fn whole_answer() -> EventStream {
    let mut events = text(&["Good ", "day"]);
    events.push(event(json!({"type": "TEXT_MESSAGE_END", "messageId": "m"})));
    events.push(done());
    answer(events)
}

/// These events, then silence.
fn then_silence(events: Vec<Result<Event, AgentError>>) -> EventStream {
    Box::pin(stream::iter(events).chain(stream::pending()))
}

#[tokio::test]
async fn a_run_is_logged_from_its_start_with_input_to_its_end_under_our_ids() {
    let world = world(|_| whole_answer());
    world.start_with(
        "t",
        "r",
        Some("scripted"),
        json!({"messages": [{"id": "u1", "role": "user", "content": "hello"}], "tools": [{"name": "f"}]}),
    );
    world.at_rest().await;
    let events = world.events("t").await;
    let input = json!({"threadId": "t", "runId": "r", "messages": [{"id": "u1", "role": "user", "content": "hello"}], "tools": [{"name": "f"}]});
    assert_eq!(events[0], json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r", "input": input}));
    let end = json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "usage": [{"inputTokens": 3}]});
    assert_eq!((events.len(), &events[5]), (6, &end));
    let (key, run) = (key("t"), run_id("r"));
    let changes = [RunChange::Started { key: key.clone(), run: run.clone() }, RunChange::Ended { key, run }];
    assert_eq!(*lock(&world.changes), changes);
    assert!(world.reply.frames().is_empty());
}

#[tokio::test]
async fn the_agent_sees_the_whole_thread_and_known_messages_are_added_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let world = world(move |request| {
        let ids = |messages: &mut dyn Iterator<Item = &str>| messages.collect::<Vec<_>>().join(" ");
        let all = ids(&mut request.messages.iter().map(|message| message.id.as_str()));
        let new = ids(&mut request.input.messages.iter().map(|message| message.id.as_str()));
        lock(&requests).push((all, new));
        whole_answer()
    });
    let message = |id: &str| json!({"id": id, "role": "user", "content": "?"});
    world.start_with("t", "r1", None, json!({"messages": [message("a"), message("a")]}));
    world.at_rest().await;
    world.start_with("t", "r2", None, json!({"messages": [message("a"), message("m"), message("b")]}));
    world.at_rest().await;
    let expected = [("a", "a"), ("a m b", "b")].map(|(all, new)| (all.to_owned(), new.to_owned()));
    assert_eq!(*lock(&seen), expected);
}

#[tokio::test]
async fn nulls_of_a_client_never_reach_the_log() {
    let world = world(|_| whole_answer());
    let message = json!({"id": "u", "role": "user", "content": "?", "name": null});
    world.start_with("t", "r", None, json!({"messages": [message], "tools": null, "context": null}));
    world.at_rest().await;
    assert!(!world.events("t").await[0].to_string().contains("null"));
}

#[tokio::test]
async fn one_user_cannot_take_all_runs_and_another_one_is_not_disturbed() {
    let world = world(|_| then_silence(text(&["a"])));
    for n in 0..=MAX_RUNS {
        world.start(&format!("t{n}"), &format!("r{n}"));
    }
    let refused = world.reply.take().remove(0);
    assert_eq!((&refused["code"], &refused["run"]), (&json!("rate_limited"), &json!(format!("r{MAX_RUNS}"))));
    assert!(refused["retry_in"].is_u64());
    let other = SessionKey::new(UserId::parse("other").unwrap(), ThreadId::parse("t").unwrap());
    let reply = Arc::clone(&world.reply) as Arc<dyn Sink>;
    let input = RunInput::default();
    world.runs.start(StartRun {
        plan: None,
        agents: None,
        key: other,
        run: run_id("r"),
        input,
        agent: None,
        reply,
        trace: None,
    });
    assert_eq!(world.runs.in_flight(), MAX_RUNS + 1);
    assert!(world.reply.take().is_empty());
}

#[tokio::test]
async fn a_run_that_is_sent_again_is_a_no_op_and_another_one_meets_a_busy_thread() {
    let world = world(|_| then_silence(text(&["a"])));
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    world.start("t", "r1");
    world.start("t", "r2");
    let busy = world.reply.take().remove(0);
    assert_eq!((&busy["type"], &busy["code"], &busy["run"]), (&json!("error"), &json!("busy"), &json!("r2")));
    assert!(busy["retry_in"].as_u64().unwrap() > 0);
    world.start("another", "r2");
    until_kinds(&world, "another", 3).await;
    assert!(world.runs.stop(&key("t"), &run_id("r1")));
    assert!(world.runs.stop(&key("another"), &run_id("r2")));
    world.at_rest().await;
    let before = world.kinds("t").await;
    world.start("t", "r1");
    world.at_rest().await;
    assert_eq!(world.kinds("t").await, before, "known, although it is over");
    let said: Vec<_> = world.reply.take().iter().map(|frame| frame["code"].clone()).collect();
    assert_eq!(said.last(), Some(&json!("run_ended")), "whoever asks again waits for nothing");
}

#[tokio::test]
async fn a_new_run_right_after_one_that_is_sent_again_is_not_told_busy() {
    let world = world(|_| whole_answer());
    world.start("t", "r1");
    world.at_rest().await;
    world.start("t", "r1");
    world.start("t", "r2");
    world.at_rest().await;
    let started = |events: Vec<Value>| events.into_iter().filter(|event| event["type"] == "RUN_STARTED");
    let runs: Vec<_> = started(world.events("t").await).map(|event| event["runId"].clone()).collect();
    assert_eq!(runs, ["r1", "r2"]);
    assert_eq!(world.errors(), ["run_ended"], "of the one that is over; nobody is busy");
}

#[tokio::test]
async fn a_run_right_after_a_new_one_is_told_busy_as_soon_as_that_one_has_started() {
    let world = world(|_| then_silence(text(&["a"])));
    world.start("t", "r1");
    world.start("t", "r2");
    until_kinds(&world, "t", 3).await;
    assert_eq!(world.errors(), ["busy"]);
    assert!(world.runs.stop(&key("t"), &run_id("r1")));
    world.at_rest().await;
    assert_eq!(world.kinds("t").await.iter().filter(|kind| *kind == "RUN_STARTED").count(), 1);
}

/// Starts the next run the moment the end of the last is in the log.
#[derive(Default)]
struct Impatient {
    runs: OnceLock<Arc<Runs>>,
    reply: OnceLock<Arc<Recorder>>,
}

impl Follower for Impatient {
    fn appended(&self, key: &SessionKey, entries: &[Entry]) {
        let last = entries.last().unwrap();
        if last.event.kind() == "RUN_FINISHED" && last.offset < 100 {
            self.runs.get().unwrap().start(StartRun {
                plan: None,
                agents: None,
                key: key.clone(),
                run: RunId::parse(&format!("after-{}", last.offset)).unwrap(),
                input: RunInput::default(),
                agent: None,
                reply: self.reply.get().unwrap().clone(),
                trace: None,
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_saw_the_end_of_a_run_is_never_told_that_the_thread_is_busy() {
    let world = world(|_| whole_answer());
    let impatient = Arc::new(Impatient::default());
    impatient.runs.set(world.runs.clone()).ok();
    impatient.reply.set(world.reply.clone()).ok();
    world.journal.follow(impatient);
    world.start("t", "r");
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.journal.snapshot(&key("t")).await.unwrap().head < 102 {
        assert!(world.reply.frames().is_empty(), "{:?}", world.errors());
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    world.at_rest().await;
}

#[tokio::test]
async fn stop_ends_a_run_as_cancelled_and_closes_what_is_open() {
    let world = world(|_| {
        let mut events = vec![event(json!({"type": "STEP_STARTED", "stepName": "s"}))];
        events.extend(text(&["a"]));
        events.push(event(json!({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f"})));
        then_silence(events)
    });
    world.start("t", "r");
    until_kinds(&world, "t", 5).await;
    assert!(!world.runs.stop(&key("t"), &run_id("other")));
    assert!(world.runs.stop(&key("t"), &run_id("r")));
    world.at_rest().await;
    let kinds = world.kinds("t").await;
    assert_eq!(kinds[5..], ["TOOL_CALL_END", "TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED"]);
    assert_eq!(world.last("t").await["outcome"], json!({"type": "cancelled"}));
    assert!(!world.runs.stop(&key("t"), &run_id("r")));
}

#[tokio::test]
async fn a_stop_closes_subagents_and_each_ones_steps() {
    let world = world(|_| {
        let step = |of: &str| event(json!({"type": "STEP_STARTED", "stepName": "s", "subagentRunId": of}));
        let subagent = |id: &str| event(json!({"type": "SUBAGENT_STARTED", "subagentRunId": id, "name": "n"}));
        then_silence(vec![subagent("a"), step("a"), subagent("b"), step("b")])
    });
    world.start("t", "r");
    until_kinds(&world, "t", 5).await;
    assert!(world.runs.stop(&key("t"), &run_id("r")));
    world.at_rest().await;
    let closed: Vec<Value> = world.events("t").await.split_off(5);
    let said = |event: &Value| (event["type"].as_str().unwrap().to_owned(), event["subagentRunId"].clone());
    let expected =
        [("STEP_FINISHED", "b"), ("SUBAGENT_FINISHED", "b"), ("STEP_FINISHED", "a"), ("SUBAGENT_FINISHED", "a")];
    let expected = expected.map(|(kind, of)| (kind.to_owned(), json!(of)));
    assert_eq!(closed[..4].iter().map(said).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_subagent_that_failed_is_over_and_closed_no_second_time() {
    let world = world(|_| {
        let subagent = |kind: &str, field: &str| event(json!({"type": kind, "subagentRunId": "s", field: "x"}));
        answer(vec![subagent("SUBAGENT_STARTED", "name"), subagent("SUBAGENT_ERROR", "message"), done()])
    });
    world.start("t", "r");
    world.at_rest().await;
    assert_eq!(world.kinds("t").await, ["RUN_STARTED", "SUBAGENT_STARTED", "SUBAGENT_ERROR", "RUN_FINISHED"]);
}

#[tokio::test]
async fn an_agent_that_fails_ends_its_run_with_its_code_and_when_to_ask_again() {
    let world = world(|_| {
        let mut events = text(&["half"]);
        events.push(Err(AgentError {
            code: "agent_http_429".to_owned(),
            message: "x".repeat(5_000),
            retry_after: Some(Duration::from_secs(7)),
        }));
        answer(events)
    });
    world.start("t", "r");
    world.at_rest().await;
    assert_eq!(world.kinds("t").await[2..], ["TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_ERROR"]);
    let end = world.last("t").await;
    assert_eq!((&end["code"], &end["metadata"]["lychgate"]["retry_in"]), (&json!("agent_http_429"), &json!(7_000)));
    assert_eq!(end["message"].as_str().unwrap().len(), 1_024);
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_is_an_error() {
    let world = world(|_| answer(text(&["half"])));
    world.start("t", "r");
    world.at_rest().await;
    assert_eq!(world.last("t").await["code"], "agent_eof");
}

#[tokio::test]
async fn what_comes_after_the_end_is_dropped_and_a_second_start_too() {
    let world = world(|_| {
        let started = event(json!({"type": "RUN_STARTED", "threadId": "theirs", "runId": "theirs"}));
        let error = event(json!({"type": "RUN_ERROR", "message": "no", "code": "theirs"}));
        let late = event(json!({"type": "CUSTOM", "name": "late", "value": 1}));
        answer(vec![started, error, late, done()])
    });
    world.start("t", "r");
    world.at_rest().await;
    assert_eq!(world.kinds("t").await, ["RUN_STARTED", "RUN_ERROR"]);
}

/// Panics when it is asked for the second event.
struct Panics(bool);

impl Stream for Panics {
    type Item = Result<Event, AgentError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!self.0, "an agent that panics on purpose");
        self.0 = true;
        Poll::Ready(text(&[]).pop())
    }
}

#[tokio::test]
async fn an_agent_that_panics_ends_its_run_and_nothing_else() {
    let world = world(|request| match request.run.as_str() {
        "at once" => panic!("an agent that panics on purpose"),
        "later" => Box::pin(Panics(false)),
        _ => whole_answer(),
    });
    world.start("t1", "at once");
    world.start("t2", "later");
    world.at_rest().await;
    assert_eq!(world.kinds("t1").await, ["RUN_STARTED", "RUN_ERROR"]);
    assert_eq!(world.kinds("t2").await, ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_ERROR"]);
    assert_eq!(world.last("t2").await["code"], "internal");
    world.start("t1", "next");
    world.at_rest().await;
    assert_eq!(world.last("t1").await["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn an_unknown_agent_is_refused_and_leaves_no_trace() {
    let world = world(|_| whole_answer());
    world.start_with("t", "r", Some("nobody"), json!({}));
    world.at_rest().await;
    assert_eq!(world.errors(), ["agent_unavailable"]);
    assert!(world.events("t").await.is_empty() && lock(&world.changes).is_empty());
}

#[tokio::test]
async fn a_full_journal_ends_the_run_and_the_gateway_goes_on() {
    let world = world_with(memory(100_000), |request| match request.run.as_str() {
        "endless" => Box::pin(stream::repeat_with(|| text(&["some more of it "]).pop().unwrap())),
        _ => whole_answer(),
    });
    world.start("t", "endless");
    world.at_rest().await;
    let end = world.last("t").await;
    assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!("journal_unavailable")));
    assert!(world.journal.snapshot(&key("t")).await.unwrap().run.is_none());
    world.start("other", "r");
    world.at_rest().await;
    assert_eq!(world.last("other").await["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn a_run_that_cannot_be_written_at_all_is_refused_with_a_reason() {
    let world = world_with(memory(600), |_| whole_answer());
    let long = json!({"id": "u", "role": "user", "content": "x".repeat(1_000)});
    world.start_with("t", "r", None, json!({"messages": [long]}));
    world.at_rest().await;
    assert_eq!(world.errors(), ["internal"]);
    assert!(world.events("t").await.is_empty());
}

#[tokio::test]
async fn a_lost_socket_never_stops_a_run() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let world = world(move |_| {
        let gone = lock(&gone).take().unwrap();
        Box::pin(stream::once(gone).flat_map(|_| whole_answer()))
    });
    world.start("t", "r");
    until_kinds(&world, "t", 1).await;
    world.reply.close();
    go.send(()).unwrap();
    world.at_rest().await;
    assert_eq!(world.last("t").await["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn a_gateway_that_stops_ends_every_run_with_a_word() {
    let world = world(|_| then_silence(text(&["half"])));
    for thread in ["t1", "t2", "t3"] {
        world.start(thread, "r");
        until_kinds(&world, thread, 3).await;
    }
    assert_eq!(world.runs.shutdown(Duration::from_secs(5)).await, 0);
    for thread in ["t1", "t2", "t3"] {
        let end = world.last(thread).await;
        assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!("gateway_stopping")));
    }
    world.start("t4", "r");
    assert_eq!(world.errors(), ["draining"]);
    world.at_rest().await;
}
