//! The list of sessions: what it shows, and whom it leaves out.

use serde_json::{Value, json};

use super::{COLONS, GOOGLE, ask, encoded};
use crate::gateway::Gateway;
use crate::http::client::Ask;

async fn list(gateway: &Gateway, query: &str) -> Value {
    let (status, listed) = ask(gateway, Ask::get(format!("/v1/admin/sessions?{query}"))).await;
    assert_eq!(status, 200, "{listed}");
    listed
}

fn users(listed: &Value) -> Vec<&str> {
    listed["users"].as_array().unwrap().iter().map(|user| user["user"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_session_is_shown_with_its_health_and_what_its_connections_are_judged_by() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect(GOOGLE).await;
    tab.open("t1").await;
    tab.run("t1", "r1", "stall").await;
    tab.expect_event("TEXT_MESSAGE_CONTENT").await;
    let listed = list(&gateway, &format!("user={GOOGLE}")).await;
    let user = &listed["users"][0];
    assert_eq!((&user["user"], &user["used"], &user["limit"]), (&json!(GOOGLE), &json!(1), &json!(20)));
    assert_eq!((&user["level"], &user["waiting"]), (&json!("ok"), &json!(0)));
    let session = &user["sessions"][0];
    assert_eq!((&session["key"], &session["thread"]), (&json!(format!("{GOOGLE}:t1")), &json!("t1")));
    assert_eq!((&session["liveness"], &session["health"]), (&json!("alive"), &json!(100)));
    assert_eq!((&session["run"], &session["reasons"]), (&json!("r1"), &json!([])));
    let connection = &user["connections"][0];
    assert_eq!(connection["connection"], tab.hello["connection"]);
    assert_eq!((&connection["heartbeat"], &connection["liveness"]), (&json!("ws"), &json!("alive")));
    assert_eq!(connection["evidence"]["missed_pings"], 0);
}

#[tokio::test]
async fn users_whose_names_look_alike_are_others() {
    let gateway = Gateway::start(&[]).await;
    // Latin, Cyrillic, composed, decomposed, and what an isolation key escapes.
    let names =
        ["ann", "аnn", "\u{e5}nn", "a\u{30a}nn", "ann ", "Ann", COLONS, "a:b:c/ü", GOOGLE, "105945141827451681157"];
    let mut tabs = Vec::new();
    for name in names {
        let mut tab = gateway.connect(name).await;
        tab.open("t1").await;
        tabs.push(tab);
    }
    for name in names {
        let listed = list(&gateway, &format!("user={}", encoded(name))).await;
        assert_eq!(users(&listed), [name]);
    }
    let mut found: Vec<String> = Vec::new();
    let all = list(&gateway, "sort=user&limit=200").await;
    found.extend(users(&all).into_iter().map(str::to_owned));
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    // One of them is closed by hand, and no other hears of it.
    let gone = 1;
    let path = format!("/v1/admin/sessions/{}", encoded(&format!("{}:t1", names[gone])));
    assert_eq!(ask(&gateway, Ask::new("DELETE", path)).await.0, 200);
    for (n, tab) in tabs.iter_mut().enumerate() {
        match n == gone {
            true => assert_eq!(tab.expect("closed").await["reason"], "closed_by_admin"),
            false => tab.expect_nothing().await,
        }
    }
}

#[tokio::test]
async fn pages_in_every_order_meet_everybody_once() {
    let gateway = Gateway::start(&[]).await;
    let mut tabs = Vec::new();
    for n in 0..9 {
        let mut tab = gateway.connect(&format!("u{n}")).await;
        for thread in 0..=n {
            tab.open(&format!("t{thread}")).await;
        }
        tabs.push(tab);
    }
    for sort in ["", "sort=user&", "sort=pressure&"] {
        let (mut met, mut after) = (Vec::new(), String::new());
        loop {
            let page = list(&gateway, &format!("{sort}limit=2{after}")).await;
            met.extend(users(&page).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        match sort {
            "sort=pressure&" => assert!(met.is_sorted_by(|a, b| a > b), "the fullest first: {met:?}"),
            "sort=user&" => assert!(met.is_sorted(), "{met:?}"),
            _ => met.sort(),
        }
        met.sort();
        assert_eq!(met, (0..9).map(|n| format!("u{n}")).collect::<Vec<_>>(), "{sort}");
    }
}

#[tokio::test]
async fn what_was_asked_for_alone_is_listed() {
    let gateway = Gateway::start(&[r#"limits.linger = "1h""#]).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("shopping").await;
    ann.open("travel").await;
    let mut bob = gateway.connect("bob").await;
    bob.open("shopping").await;
    bob.reset();
    gateway.metric_becomes("lychgate_connections", |count| count == 1.0).await;
    assert_eq!(users(&list(&gateway, "health=detached").await), ["bob"]);
    assert_eq!(users(&list(&gateway, "health=alive").await), ["ann"]);
    assert_eq!(users(&list(&gateway, "health=50").await), ["bob"], "what is detached has lost 60 points");
    assert_eq!(users(&list(&gateway, "health=zombie").await), [""; 0]);
    let found = list(&gateway, "search=trav").await;
    assert_eq!((users(&found), found["users"][0]["sessions"].as_array().unwrap().len()), (vec!["ann"], 1));
    assert_eq!(found["users"][0]["used"], 2, "what he holds is not what was asked for");
    assert_eq!(users(&list(&gateway, "search=bo").await), ["bob"]);
    assert_eq!(users(&list(&gateway, "user=nobody").await), [""; 0]);
}

#[tokio::test]
async fn whoever_is_asked_for_by_name_is_shown_without_a_session_too() {
    let gateway = Gateway::start(&[]).await;
    let tab = gateway.connect("ann").await;
    let ann = list(&gateway, "user=ann").await;
    assert_eq!((users(&ann), &ann["users"][0]["sessions"]), (vec!["ann"], &json!([])));
    assert_eq!(ann["users"][0]["connections"][0]["connection"], tab.hello["connection"], "a connection and no session");
    let lend = Ask::new("PUT", "/v1/admin/users/bob/limits").body(r#"{"max_sessions":30,"for":"1h"}"#);
    assert_eq!(ask(&gateway, lend).await.0, 200);
    let bob = list(&gateway, "user=bob").await;
    assert_eq!(
        (&bob["users"][0]["lent"]["max_sessions"], &bob["users"][0]["limit"]),
        (&json!(30), &json!(30)),
        "{bob}"
    );
    for query in ["", "user=ann&health=alive", "user=ann&search=ann", "user=nobody"] {
        assert_eq!(users(&list(&gateway, query).await), [""; 0], "{query}");
    }
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_what_is_wrong() {
    let gateway = Gateway::start(&[]).await;
    for (query, says) in [
        ("health=well", "`health`"),
        ("health=101", "`health`"),
        ("sort=size", "`sort`"),
        ("after=x", "`after`"),
        ("sort=user&after=cGxhY2UuMC4w", "`after`"),
        ("limit=0", "`limit`"),
        ("limit=201", "`limit`"),
        ("limit=-1", "`limit`"),
        ("user=", "`user`"),
        ("user=a%00b", "`user` has a control character"),
    ] {
        let (status, error) = ask(&gateway, Ask::get(format!("/v1/admin/sessions?{query}"))).await;
        assert_eq!((status, &error["code"]), (400, &json!("bad_frame")), "{query}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{query}: {error}");
    }
    let long = format!("/v1/admin/users/{}/explain", "x".repeat(10_240));
    assert_eq!(ask(&gateway, Ask::get(long)).await.0, 400);
}
