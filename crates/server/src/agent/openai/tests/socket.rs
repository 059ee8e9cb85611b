//! The agent against real sockets on loopback that misbehave in every way that a backend can.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::*;
use crate::agent::deadline::Deadline;
use crate::agent::tests::server::{Server, Then, answer, events};

/// What the agent of this kind makes of a server.
impl Server {
    fn agent(&self) -> OpenAi {
        agent(&format!("{}/v1", self.url))
    }

    async fn failure(&self) -> AgentError {
        collect(self.agent().run(request("hello"))).await.1.unwrap()
    }
}

fn agent(base_url: &str) -> OpenAi {
    OpenAi::new(&config::OpenAi {
        base_url: base_url.into(),
        model: "m".to_owned(),
        system_prompt: Some("Be brief.".to_owned()),
        send_user: false,
        remote_media: false,
        remote: config::Remote { api_key: config::ApiKey::parse("the-key"), ..config::Remote::default() },
    })
    .unwrap()
}

fn hello() -> Vec<u8> {
    body(&[delta(json!({ "content": "Hello" })), finish("stop")])
}

#[tokio::test]
async fn an_answer_is_streamed_and_the_question_arrives_with_the_key() {
    let mut server = Server::start(events(&hello()), Then::Close).await;
    let (seen, error) = collect(server.agent().run(request("hello"))).await;
    assert_eq!((joined(&seen, "TEXT_MESSAGE_CONTENT").as_str(), error), ("Hello", None));

    let asked = server.requests.recv().await.unwrap();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    assert!(head.contains("authorization: Bearer the-key"), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({
            "model": "m", "stream": true, "stream_options": { "include_usage": true },
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "hello" }],
        })
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (seen, error) = collect(agent(&format!("http://{address}/v1")).run(request("hello"))).await;
    assert_eq!((seen, error.unwrap().code.as_str()), (vec![], "agent_unavailable"));
}

#[tokio::test]
async fn a_server_that_closes_without_an_answer_is_unavailable() {
    let server = Server::start("", Then::Close).await;
    assert_eq!(server.failure().await.code, "agent_unavailable");
}

