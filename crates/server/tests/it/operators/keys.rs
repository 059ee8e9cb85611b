//! Who is let in to the operators' routes, and what is never told of him.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::ask;
use crate::gateway::{Gateway, KEY, Process, READ_KEY, claims, configuration, token};
use crate::http::client::Ask;

/// It speaks WebSocket: whoever may look is told so.
pub(super) const LIVE: &str = "/v1/admin/live";

/// Every route, with a request that would be right.
pub(super) fn routes() -> Vec<(&'static str, String, Value)> {
    let none = Value::Null;
    vec![
        ("GET", "/v1/admin/me".to_owned(), none.clone()),
        ("GET", "/v1/admin/node".to_owned(), none.clone()),
        ("GET", "/v1/admin/cluster".to_owned(), none.clone()),
        ("GET", "/v1/admin/agents".to_owned(), none.clone()),
        ("GET", "/v1/admin/alerts".to_owned(), none.clone()),
        ("GET", LIVE.to_owned(), none.clone()),
        ("GET", "/v1/admin/users".to_owned(), none.clone()),
        ("GET", "/v1/admin/sessions".to_owned(), none.clone()),
        ("DELETE", "/v1/admin/sessions/ann%3At1".to_owned(), none.clone()),
        ("DELETE", "/v1/admin/users/ann/sessions".to_owned(), none.clone()),
        ("POST", "/v1/admin/users/ann/reclaim".to_owned(), json!({"level": "conservative"})),
        ("PUT", "/v1/admin/users/ann/limits".to_owned(), json!({"max_sessions": 30, "for": "1h"})),
        ("DELETE", "/v1/admin/users/ann/limits".to_owned(), none.clone()),
        ("GET", "/v1/admin/users/ann/explain".to_owned(), none.clone()),
        ("GET", "/v1/admin/decisions".to_owned(), none.clone()),
        ("POST", "/v1/admin/revocations".to_owned(), json!({"user": "ann"})),
        ("GET", "/v1/admin/audit".to_owned(), none.clone()),
        ("POST", "/v1/admin/publish".to_owned(), json!({"user": "ann", "key": "k", "events": [{"type": "CUSTOM"}]})),
        ("GET", "/v1/admin/openapi.json".to_owned(), none.clone()),
        ("POST", "/v1/admin/drain".to_owned(), none),
    ]
}

fn request(method: &'static str, path: &str, body: &Value) -> Ask {
    match body {
        Value::Null => Ask::new(method, path),
        body => Ask::new(method, path).body(body.to_string()),
    }
}

#[tokio::test]
async fn without_a_key_and_a_group_every_route_is_shut_and_says_how_to_make_a_key() {
    let mut lines = configuration(&[]);
    lines.retain(|line| !line.starts_with("admin."));
    let gateway = Gateway::started(Process::serve(&lines)).await;
    for (method, path, body) in routes() {
        for ask in [request(method, &path, &body), request(method, &path, &body).by_operator()] {
            let mut answer = ask.send_to_admin(&gateway).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            let error = answer.json().await;
            assert!(error["message"].as_str().unwrap().contains("lychgate admin-key"), "{error}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.get(path).await.0, 200, "{path}");
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn whoever_shows_no_key_of_ours_is_refused_on_every_route() {
    let gateway = Gateway::start(&[]).await;
    let token = gateway.token("ann");
    let cut = &KEY[..KEY.len() - 1];
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer lychgate_".to_owned()),
        Some(format!("Bearer {cut}")),
        Some(format!("Bearer {KEY}x")),
        Some(format!("Bearer {}", KEY.to_uppercase())),
        Some(format!("Bearer {}{}", "lychgate_", "x".repeat(16 * 1024))),
        Some(format!("Basic {KEY}")),
        Some(KEY.to_owned()),
        Some(format!("Bearer {token}")),
    ];
    for (method, path, body) in routes() {
        for authorization in &wrong {
            let ask = request(method, &path, &body);
            let ask = authorization.iter().fold(ask, |ask, value| ask.header("authorization", value));
            assert_eq!(ask.send_to_admin(&gateway).await.status, 401, "{method} {path} {authorization:?}");
        }
        let in_the_address = format!("{path}?key={KEY}&access_token={KEY}&ticket={KEY}");
        let ask = request(method, &in_the_address, &body);
        assert_eq!(ask.send_to_admin(&gateway).await.status, 401, "a key in an address: {method} {path}");
    }
    assert_eq!(gateway.get("/readyz").await.0, 200, "nobody drained it");
}

#[tokio::test]
async fn an_operator_who_may_look_cannot_change_anything() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    for (method, path, body) in routes() {
        let ask = request(method, &path, &body).header("authorization", format!("Bearer {READ_KEY}"));
        let status = ask.send_to_admin(&gateway).await.status;
        let of_get = if path == LIVE { 426 } else { 200 };
        assert_eq!(status, if method == "GET" { of_get } else { 403 }, "{method} {path}");
    }
    tab.expect_nothing().await;
    let (_, audit) = ask(&gateway, Ask::get("/v1/admin/audit?limit=500")).await;
    let entries = audit["entries"].as_array().unwrap();
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry["outcome"] == "refused"), "{audit}");
    assert!(entries.iter().all(|entry| entry["operator"] == "key:support"), "{audit}");
}

