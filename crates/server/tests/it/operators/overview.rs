//! Who asks, the agents, and the node with its configuration.

use serde_json::{Value, json};

use super::ask;
use crate::gateway::{Gateway, KEY, Process, READ_KEY, SECRET, claims, configuration, soon, token};
use crate::http::client::Ask;

async fn me(gateway: &Gateway, bearer: &str) -> Value {
    let ask = Ask::get("/v1/admin/me").header("authorization", format!("Bearer {bearer}"));
    let mut answer = ask.send_to_admin(gateway).await;
    assert_eq!(answer.status, 200);
    answer.json().await
}

#[tokio::test]
async fn an_operator_learns_who_he_is_and_whether_he_may_change_things() {
    let gateway = Gateway::start(&[r#"admin.group = "support""#, r#"admin.write_group = "operators""#]).await;
    assert_eq!(me(&gateway, KEY).await, json!({"operator": "key:ops", "role": "write"}));
    assert_eq!(me(&gateway, READ_KEY).await, json!({"operator": "key:support", "role": "read"}));
    for (group, role) in [("support", "read"), ("operators", "write")] {
        let mut said = claims("ann");
        said["groups"] = json!([group]);
        assert_eq!(me(&gateway, &token(&said)).await, json!({"operator": "user:ann", "role": role}));
    }
}

#[tokio::test]
async fn no_cache_keeps_what_operators_are_told_and_no_browser_guesses_what_it_is() {
    let gateway = Gateway::start(&[]).await;
    let known = |path: &str| Ask::get(path).by_operator();
    for (ask, status) in [
        (known("/v1/admin/sessions"), 200),
        (known("/v1/admin/openapi.json"), 200),
        (known("/v1/admin/sessions?limit=0"), 400),
        (Ask::get("/v1/admin/node"), 401),
        (Ask::new("DELETE", "/v1/admin/sessions/ann%3At1").by_operator(), 404),
    ] {
        let answer = ask.send_to_admin(&gateway).await;
        let seen = (answer.status, answer.header("cache-control"), answer.header("x-content-type-options"));
        assert_eq!(seen, (status, Some("no-store"), Some("nosniff")), "{}", answer.head);
    }
}

#[tokio::test]
async fn where_no_operator_can_log_in_a_page_that_asks_how_is_told_so() {
    let gateway = Gateway::start(&[]).await;
    let mut answer = Ask::get("/v1/login").send_to_admin(&gateway).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert_eq!(answer.json().await, json!({"providers": [], "demo": false}));
    assert_eq!(Ask::new("POST", "/v1/logout").send_to_admin(&gateway).await.status, 404);
}

/// The row of an agent, once it is as it should be: what is counted is as old as the newest sample.
async fn agent(gateway: &Gateway, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    soon(async {
        loop {
            let (status, list) = ask(gateway, Ask::get("/v1/admin/agents")).await;
            assert_eq!(status, 200);
            let row = list["agents"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
            if is_right(&row) {
                return row;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_agent_that_works_and_one_that_is_down_are_shown_as_they_are() {
    let dead = [
        r#"agents.dead.kind = "openai""#,
        r#"agents.dead.base_url = "http://127.0.0.1:1/v1""#,
        r#"agents.dead.model = "m""#,
        "agents.dead.breaker_failures = 1",
        r#"agents.dead.breaker_open = "1h""#,
    ];
    let gateway = Gateway::start(&dead).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    tab.ask("t1", "r1", "hello").await;
    let demo = agent(&gateway, "demo", |row| row["runs"]["done"] == 1).await;
    assert_eq!(
        (&demo["kind"], &demo["is_default"], &demo["breaker"]),
        (&json!("demo"), &json!(true), &json!("closed"))
    );
    assert_eq!((&demo["in_flight"], &demo["first_event"]["count"]), (&json!(0), &json!(1)));
    assert!(
        demo["first_event"]["p99_ms"].is_number()
            && demo.get("last_error").is_none()
            && demo.get("opens_for").is_none()
    );

    let message = json!({"id": "u2", "role": "user", "content": "hello"});
    tab.say(json!({"type": "run", "thread": "t1", "run": "r2", "agent": "dead", "input": {"messages": [message]}}))
        .await;
    assert_eq!(tab.events_to_end().await.last().unwrap()["event"]["type"], "RUN_ERROR");
    let dead = agent(&gateway, "dead", |row| row["runs"]["unavailable"] == 1).await;
    assert_eq!(
        (&dead["kind"], &dead["is_default"], &dead["breaker"]),
        (&json!("openai"), &json!(false), &json!("open"))
    );
    assert!(dead["opens_for"].as_u64().is_some_and(|left| left > 60_000), "{dead}");
    assert_eq!(dead["last_error"]["code"], "agent_unavailable");
    assert!(dead["last_error"]["at"].as_str().unwrap().ends_with('Z'));
}

async fn node(gateway: &Gateway) -> Value {
    let (status, node) = ask(gateway, Ask::get("/v1/admin/node")).await;
    assert_eq!(status, 200);
    node
}

fn setting<'a>(node: &'a Value, section: &str, key: &str) -> &'a Value {
    let settings = node["configuration"].as_array().unwrap();
    settings.iter().find(|it| it["section"] == section && it["key"] == key).unwrap()
}

#[tokio::test]
async fn the_node_says_what_it_is_and_who_said_each_key_of_its_configuration_and_no_secret() {
    let (of_variable, of_agent) = ("geheim-geheim-geheim-geheim-geheim", "geheim-of-the-agent");
    let keys = [
        r#"auth.issuers.other.issuer = "https://other.test""#,
        r#"auth.issuers.other.audience = "lychgate""#,
        r#"auth.issuers.other.secret_env = "OTHER_SECRET""#,
        r#"agents.far.kind = "openai""#,
        r#"agents.far.base_url = "http://127.0.0.1:1/v1?key=geheim-in-an-address""#,
        r#"agents.far.model = "m""#,
        r#"agents.far.api_key_env = "FAR_KEY""#,
        r#"agents.far.headers.x-key = "geheim-in-a-header""#,
        r#"agents.flow.kind = "agui""#,
        r#"agents.flow.url = "http://127.0.0.1:1/webhook/geheim-path-token""#,
        r#"alerts.webhooks.ops.kind = "generic""#,
        r#"alerts.webhooks.ops.url = "http://127.0.0.1:1/geheim-in-a-path""#,
    ];
    let environment =
        [("OTHER_SECRET", of_variable), ("FAR_KEY", of_agent), ("LYCHGATE__LIMITS__MAX_SESSIONS_PER_USER", "7")];
    let gateway = Gateway::started(Process::serve_in(&configuration(&keys), &environment)).await;
    let node = node(&gateway).await;
    let told = node.to_string();
    assert!(!told.contains("geheim") && !told.contains(SECRET) && !told.contains("a434c7eae27bb48a"), "{told}");
    assert_eq!((&node["ready"], &node["draining"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&node["listen"], &node["admin"]),
        (&json!(gateway.address.to_string()), &json!(gateway.admin.to_string()))
    );
    assert_eq!((&node["environment"], &node["file"]), (&json!("test"), &json!(gateway.process.file())));
    assert!(node["uptime_ms"].is_u64() && node["features"].is_array() && node.get("not_ready_because").is_none());
    let limit = setting(&node, "limits", "max_sessions_per_user");
    assert_eq!(
        (&limit["value"], &limit["default"], &limit["origin"]),
        (&json!("7"), &json!("20"), &json!("environment"))
    );
    assert_eq!(
        (&limit["place"], &limit["needs_restart"]),
        (&json!("LYCHGATE__LIMITS__MAX_SESSIONS_PER_USER"), &json!(false))
    );
    let listen = setting(&node, "server", "listen");
    assert_eq!((&listen["origin"], &listen["needs_restart"]), (&json!("file"), &json!(true)));
    assert!(listen["place"].as_str().unwrap().starts_with(&gateway.process.file()), "{listen}");
    assert_eq!(setting(&node, "auth.jwt", "secret")["value"], "\"********\"");
    assert_eq!(setting(&node, "agents.flow", "url")["value"], "\"http://127.0.0.1:1/webhook/********\"");
    assert_eq!(setting(&node, "runs", "max_queued_per_thread")["origin"], "default");
}

#[tokio::test]
async fn the_configuration_that_is_shown_is_the_one_in_force() {
    let mut gateway = Gateway::start(&["limits.max_sessions_per_user = 3"]).await;
    let lines = configuration(&["limits.max_sessions_per_user = 4", r#"liveness.ping_interval = "50s""#]);
    std::fs::write(gateway.process.file(), lines.join("\n")).unwrap();
    gateway.process.signal(rustix::process::Signal::HUP);
    gateway.process.line_with("configuration read again").await;
    let node = node(&gateway).await;
    assert_eq!(setting(&node, "limits", "max_sessions_per_user")["value"], "4");
    assert_eq!(setting(&node, "liveness", "ping_interval")["value"], "\"20s\"", "it waits for a restart");
}
