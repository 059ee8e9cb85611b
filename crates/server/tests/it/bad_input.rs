//! Clients that say the wrong thing: each is told what was wrong, and the gateway goes on.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::gateway::client::run_frame;
use crate::gateway::{Call, Client, Gateway, Heard, claims, sign, token};
use crate::ws::peer::{FINAL, Peer, TEXT, frame, handshake};

/// An id of a Google account: more digits than 64 bits have (C12, R28).
const GOOGLE: &str = "105945141827451681156";

async fn say_text(client: &mut Client, text: impl Into<String>) {
    client.send(Message::text(text.into())).await.unwrap();
}

#[tokio::test]
async fn a_frame_that_is_not_of_the_protocol_is_answered_with_what_is_wrong() {
    let gateway = Gateway::start(&["websocket.max_bad_frames = 100"]).await;
    let mut client = gateway.connect("ann").await;
    let cases = [
        ("", "EOF"),
        ("hello", "expected"),
        ("{", "EOF"),
        ("null", "invalid type"),
        ("[]", "expected an object"),
        (r#" ["hello"]"#, "expected an object"),
        ("42", "invalid type"),
        ("\"hello\"", "invalid type"),
        ("{}", "missing field `type`"),
        (r#"{"type":7}"#, ""),
        (r#"{"type":"sing"}"#, "`hello`, `open`, `leave`, `run`, `stop`, `ack`"),
        (r#"{"type":"HELLO"}"#, "unknown variant `HELLO`"),
        (r#"{"type":"open"} {"type":"open"}"#, "trailing characters"),
        (r#"{"type":"open","thread":7}"#, "invalid type: integer `7`, expected a string"),
        (r#"{"type":"open","after":-1}"#, "invalid value"),
        (r#"{"type":"open","after":1e999}"#, "out of range"),
        (r#"{"type":"open","after":"1"}"#, "invalid type"),
        (r#"{"type":"open","thread":"\ud800"}"#, ""),
        (r#"{"type":"leave"}"#, "missing field `thread`"),
        (r#"{"type":"run","thread":"t1","run":"r1"}"#, "missing field `input`"),
        (r#"{"type":"run","thread":"t1","run":"r1","input":[]}"#, "expected an object"),
        (r#"{"type":"run","thread":"t1","run":"r1","input":7}"#, "invalid type"),
        (r#"{"type":"run","thread":"t1","run":"r1","input":{"messages":{}}}"#, "expected a sequence"),
        (r#"{"type":"run","thread":"t1","run":"r1","input":{"messages":[{"id":"m1"}]}}"#, "missing field `role`"),
        (r#"{"type":"stop","thread":"t1"}"#, "missing field `run`"),
        (r#"{"type":"ack","at":{"t1":"1"}}"#, "invalid type"),
        (r#"{"type":"ack","at":[]}"#, "expected a map"),
        (r#"{"type":"hello","heartbeat":"sun","token":"x"}"#, r#"`heartbeat` is "app" or "ws", not "sun""#),
        (r#"{"type":"hello"}"#, "brings a fresh token"),
    ];
    for (text, says) in cases {
        say_text(&mut client, text).await;
        let error = client.expect_error("bad_frame").await;
        assert!(error["message"].as_str().unwrap().contains(says), "{text} is answered with {error}");
    }
    client.send(Message::binary("not text".as_bytes().to_vec())).await.unwrap();
    assert!(client.expect_error("bad_frame").await["message"].as_str().unwrap().contains("text frames only"));
    client.open("t1").await;
    assert_eq!(client.ask("t1", "r1", "hello").await.len(), 5);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let gateway = Gateway::start(&[]).await;
    let hello = json!({"type": "hello", "x": 1, "sdk": "test 1.0", "client": "tab", "future": {"a": [null]}});
    let mut client = gateway.connect_with("ann", hello).await;
    client.open_with(json!({"type": "open", "thread": "t1", "x": []})).await;
    let mut run = run_frame("t1", "r1", "hello");
    run["x"] = json!("y");
    run["input"]["x"] = json!("y");
    run["input"]["messages"][0]["x"] = json!("kept");
    run["input"]["forwardedProps"] = json!({"b": 1, "a": 2});
    client.say(run).await;
    let input = client.events_to_end().await[0]["event"]["input"].clone();
    assert_eq!(input["messages"][0]["x"], "kept");
    assert_eq!(input["forwardedProps"].to_string(), r#"{"b":1,"a":2}"#);
    client.say(json!({"type": "ack", "at": {"t1": 2, "never opened": 7}, "x": 1})).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn whoever_does_not_say_hello_first_is_told_to() {
    let gateway = Gateway::start(&[]).await;
    let mut client = Call::with_token(&gateway.token("ann")).dial(&gateway).await.unwrap();
    let early = [
        json!({"type": "open", "thread": "t1"}),
        run_frame("t1", "r1", "hello"),
        json!({"type": "stop", "thread": "t1", "run": "r1"}),
        json!({"type": "leave", "thread": "t1"}),
        json!({"type": "ack"}),
    ];
    for frame in early {
        client.say(frame).await;
        assert!(client.expect_error("bad_frame").await["message"].as_str().unwrap().contains("hello first"));
    }
    client.say(json!({"type": "hello"})).await;
    assert_eq!(client.expect("hello").await["limits"]["used"], 0);
    client.open("t1").await;
}

#[tokio::test]
async fn eight_bad_frames_in_a_row_close_with_4500_and_seven_do_not() {
    let gateway = Gateway::start(&[]).await;
    let mut careless = gateway.connect("ann").await;
    for _ in 0..3 {
        for _ in 0..7 {
            say_text(&mut careless, "?").await;
            careless.expect_error("bad_frame").await;
        }
        careless.open("t1").await;
    }
    let mut stranger = Call::without_token().dial(&gateway).await.unwrap();
    for client in [&mut careless, &mut stranger] {
        for _ in 0..8 {
            say_text(client, "?").await;
            client.expect_error("bad_frame").await;
        }
        assert_eq!(client.expect_close(4500).await, json!({"reason": "bad_protocol", "reconnect": false}));
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_named_and_then_closed_with_1009() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let empty = run_frame("t1", "r1", "").to_string().len();
    let largest = client.ask("t1", "r1", &"x".repeat(262_144 - empty)).await;
    assert_eq!(largest.last().unwrap()["event"]["type"], "RUN_FINISHED");
    client.run("t1", "r2", &"x".repeat(262_145 - empty)).await;
    assert!(client.expect_error("too_large").await["message"].as_str().unwrap().contains("closed"));
    assert!(matches!(client.hear().await, Heard::Close(1009, _)));
    gateway.serves_others().await;
}

#[tokio::test]
async fn json_that_is_nested_deeply_harms_nobody() {
    let gateway = Gateway::start(&[]).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let texts = [
        deep.clone(),
        format!(r#"{{"type":"open","thread":{deep}}}"#),
        format!(r#"{{"type":"open","x":{deep},"thread":7}}"#),
        format!(
            r#"{{"type":"run","thread":"t1","run":"r0","input":{{"messages":[{{"id":"a","role":"user","x":{deep}}}]}}}}"#
        ),
    ];
    for text in texts {
        say_text(&mut client, text).await;
        client.expect_error("bad_frame").await;
    }
    assert_eq!(client.ask("t1", "r1", "hello").await.len(), 5);
}

#[tokio::test]
async fn ids_of_threads_are_opaque_within_256_bytes_without_control_characters() {
    let gateway = Gateway::start(&["websocket.max_bad_frames = 100"]).await;
    let mut client = gateway.connect("ann").await;
    let longest = "ä".repeat(128);
    for thread in [GOOGLE, "a:b", ":", "::", " ", "ånn/…?#%00", "😀", "..", "\"}", "\u{202e}", &longest] {
        assert_eq!(client.open(thread).await["thread"], thread);
        let events = client.ask(thread, thread, "hello").await;
        assert_eq!((&events[0]["thread"], &events[0]["event"]["runId"]), (&json!(thread), &json!(thread)));
        client.say(json!({"type": "leave", "thread": thread})).await;
        assert_eq!(client.expect("closed").await["thread"], thread);
    }
    let too_long = format!("{longest}x");
    let huge = "x".repeat(10_240);
    for id in ["", "\u{0}", "a\nb", "\u{7f}", "\u{85}", &too_long, &huge] {
        let frames = [
            json!({"type": "open", "thread": id}),
            json!({"type": "leave", "thread": id}),
            run_frame(id, "r1", "hello"),
            run_frame("t1", id, "hello"),
            json!({"type": "stop", "thread": "t1", "run": id}),
            json!({"type": "ack", "at": {id: 1}}),
        ];
        for frame in frames {
            client.say(frame.clone()).await;
            let error = client.expect_error("bad_frame").await;
            assert!(error["message"].as_str().unwrap().len() < 300, "{error}");
        }
    }
}

#[tokio::test]
async fn a_refused_open_or_run_says_which_one_it_was() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.say(json!({"type": "open", "thread": "", "ref": "o-7"})).await;
    assert_eq!(client.expect_error("bad_frame").await["ref"], "o-7");
    client.say(run_frame("t1", "", "hello")).await;
    assert_eq!(client.expect_error("bad_frame").await["thread"], "t1");
    for (field, text) in [("ref", "x".repeat(257)), ("epoch", "x".repeat(257))] {
        client.say(json!({"type": "open", "thread": "t1", "after": 0, field: text})).await;
        let message = client.expect_error("bad_frame").await["message"].clone();
        assert!(message.as_str().unwrap().contains(field), "{message}");
    }
    client.open("t1").await;
}

#[tokio::test]
async fn a_tab_with_a_name_that_is_none_is_let_in_all_the_same() {
    let gateway = Gateway::start(&[]).await;
    let mut client = Call::with_token(&gateway.token("ann")).dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello", "client": "\u{0}"})).await;
    client.expect("hello").await;
    client.open("t1").await;
}

#[tokio::test]
async fn ids_of_users_are_opaque_and_never_mixed_up_with_threads() {
    let gateway = Gateway::start(&[]).await;
    let longest = "ä".repeat(128);
    for user in [GOOGLE, "a:b", ":", " ", "ånn/…?#%00", "😀", "\"}", &longest] {
        let mut client = gateway.connect(user).await;
        assert_eq!(client.hello["user"], user);
        assert_eq!(client.open("t1").await["head"], 0);
        client.ask("t1", "r1", "hello").await;
    }
    let mut one = gateway.connect("a").await;
    let mut other = gateway.connect("a:b").await;
    one.open("b:c").await;
    one.ask("b:c", "r1", "hello").await;
    assert_eq!(other.open("c").await["head"], 0, "a + b:c is not a:b + c");
}

#[tokio::test]
async fn a_user_id_that_cannot_be_used_is_told_to_whoever_can_mend_it() {
    let gateway = Gateway::start(&[]).await;
    for user in ["", "a\nb", "\u{0}", &"x".repeat(257)] {
        let mut client = Call::with_token(&gateway.token(user)).dial(&gateway).await.unwrap();
        let error = client.expect_error("unauthorized").await;
        assert!(error["message"].as_str().unwrap().contains("user id"), "{error}");
        client.expect_close(4501).await;
    }
}

/// Tokens that prove nothing, each with what is wrong with it.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let with = |key: &str, value: Value| {
        let mut claims = claims("ann");
        claims[key] = value;
        token(&claims)
    };
    let without = |key: &str| {
        let mut claims = claims("ann");
        claims.as_object_mut().unwrap().remove(key);
        token(&claims)
    };
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |alg: &str| format!("{}.{}.", part(json!({"alg": alg, "typ": "JWT"})), part(claims("ann")));
    let good = token(&claims("ann"));
    let (body, signature) = good.rsplit_once('.').unwrap();
    let elevated = format!("{}.{}.{signature}", body.split('.').next().unwrap(), part(claims("root")));
    vec![
        ("not valid yet", with("nbf", json!(32_503_680_000_u64))),
        ("unsigned", unsigned("none")),
        ("unsigned in capitals", unsigned("NONE")),
        ("without its signature", format!("{body}.")),
        ("of another key", sign(&claims("ann"), "another secret, that is long enough as well")),
        ("changed after it was signed", elevated),
        ("without a subject", without("sub")),
        ("with a number as subject", with("sub", json!(7))),
        ("with null as subject", with("sub", json!(null))),
        ("without an expiry", without("exp")),
        ("for another audience", with("aud", json!("somebody else"))),
        ("without an audience", without("aud")),
        ("of another issuer", with("iss", json!("somebody else"))),
        ("of another algorithm", format!("{}.{}.x", part(json!({"alg": "RS256"})), part(claims("ann")))),
        ("not a token", "not-a-token".to_owned()),
        ("three dots", "...".to_owned()),
    ]
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_told_so_on_an_accepted_socket() {
    let gateway = Gateway::start(&[]).await;
    for (name, token) in bad_tokens() {
        println!("a token {name}");
        let protocols = format!("lychgate.v1, lychgate.bearer.{token}");
        let calls = [
            (Call::with_token(&token), None),
            (Call::without_token().header("sec-websocket-protocol", &protocols), None),
            (Call::without_token(), Some(json!({"type": "hello", "token": token}))),
        ];
        for (call, hello) in calls {
            let mut client = call.dial(&gateway).await.unwrap();
            if let Some(hello) = hello {
                client.say(hello).await;
            }
            let error = client.expect_error("unauthorized").await;
            assert!(!error.to_string().contains(&token), "a token is never told back");
            assert_eq!(client.expect_close(4501).await, json!({"reason": "unauthorized", "reconnect": false}));
        }
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_token_longer_than_any_is_refused_before_it_is_looked_at() {
    let gateway = Gateway::start(&[]).await;
    let token = "x".repeat(17_000);
    let mut client = Call::with_token(&token).dial(&gateway).await.unwrap();
    client.expect_error("unauthorized").await;
    client.expect_close(4501).await;
    let mut client = Call::without_token().dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello", "token": token})).await;
    client.expect_error("too_large").await;
    let answer =
        Peer::connect(gateway.address).await.request("GET /v1/ws HTTP/1.1", &[("X", &"x".repeat(40_000))]).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_client_without_any_token_is_told_how_to_bring_one() {
    let gateway = Gateway::start(&[]).await;
    let mut client = Call::without_token().dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    let error = client.expect_error("unauthorized").await;
    for way in ["hello.token", "lychgate.bearer.", "Authorization"] {
        assert!(error["message"].as_str().unwrap().contains(way), "{error}");
    }
    client.expect_close(4501).await;
}

#[tokio::test]
async fn a_refresh_with_the_token_of_another_user_or_a_bad_one_closes_with_4501() {
    let gateway = Gateway::start(&[]).await;
    for token in [gateway.token("bob"), sign(&claims("ann"), "another secret, that is long enough as well")] {
        let mut client = gateway.connect("ann").await;
        client.open("t1").await;
        client.say(json!({"type": "hello", "token": token})).await;
        client.expect_error("unauthorized").await;
        assert_eq!(client.expect_close(4501).await["reconnect"], false);
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn nothing_that_follows_a_dismissal_is_carried_out() {
    let gateway = Gateway::start(&[]).await;
    let mut peer = Peer::connect(gateway.address).await;
    let head = peer.request("GET /v1/ws HTTP/1.1", &handshake(&[("Sec-WebSocket-Protocol", "lychgate.v1")])).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let frames = [
        json!({"type": "hello", "token": "bad"}),
        json!({"type": "hello", "token": gateway.token("ann")}),
        json!({"type": "open", "thread": "t1"}),
    ];
    let text = |value: &Value| frame(FINAL | TEXT, value.to_string().as_bytes());
    peer.write(&frames.iter().map(text).collect::<Vec<_>>().concat()).await;
    assert!(peer.read_text().await.contains("unauthorized"));
    peer.expect_close(4501).await;
    assert_eq!(gateway.metric("lychgate_connects_total").await, 0.0);
    assert_eq!(gateway.metric("lychgate_sessions").await, 0.0);
}

#[tokio::test]
async fn whoever_never_says_hello_is_closed_with_4005() {
    let gateway = Gateway::start(&[r#"websocket.hello_timeout = "200ms""#]).await;
    for call in [Call::without_token(), Call::with_token(&gateway.token("ann"))] {
        let mut client = call.dial(&gateway).await.unwrap();
        assert_eq!(client.expect_close(4005).await, json!({"reason": "hello_timeout", "reconnect": true}));
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_client_of_another_version_is_closed_with_4506() {
    let gateway = Gateway::start(&[]).await;
    let bearer = format!("graphql-ws, lychgate.bearer.{}", gateway.token("ann"));
    for (offer, echo) in [("lychgate.v2", "lychgate.v2"), ("graphql-ws, chat", "graphql-ws"), (&bearer, "graphql-ws")] {
        let mut peer = Peer::connect(gateway.address).await;
        let head = peer.request("GET /v1/ws HTTP/1.1", &handshake(&[("Sec-WebSocket-Protocol", offer)])).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // A browser fails a handshake that takes none of its subprotocols, and would never read the close (hazard R10).
        assert!(head.contains(&format!("sec-websocket-protocol: {echo}\r\n")), "{head}");
        peer.expect_close(4506).await;
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_is_refused_and_our_own_is_not() {
    let gateway = Gateway::start(&[r#"auth.origins = ["https://chat.example.org"]"#]).await;
    for origin in
        ["https://evil.example.org", "https://chat.example.org.evil.example", "null", "http://chat.example.org"]
    {
        let call = Call::with_token(&gateway.token("ann")).header("origin", origin);
        match call.dial(&gateway).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 403);
                let body: Value = serde_json::from_slice(response.body().as_deref().unwrap()).unwrap();
                assert_eq!((&body["type"], &body["code"]), (&json!("error"), &json!("forbidden")));
            }
            Err(error) => panic!("{origin}: {error}"),
            Ok(_) => panic!("{origin} was let in"),
        }
    }
    let call = Call::with_token(&gateway.token("ann")).header("origin", "https://chat.example.org");
    let mut client = call.dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    gateway.serves_others().await;
}