#[tokio::test]
async fn a_page_that_holds_a_key_is_refused_unless_it_is_ours() {
    let gateway = Gateway::start(&[]).await;
    let own = format!("http://{}", gateway.admin);
    for (method, path, body) in routes() {
        let foreign = ["https://attacker.example", "null", "", "http://127.0.0.1:1"];
        for origin in foreign {
            let ask = request(method, &path, &body).header("origin", origin).by_operator();
            let ask = ask.header("host", gateway.admin.to_string());
            assert_eq!(ask.send_to_admin(&gateway).await.status, 403, "{method} {path} {origin}");
        }
        // The name of somebody else, whose name server leads it to this machine.
        let rebound = request(method, &path, &body).header("origin", "http://attacker.example").by_operator();
        let rebound = rebound.header("host", "attacker.example");
        assert_eq!(rebound.send_to_admin(&gateway).await.status, 403, "{method} {path}");
        let named =
            request(method, &path, &body).header("origin", &own).header("host", "gateway.example").by_operator();
        assert_eq!(named.send_to_admin(&gateway).await.status, 403, "{method} {path}");
    }
    for (method, path, body) in routes() {
        if path != "/v1/admin/drain" {
            let ask = request(method, &path, &body).header("origin", &own).by_operator();
            let status = ask.header("host", gateway.admin.to_string()).send_to_admin(&gateway).await.status;
            assert!(status != 403 && status != 401, "{method} {path}: {status}");
        }
    }
    assert_eq!(gateway.get("/readyz").await.0, 200, "nobody drained it");
}

#[tokio::test]
async fn a_flood_of_wrong_keys_locks_nobody_out_and_is_told_a_few_times() {
    let mut gateway = Gateway::start(&[]).await;
    for n in 0..200 {
        let ask = Ask::get("/v1/admin/sessions").header("authorization", format!("Bearer lychgate_{n}"));
        assert_eq!(ask.send_to_admin(&gateway).await.status, 401);
    }
    assert_eq!(ask(&gateway, Ask::get("/v1/admin/sessions")).await.0, 200);
    gateway.process.signal(Signal::TERM);
    let (_, log) = gateway.process.end().await;
    let told = log.lines().filter(|line| line.contains("an operator was refused")).count();
    assert!((1..200).contains(&told), "{told} lines");
}

