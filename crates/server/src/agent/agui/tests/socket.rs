//! The agent against real sockets on loopback that misbehave in every way that a backend can.

use std::time::Duration;

use lychgate_core::{SessionKey, ThreadId, UserId};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::agent::deadline::Deadline;
use crate::agent::tests::server::{Server, Then, answer, events};
use crate::config::agents::{ApiKey, Identity, Remote};

fn asking(url: &str, remote: Remote) -> Agui {
    Agui::new(&config::Agui { url: url.into(), raw_events: false, remote }).unwrap()
}

/// What the agent of this kind makes of a server.
impl Server {
    fn agui(&self) -> Agui {
        asking(&format!("{}/agent?tenant=7", self.url), Remote::default())
    }

    async fn answered(&self) -> (Vec<Value>, Option<AgentError>) {
        collect(self.agui().run(request("hello"))).await
    }
}

/// The code that a run ends with when the server says this and closes.
async fn code_of(bytes: impl Into<Vec<u8>>) -> String {
    let error = Server::start(bytes, Then::Close).await.answered().await.1.unwrap();
    assert!(error.message.ends_with('.') && !error.message.contains(['<', '{']), "{error}");
    error.code
}

#[tokio::test]
async fn the_question_arrives_whole_with_headers_and_for_whom_it_is() {
    let mut server = Server::start(events(&saying("Hello")), Then::Close).await;
    let header = HeaderName::from_static;
    let remote = Remote {
        api_key: ApiKey::parse("the-key"),
        headers: HeaderMap::from_iter([(header("x-team"), HeaderValue::from_static("support"))]),
        identity: Identity {
            user_header: Some(header("x-lychgate-user")),
            plan_header: Some(header("x-lychgate-plan")),
            jwt: None,
        },
        ..Remote::default()
    };
    let mut run = request("hello");
    run.plan = Some("pro".into());
    run.key = SessionKey::new(UserId::parse("google:müller").unwrap(), ThreadId::parse("t1").unwrap());
    let (seen, error) = collect(asking(&format!("{}/agent?tenant=7", server.url), remote).run(run)).await;
    assert_eq!((text(&seen).as_str(), error), ("Hello", None));

    let asked = server.requests.recv().await.unwrap();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /agent?tenant=7 HTTP/1.1"), "{head}");
    for line in [
        "authorization: Bearer the-key",
        "accept: text/event-stream",
        "content-type: application/json",
        "x-team: support",
        "x-lychgate-user: google:m%C3%BCller",
        "x-lychgate-plan: pro",
    ] {
        assert!(head.lines().any(|other| other == line), "{line} is missing: {head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["protocolVersion"], &body["threadId"], &body["runId"]),
        (&json!("1.0"), &json!("t1"), &json!("r1"))
    );
}

#[tokio::test]
async fn an_answer_in_one_piece_or_as_a_page_is_a_bad_stream() {
    for content_type in ["application/json", "text/html", "image/png"] {
        let headers = format!("content-type: {content_type}\r\n");
        assert_eq!(code_of(answer("200 OK", &headers, &saying("hello"))).await, "agent_bad_stream");
    }
}

#[tokio::test]
async fn a_status_that_is_no_success_names_itself() {
    assert_eq!(code_of(answer("422 No", "", b"{\"detail\":[{\"msg\":\"x\"}]}")).await, "agent_http_422");
    assert_eq!(code_of(answer("503 Later", "retry-after: 2\r\n", b"")).await, "agent_http_503");
}

#[tokio::test]
async fn invalid_utf8_a_byte_order_mark_and_lone_carriage_returns_are_survived() {
    let mut bytes = b"\xEF\xBB\xBF".to_vec();
    bytes.extend_from_slice(&saying("Hel?lo"));
    bytes.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xFF);
    let lone_cr = String::from_utf8_lossy(&saying("Hello")).replace('\n', "\r").into_bytes();
    for (bytes, expected) in [(bytes, "Hel\u{FFFD}lo"), (lone_cr, "Hello")] {
        let (seen, error) = Server::start(events(&bytes), Then::Close).await.answered().await;
        assert_eq!((text(&seen).as_str(), error), (expected, None));
    }
}

#[tokio::test]
async fn a_line_or_an_event_that_never_ends_is_given_up() {
    let endless_line = [b"data: {\"type\":\"CUSTOM\",\"name\":\"".to_vec(), vec![b'x'; 100 * 1024 * 1024]].concat();
    let endless_event = b"data: some more of it\n".repeat(100_000);
    let endless_comment = [b": ".to_vec(), vec![b'x'; 2 * 1024 * 1024]].concat();
    for bytes in [endless_line, endless_event, endless_comment] {
        let mut server = Server::start(events(&bytes), Then::Hold).await;
        let error = server.answered().await.1.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("agent_bad_stream", TOO_LONG));
        server.hang_ups.recv().await.unwrap();
    }
}

const TOO_LONG: &str = "The agent's answer holds a piece that is too long.";

#[tokio::test]
async fn half_an_event_is_a_bad_stream_and_half_a_line_is_a_cut_one() {
    assert_eq!(code_of(events(b"data: {\"type\":\"CUSTOM\",\"na\n\n")).await, "agent_bad_stream");
    assert_eq!(code_of(events(b"data: {\"type\":\"CUSTOM\",\"na")).await, "agent_eof");
    assert_eq!(code_of(events(b"data: [1]\n\n")).await, "agent_bad_stream");
}

#[tokio::test]
async fn events_out_of_order_are_mended_or_end_the_run() {
    let [start, content, end] = said("Hello");
    let jumbled = [end.clone(), content.clone(), start.clone(), start, content, end.clone(), end, finished()];
    let (seen, error) = Server::start(events(&body(&jumbled)), Then::Close).await.answered().await;
    assert_eq!((text(&seen).as_str(), error), ("HelloHello", None));
    let unnamed = json!({ "type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": "{}" });
    assert_eq!(code_of(events(&body(&[started(), unnamed]))).await, "agent_bad_stream");
}

#[tokio::test]
async fn headers_that_never_end_are_given_up() {
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: and more of it\r\n".repeat(200_000)].concat();
    let mut server = Server::start(endless, Then::Hold).await;
    assert_eq!(server.answered().await.1.unwrap().code, "agent_bad_stream");
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn headers_that_stop_in_the_middle_time_out() {
    let mut server = Server::start(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec(), Then::Hold).await;
    let patient = Deadline::new(Arc::new(server.agui()), Duration::from_secs(30), Duration::from_secs(60));
    assert_eq!(server.outlast(patient).await.1.unwrap().code, "agent_timeout");
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn garbage_after_the_end_is_never_looked_at_and_the_connection_is_closed() {
    let bytes = [saying("Hello"), b"\n\ndata: {{{\n\n\xFF\xFE".to_vec()].concat();
    let mut server = Server::start(events(&bytes), Then::Hold).await;
    let (seen, error) = server.answered().await;
    assert_eq!((text(&seen).as_str(), error), ("Hello", None));
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_stream() {
    assert_eq!(code_of(b"220 mail.example.org ESMTP\r\n".to_vec()).await, "agent_bad_stream");
}