#[tokio::test]
async fn a_slow_first_byte_times_out_and_closes_the_connection() {
    let mut server = Server::start("", Then::Hold).await;
    let (first, idle) = (Duration::from_secs(30), Duration::from_secs(60));
    let patient = Deadline::new(Arc::new(server.agent()), first, idle);
    let (_, error) = server.outlast(patient).await;
    let error = error.unwrap();
    assert_eq!(error.message, "The agent did not begin to answer in time.");
    assert_eq!(error.code, "agent_timeout");
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_times_out_and_closes_the_connection() {
    let half = body(&[delta(json!({ "content": "Hel" }))]);
    let mut server = Server::start(events(&half), Then::Hold).await;
    let patient = Deadline::new(Arc::new(server.agent()), Duration::from_secs(30), Duration::from_millis(20));
    let (seen, error) = collect(patient.run(request("hello"))).await;
    assert_eq!(joined(&seen, "TEXT_MESSAGE_CONTENT"), "Hel");
    assert_eq!(error.unwrap().code, "agent_timeout");
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn dropping_the_stream_cancels_the_request() {
    let half = body(&[delta(json!({ "content": "Hel" }))]);
    for sent in [events(&half), Vec::new()] {
        let mut server = Server::start(sent.clone(), Then::Hold).await;
        let mut answer = server.agent().run(request("hello"));
        if sent.is_empty() {
            tokio::select! {
                _ = answer.next() => panic!("nothing was sent"),
                asked = server.requests.recv() => assert!(asked.is_some()),
            }
        } else {
            answer.next().await.unwrap().unwrap();
        }
        drop(answer);
        server.hang_ups.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_status_that_is_no_success_names_itself_and_keeps_retry_after() {
    let said = br#"{"error":{"message":"too long by 5 tokens"}}"#;
    for (status, headers, code, retry_after, shown) in [
        ("500 Oops", "", "agent_http_500", None, false),
        ("429 Slow", "retry-after: 7\r\n", "agent_http_429", Some(7), false),
        ("503 Later", "retry-after: 2\r\n", "agent_http_503", Some(2), false),
        ("401 Who", "", "agent_http_401", None, false),
        ("400 Bad", "", "agent_http_400", None, true),
    ] {
        let error = Server::start(answer(status, headers, said), Then::Close).await.failure().await;
        assert_eq!(error.code, code);
        assert_eq!(error.retry_after, retry_after.map(Duration::from_secs));
        assert_eq!(error.message.contains("too long by 5 tokens"), shown, "{error}");
    }
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_a_refusal_all_the_same() {
    let refusal = "HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\n{";
    let mut server = Server::start(refusal, Then::Hold).await;
    let agent = server.agent();
    assert_eq!(server.outlast(agent).await.1.unwrap().code, "agent_http_500");
}

#[tokio::test]
async fn the_conversation_and_the_key_do_not_follow_a_redirect() {
    let mut elsewhere = Server::start(events(&hello()), Then::Close).await;
    let location = format!("location: {}/v1/chat/completions\r\n", elsewhere.url);
    let server = Server::start(answer("307 There", &location, b""), Then::Close).await;
    assert_eq!(server.failure().await.code, "agent_http_307");
    assert!(elsewhere.requests.try_recv().is_err());
}

#[tokio::test]
async fn what_is_no_event_stream_is_a_bad_stream_in_plain_words() {
    let html = b"<html><script>alert(1)</script></html>";
    for sent in [
        answer("200 OK", "content-type: text/html\r\n", html),
        answer("200 OK", "content-type: image/png\r\n", html),
        answer("200 OK", "content-type: text/event-stream\r\ncontent-encoding: br\r\n", html),
        answer("200 OK", "content-type: application/json\r\n", html),
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
    ] {
        let error = Server::start(sent, Then::Close).await.failure().await;
        assert_eq!(error.code, "agent_bad_stream");
        assert!(!error.message.contains('<'), "{error}");
    }
}

#[tokio::test]
async fn an_empty_body_and_half_a_stream_are_cut_answers() {
    let half = body(&[delta(json!({ "content": "Hel" }))]);
    let mut chunked = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        half.len()
    )
    .into_bytes();
    chunked.extend_from_slice(&half);
    for sent in [events(b""), events(&half), chunked] {
        let error = Server::start(sent, Then::Close).await.failure().await;
        assert_eq!(error.code, "agent_eof");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_read_too() {
    let whole = json!({
        "model": "m",
        "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hello", "reasoning_content": "Hm.",
            "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{}" } }],
        } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 2 },
    });
    let sent = answer("200 OK", "content-type: application/json\r\n", whole.to_string().as_bytes());
    let server = Server::start(sent, Then::Close).await;
    let (seen, error) = collect(server.agent().run(request("hello"))).await;
    assert_eq!(error, None);
    assert_eq!(joined(&seen, "TEXT_MESSAGE_CONTENT"), "Hello");
    assert_eq!(arguments(&seen, "c1"), "{}");
    assert_eq!(seen.last().unwrap()["usage"][0]["totalTokens"], 3);

    let error = json!({ "error": { "message": "no" } }).to_string();
    let sent = answer("200 OK", "content-type: application/json\r\n", error.as_bytes());
    assert_eq!(Server::start(sent, Then::Close).await.failure().await.code, "agent_error");
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let mut line = b"data: ".to_vec();
    line.resize(2 * 1024 * 1024, b'x');
    let long_json = answer("200 OK", "content-type: application/json\r\n", &line);
    for sent in [events(&line), long_json] {
        let mut server = Server::start(sent, Then::Hold).await;
        assert_eq!(server.failure().await.code, "agent_bad_stream");
        server.hang_ups.recv().await.unwrap();
    }
}

/// Runs a test of above in a process of its own, because the environment of this one belongs to all its tests.
#[test]
fn a_machine_without_certificates_reaches_its_agents_all_the_same() {
    let nowhere = "/nonexistent/certificates";
    let name = "an_answer_is_streamed_and_the_question_arrives_with_the_key";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{}::{name}", module_path!().trim_start_matches("lychgate::"))])
        .envs([("SSL_CERT_FILE", nowhere), ("SSL_CERT_DIR", nowhere)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
