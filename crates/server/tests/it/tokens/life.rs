//! The life of a token on an open connection: what it allows, when it ends, and what revokes it.

use serde_json::{Value, json};

use super::connect;
use crate::gateway::client::run_frame;
use crate::gateway::{Call, Client, Gateway, claims, token};
use crate::http::client::Ask;

/// A token of our own secret with other claims beside the usual ones.
fn with(user: &str, more: Value) -> String {
    let mut claims = claims(user);
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(&claims)
}

fn expiring_in(user: &str, seconds: u64) -> String {
    let now = claims(user)["iat"].as_u64().unwrap();
    with(user, json!({"exp": now + seconds}))
}

/// The notice that the token expires, whatever else is said before.
async fn expiring(client: &mut Client) -> u64 {
    loop {
        let notice = client.expect("notice").await;
        if notice["code"] == "expiring" {
            return notice["expires_in"].as_u64().unwrap();
        }
    }
}

#[tokio::test]
async fn a_token_that_expires_is_told_before_and_the_connection_goes_on_for_the_grace_then_closes_with_4004() {
    let gateway = Gateway::start(&[r#"auth.expiry_grace = "1s""#]).await;
    let mut client = connect(&gateway, &expiring_in("ann", 3)).await;
    assert!(client.hello["expires_in"].as_u64().unwrap() <= 3, "the token's time, not the grace: {}", client.hello);
    assert_eq!(expiring(&mut client).await, 1, "a tenth of its time is left, less than a second, and it is not over");
    let close = client.expect_close(4004).await;
    assert_eq!(close["reconnect"], true);
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_fresh_token_keeps_the_connection_and_is_told_once_again() {
    let gateway = Gateway::start(&[r#"auth.expiry_grace = "5s""#]).await;
    let mut client = connect(&gateway, &expiring_in("ann", 2)).await;
    client.open("t1").await;
    expiring(&mut client).await;
    client.say(json!({"type": "hello", "token": expiring_in("ann", 5)})).await;
    expiring(&mut client).await;
    client.say(json!({"type": "hello", "token": gateway.token("ann")})).await;
    assert_eq!(client.ask("t1", "r1", "hello").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn an_expired_token_at_connect_is_told_to_fetch_another_one_and_come_back() {
    let gateway = Gateway::start(&[]).await;
    let expired = with("ann", json!({"exp": 1_000_000_000}));
    let protocols = format!("lychgate.v1, lychgate.bearer.{expired}");
    for (call, hello) in [
        (Call::with_token(&expired), None),
        (Call::without_token().header("sec-websocket-protocol", &protocols), None),
        (Call::without_token(), Some(json!({"type": "hello", "token": expired}))),
    ] {
        let mut client = call.dial(&gateway).await.unwrap();
        if let Some(hello) = hello {
            client.say(hello).await;
        }
        let error = client.expect_error("unauthorized").await;
        assert!(!error.to_string().contains(&expired), "a token is never told back");
        assert_eq!(client.expect_close(4004).await, json!({"reason": "token_expired", "reconnect": true}));
    }
    let answer = Ask::get("/v1/threads").header("authorization", format!("Bearer {expired}")).send(&gateway).await;
    assert_eq!(answer.status, 401);
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_refresh_that_is_over_or_not_begun_ends_nothing() {
    let gateway = Gateway::start(&[]).await;
    for claims in [json!({"exp": 1_000_000_000}), json!({"nbf": 32_503_680_000_u64})] {
        let mut client = gateway.connect("ann").await;
        client.say(json!({"type": "hello", "token": with("ann", claims)})).await;
        client.expect_error("unauthorized").await;
        client.open("t1").await;
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn fresh_tokens_of_one_connection_are_looked_at_once_in_a_second() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    let expired = with("ann", json!({"exp": 1_000_000_000}));
    let before = std::time::Instant::now();
    for _ in 0..20 {
        client.say(json!({"type": "hello", "token": expired})).await;
    }
    let mut limited = 0;
    for _ in 0..20 {
        let error = client.expect("error").await;
        match error["code"].as_str().unwrap() {
            "rate_limited" => {
                limited += 1;
                assert!((1..=1_000).contains(&error["retry_in"].as_u64().unwrap()), "{error}");
            }
            code => assert_eq!(code, "unauthorized"),
        }
    }
    let looked_at = u64::try_from(20 - limited).unwrap();
    assert!((1..=1 + before.elapsed().as_secs()).contains(&looked_at), "{looked_at} in {:?}", before.elapsed());
    // Bad frames would have ended it; it goes on with what it has.
    client.open("t1").await;
}

#[tokio::test]
async fn a_token_that_names_agents_may_ask_them_and_no_other_on_every_door() {
    let gateway = Gateway::start(&[r#"agents.second.kind = "demo""#, r#"agents.second.delay = "0s""#]).await;
    let second = with("ann", json!({"agents": ["second", "third"]}));
    let mut client = connect(&gateway, &second).await;
    client.open("t1").await;
    for agent in [None, Some("demo"), Some("nobody")] {
        let mut run = run_frame("t1", "r1", "hello");
        run["agent"] = json!(agent);
        client.say(run).await;
        let error = client.expect_error("forbidden").await;
        assert!(error["message"].as_str().unwrap().contains("second, third"), "{error}");
        assert_eq!((&error["thread"], &error["run"]), (&json!("t1"), &json!("r1")));
    }
    let mut run = run_frame("t1", "r1", "hello");
    run["agent"] = json!("second");
    client.say(run).await;
    client.events_to_end().await;
    // A fresh token decides anew.
    client.say(json!({"type": "hello", "token": with("ann", json!({"agents": "demo"}))})).await;
    client.ask("t1", "r2", "hello").await;

    let bearer = format!("Bearer {second}");
    let input = json!({"threadId": "t2", "messages": [{"id": "u", "role": "user", "content": "hello"}]});
    let run = json!({"run": "r3", "input": {"messages": []}});
    for (path, body, status) in [
        ("/v1/agui", &input, 403),
        ("/v1/agui/demo", &input, 403),
        ("/v1/agui/second", &input, 200),
        ("/v1/threads/t3/runs", &run, 403),
    ] {
        let answer = Ask::post(path, body).header("authorization", bearer.as_str()).send(&gateway).await;
        assert_eq!(answer.status, status, "{path}");
    }
}
