use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

type Peer = WebSocketStream<TcpStream>;

/// A gateway's end of a socket, played by hand: what a real gateway does only when it is in trouble.
struct Gateway(TcpListener);

impl Gateway {
    async fn new() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/ws", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    #[expect(clippy::result_large_err, reason = "the library's callback has this type")]
    async fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().await.unwrap();
        accept_hdr_async(stream, |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["authorization"], "Bearer t0ken");
            assert_eq!(request.headers()["sec-websocket-protocol"], "lychgate.v1");
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("lychgate.v1"));
            Ok(response)
        })
        .await
        .unwrap()
    }

    /// Accepts and answers `hello` and `open`; hands back what the client said in them.
    async fn welcome(&self, connection: &str, opened: &Value) -> (Peer, Value, Value) {
        let mut peer = self.accept().await;
        let hello = expect(&mut peer, "hello").await;
        say(&mut peer, &json!({ "type": "hello", "connection": connection, "user": "ann", "ping": 20_000 })).await;
        let open = expect(&mut peer, "open").await;
        say(&mut peer, opened).await;
        (peer, hello, open)
    }
}

fn opened(after: u64) -> Value {
    json!({ "type": "opened", "thread": "t1", "epoch": "e1", "after": after, "head": after })
}

async fn say(peer: &mut Peer, frame: &Value) {
    peer.send(Message::text(frame.to_string())).await.unwrap();
}

/// The next frame of this type; acknowledgements in between do not matter.
async fn expect(peer: &mut Peer, kind: &str) -> Value {
    let next = async {
        loop {
            match peer.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] == kind {
                        return frame;
                    }
                    assert_eq!(frame["type"], "ack", "{frame} instead of {kind}");
                }
                other => panic!("{other:?} instead of {kind}"),
            }
        }
    };
    timeout(HANDSHAKE, next).await.unwrap()
}

async fn event(peer: &mut Peer, offset: u64, event: Value) {
    say(peer, &json!({ "type": "event", "thread": "t1", "offset": offset, "event": event })).await;
}

fn started(run: &Value) -> Value {
    json!({ "type": "RUN_STARTED", "threadId": "t1", "runId": run["run"] })
}

fn delta(text: &str) -> Value {
    json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": text })
}

fn finished(run: &Value) -> Value {
    json!({ "type": "RUN_FINISHED", "threadId": "t1", "runId": run["run"] })
}

async fn close(mut peer: Peer, code: u16, reason: &str) {
    let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
    peer.close(Some(frame)).await.unwrap();
    while let Some(Ok(_)) = peer.next().await {}
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client that runs beside the test.
struct Running {
    answers: Paper,
    notes: Paper,
    lines: mpsc::Sender<String>,
    task: tokio::task::JoinHandle<Result<(), Error>>,
}

fn start(url: &str, message: &[&str]) -> Running {
    let (answers, notes) = (Paper::default(), Paper::default());
    let (lines, receiver) = mpsc::channel(MAX_WAITING_LINES);
    let args = ChatArgs {
        url: url.to_owned(),
        token: "t0ken".to_owned(),
        thread: Some("t1".to_owned()),
        message: message.iter().map(|word| (*word).to_owned()).collect(),
    };
    let screen = Screen::new(answers.clone(), notes.clone());
    let task = tokio::spawn(async move { run(&args, receiver, screen).await });
    Running { answers, notes, lines, task }
}

impl Running {
    async fn end(self) -> (Result<(), Error>, String, String) {
        let ended = timeout(HANDSHAKE, self.task).await.unwrap().unwrap();
        (ended, self.answers.text(), self.notes.text())
    }
}

#[tokio::test]
async fn one_question_is_answered_and_ends_with_a_freed_slot() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello", "there"]);
    let (mut peer, hello, open) = gateway.welcome("c_1", &opened(0)).await;
    assert_eq!((&hello["heartbeat"], hello.get("prev")), (&json!("app"), None));
    assert_eq!((&open["thread"], open.get("after")), (&json!("t1"), None));
    let run = expect(&mut peer, "run").await;
    assert_eq!(run["input"]["messages"][0]["content"], "hello there");
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, delta("Good ")).await;
    say(&mut peer, &json!({ "type": "of a later version" })).await;
    event(&mut peer, 3, delta("day\u{1b}[2J")).await;
    event(&mut peer, 4, finished(&run)).await;
    assert_eq!(expect(&mut peer, "leave").await["thread"], "t1");
    close(peer, 1000, "").await;
    let (ended, answers, _) = client.end().await;
    ended.unwrap();
    assert_eq!(answers, "Good day[2J\n");
}

