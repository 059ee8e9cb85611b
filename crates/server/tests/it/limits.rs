//! Limits that an operator chose otherwise: plans by the token, `force = "never"`, shadow mode.

use serde_json::json;

use crate::gateway::{Call, Gateway, claims, token};

#[tokio::test]
async fn the_claim_plan_of_a_token_selects_the_limits_of_its_user() {
    let gateway = Gateway::start(&["plans.pro.max_sessions_per_user = 40"]).await;
    let mut pro = claims("ann");
    pro["plan"] = json!("pro");
    let mut ann = Call::with_token(&token(&pro)).dial(&gateway).await.unwrap();
    ann.say(json!({"type": "hello"})).await;
    assert_eq!(ann.expect("hello").await["limits"]["limit"], 40);
    let bob = gateway.connect("bob").await;
    assert_eq!(bob.hello["limits"]["limit"], 20);
    let mut unknown = claims("eve");
    unknown["plan"] = json!("no-such-plan");
    let mut eve = Call::with_token(&token(&unknown)).dial(&gateway).await.unwrap();
    eve.say(json!({"type": "hello"})).await;
    assert_eq!(eve.expect("hello").await["limits"]["limit"], 20, "an unknown plan keeps nobody out");
}

#[tokio::test]
async fn with_never_the_end_of_the_queue_is_an_error_with_a_time_and_the_socket_stays_open() {
    let keys = [
        r#"limits.force = "never""#,
        "limits.max_sessions_per_user = 1",
        "limits.reserve_sessions = 0",
        r#"limits.ladder_deadline = "1s""#,
        r#"limits.queue_deadline = "1s""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("t1").await;
    ann.say(json!({"type": "open", "thread": "t2", "ref": "o2"})).await;
    let refused = ann.expect("error").await;
    assert_eq!((&refused["code"], &refused["ref"]), (&json!("no_slot"), &json!("o2")));
    let retry_in = refused["retry_in"].as_u64().unwrap();
    assert!((500..=1_500).contains(&retry_in), "{refused}");
    ann.say(json!({"type": "leave", "thread": "t1"})).await;
    ann.expect("closed").await;
    assert_eq!(ann.open("t2").await["limits"]["used"], 1);
}

#[tokio::test]
async fn in_shadow_mode_nobody_has_to_go_and_the_metrics_say_who_would_have() {
    let gateway = Gateway::start(&[r#"limits.mode = "shadow""#, "limits.max_sessions_per_user = 2"]).await;
    let mut ann = gateway.connect("ann").await;
    for n in 0..4 {
        ann.open(&format!("t{n}")).await;
    }
    assert_eq!(gateway.metric("lychgate_sessions").await, 4.0);
    assert_eq!(gateway.metric("lychgate_evictions_total").await, 0.0);
    assert_eq!(gateway.metric("lychgate_shadow_verdicts_total").await, 2.0);
}
