//! Agents behind the gateway that are down, slow or wrong: every run ends with one terminal event that its reader sees,
//! and the thread goes on.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::client::run_frame;
use crate::gateway::{Gateway, soon};

/// What an endpoint does after its bytes.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hold,
}

/// An endpoint on loopback that gives everybody the same bytes; answers its base URL.
async fn endpoint(answer: String, then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                read_request(&mut socket).await;
                // The gateway may be gone before it has read everything; that is its right.
                let _sent = socket.write_all(answer.as_bytes()).await;
                match then {
                    Then::Close => {}
                    Then::Hold => while soon(socket.read(&mut [0; 64])).await.is_ok_and(|count| count > 0) {},
                }
            });
        }
    });
    url
}

/// To the end of the body: an answer to half a request would be a reset to whoever still writes.
async fn read_request(socket: &mut TcpStream) {
    let mut bytes = Vec::new();
    loop {
        if soon(socket.read_buf(&mut bytes)).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return;
        }
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}")
}

fn stream(body: &str) -> String {
    response("200 OK", "content-type: text/event-stream\r\n", body)
}

fn piece(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

/// Starts a gateway with one agent and has it asked, then has the demo agent asked on the same thread. Answers the
/// events of the first run.
async fn ask(base_url: &str) -> Vec<Value> {
    let keys = [
        r#"agents.first_event_timeout = "1s""#.to_owned(),
        r#"agents.idle_timeout = "1s""#.to_owned(),
        r#"agents.peer.kind = "openai""#.to_owned(),
        r#"agents.peer.model = "m""#.to_owned(),
        format!("agents.peer.base_url = {base_url:?}"),
    ];
    let gateway = Gateway::start(&keys.each_ref().map(String::as_str)).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let mut run = run_frame("t1", "r1", "hello");
    run["agent"] = json!("peer");
    client.say(run).await;
    let events = client.events_to_end().await;
    assert_eq!(events[0]["event"]["type"], "RUN_STARTED");

    let next = client.ask("t1", "r2", "hello").await;
    assert_eq!(next[0]["event"]["runId"], "r2", "a run ends once: {next:?}");
    assert_eq!(next.last().unwrap()["event"]["type"], "RUN_FINISHED");
    client.expect_nothing().await;
    events.into_iter().map(|frame| frame["event"].clone()).collect()
}

/// The agent fails with this code and a sentence that a person can read.
async fn fails(base_url: &str, code: &str) -> Vec<Value> {
    let events = ask(base_url).await;
    let error = events.last().unwrap();
    assert_eq!((&error["type"], &error["code"]), (&json!("RUN_ERROR"), &json!(code)), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with('.') && message.contains(' ') && !message.contains(['<', '{']), "{message}");
    events
}

#[tokio::test]
async fn an_agent_that_answers_is_streamed() {
    let body = [piece("Hel"), piece("lo"), "data: [DONE]\n\n".to_owned()].concat();
    let events = ask(&endpoint(stream(&body), Then::Close).await).await;
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!((text.as_str(), &events.last().unwrap()["type"]), ("Hello", &json!("RUN_FINISHED")));
}

#[tokio::test]
async fn an_agent_that_is_down_ends_the_run() {
    fails(&nobody().await, "agent_unavailable").await;
}

#[tokio::test]
async fn an_agent_that_never_answers_ends_the_run_at_the_deadline() {
    fails(&endpoint(String::new(), Then::Hold).await, "agent_timeout").await;
}

#[tokio::test]
async fn an_agent_that_hangs_up_ends_the_run() {
    fails(&endpoint(String::new(), Then::Close).await, "agent_unavailable").await;
}

#[tokio::test]
async fn an_agent_with_a_fault_ends_the_run() {
    fails(&endpoint(response("500 Oops", "", "{}"), Then::Close).await, "agent_http_500").await;
}

#[tokio::test]
async fn an_agent_that_is_asked_too_much_ends_the_run_and_says_when_to_come_back() {
    let url = endpoint(response("429 Slow", "retry-after: 7\r\n", ""), Then::Close).await;
    let events = fails(&url, "agent_http_429").await;
    assert_eq!(events.last().unwrap()["metadata"]["lychgate"]["retry_in"], 7_000);
}

#[tokio::test]
async fn an_agent_that_is_a_web_page_ends_the_run() {
    let page = response("200 OK", "content-type: text/html\r\n", "<html><body>Welcome</body></html>");
    fails(&endpoint(page, Then::Close).await, "agent_bad_stream").await;
}

#[tokio::test]
async fn an_agent_that_answers_with_nothing_ends_the_run() {
    for nothing in [stream(""), response("200 OK", "content-length: 0\r\n", "")] {
        fails(&endpoint(nothing, Then::Close).await, "agent_eof").await;
    }
}

#[tokio::test]
async fn half_an_answer_is_shown_and_ends_the_run() {
    for (then, code) in [(Then::Close, "agent_eof"), (Then::Hold, "agent_timeout")] {
        let events = fails(&endpoint(stream(&piece("Hel")), then).await, code).await;
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let whole = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_ERROR"];
        assert_eq!(kinds, whole, "what is open is closed before the run ends");
        assert_eq!(events[2]["delta"], "Hel");
    }
}

/// An AG-UI agent on loopback that begins a message and then says nothing more, with these keys beside.
async fn gateway_with_a_silent_agent(then: Then, answer: String, keys: &[&str]) -> Gateway {
    let url = format!("agents.peer.url = {:?}", endpoint(answer, then).await);
    let peer = [r#"agents.peer.kind = "agui""#, r#"agents.default = "peer""#, &url];
    Gateway::start(&[&peer, keys].concat()).await
}

fn begun() -> String {
    let start = json!({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"});
    stream(&format!("data: {start}\n\n"))
}

#[tokio::test]
async fn an_agent_that_is_busy_says_so_at_once_and_takes_the_next_run_when_one_is_stopped() {
    let gateway = gateway_with_a_silent_agent(Then::Hold, begun(), &["agents.peer.max_concurrent_runs = 1"]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "hello").await;
    client.expect_event("TEXT_MESSAGE_START").await;
    client.open("t2").await;
    let refused = client.ask("t2", "r2", "hello").await;
    let end = &refused.last().unwrap()["event"];
    assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!("agent_busy")));
    assert!(end["metadata"]["lychgate"]["retry_in"].as_u64().is_some_and(|retry_in| retry_in > 1_000), "{end}");

    client.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    client.expect_event("RUN_FINISHED").await;
    client.run("t2", "r3", "hello").await;
    client.expect_event("TEXT_MESSAGE_START").await;
}

#[tokio::test]
async fn an_agent_that_is_down_is_not_asked_for_a_while_and_the_log_says_so() {
    let keys = ["agents.peer.breaker_failures = 2", r#"agents.peer.breaker_open = "30s""#];
    let gateway = gateway_with_a_silent_agent(Then::Close, response("503 No", "", ""), &keys).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let mut codes = Vec::new();
    for run in ["r1", "r2", "r3"] {
        let events = client.ask("t1", run, "hello").await;
        codes.push(events.last().unwrap()["event"].clone());
    }
    assert_eq!((&codes[0]["code"], &codes[1]["code"]), (&json!("agent_http_503"), &json!("agent_http_503")));
    assert_eq!(codes[2]["code"], "agent_unavailable");
    let retry_in = codes[2]["metadata"]["lychgate"]["retry_in"].as_u64().unwrap();
    assert!((1..=36_000).contains(&retry_in), "{retry_in}");
    gateway.process.line_with("an agent counts as down").await;
}

#[tokio::test]
async fn an_agent_that_nobody_configured_is_refused_without_a_run() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let mut run = run_frame("t1", "r1", "hello");
    run["agent"] = json!("nobody");
    client.say(run).await;
    assert_eq!(client.expect_error("agent_unavailable").await["run"], "r1");
    assert_eq!(client.ask("t1", "r1", "hello").await.len(), 5, "a run that was refused may be tried again");
}
