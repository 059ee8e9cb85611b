//! What operators do to sessions, limits and the node, and how they are told why something happened.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{COLONS, GOOGLE, ask, encoded};
use crate::gateway::{Call, Client, Gateway, Heard, claims, token};
use crate::http::client::Ask;

async fn reclaim(gateway: &Gateway, user: &str, level: &str) -> Value {
    let path = format!("/v1/admin/users/{}/reclaim", encoded(user));
    let (status, reclaimed) = ask(gateway, Ask::post(path, &json!({"level": level}))).await;
    assert_eq!(status, 200, "{reclaimed}");
    reclaimed
}

fn threads(reclaimed: &Value) -> Vec<&str> {
    reclaimed["evicted"].as_array().unwrap().iter().map(|evicted| evicted["thread"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_session_that_is_evicted_says_closed_by_an_operator_and_the_others_go_on() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect(COLONS).await;
    tab.open("t:1").await;
    tab.open("t2").await;
    let listed = ask(&gateway, Ask::get(format!("/v1/admin/sessions?user={}", encoded(COLONS)))).await.1;
    let keys: Vec<&str> = listed["users"][0]["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["key"].as_str().unwrap())
        .collect();
    let key = keys.iter().find(|key| key.ends_with(":t:1")).unwrap();
    let path = format!("/v1/admin/sessions/{}", encoded(key));
    let evicted = ask(&gateway, Ask::new("DELETE", path.clone())).await;
    assert_eq!(evicted, (200, json!({"ended": [key]})));
    let closed = tab.expect("closed").await;
    assert_eq!((&closed["thread"], &closed["reason"]), (&json!("t:1"), &json!("closed_by_admin")));
    assert_eq!(tab.ask("t2", "r1", "hello").await.len(), 5);
    let (status, error) = ask(&gateway, Ask::new("DELETE", path)).await;
    assert_eq!((status, &error["code"]), (404, &json!("not_found")));
    for bad in ["no-colon", "%00%3At1", "%3At1", "ann%3A"] {
        let (status, error) = ask(&gateway, Ask::new("DELETE", format!("/v1/admin/sessions/{bad}"))).await;
        assert_eq!((status, &error["code"]), (400, &json!("bad_frame")), "{bad}");
    }
}

#[tokio::test]
async fn the_last_session_of_a_socket_takes_the_socket_with_it() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    assert_eq!(ask(&gateway, Ask::new("DELETE", "/v1/admin/sessions/ann%3At1")).await.0, 200);
    tab.expect_close(4512).await;
}

#[tokio::test]
async fn a_user_who_is_logged_out_loses_every_socket_and_nobody_else_does() {
    let gateway = Gateway::start(&[r#"limits.linger = "1h""#]).await;
    let mut tabs = Vec::new();
    for n in 0..3 {
        let mut tab = gateway.connect(GOOGLE).await;
        tab.open(&format!("t{n}")).await;
        tabs.push(tab);
    }
    tabs.pop().unwrap().reset();
    let mut other = gateway.connect("105945141827451681157").await;
    other.open("t0").await;
    gateway.metric_becomes("lychgate_connections", |count| count == 3.0).await;
    let (status, told) = ask(&gateway, Ask::new("DELETE", format!("/v1/admin/users/{GOOGLE}/sessions"))).await;
    assert_eq!((status, &told["closed"]), (200, &json!(2)), "{told}");
    for tab in &mut tabs {
        assert_eq!(tab.expect_close(4513).await["reconnect"], false);
    }
    gateway.metric_becomes("lychgate_sessions", |count| count == 1.0).await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn reclaim_by_hand_takes_what_its_level_reaches_and_says_on_what_evidence() {
    let keys = [
        r#"limits.linger = "1h""#,
        r#"liveness.probe_deadline = "500ms""#,
        r#"liveness.probe_gap = "100ms""#,
        r#"limits.ladder_deadline = "2s""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let mut living = gateway.connect("ann").await;
    living.open("t1").await;
    living.open("t2").await;
    let mut gone = gateway.connect("ann").await;
    gone.open("t3").await;
    gone.reset();
    gateway.metric_becomes("lychgate_connections", |count| count == 1.0).await;
    let mut silent: Client = gateway.connect("ann").await;
    silent.open("t4").await;

    assert_eq!(threads(&reclaim(&gateway, "ann", "conservative").await), [""; 0]);
    let moderate = reclaim(&gateway, "ann", "moderate").await;
    assert_eq!((threads(&moderate), &moderate["used"]), (vec!["t3"], &json!(3)));
    // The living client answers while the operator waits; the silent one does not.
    let (aggressive, closed) = tokio::join!(reclaim(&gateway, "ann", "aggressive"), async {
        loop {
            match tokio::time::timeout(std::time::Duration::from_secs(2), living.hear_late()).await {
                Ok(Heard::Frame(frame)) if frame["type"] == "closed" => return Some(frame),
                Ok(Heard::Frame(_)) => {}
                Ok(other @ (Heard::Close(..) | Heard::End)) => panic!("{other:?}"),
                Err(_) => return None,
            }
        }
    });
    assert_eq!(closed, None, "whoever answers stays");
    assert_eq!(threads(&aggressive), ["t4"], "{aggressive}");
    assert!(aggressive["evicted"][0]["evidence"]["missed_probes"].as_u64().unwrap() > 0, "{aggressive}");
    let force = reclaim(&gateway, "ann", "force").await;
    assert_eq!((threads(&force).len(), &force["used"]), (1, &json!(1)), "exactly one of the living");
    assert_eq!(force["evicted"][0]["level"], "force");
    assert_eq!(living.expect("closed").await["thread"], force["evicted"][0]["thread"]);

    for body in [json!({"level": "all"}), json!({}), json!({"level": "force", "sessions": 2}), json!([])] {
        let (status, error) = ask(&gateway, Ask::post("/v1/admin/users/ann/reclaim", &body)).await;
        assert_eq!((status, &error["code"]), (400, &json!("bad_frame")), "{body}: {error}");
    }
    assert_eq!(threads(&reclaim(&gateway, "nobody", "force").await), [""; 0]);
}

#[tokio::test]
async fn a_limit_for_a_while_holds_at_once_is_listed_and_can_be_taken_back() {
    let gateway = Gateway::start(&["limits.max_sessions_per_user = 2", "limits.reserve_sessions = 0"]).await;
    let mut tab = gateway.connect("ann").await;
    let path = "/v1/admin/users/ann/limits";
    let lend = |body: Value| Ask::new("PUT", path).body(body.to_string());
    let (status, lent) = ask(&gateway, lend(json!({"max_sessions": 4, "for": "2h"}))).await;
    assert_eq!((status, &lent["limit"], lent["until"].is_string()), (200, &json!(4), true), "{lent}");
    for n in 0..4 {
        tab.open(&format!("t{n}")).await;
    }
    let listed = ask(&gateway, Ask::get("/v1/admin/sessions?user=ann")).await.1;
    assert_eq!((&listed["users"][0]["used"], &listed["users"][0]["limit"]), (&json!(4), &json!(4)), "{listed}");
    assert_eq!(listed["users"][0]["lent"]["max_sessions"], 4);
    let (status, restored) = ask(&gateway, Ask::new("DELETE", path)).await;
    assert_eq!((status, restored), (200, json!({"used": 4, "limit": 2})), "and nobody was evicted by it");

    for (body, says) in [
        (json!({"max_sessions": 0, "for": "1h"}), "`max_sessions` must be 1 to 1000"),
        (json!({"max_sessions": 1_001, "for": "1h"}), "`max_sessions` must be 1 to 1000"),
        (json!({"max_sessions": -1, "for": "1h"}), "invalid value"),
        (json!({"max_sessions": 5, "for": "0s"}), "`for` must be longer"),
        (json!({"max_sessions": 5, "for": "721h"}), "too long"),
        (json!({"max_sessions": 5, "for": "soon"}), "no duration"),
        (json!({"max_sessions": 5}), "missing field `for`"),
    ] {
        let (status, error) = ask(&gateway, lend(body)).await;
        assert_eq!(status, 400, "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
}

#[tokio::test]
async fn explain_says_who_ended_what_was_ended_by_hand_or_by_a_revocation() {
    let gateway = Gateway::start(&[]).await;
    let explained = async |user: &str| {
        let told = ask(&gateway, Ask::get(format!("/v1/admin/users/{user}/explain"))).await.1;
        let decisions = told["decisions"].as_array().unwrap().iter().skip(1);
        decisions.map(|told| told["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (user, deed, because) in [
        ("ann", Ask::new("DELETE", "/v1/admin/sessions/ann%3At1"), "an operator ended it by hand"),
        (
            "bob",
            Ask::new("DELETE", "/v1/admin/users/bob/sessions"),
            "the user was logged out, by himself or by an operator",
        ),
        ("eve", Ask::post("/v1/admin/revocations", &json!({"user": "eve"})), "what had let the user in was revoked"),
    ] {
        let mut tab = gateway.connect(user).await;
        tab.open("t1").await;
        assert_eq!(ask(&gateway, deed).await.0, 200);
        gateway.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
        let mut told = explained(user).await;
        told.sort_unstable();
        let expected = [format!("The connection was closed: {because}."), format!("The session ended: {because}.")];
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn explain_says_who_had_to_go_at_twenty_of_twenty_for_whom_and_on_what_evidence() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect(GOOGLE).await;
    for n in 0..21 {
        tab.say(json!({"type": "open", "thread": format!("t{n}")})).await;
        while tab.expect_one_of(&["opened", "closed"]).await["type"] != "opened" {}
    }
    let (status, told) = ask(&gateway, Ask::get(format!("/v1/admin/users/{GOOGLE}/explain"))).await;
    assert_eq!((status, &told["user"], &told["dropped"]), (200, &json!(GOOGLE), &json!(0)), "{told}");
    let decisions = told["decisions"].as_array().unwrap();
    let evicted = decisions.iter().find(|decision| decision["verdict"] == "evicted").unwrap();
    assert_eq!((&evicted["thread"], &evicted["reason"]), (&json!("t0"), &json!("made_room")), "{evicted}");
    assert_eq!((&evicted["level"], &evicted["evidence"]["missed_pings"]), (&json!("force"), &json!(0)));
    let admitted = decisions.last().unwrap();
    assert_eq!((&admitted["thread"], &admitted["path"]), (&json!("t20"), &json!("reclaimed")), "{admitted}");
    assert!(decisions.iter().all(|decision| decision["text"].as_str().is_some_and(|text| text.len() > 20)));
    let times: Vec<jiff::Timestamp> =
        decisions.iter().map(|decision| decision["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{told}");
    let age = jiff::Timestamp::now().duration_since(*times.last().unwrap());
    assert!(age.as_secs().abs() < 60, "the driver's clock was turned into that of the wall: {age}");
    let nobody = ask(&gateway, Ask::get("/v1/admin/users/nobody/explain")).await.1;
    assert_eq!(nobody, json!({"user": "nobody", "decisions": [], "dropped": 0, "dropped_users": 0}));
}

#[tokio::test]
async fn a_node_that_is_told_to_drain_by_an_operator_ends_in_order() {
    let mut gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    assert_eq!(ask(&gateway, Ask::new("POST", "/v1/admin/drain")).await, (200, json!({"draining": true})));
    tab.expect_close(4001).await;
    let (code, log) = gateway.process.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("key:ops"), "{log}");
    // It has ended; the signal finds nobody.
    gateway.process.signal(Signal::TERM);
}

/// A token of this user with this id, given so many seconds ago.
fn given(user: &str, id: &str, seconds_ago: u64) -> String {
    let mut said = claims(user);
    said["jti"] = json!(id);
    said["iat"] = json!(said["iat"].as_u64().unwrap() - seconds_ago);
    token(&said)
}

async fn tab(gateway: &Gateway, token: &str) -> Client {
    let mut client = Call::with_token(token).dial(gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    client
}

async fn is_refused(gateway: &Gateway, token: &str) {
    let mut client = Call::with_token(token).dial(gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect_close(4501).await;
}

#[tokio::test]
async fn a_token_that_is_revoked_closes_its_sockets_and_lets_nobody_in_again() {
    let gateway = Gateway::start(&[]).await;
    let (stolen, other) = (given(GOOGLE, "j1", 60), given(GOOGLE, "j2", 60));
    let (mut thief, mut user) = (tab(&gateway, &stolen).await, tab(&gateway, &other).await);
    let (status, told) = ask(&gateway, Ask::post("/v1/admin/revocations", &json!({"jti": "j1"}))).await;
    assert_eq!((status, told), (200, json!({"closed": 1, "ended": []})));
    thief.expect_close(4501).await;
    is_refused(&gateway, &stolen).await;
    user.expect_nothing().await;
}

#[tokio::test]
async fn what_was_given_before_a_time_is_revoked_for_one_user_or_for_everybody() {
    let gateway = Gateway::start(&[]).await;
    let tokens = [given("ann", "a", 7_200), given("ann", "b", 60), given("bob", "c", 7_200)];
    let mut tabs = Vec::new();
    for token in &tokens {
        tabs.push(tab(&gateway, token).await);
    }
    let hour_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string();
    let revoke = |body: Value| Ask::post("/v1/admin/revocations", &body);
    let of_ann = ask(&gateway, revoke(json!({"user": "ann", "issued_before": hour_ago}))).await;
    assert_eq!(of_ann, (200, json!({"closed": 1, "ended": []})));
    tabs[0].expect_close(4501).await;
    tabs[1].expect_nothing().await;
    tabs[2].expect_nothing().await;
    assert_eq!(ask(&gateway, revoke(json!({"issued_before": hour_ago}))).await.1["closed"], 1);
    tabs[2].expect_close(4501).await;
    tabs[1].expect_nothing().await;
    for body in
        [json!({}), json!({"issued_before": "9999-01-01T00:00:00Z"}), json!({"jti": "x".repeat(257)}), json!([])]
    {
        let (status, error) = ask(&gateway, revoke(body.clone())).await;
        assert_eq!((status, &error["code"]), (400, &json!("bad_frame")), "{body}: {error}");
    }
}

#[tokio::test]
async fn whoever_was_logged_out_comes_back_with_a_new_login_alone() {
    let gateway = Gateway::start(&[]).await;
    let old = given("ann", "a", 60);
    let mut open = tab(&gateway, &old).await;
    assert_eq!(ask(&gateway, Ask::new("DELETE", "/v1/admin/users/ann/sessions")).await.0, 200);
    open.expect_close(4513).await;
    is_refused(&gateway, &old).await;
    // A login of a later second, whatever the clock says now.
    let mut said = claims("ann");
    said["iat"] = json!(said["iat"].as_u64().unwrap() + 5);
    let mut client = tab(&gateway, &token(&said)).await;
    client.open("t1").await;
}
