//! The operators' socket: what it tells, whom it lets in, and when it ends.

use std::fs;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::ask;
use crate::gateway::{Call, Client, Doors, Gateway, Heard, KEY, READ_KEY, claims, soon, token};
use crate::http::client::Ask;
use crate::zombies::QUICK;

/// The status that a handshake was refused with.
async fn refused(call: Call, gateway: &Doors) -> u16 {
    match call.dial(gateway).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    }
}

/// Rewrites the gateway's configuration line by line, and has it read again.
async fn reconfigure(gateway: &mut Gateway, change: impl Fn(&str) -> Option<String>) {
    let file = gateway.process.file();
    let lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().filter_map(change).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    gateway.process.signal(Signal::HUP);
    gateway.process.line_with("configuration read again").await;
}

fn state<'a>(alerts: &'a Value, name: &str) -> &'a Value {
    let alerts = alerts["alerts"].as_array().unwrap();
    alerts.iter().find(|alert| alert["name"] == name).unwrap()
}

#[tokio::test]
async fn a_console_hears_who_it_is_what_was_and_then_one_sample_after_the_other() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    let mut console = gateway.console(READ_KEY).await;
    assert_eq!(console.headers["sec-websocket-protocol"], "lychgate.live.v1", "the key is not sent back");
    let hello = console.hello.clone();
    assert_eq!(
        (&hello["operator"], &hello["role"], &hello["every"]),
        (&json!("key:support"), &json!("read"), &json!(2_000))
    );
    assert!(hello["node"]["started"].as_u64() <= hello["node"]["now"].as_u64(), "{hello}");
    let alerts = console.wait_for("alerts").await;
    assert_eq!(state(&alerts, "LychgateLockout")["state"], "ok");
    assert!(state(&alerts, "LychgateLockout")["runbook"].as_array().unwrap().len() > 1);
    let mut samples = hello["history"].as_array().unwrap().clone();
    assert!(!samples.is_empty(), "one is taken at the start");
    for _ in 0..2 {
        samples.push(console.wait_for("sample").await["sample"].take());
    }
    assert!(samples.iter().map(|sample| sample["at"].as_u64().unwrap()).is_sorted_by(|a, b| a < b), "{samples:?}");
    let last = samples.last().unwrap();
    assert_eq!((&last["sessions"], &last["connections"], &last["users"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&last["bands"]["ok"], &last["histogram"][0]), (&json!(1), &json!(1)), "one of twenty");
    let free: u64 = samples.iter().map(|sample| sample["admissions"]["free"].as_u64().unwrap()).sum();
    assert_eq!(free, 1, "counted in one interval and in no other");
    assert_eq!(last["agents"]["demo"]["breaker"], "closed");
    // Whoever comes later is told what was before.
    let later = gateway.console(READ_KEY).await;
    assert!(later.hello["history"].as_array().unwrap().len() >= samples.len());
}

#[tokio::test]
async fn a_reclaim_is_told_as_it_happens_and_stands_in_the_samples() {
    let keys = [&QUICK[..], &["limits.max_sessions_per_user = 1"]].concat();
    let gateway = Gateway::start(&keys).await;
    let mut console = gateway.console(KEY).await;
    // It does not read, and so answers no question.
    let mut first = gateway.connect("ann").await;
    first.open("t1").await;
    let mut second = gateway.connect("ann").await;
    second.open("t2").await;
    let (mut evicted, mut reclaimed) = (None, 0);
    while evicted.is_none() || reclaimed == 0 {
        let frame = console.frame().await;
        match frame["type"].as_str().unwrap() {
            "decisions" => {
                assert_eq!(frame["missed"], 0);
                let found = frame["decisions"].as_array().unwrap().iter().find(|it| it["verdict"] == "evicted");
                evicted = evicted.or(found.cloned());
            }
            "sample" => {
                let by_level = frame["sample"]["reclaims"].as_object().unwrap();
                reclaimed += by_level.values().map(|count| count.as_u64().unwrap()).sum::<u64>();
            }
            _ => {}
        }
    }
    let evicted = evicted.unwrap();
    assert_eq!(
        (&evicted["user"], &evicted["thread"], &evicted["newcomer"]),
        (&json!("ann"), &json!("t1"), &json!("t2"))
    );
    assert!(evicted["text"].as_str().unwrap().len() > 20 && reclaimed == 1, "{evicted}");
    let (_, page) = ask(&gateway, Ask::get("/v1/admin/decisions?verdict=evicted")).await;
    assert_eq!(page["decisions"][0], evicted, "the same as the route tells");
}