#[tokio::test]
async fn a_key_is_in_no_line_of_the_log_whether_it_is_right_or_wrong() {
    let mut gateway = Gateway::start(&[r#"log.level = "trace""#]).await;
    let wrong = "lychgate_a-wrong-key-that-somebody-may-have-mistyped";
    for (method, path, body) in routes() {
        for key in [KEY, READ_KEY, wrong] {
            let ask = request(method, &path, &body).header("authorization", format!("Bearer {key}"));
            if path != "/v1/admin/drain" {
                ask.send_to_admin(&gateway).await;
            }
        }
    }
    gateway.process.signal(Signal::TERM);
    let (code, log) = gateway.process.end().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("an operator acted") && log.contains("an operator was refused"), "{log}");
    for key in [KEY, READ_KEY, wrong] {
        assert!(!log.contains(key.trim_start_matches("lychgate_")), "a key in the log");
    }
}

#[tokio::test]
async fn metrics_may_be_kept_for_operators() {
    let gateway = Gateway::start(&["admin.metrics_need_key = true"]).await;
    assert_eq!(gateway.get("/metrics").await.0, 401);
    let scrape = Ask::get("/metrics").header("authorization", format!("Bearer {READ_KEY}"));
    let mut answer = scrape.send_to_admin(&gateway).await;
    assert_eq!(answer.status, 200);
    assert!(answer.rest().await.contains("lychgate_sessions"));
    assert_eq!(gateway.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_key_that_leaked_is_gone_when_the_configuration_is_read_again() {
    let mut gateway = Gateway::start(&[]).await;
    assert_eq!(ask(&gateway, Ask::get("/v1/admin/sessions")).await.0, 200);
    let file = gateway.process.file();
    let lines = std::fs::read_to_string(&file).unwrap();
    let without: Vec<&str> = lines.lines().filter(|line| !line.starts_with("admin.keys.ops.")).collect();
    std::fs::write(&file, without.join("\n")).unwrap();
    gateway.process.signal(Signal::HUP);
    gateway.process.line_with("configuration read again").await;
    assert_eq!(ask(&gateway, Ask::get("/v1/admin/sessions")).await.0, 401);
    let other = Ask::get("/v1/admin/sessions").header("authorization", format!("Bearer {READ_KEY}"));
    assert_eq!(other.send_to_admin(&gateway).await.status, 200);
}

/// Asks by a token of this user, who is in these groups.
async fn by_group(gateway: &Gateway, method: &'static str, groups: Value, header: &[(&str, &str)]) -> u16 {
    let mut said = claims("ann");
    said["groups"] = groups;
    let path = if method == "GET" { "/v1/admin/sessions" } else { "/v1/admin/sessions/nobody%3At1" };
    let ask = Ask::new(method, path).header("authorization", format!("Bearer {}", token(&said)));
    header.iter().fold(ask, |ask, (name, value)| ask.header(name, *value)).send_to_admin(gateway).await.status
}

#[tokio::test]
async fn whoever_logs_in_and_is_in_a_group_of_operators_is_one_and_nobody_else_is() {
    let groups = [r#"admin.group = "support""#, r#"admin.write_group = "operators""#];
    let gateway = Gateway::start(&groups).await;
    let none = [];
    for (groups, reads, changes) in [
        (json!(["support"]), 200, 403),
        (json!(["staff", "operators"]), 200, 404),
        (json!(["Support", "operators "]), 403, 403),
        (json!(["support operators"]), 403, 403),
        (json!([]), 403, 403),
        (Value::Null, 403, 403),
        (json!({"support": true}), 403, 403),
    ] {
        assert_eq!(by_group(&gateway, "GET", groups.clone(), &none).await, reads, "{groups}");
        assert_eq!(by_group(&gateway, "DELETE", groups.clone(), &none).await, changes, "{groups}");
    }
    // A page may ask by a token in hand only where it is ours.
    assert_eq!(by_group(&gateway, "GET", json!(["operators"]), &[("origin", "https://attacker.example")]).await, 403);
    let mut expired = claims("ann");
    expired["groups"] = json!(["operators"]);
    (expired["iat"], expired["exp"]) = (json!(999_000), json!(1_000_000));
    let ask = Ask::get("/v1/admin/sessions").header("authorization", format!("Bearer {}", token(&expired)));
    let mut answer = ask.send_to_admin(&gateway).await;
    let error = answer.json().await;
    assert!(answer.status == 401 && error["message"].as_str().unwrap().contains("expired"), "{error}");
    let entries = ask_audit(&gateway).await;
    assert!(entries.iter().any(|entry| entry["operator"] == "user:ann"), "who acted is known by his id: {entries:?}");
}

async fn ask_audit(gateway: &Gateway) -> Vec<Value> {
    let mut page = ask(gateway, Ask::get("/v1/admin/audit?limit=500")).await.1;
    page["entries"].as_array_mut().map(std::mem::take).unwrap()
}
