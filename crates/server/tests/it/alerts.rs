//! Alerts by the gateway itself, told to a real HTTP server: users by name, the node by what it scrapes of itself.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::gateway::{Client, Gateway, soon};

/// What stands in the address and must stand nowhere else.
const SECRET_PATH: &str = "geheimer-pfad";

/// Whoever takes alerts: each body as it comes, answered or not.
struct Receiver {
    bodies: mpsc::Receiver<Value>,
    keys: Vec<String>,
}

impl Receiver {
    async fn start(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{SECRET_PATH}", listener.local_addr().unwrap());
        let (told, bodies) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(body) = read_body(&mut socket).await else { continue };
                told.send(body).await.unwrap();
                match answers {
                    true => socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap(),
                    // Until the other side has had enough.
                    false => drop(socket.read(&mut [0]).await),
                }
            }
        });
        let keys = vec![
            r#"alerts.interval = "1s""#.to_owned(),
            r#"alerts.webhooks.ops.kind = "generic""#.to_owned(),
            format!("alerts.webhooks.ops.url = {url:?}"),
        ];
        Self { bodies, keys }
    }

    async fn gateway(&self, keys: &[&str]) -> Gateway {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).chain(keys.iter().copied()).collect();
        Gateway::start(&keys).await
    }

    /// What is told of an alert, once it is.
    async fn told(&mut self, alert: &str, state: &str) -> Value {
        soon(async {
            loop {
                let body = self.bodies.recv().await.unwrap();
                let alerts = body["alerts"].as_array().unwrap();
                if let Some(found) = alerts.iter().find(|it| it["alert"] == alert && it["state"] == state) {
                    break found.clone();
                }
            }
        })
        .await
    }
}

async fn read_body(socket: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    while socket.read_buf(&mut bytes).await.ok()? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.parse().unwrap() {
            return serde_json::from_str(body).ok();
        }
    }
    None
}

async fn open_tabs(gateway: &Gateway, tabs: usize) -> Client {
    let mut ann = gateway.connect("ann").await;
    for n in 0..tabs {
        ann.open(&format!("t{n}")).await;
    }
    ann
}

#[tokio::test]
async fn a_user_at_half_of_his_limit_is_told_by_name_and_so_is_his_recovery() {
    let mut receiver = Receiver::start(true).await;
    let gateway =
        receiver.gateway(&["limits.max_sessions_per_user = 4", "limits.max_connections_per_session = 1"]).await;
    let ann = open_tabs(&gateway, 2).await;
    let told = receiver.told("LychgateUserAt50", "firing").await;
    assert_eq!(told["users"], json!({"count": 1, "named": ["ann"]}));
    assert_eq!((&told["severity"], &told["value"]), (&json!("info"), &json!(0.5)));
    ann.close().await;
    let told = receiver.told("LychgateUserAt50", "resolved").await;
    assert_eq!(told["users"]["named"], json!(["ann"]));
    gateway.metric_becomes(r#"lychgate_webhook_deliveries_total{outcome="delivered"}"#, |count| count >= 2.0).await;
    gateway
        .metric_becomes(r#"lychgate_alerts_total{alert="LychgateUserAt50",state="resolved"}"#, |count| count >= 1.0)
        .await;
}

#[tokio::test]
async fn a_lockout_is_told_without_any_prometheus() {
    let mut receiver = Receiver::start(true).await;
    let keys = [
        "alerts.webhooks.ops.users = false",
        r#"limits.force = "never""#,
        "limits.max_sessions_per_user = 1",
        "limits.reserve_sessions = 0",
        r#"limits.ladder_deadline = "1s""#,
        r#"limits.queue_deadline = "1s""#,
    ];
    let gateway = receiver.gateway(&keys).await;
    let mut ann = open_tabs(&gateway, 1).await;
    // A counter rises between two scrapes: there has to be one before. Without names the alerts of users are those of scrapes.
    receiver.told("LychgateUserAt100", "firing").await;
    ann.say(json!({"type": "open", "thread": "one-too-many", "ref": "o2"})).await;
    ann.expect("error").await;
    let told = receiver.told("LychgateLockout", "firing").await;
    assert_eq!((&told["severity"], &told["users"]), (&json!("critical"), &Value::Null));
}

#[tokio::test]
async fn a_webhook_that_hangs_holds_nobody_up_and_its_address_is_in_no_log() {
    let mut receiver = Receiver::start(false).await;
    let gateway = receiver.gateway(&["limits.max_sessions_per_user = 4"]).await;
    let _ann = open_tabs(&gateway, 4).await;
    receiver.told("LychgateUserAt100", "firing").await;
    gateway.serves_others().await;
    assert_eq!(gateway.process.count(SECRET_PATH), 0, "the address of a webhook is a secret");
}
