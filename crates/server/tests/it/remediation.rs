//! An alert fires, and a rule acts, tells, or leaves it: with a line in the audit log before anything is done.

use serde_json::{Value, json};

use crate::gateway::{Call, Gateway, soon};
use crate::http::client::Ask;

/// Alerts of the node are looked at as often as may be.
const OFTEN: &str = r#"alerts.interval = "1s""#;

/// A rule for users at 70 % of a limit of four: three sessions.
fn of_user(mode: &str, rule: &[&'static str]) -> Vec<String> {
    let rule = rule.iter().map(|line| format!("remediation.rules.help.{line}"));
    ["limits.max_sessions_per_user = 4".to_owned(), OFTEN.to_owned(), format!("remediation.mode = \"{mode}\"")]
        .into_iter()
        .chain([r#"remediation.rules.help.when = "LychgateUserAt70""#.to_owned()])
        .chain(rule)
        .collect()
}

const LENDS: [&str; 4] = [r#"do = "lend_limit""#, "sessions = 9", r#"lasting = "1h""#, r#"cooldown = "1h""#];

async fn start(lines: &[String]) -> Gateway {
    Gateway::start(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Entries of rules, oldest first.
async fn by_rules(gateway: &Gateway) -> Vec<Value> {
    let mut answer = Ask::get("/v1/admin/audit?after=0").by_operator().send_to_admin(gateway).await;
    let page: Value = answer.json().await;
    let entries = page["entries"].as_array().unwrap().iter();
    entries.filter(|it| it["operator"].as_str().unwrap().starts_with("remediation:")).cloned().collect()
}

/// Waits until rules have so many entries that are over.
async fn concluded(gateway: &Gateway, count: usize) -> Vec<Value> {
    soon(async {
        loop {
            let entries = by_rules(gateway).await;
            if entries.iter().filter(|entry| entry["outcome"] != "begun").count() >= count {
                return entries;
            }
        }
    })
    .await
}

async fn fill(gateway: &Gateway, user: &str) -> crate::gateway::Client {
    let mut tab = gateway.connect(user).await;
    for thread in ["t1", "t2", "t3"] {
        tab.open(thread).await;
    }
    tab
}

async fn limit(gateway: &Gateway, user: &str) -> u64 {
    let mut tab = gateway.connect(user).await;
    let opened = tab.open("t1").await;
    opened["limits"]["limit"].as_u64().unwrap_or_else(|| panic!("{opened}"))
}

#[tokio::test]
async fn a_rule_that_is_on_acts_once_writes_it_down_and_is_held_by_its_cooldown() {
    let gateway = start(&of_user("on", &LENDS)).await;
    let tab = fill(&gateway, "ann").await;
    let entries = concluded(&gateway, 1).await;
    let entry = &entries[0];
    assert_eq!(
        (&entry["operator"], &entry["action"], &entry["user"], &entry["outcome"]),
        (&json!("remediation:help"), &json!("lend_limit"), &json!("ann"), &json!("done")),
        "{entry}"
    );
    assert_eq!(entry["parameters"], json!({"max_sessions": 9, "for_secs": 3600, "alert": "LychgateUserAt70"}));
    assert_eq!(entry["result"], json!({"limit": 9}));
    assert_eq!(limit(&gateway, "ann").await, 9);
    gateway.metric_becomes("lychgate_remediations_total", |count| count == 1.0).await;
    // It ends, and an operator takes the limit back: it fires again, and is held.
    Ask::new("DELETE", "/v1/admin/users/ann/limits").by_operator().send_to_admin(&gateway).await;
    gateway.metric_becomes(HELD, |count| count == 1.0).await;
    assert_eq!(by_rules(&gateway).await.len(), 1);
    tab.close().await;
}

#[tokio::test]
async fn a_rule_that_lends_never_lowers_the_limit_of_a_user_and_says_why_it_is_held() {
    let gateway = start(&of_user("on", &LENDS)).await;
    let lent = Ask::new("PUT", "/v1/admin/users/ann/limits").body(r#"{"max_sessions":12,"for":"1h"}"#);
    assert_eq!(lent.by_operator().send_to_admin(&gateway).await.status, 200);
    let mut tab = gateway.connect("ann").await;
    // 70 % of twelve.
    for n in 0..9 {
        tab.open(&format!("t{n}")).await;
    }
    let entries = concluded(&gateway, 1).await;
    assert_eq!(entries[0]["outcome"], "held", "{}", entries[0]);
    let why = "the limit of this user is as high already, or higher";
    assert_eq!(entries[0]["result"], json!({"why": why}));
    assert_eq!(limit(&gateway, "ann").await, 12);
    gateway.metric_becomes(HELD, |count| count == 1.0).await;
    let log = gateway.process.line_with("a rule of remediation").await;
    assert!(log.contains("held") && log.contains(why), "{log}");
}

const HELD: &str = r#"lychgate_remediations_total{action="lend_limit",mode="on",outcome="held"}"#;

#[tokio::test]
async fn a_dry_run_tells_and_does_nothing() {
    let gateway = start(&of_user("dry_run", &LENDS)).await;
    let _tab = fill(&gateway, "ann").await;
    let entries = concluded(&gateway, 1).await;
    assert_eq!((&entries[0]["outcome"], &entries[0]["user"]), (&json!("dry_run"), &json!("ann")));
    assert_eq!(limit(&gateway, "ann").await, 4);
    gateway
        .metric_becomes(r#"lychgate_remediations_total{action="lend_limit",mode="dry_run",outcome="told"}"#, |n| {
            n == 1.0
        })
        .await;
    let log = gateway.process.line_with("a rule of remediation").await;
    assert!(log.contains("told") && log.contains("help"), "{log}");
}

#[tokio::test]
async fn rules_that_are_off_do_nothing_and_tell_nothing() {
    let gateway = start(&of_user("off", &LENDS)).await;
    let _tab = fill(&gateway, "ann").await;
    gateway.metric_becomes(r#"lychgate_alerts_total{alert="LychgateUserAt70",state="firing"}"#, |n| n >= 1.0).await;
    gateway.serves_others().await;
    assert_eq!(by_rules(&gateway).await, Vec::<Value>::new());
    assert_eq!(gateway.metric("lychgate_remediations_total").await, 0.0);
}

#[tokio::test]
async fn a_rule_that_reclaims_lets_the_lingering_go_and_leaves_the_living() {
    let rule = [r#"do = "reclaim""#, r#"level = "moderate""#, r#"for = "500ms""#, r#"cooldown = "1s""#];
    let mut lines = of_user("on", &rule);
    lines.extend([
        r#"limits.linger = "10m""#.to_owned(),
        "limits.warn_percent = 100".to_owned(),
        "limits.high_percent = 100".to_owned(),
    ]);
    // The marks are moved out of the way: nobody but the rule reclaims. At the limit of four the alert of 100 % fires.
    let lines: Vec<_> = lines.into_iter().map(|line| line.replace("LychgateUserAt70", "LychgateUserAt100")).collect();
    let gateway = start(&lines).await;
    let mut lost = gateway.connect("ann").await;
    lost.open("lost").await;
    let mut tab = gateway.connect("ann").await;
    drop(lost);
    gateway.metric_becomes("lychgate_sessions_lingering", |count| count == 1.0).await;
    for thread in ["t1", "t2", "t3"] {
        tab.open(thread).await;
    }
    gateway.metric_becomes("lychgate_sessions", |count| count == 3.0).await;
    tab.ask("t1", "r1", "hello").await;
}

#[tokio::test]
async fn a_rule_that_drains_ends_the_node_once_and_says_who_it_was() {
    let drains = |name: &str| {
        [("when", "\"LychgateUserAt50\""), ("do", "\"drain\""), ("starts_again", "true")]
            .map(|(key, value)| format!("remediation.rules.{name}.{key} = {value}"))
    };
    // An alert of the node that a test can cause: opens that had to be refused.
    let node = |lines: [String; 3]| lines.map(|line| line.replace("LychgateUserAt50", "LychgateLockout"));
    let mut lines = vec![
        OFTEN.to_owned(),
        "remediation.mode = \"on\"".to_owned(),
        "limits.max_sessions_per_user = 1".to_owned(),
        "limits.reserve_sessions = 0".to_owned(),
        r#"limits.force = "never""#.to_owned(),
        r#"limits.queue_deadline = "1s""#.to_owned(),
        r#"limits.ladder_deadline = "1s""#.to_owned(),
    ];
    lines.extend(node(drains("first")));
    lines.extend(node(drains("second")));
    let mut gateway = start(&lines).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    tab.say(json!({"type": "open", "thread": "t2", "ref": "r"})).await;
    tab.expect_error("no_slot").await;
    let (code, log) = gateway.process.end().await;
    assert_eq!(code, Some(0), "{log}");
    let acted = |outcome: &str| {
        log.lines().filter(|line| line.contains("a rule of remediation") && line.contains(outcome)).count()
    };
    assert_eq!((acted("outcome=\"done\""), acted("outcome=\"held\"")), (1, 1), "{log}");
}

#[tokio::test]
async fn a_node_that_sheds_turns_strangers_away_with_a_time_says_so_and_keeps_whoever_is_here() {
    // An alert of the node that a test can cause: a webhook that takes nothing, which is another gateway.
    let other = Gateway::start(&[]).await;
    let url = format!("alerts.webhooks.ops.url = \"http://{}/nowhere\"", other.address);
    let lines = [
        OFTEN,
        r#"alerts.webhooks.ops.kind = "generic""#,
        &url,
        "remediation.mode = \"on\"",
        r#"remediation.rules.shed.when = "LychgateEyesImpaired""#,
        r#"remediation.rules.shed.do = "shed""#,
        r#"remediation.rules.shed.lasting = "5m""#,
        "limits.max_sessions_per_user = 1",
    ];
    let gateway = Gateway::start(&lines).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    concluded(&gateway, 1).await;
    let mut stranger = Call::with_token(&gateway.token("bob")).dial(&gateway).await.unwrap();
    stranger.say(json!({"type": "hello"})).await;
    let told = stranger.expect_close(4006).await;
    assert!(told["reason"] == "overload" && told["retry_in"].as_u64().is_some(), "{told}");
    // Nobody is to look for a full node, and `LychgateLockout` does not fire for what a rule was told to do.
    gateway.metric_becomes(r#"lychgate_refusals_total{reason="shed"}"#, |count| count == 1.0).await;
    assert_eq!(gateway.metric(r#"lychgate_refusals_total{reason="overload"}"#).await, 0.0);
    let log = gateway.process.line_with("open.refused").await;
    assert!(log.contains("the gateway sheds"), "{log}");
    // Ann reloads, and comes in.
    let mut again = gateway.connect("ann").await;
    again.open("t1").await;
    again.ask("t1", "r1", "hello").await;
}

#[tokio::test]
async fn a_rule_for_an_alert_that_there_is_not_is_an_error_that_names_the_nearest() {
    let lines = of_user("on", &LENDS).join("\n").replace("LychgateUserAt70", "LychgateUserAt75");
    let text = format!("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n{lines}");
    let error = lychgate::config::Config::from_toml(&text).unwrap_err().to_string();
    assert!(
        error.contains("remediation.rules.help.when") && error.contains("Did you mean \"LychgateUserAt70\"?"),
        "{error}"
    );
}
