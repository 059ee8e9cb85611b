//! A whole gateway, in a process of its own, between a WebSocket client and agents that others wrote.
//!
//! `cargo xtask test` starts the agents and sets their addresses; without those the tests say that they are skipped. Every
//! check prints a line, so that the starter can tell that it was made.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::gateway::client::run_frame;
use crate::gateway::{Call, Client, Doors, Gateway, claims, soon, token};

/// The address of a peer, if it was started.
fn peer(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        eprintln!("skipped: no {variable}; `cargo xtask test` starts the peer and sets it");
    }
    address
}

fn text(events: &[Value]) -> String {
    events
        .iter()
        .filter(|frame| frame["event"]["type"] == "TEXT_MESSAGE_CONTENT")
        .map(|frame| &frame["event"]["delta"])
        .filter_map(Value::as_str)
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|frame| frame["event"]["type"].as_str()).collect()
}

/// `lychgate demo`, ended by its process id.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _gone = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// What `lychgate demo --agent AGENT` answers to "greet".
async fn demo_says(agent: &str) -> String {
    let child = Command::new(env!("CARGO_BIN_EXE_lychgate"))
        .args(["demo", "--port", "0", "--agent", agent])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let stdout = demo.0.stdout.take().unwrap();
    let (ready, token) = soon(spawn_blocking(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let ready = lines.by_ref().find(|line| line.starts_with("Lychgate is ready")).unwrap();
        (ready, lines.find_map(|line| Some(line.strip_prefix("export TOKEN=")?.to_owned())).unwrap())
    }))
    .await
    .unwrap();
    let address = |scheme: &str| ready.split(scheme).nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let doors = Doors { address: address("ws://"), admin: address("http://") };
    let mut client = Call::with_token(&token).dial(&doors).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    client.open("t1").await;
    text(&client.ask("t1", "r1", "greet").await)
}

mod pydantic_ai {
    use super::*;

    async fn gateway(url: &str) -> Gateway {
        let keys = [
            r#"agents.default = "peer""#.to_owned(),
            r#"agents.peer.kind = "agui""#.to_owned(),
            format!("agents.peer.url = {url:?}"),
        ];
        Gateway::start(&keys.each_ref().map(String::as_str)).await
    }

    #[tokio::test]
    async fn an_agent_that_others_wrote_answers_calls_tools_and_fails_in_words() {
        let Some(url) = peer("LYCHGATE_AGUI_URL") else { return };
        let gateway = gateway(&url).await;
        let mut who = claims("idp:Müller 安");
        who["plan"] = json!("pro");
        let mut client = Call::with_token(&token(&who)).dial(&gateway).await.unwrap();
        client.say(json!({"type": "hello"})).await;
        client.expect("hello").await;
        client.open("t1").await;

        let events = client.ask("t1", "r1", "greet").await;
        assert!(text(&events).starts_with("Grüße, 👋 世界"), "{events:?}");
        let (first, last) = (&events[0]["event"], &events.last().unwrap()["event"]);
        assert_eq!((&first["runId"], &last["runId"], &last["threadId"]), (&json!("r1"), &json!("r1"), &json!("t1")));
        let who: Value = serde_json::from_str(&text(&client.ask("t1", "r2", "whoami").await)).unwrap();
        assert_eq!((&who["user"], &who["plan"]), (&json!("idp:Müller 安"), &json!("pro")));
        println!("checked: text through a whole gateway, for a user whom the agent knows");

        let events = client.ask("t1", "r3", "back").await;
        assert_eq!(text(&events), "add gave 3");
        assert!(kinds(&events).contains(&"TOOL_CALL_RESULT"));
        let events = ask_with_tools(&mut client).await;
        assert_eq!(text(&events), "pick_color gave blue");
        println!("checked: tools of the agent and of the front end through a whole gateway");

        let events = client.ask("t1", "r6", "fail").await;
        let kinds = kinds(&events);
        assert_eq!(kinds[kinds.len() - 2..], ["TEXT_MESSAGE_END", "RUN_ERROR"]);
        assert_eq!(events.last().unwrap()["event"]["message"], "the model fell asleep");
        assert_eq!(client.ask("t1", "r7", "greet").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
        println!("checked: an error in the middle of an answer, and the thread goes on");
    }

    #[tokio::test]
    async fn the_demo_answers_with_the_agent_that_it_is_given() {
        let Some(url) = peer("LYCHGATE_AGUI_URL") else { return };
        assert!(demo_says(&format!("agui={url}")).await.starts_with("Grüße, 👋 世界"));
        println!("checked: lychgate demo --agent agui=URL answers over a WebSocket");
    }

    /// A call of a front end's tool, carried out by this front end.
    async fn ask_with_tools(client: &mut Client) -> Vec<Value> {
        let mut run = run_frame("t1", "r4", "front");
        let tools = json!([{"name": "pick_color", "description": "Asks.", "parameters": {"type": "object"}}]);
        run["input"]["tools"] = tools.clone();
        client.say(run).await;
        let events = client.events_to_end().await;
        assert!(kinds(&events).contains(&"TOOL_CALL_END"), "{events:?}");
        let result = json!({"id": "r5-t", "role": "tool", "toolCallId": "call_front", "content": "blue"});
        client
            .say(json!({"type": "run", "thread": "t1", "run": "r5", "input": {"messages": [result], "tools": tools}}))
            .await;
        client.events_to_end().await
    }
}

mod aimock {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_that_others_wrote_streams_calls_tools_and_fails_in_words() {
        let Some(url) = peer("LYCHGATE_AIMOCK_URL") else { return };
        let keys = [
            r#"agents.default = "peer""#.to_owned(),
            r#"agents.peer.kind = "openai""#.to_owned(),
            r#"agents.peer.model = "mock""#.to_owned(),
            r#"agents.peer.first_event_timeout = "2s""#.to_owned(),
            format!("agents.peer.base_url = {url:?}"),
        ];
        let gateway = Gateway::start(&keys.each_ref().map(String::as_str)).await;
        let mut client = gateway.connect("ann").await;
        client.open("t1").await;
        let events = client.ask("t1", "r1", "greet").await;
        assert_eq!(text(&events), "Hello from the mock, in several pieces.");
        assert_eq!(events.last().unwrap()["event"]["usage"][0]["totalTokens"], 18);
        client.open("t2").await;
        let events = client.ask("t2", "r2", "weather").await;
        assert_eq!(kinds(&events).iter().filter(|kind| **kind == "TOOL_CALL_END").count(), 2);
        println!("checked: text, usage and tool calls through a whole gateway");

        for (thread, asked, code, retry_in) in [
            ("t3", "limit", "agent_http_429", json!(7_000)),
            ("t4", "cut", "agent_eof", Value::Null),
            ("t5", "slow", "agent_timeout", Value::Null),
        ] {
            client.open(thread).await;
            let events = client.ask(thread, &format!("r-{asked}"), asked).await;
            let end = &events.last().unwrap()["event"];
            assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!(code)));
            assert_eq!(end["metadata"]["lychgate"]["retry_in"], retry_in);
        }
        println!("checked: 429 with its Retry-After, a cut answer and a slow one, told in words");
    }

    #[tokio::test]
    async fn the_demo_answers_with_the_endpoint_that_it_is_given() {
        let Some(url) = peer("LYCHGATE_AIMOCK_URL") else { return };
        assert_eq!(demo_says(&format!("openai={url}")).await, "Hello from the mock, in several pieces.");
        println!("checked: lychgate demo --agent openai=URL answers over a WebSocket");
    }
}
