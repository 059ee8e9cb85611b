//! The agent against a server that others wrote: aimock, started by `cargo xtask test`, which sets `LYCHGATE_AIMOCK_URL`.
//!
//! Every check prints a line, so that the starter can tell that it was made.

use std::sync::Arc;

use super::*;
use crate::agent::deadline::Deadline;

async fn ask(base_url: &str, text: &str, request: RunRequest) -> (Vec<Value>, Option<AgentError>) {
    let agent = OpenAi::new(&config::OpenAi {
        base_url: base_url.into(),
        model: "mock".to_owned(),
        system_prompt: None,
        send_user: false,
        remote_media: false,
        remote: config::Remote { api_key: config::ApiKey::parse("any"), ..config::Remote::default() },
    });
    // Far above the time between two of its chunks (20 ms), far below that to the first byte of the slow one (10 min).
    let wait = Duration::from_secs(3);
    let answer = collect(Deadline::new(Arc::new(agent.unwrap()), wait, wait).run(request)).await;
    println!("asked aimock: {text}");
    answer
}

#[tokio::test]
async fn aimock_is_understood() {
    let Ok(base_url) = std::env::var("LYCHGATE_AIMOCK_URL") else {
        eprintln!("skipped: no LYCHGATE_AIMOCK_URL; `cargo xtask test` starts the peer and sets it");
        return;
    };
    let says = |text: &'static str| ask(&base_url, text, request(text));

    let (events, error) = says("greet").await;
    assert_eq!(error, None);
    assert_eq!(joined(&events, "TEXT_MESSAGE_CONTENT"), "Hello from the mock, in several pieces.");
    let usage = json!([{ "model": "mock", "inputTokens": 11, "outputTokens": 7, "totalTokens": 18 }]);
    assert_eq!(events.last().unwrap()["usage"], usage);
    println!("checked: text in pieces, usage in a chunk without choices");

    let (events, error) = says("weather").await;
    assert_eq!(error, None);
    assert_eq!(arguments(&events, "call_1"), r#"{"city":"SF"}"#);
    let started = kinds(&events).iter().filter(|kind| **kind == "TOOL_CALL_START").count();
    assert_eq!(started, 2);
    println!("checked: two tool calls, arguments in pieces");

    let (events, error) = ask(&base_url, "weather, with its result", answered_call()).await;
    assert_eq!(error, None);
    assert_eq!(joined(&events, "TEXT_MESSAGE_CONTENT"), "It is sunny.");
    println!("checked: the result of a tool call is sent back");

    let (events, error) = says("think").await;
    assert_eq!(error, None);
    assert_eq!(joined(&events, "REASONING_MESSAGE_CONTENT"), "Let me think about it.");
    println!("checked: reasoning");

    let error = says("limit").await.1.unwrap();
    assert_eq!(error.code, "agent_http_429");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    println!("checked: 429 with Retry-After");

    let (events, error) = says("cut").await;
    assert_eq!(error.unwrap().code, "agent_eof");
    assert!(!joined(&events, "TEXT_MESSAGE_CONTENT").is_empty());
    println!("checked: an answer that is cut in the middle");

    assert_eq!(says("slow").await.1.unwrap().code, "agent_timeout");
    println!("checked: a first byte that does not come");

    assert_eq!(says("nothing that it knows").await.1.unwrap().code, "agent_http_404");
    println!("checked: a request that is refused");
}

/// The thread after the user's front end has carried out `call_1` of an earlier run.
fn answered_call() -> RunRequest {
    let mut request = request("weather");
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "get_weather", "arguments": "{}" } });
    for message in [
        json!({ "id": "a1", "role": "assistant", "toolCalls": [call] }),
        json!({ "id": "t1", "role": "tool", "toolCallId": "call_1", "content": "sunny" }),
    ] {
        request.messages.push(Arc::new(serde_json::from_value(message).unwrap()));
    }
    request
}