#[tokio::test]
async fn an_answer_goes_on_where_the_lost_connection_left_it() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, delta("Good ")).await;
    close(peer, 4001, r#"{"reason":"draining","reconnect":true,"retry_in":1}"#).await;
    let (mut peer, hello, open) = gateway.welcome("c_2", &opened(2)).await;
    assert_eq!(hello["prev"], "c_1");
    assert_eq!((&open["after"], &open["epoch"]), (&json!(2), &json!("e1")));
    let again = expect(&mut peer, "run").await;
    assert_eq!(again["run"], run["run"], "the run is the same one, so that it is not run twice");
    event(&mut peer, 3, delta("day")).await;
    event(&mut peer, 4, finished(&run)).await;
    expect(&mut peer, "leave").await;
    drop(peer);
    let (ended, answers, _) = client.end().await;
    ended.unwrap();
    assert_eq!(answers, "Good day\n");
}

#[tokio::test]
async fn an_answer_that_ended_while_we_were_away_is_read_from_the_reset() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    drop(peer);
    let asked = &run["input"]["messages"][0]["id"];
    let mut reset = opened(9);
    reset["reset"] = json!(true);
    reset["messages"] = json!([
        { "id": asked, "role": "user", "content": "hello" },
        { "id": "m1", "role": "assistant", "content": "Good day" },
    ]);
    let (mut peer, _, _) = gateway.welcome("c_2", &reset).await;
    expect(&mut peer, "leave").await;
    drop(peer);
    let (ended, answers, _) = client.end().await;
    ended.unwrap();
    assert_eq!(answers, "Good day\n");
}

#[tokio::test]
async fn a_terminal_close_ends_with_its_reason_and_exit_code_1() {
    for (code, reason, words) in [
        (4501, r#"{"reason":"unauthorized","reconnect":false}"#, "unauthorized (code 4501)"),
        (4510, "", "no reason given (code 4510)"),
        (1000, "", "no reason given (code 1000)"),
    ] {
        let (gateway, url) = Gateway::new().await;
        let client = start(&url, &["hello"]);
        let mut peer = gateway.accept().await;
        expect(&mut peer, "hello").await;
        close(peer, code, reason).await;
        let error = client.end().await.0.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[tokio::test]
async fn a_token_that_has_expired_ends_with_what_to_do_and_is_not_shown_for_ever() {
    const REASON: &str = r#"{"reason":"token_expired","reconnect":true}"#;
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let mut peer = gateway.accept().await;
    expect(&mut peer, "hello").await;
    say(&mut peer, &json!({ "type": "error", "code": "unauthorized", "message": "it has expired" })).await;
    close(peer, 4004, REASON).await;
    let (ended, _, notes) = client.end().await;
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("lychgate token") && error.exit_code() == 1, "{error}");
    assert!(notes.contains("it has expired"), "{notes}");
}

#[tokio::test]
async fn a_failed_run_ends_with_the_agents_sentence_and_exit_code_1() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, json!({ "type": "RUN_ERROR", "message": "the model is asleep", "code": "agent_timeout" }))
        .await;
    let (ended, _, _) = client.end().await;
    let error = ended.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("the model is asleep", 1));
}

#[tokio::test]
async fn a_busy_thread_is_asked_again_with_the_same_run() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    say(&mut peer, &json!({ "type": "error", "code": "busy", "message": "wait", "retry_in": 1 })).await;
    assert_eq!(expect(&mut peer, "run").await["run"], run["run"]);
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, finished(&run)).await;
    expect(&mut peer, "leave").await;
    drop(peer);
    client.end().await.0.unwrap();
}

