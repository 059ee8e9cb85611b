//! The audit log and idempotency keys: what was done is written down, and done once.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{COLONS, GOOGLE, ask, encoded};
use crate::gateway::{Gateway, soon};
use crate::http::client::Ask;

async fn audit(gateway: &Gateway, query: &str) -> Vec<Value> {
    let (status, mut page) = ask(gateway, Ask::get(format!("/v1/admin/audit?{query}"))).await;
    assert_eq!(status, 200, "{page}");
    page["entries"].as_array_mut().map(std::mem::take).unwrap()
}

#[tokio::test]
async fn whatever_changes_something_is_written_down_with_who_whom_and_what_became_of_it() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect(GOOGLE).await;
    tab.open("t1").await;
    let path = |rest: &str| format!("/v1/admin/{rest}").replace("GOOGLE", GOOGLE);
    let mut asked = Vec::new();
    for request in [
        Ask::new("PUT", path("users/GOOGLE/limits")).body(r#"{"max_sessions":30,"for":"1h"}"#),
        Ask::new("DELETE", path("users/GOOGLE/limits")),
        Ask::post(path("users/GOOGLE/reclaim"), &json!({"level": "conservative"})),
        Ask::new("DELETE", path(&format!("sessions/{}", encoded(&format!("{GOOGLE}:t1"))))),
        Ask::new("DELETE", path(&format!("sessions/{}", encoded(&format!("{GOOGLE}:t1"))))),
        Ask::new("DELETE", path("users/GOOGLE/sessions")),
        Ask::post(
            path("publish"),
            &json!({"user": GOOGLE, "thread": "t1", "key": "k", "events": [{"type": "CUSTOM", "name": "n", "value": 1}]}),
        ),
    ] {
        let answer = request.by_operator().send_to_admin(&gateway).await;
        asked.push((answer.status, answer.header("x-request-id").map(str::to_owned)));
    }
    let entries = audit(&gateway, &format!("user={GOOGLE}&after=0")).await;
    let told: Vec<_> =
        entries.iter().map(|e| (e["action"].as_str().unwrap(), e["outcome"].as_str().unwrap())).collect();
    let expected = [
        ("lend_limit", "done"),
        ("restore_limit", "done"),
        ("reclaim", "done"),
        ("evict", "done"),
        ("evict", "failed"),
        ("log_out", "done"),
        ("publish", "done"),
    ];
    assert_eq!(told, expected);
    for (entry, (_, request)) in entries.iter().zip(&asked) {
        assert_eq!((&entry["operator"], &entry["user"]), (&json!("key:ops"), &json!(GOOGLE)), "{entry}");
        assert_eq!(entry["request"].as_str(), request.as_deref(), "{entry}");
        assert!(entry["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }
    assert_eq!(entries[0]["parameters"], json!({"max_sessions": 30, "for": "1h"}));
    assert_eq!(
        (&entries[3]["thread"], &entries[3]["result"]),
        (&json!("t1"), &json!({"ended": [format!("{GOOGLE}:t1")]}))
    );
    assert_eq!(entries[4]["result"]["code"], "not_found");
    assert_eq!(audit(&gateway, "user=nobody").await, Vec::<Value>::new());
    let newest = audit(&gateway, "limit=1").await;
    assert_eq!(newest[0]["action"], "publish");
    let before = audit(&gateway, &format!("limit=2&before={}", newest[0]["id"])).await;
    assert_eq!((&before[0]["action"], before.len()), (&json!("log_out"), 2));
    for query in ["limit=0", "limit=501", "before=1&after=1", "before=x", "user=%00"] {
        assert_eq!(ask(&gateway, Ask::get(format!("/v1/admin/audit?{query}"))).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn the_audit_log_and_the_answers_outlive_the_process() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{}", std::process::id()));
    let place = format!("journal.directory = {directory:?}");
    let keys = [r#"journal.kind = "sqlite""#, place.as_str()];
    let forced = || {
        Ask::post(format!("/v1/admin/users/{}/reclaim", encoded(COLONS)), &json!({"level": "force"}))
            .header("idempotency-key", "once")
            .by_operator()
    };
    let mut gateway = Gateway::start(&keys).await;
    let mut tab = gateway.connect(COLONS).await;
    tab.open("t1").await;
    let first = forced().send_to_admin(&gateway).await.json().await;
    assert_eq!(first["evicted"].as_array().unwrap().len(), 1, "{first}");
    gateway.process.signal(Signal::KILL);
    gateway.process.end().await;

    let gateway = Gateway::start(&keys).await;
    let mut tab = gateway.connect(COLONS).await;
    tab.open("t1").await;
    let mut again = forced().send_to_admin(&gateway).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json().await, first);
    tab.expect_nothing().await;
    let entries = audit(&gateway, &format!("user={}", encoded(COLONS))).await;
    assert_eq!((entries.len(), &entries[0]["action"], &entries[0]["outcome"]), (1, &json!("reclaim"), &json!("done")));
    drop(gateway);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn the_same_idempotency_key_does_it_once_and_stands_for_one_request() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    for n in 0..3 {
        tab.open(&format!("t{n}")).await;
    }
    let force = |key: &str, user: &str| {
        Ask::post(format!("/v1/admin/users/{user}/reclaim"), &json!({"level": "force"}))
            .header("idempotency-key", key)
            .by_operator()
    };
    let mut first = force("k1", "ann").send_to_admin(&gateway).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let first = first.json().await;
    for _ in 0..3 {
        let mut again = force("k1", "ann").send_to_admin(&gateway).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json().await, first);
    }
    let mut other = force("k1", "bob").send_to_admin(&gateway).await;
    assert_eq!((other.status, &other.json().await["code"]), (422, &json!("conflict")));
    let second = force("k2", "ann").send_to_admin(&gateway).await.json().await;
    assert_eq!((&first["used"], &second["used"]), (&json!(2), &json!(1)), "another key is another deed");
    for bad in ["", &"k".repeat(257)] {
        assert_eq!(force(bad, "ann").send_to_admin(&gateway).await.status, 400);
    }
    assert_eq!(audit(&gateway, "user=ann").await.len(), 2);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_not_kept_as_the_answer_and_one_that_does_not_is() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("passing-{}", std::process::id()));
    let place = format!("journal.directory = {directory:?}");
    let gateway = Gateway::start(&[r#"journal.kind = "sqlite""#, &place]).await;
    let send = async |ask: Ask| {
        let mut answer = ask.header("idempotency-key", "k").by_operator().send_to_admin(&gateway).await;
        (answer.status, answer.header("idempotency-replayed").is_some(), answer.json().await)
    };
    // The deed can be written down and not be done: the table that it needs takes nothing.
    let doors = rusqlite::Connection::open(directory.join("doors.db")).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON revocations BEGIN SELECT RAISE(ABORT, 'no room'); END";
    doors.execute_batch(broken).unwrap();
    let revoke = || Ask::post("/v1/admin/revocations", &json!({"user": "ann"}));
    for _ in 0..2 {
        let (status, is_replayed, error) = send(revoke()).await;
        assert_eq!((status, is_replayed, &error["code"]), (500, false, &json!("internal")), "it is tried again");
    }
    doors.execute_batch("DROP TRIGGER broken").unwrap();
    let (status, is_replayed, done) = send(revoke()).await;
    assert_eq!((status, is_replayed), (200, false), "what failed for a while stands in nobody's way: {done}");
    assert_eq!(send(revoke()).await, (200, true, done));
    let entries = audit(&gateway, "user=ann&after=0").await;
    let outcomes: Vec<_> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failed", "failed", "done"]);

    let evict = || Ask::new("DELETE", "/v1/admin/sessions/ann%3At1").header("idempotency-key", "k2").by_operator();
    assert_eq!(evict().send_to_admin(&gateway).await.status, 404);
    let again = evict().send_to_admin(&gateway).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (404, Some("true")));
    drop(gateway);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn two_of_the_same_at_once_are_one_deed() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    // It waits for the end of a probe, so that the second comes in between.
    let ask = || {
        Ask::post("/v1/admin/users/ann/reclaim", &json!({"level": "aggressive"}))
            .header("idempotency-key", "k")
            .by_operator()
    };
    let mut first = ask().start(&crate::gateway::Doors { address: gateway.admin, ..*gateway }).await;
    let mut busy = 0;
    soon(async {
        while audit(&gateway, "user=ann").await.first().is_none_or(|entry| entry["outcome"] != "done") {
            let mut second = ask().send_to_admin(&gateway).await;
            match second.status {
                200 => break,
                status => {
                    assert_eq!((status, &second.json().await["code"]), (409, &json!("busy")));
                    busy += 1;
                }
            }
        }
    })
    .await;
    first.catch_up().await;
    assert!(busy > 0 && [200, 409].contains(&first.status), "{busy} {}", first.status);
    assert_eq!(audit(&gateway, "user=ann").await.len(), 1);
}