#[tokio::test]
async fn an_alert_of_a_user_is_told_by_name_when_it_begins_and_when_it_ends() {
    let gateway = Gateway::start(&["limits.max_sessions_per_user = 2", "limits.max_connections_per_session = 2"]).await;
    let mut console = gateway.console(READ_KEY).await;
    let becomes = async |console: &mut Client, wanted: &str| loop {
        let alerts = console.wait_for("alerts").await;
        let alert = state(&alerts, "LychgateUserAt100");
        if alert["state"] == wanted {
            return alert.clone();
        }
    };
    assert_eq!(becomes(&mut console, "ok").await["users"], json!([]));
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    tab.open("t2").await;
    let alert = becomes(&mut console, "firing").await;
    assert_eq!((&alert["users"], &alert["users_firing"]), (&json!(["ann"]), &json!(1)));
    assert!(alert["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{alert}");
    let (_, listed) = ask(&gateway, Ask::get("/v1/admin/alerts")).await;
    assert_eq!(state(&listed, "LychgateUserAt100")["users"], json!(["ann"]));
    tab.close().await;
    assert_eq!(becomes(&mut console, "ok").await["users_firing"], 0);
}

#[tokio::test]
async fn sixteen_consoles_are_served_and_one_more_is_told_when_to_come_back() {
    let gateway = Gateway::start(&[]).await;
    let mut consoles = join_all((0..16).map(|_| gateway.console(READ_KEY))).await;
    let mut crowd = Call::of_console(READ_KEY).dial(&gateway).await.unwrap();
    let error = crowd.expect_error("rate_limited").await;
    assert!(error["message"].as_str().unwrap().contains("16 consoles"), "{error}");
    let reason = crowd.expect_close(4006).await;
    assert!(reason["reconnect"] == true && reason["retry_in"].as_u64().unwrap() > 0, "{reason}");
    consoles.pop().unwrap().reset();
    let is_served = async || {
        let mut console = Call::of_console(READ_KEY).dial(&gateway).await.unwrap();
        console.frame().await["type"] == "hello"
    };
    soon(async { while !is_served().await {} }).await;
    assert_eq!(consoles[0].wait_for("sample").await["type"], "sample", "the others stay");
}

#[tokio::test]
async fn a_console_that_answers_no_ping_makes_room_and_one_that_answers_stays() {
    let hasty = [
        r#"liveness.ping_interval = "300ms""#,
        r#"liveness.ping_answer = "200ms""#,
        // Until then its socket is there to be read.
        r#"websocket.close_timeout = "1h""#,
    ];
    let gateway = Gateway::start(&hasty).await;
    let mut living = gateway.console(READ_KEY).await;
    let mut silent = Vec::new();
    for _ in 0..15 {
        silent.push(Call::of_console(READ_KEY).dial(&gateway).await.unwrap());
    }
    let mut other = soon(async {
        loop {
            let mut console = Call::of_console(READ_KEY).dial(&gateway).await.unwrap();
            if console.frame().await["type"] == "hello" {
                return console;
            }
            // Whoever listens answers, and does not make room.
            assert_eq!(living.wait_for("sample").await["type"], "sample");
        }
    })
    .await;
    assert_eq!(other.wait_for("sample").await["type"], "sample");
    // It hears at last what it was told while it did not listen.
    let mut end = silent.remove(0);
    assert_eq!(end.expect_close(4003).await, json!({"reason": "unresponsive", "reconnect": true}));
}

#[tokio::test]
async fn whoever_may_not_look_is_told_so_where_a_browser_can_read_it() {
    let gateway = Gateway::start(&[r#"admin.group = "support""#]).await;
    let wrong = format!("{}x", READ_KEY);
    let nobody = [Call::of_nobody(), Call::of_console(&wrong), Call::of_console("not.a.jwt")];
    for call in nobody {
        let mut console = call.dial(&gateway).await.unwrap();
        console.expect_error("unauthorized").await;
        assert_eq!(console.expect_close(4501).await["reconnect"], false);
    }
    let mut stranger = Call::of_console(&token(&claims("ann"))).dial(&gateway).await.unwrap();
    stranger.expect_error("forbidden").await;
    assert_eq!(stranger.expect_close(4503).await["reason"], "forbidden");
    let mut old = Call::of_nobody().header("sec-websocket-protocol", "lychgate.live.v0").dial(&gateway).await.unwrap();
    assert_eq!(old.expect_close(4506).await["reason"], "unsupported_version");
    let mut program =
        Call::of_nobody().header("authorization", &format!("Bearer {READ_KEY}")).dial(&gateway).await.unwrap();
    assert_eq!(program.frame().await["operator"], "key:support");
    // A key in an address is not looked at, and a console has nothing to say.
    let mut asked = Call::of_nobody().query(&format!("key={READ_KEY}")).dial(&gateway).await.unwrap();
    asked.expect_close(4501).await;
    for _ in 0..8 {
        program.say(json!({"type": "drain"})).await;
    }
    program.wait_for("error").await;
    program.expect_close(4500).await;
}

#[tokio::test]
async fn a_foreign_page_gets_no_socket_whatever_it_shows_and_our_own_does() {
    let gateway =
        Gateway::start(&[r#"auth.origins = ["https://chat.example.org"]"#, r#"admin.group = "support""#]).await;
    let own = format!("http://{}", gateway.admin);
    let mut said = claims("ann");
    said["groups"] = json!(["support"]);
    let user = token(&said);
    for foreign in ["https://attacker.example", "null", "http://localhost:1"] {
        for call in [Call::of_console(KEY), Call::of_console(&user), Call::of_nobody()] {
            assert_eq!(refused(call.header("origin", foreign), &gateway).await, 403, "{foreign}");
        }
    }
    let rebound = Call::of_console(KEY).header("origin", "http://attacker.example").header("host", "attacker.example");
    assert_eq!(refused(rebound, &gateway).await, 403);
    assert_eq!(refused(Call::of_console(KEY).header("origin", "https://chat.example.org"), &gateway).await, 403);
    for (bearer, operator) in [(KEY, "key:ops"), (&user, "user:ann")] {
        let mut console = Call::of_console(bearer).header("origin", &own).dial(&gateway).await.unwrap();
        assert_eq!(console.frame().await["operator"], operator);
    }
}

#[tokio::test]
async fn a_key_that_is_gone_closes_its_console_and_one_whose_role_changed_comes_back() {
    let mut gateway = Gateway::start(&[]).await;
    let (mut gone, mut promoted) = (gateway.console(KEY).await, gateway.console(READ_KEY).await);
    reconfigure(&mut gateway, |line| match line {
        line if line.starts_with("admin.keys.ops.") => None,
        line if line.starts_with("admin.keys.support.") => Some(format!("{line}\nadmin.keys.support.role = \"write\"")),
        line => Some(line.to_owned()),
    })
    .await;
    assert_eq!(gone.expect_close(4501).await, json!({"reason": "unauthorized", "reconnect": false}));
    assert_eq!(promoted.expect_close(4000).await["reconnect"], true);
    assert_eq!(gateway.console(READ_KEY).await.hello["role"], "write");
}

#[tokio::test]
async fn a_token_that_is_over_or_revoked_closes_its_console() {
    let gateway = Gateway::start(&[r#"admin.group = "support""#]).await;
    let of = |user: &str, lifetime: u64| {
        let mut said = claims(user);
        said["groups"] = json!(["support"]);
        said["exp"] = json!(said["iat"].as_u64().unwrap() + lifetime);
        token(&said)
    };
    let (mut brief, mut long) = (gateway.console(&of("ann", 3)).await, gateway.console(&of("bob", 3_600)).await);
    assert_eq!(brief.expect_close(4004).await["reason"], "token_expired");
    let revoke = Ask::post("/v1/admin/revocations", &json!({"user": "bob"}));
    assert_eq!(ask(&gateway, revoke).await.0, 200);
    assert_eq!(long.expect_close(4501).await["reconnect"], false);
}

#[tokio::test]
async fn a_console_sees_the_drain_and_is_told_at_its_end_when_to_come_back() {
    let mut gateway = Gateway::start(&[]).await;
    let mut console = gateway.console(READ_KEY).await;
    gateway.process.signal(Signal::TERM);
    let reason = console.expect_close(4001).await;
    assert_eq!((&reason["reason"], &reason["reconnect"]), (&json!("draining"), &json!(true)));
    assert_eq!(console.hear().await, Heard::End);
    let (code, said) = gateway.process.end().await;
    assert!(code == Some(0) && !said.contains("ERROR"), "{said}");
}