#[tokio::test]
async fn lines_are_asked_one_by_one_and_other_peoples_answers_are_not_mixed_in() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &[]);
    for line in ["one", "", "two"] {
        client.lines.send(line.to_owned()).await.unwrap();
    }
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    for (offset, asked) in [(1, "one"), (11, "two")] {
        let run = expect(&mut peer, "run").await;
        assert_eq!(run["input"]["messages"][0]["content"], asked);
        event(&mut peer, offset, json!({ "type": "RUN_STARTED", "runId": "of another tab" })).await;
        event(&mut peer, offset + 1, delta("not for us")).await;
        event(&mut peer, offset + 2, json!({ "type": "RUN_FINISHED", "runId": "of another tab" })).await;
        event(&mut peer, offset + 3, started(&run)).await;
        event(&mut peer, offset + 4, delta(&format!("answer {asked}"))).await;
        event(&mut peer, offset + 5, finished(&run)).await;
    }
    let Running { answers, task, lines, .. } = client;
    drop(lines);
    expect(&mut peer, "leave").await;
    drop(peer);
    timeout(HANDSHAKE, task).await.unwrap().unwrap().unwrap();
    assert_eq!(answers.text(), "answer one\nanswer two\n");
}

#[tokio::test]
async fn a_client_that_was_evicted_comes_back_when_the_person_writes_again() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &[]);
    let (peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    close(peer, 4511, r#"{"reason":"evicted","reconnect":false}"#).await;
    let early = timeout(Duration::from_millis(50), gateway.accept()).await;
    assert!(early.is_err(), "a client that made room does not come back by itself");
    client.lines.send("hello".to_owned()).await.unwrap();
    let (mut peer, hello, _) = gateway.welcome("c_2", &opened(0)).await;
    assert_eq!(hello["prev"], "c_1");
    let run = expect(&mut peer, "run").await;
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, finished(&run)).await;
    let Running { task, lines, .. } = client;
    drop(lines);
    expect(&mut peer, "leave").await;
    drop(peer);
    timeout(HANDSHAKE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_with_the_offset_that_was_reached() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    event(&mut peer, 7, started(&run)).await;
    say(&mut peer, &json!({ "type": "ping" })).await;
    assert_eq!(expect(&mut peer, "ack").await["at"], json!({ "t1": 7 }));
    event(&mut peer, 8, finished(&run)).await;
    expect(&mut peer, "leave").await;
    drop(peer);
    client.end().await.0.unwrap();
}

#[tokio::test]
async fn nobody_listening_says_how_to_start_a_gateway() {
    let (gateway, url) = Gateway::new().await;
    drop(gateway);
    let error = start(&url, &["hello"]).end().await.0.unwrap_err();
    assert!(error.to_string().contains("lychgate demo"), "{error}");
    let error = start("wss://127.0.0.1:1/v1/ws", &["hello"]).end().await.0.unwrap_err();
    assert!(error.to_string().contains("--url") && error.exit_code() == 2, "{error}");
}

#[tokio::test]
async fn notices_are_shown_in_plain_words() {
    let (gateway, url) = Gateway::new().await;
    let client = start(&url, &["hello"]);
    let (mut peer, _, _) = gateway.welcome("c_1", &opened(0)).await;
    let run = expect(&mut peer, "run").await;
    let limit = json!({ "type": "notice", "code": "limit", "used": 14, "limit": 20, "level": "high" });
    say(&mut peer, &limit).await;
    say(&mut peer, &json!({ "type": "notice", "code": "queued", "thread": "t1", "position": 2 })).await;
    event(&mut peer, 1, started(&run)).await;
    event(&mut peer, 2, finished(&run)).await;
    expect(&mut peer, "leave").await;
    drop(peer);
    let (ended, _, notes) = client.end().await;
    ended.unwrap();
    assert!(notes.contains("14 of your 20 conversations are open"), "{notes}");
    assert!(notes.contains("number 2 in the queue"), "{notes}");
}

#[test]
fn back_off_grows_to_a_bound_and_no_further() {
    for failures in [0, 1, 5, 16, 1_000, u32::MAX] {
        assert!(backoff(failures) <= MAX_BACKOFF);
    }
    assert!(backoff(0) <= Duration::from_millis(250));
}
