//! The agent against a server that others wrote: pydantic-ai, started by `cargo xtask test`, which sets `LYCHGATE_AGUI_URL`.
//!
//! Every check prints a line, so that the starter can tell that it was made.

use std::time::Duration;

use lychgate_core::{SessionKey, ThreadId, UserId};
use reqwest::header::HeaderName;
use serde_json::value::to_raw_value;

use super::*;
use crate::agent::deadline::Deadline;
use crate::config::agents::{Identity, IdentityJwt, Remote};

/// Far above the time that it takes for anything.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(url: &str, identity: Identity, request: RunRequest) -> (Vec<Value>, Option<AgentError>) {
    let remote = Remote { identity, ..Remote::default() };
    let agent = Agui::new(&config::Agui { url: url.into(), raw_events: false, remote });
    collect(Deadline::new(Arc::new(agent.unwrap()), PATIENCE, PATIENCE).run(request)).await
}

fn identity() -> Identity {
    let jwt = IdentityJwt {
        header: HeaderName::from_static("x-lychgate-identity"),
        secret: std::env::var("LYCHGATE_AGUI_SECRET").unwrap().into_bytes(),
        audience: "peer".to_owned(),
    };
    Identity {
        user_header: Some(HeaderName::from_static("x-lychgate-user")),
        plan_header: Some(HeaderName::from_static("x-lychgate-plan")),
        jwt: Some(jwt),
    }
}

#[tokio::test]
async fn pydantic_ai_is_understood() {
    let Ok(url) = std::env::var("LYCHGATE_AGUI_URL") else {
        eprintln!("skipped: no LYCHGATE_AGUI_URL; `cargo xtask test` starts the peer and sets it");
        return;
    };
    let says = |text: &'static str| ask(&url, identity(), request(text));

    let (events, error) = says("greet").await;
    assert_eq!(error, None);
    assert_eq!(text(&events), "Grüße, 👋 世界: \u{2028}e\u{301} \"quoted\" \\ back");
    assert_eq!(events.last().unwrap()["outcome"], json!({ "type": "success" }));
    println!("checked: text in pieces, letters of many scripts");

    let mut asked = request("front");
    let tools = json!([{ "name": "pick_color", "description": "Asks.", "parameters": { "type": "object" } }]);
    asked.input.tools = Some(to_raw_value(&tools).unwrap());
    let (events, error) = ask(&url, identity(), asked.clone()).await;
    assert_eq!(error, None);
    assert_eq!(arguments(&events, "call_front"), json!({ "among": ["red", "blue"] }));
    let (events, error) = ask(&url, identity(), with_result(asked)).await;
    assert_eq!((text(&events).as_str(), error), ("pick_color gave blue", None));
    println!("checked: a tool of the front end, and its result");

    let (events, error) = says("back").await;
    assert_eq!((text(&events).as_str(), error), ("add gave 3", None));
    assert_eq!(arguments(&events, "call_back"), json!({ "a": 1, "b": 2 }));
    assert!(events.iter().any(|event| event["type"] == "TOOL_CALL_RESULT" && event["content"] == "3"));
    println!("checked: a tool of the agent, with its result");

    let (events, error) = says("fail").await;
    assert_eq!((text(&events).as_str(), error), ("This sentence ends in ", None));
    assert_eq!(events.last().unwrap()["message"], "the model fell asleep");
    println!("checked: an error in the middle of an answer");

    let mut asked = request("whoami");
    asked.key = SessionKey::new(UserId::parse("idp:Müller, 安 100%").unwrap(), ThreadId::parse("t1").unwrap());
    asked.plan = Some("größte".into());
    let (events, error) = ask(&url, identity(), asked).await;
    assert_eq!(error, None);
    let who: Value = serde_json::from_str(&text(&events)).unwrap();
    assert_eq!((&who["user"], &who["plan"]), (&json!("idp:Müller, 安 100%"), &json!("größte")));
    let claims = &who["claims"];
    assert_eq!((&claims["sub"], &claims["plan"], &claims["run"]), (&who["user"], &who["plan"], &json!("r1")));
    println!("checked: the agent knows for whom it works, by header and by a token that it verified");

    let error = ask(&url, Identity::default(), request("greet")).await.1.unwrap();
    assert_eq!(error.code, "agent_http_500");
    println!("checked: a fault before the first event");
}

fn arguments(events: &[Value], call: &str) -> Value {
    let deltas = events.iter().filter(|event| event["type"] == "TOOL_CALL_ARGS" && event["toolCallId"] == call);
    let whole: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
    serde_json::from_str(&whole).unwrap()
}

/// The thread after the user's front end has carried out the call.
fn with_result(mut request: RunRequest) -> RunRequest {
    let call =
        json!({ "id": "call_front", "type": "function", "function": { "name": "pick_color", "arguments": "{}" } });
    for message in [
        json!({ "id": "a1", "role": "assistant", "content": "", "toolCalls": [call] }),
        json!({ "id": "t1", "role": "tool", "toolCallId": "call_front", "content": "blue" }),
    ] {
        request.messages.push(Arc::new(serde_json::from_value(message).unwrap()));
    }
    request
}
