use std::net::SocketAddr;

use lychgate_core::UserId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::config;
use crate::telemetry::Population;
use crate::telemetry::alerts::catalogue::named;
use crate::telemetry::alerts::{Change, State};

/// What the server does with one request.
enum Does {
    Says(&'static str),
    /// Nothing, until the other side has had enough.
    Hangs,
    /// Closes the connection without a word.
    Closes,
}

use Does::{Closes, Hangs, Says};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const GONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const LATER: &str =
    "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const ELSEWHERE: &str =
    "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Waits that a test can sit out. A hang is the only case in which the deadline of a request matters.
const QUICK: Pace = Pace {
    gather: Duration::from_millis(20),
    post_within: Duration::from_secs(20),
    retry: Duration::from_millis(5),
    later: Duration::from_millis(20),
};

/// Long enough for any machine: nothing that is waited for takes a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that treats each request as its script says, and those beyond it well.
async fn server(script: Vec<Does>) -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, bodies) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut script = script.into_iter();
        while let Ok((mut socket, _)) = listener.accept().await {
            let Some(body) = read_body(&mut socket).await else { continue };
            told.send(body).await.unwrap();
            match script.next().unwrap_or(Says(OK)) {
                Says(answer) => drop(socket.write_all(answer.as_bytes()).await),
                Hangs => drop(socket.read(&mut [0]).await),
                Closes => {}
            }
        }
    });
    (address, bodies)
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

struct Told {
    webhook: Arc<Webhook>,
    bodies: mpsc::Receiver<Value>,
    metrics: Arc<Metrics>,
}

impl Told {
    async fn by(script: Vec<Does>, pace: Pace) -> Self {
        let (address, bodies) = server(script).await;
        Self::at(&format!("http://{address}/geheim"), bodies, pace)
    }

    fn at(url: &str, bodies: mpsc::Receiver<Value>, pace: Pace) -> Self {
        Self::of_kind(config::WebhookKind::Generic, url, bodies, pace)
    }

    fn of_kind(kind: config::WebhookKind, url: &str, bodies: mpsc::Receiver<Value>, pace: Pace) -> Self {
        let text = format!(
            "auth.jwt.secret = \"a secret of the tests, long enough for HS256\"\n\
             [alerts.webhooks.ops]\nkind = \"generic\"\nurl = \"{url}\"\n"
        );
        let alerts = config::Config::from_toml(&text).unwrap().alerts;
        let metrics = Arc::new(Metrics::new());
        let config = config::Webhook { kind, ..alerts.webhooks["ops"].clone() };
        let webhook = Webhook::new("ops", config, &alerts, "n1", Arc::clone(&metrics));
        let webhook = Arc::new(Webhook { pace, ..webhook });
        let running = Arc::clone(&webhook);
        tokio::spawn(async move { running.run().await });
        Self { webhook, bodies, metrics }
    }

    fn change(&self, alert: &str, state: State) {
        let alert = named(alert).unwrap();
        let (severity, since) = (alert.severity, jiff::Timestamp::UNIX_EPOCH);
        self.webhook.changed(&Change { alert: alert.name, severity, user: None, state, value: 1.0, since });
    }

    async fn body(&mut self) -> Value {
        timeout(PATIENCE, self.bodies.recv()).await.expect("it was told in time").unwrap()
    }

    /// Waits until so many requests had this outcome.
    async fn counted(&self, outcome: &str, wanted: usize) {
        let line = format!("lychgate_webhook_deliveries_total{{outcome=\"{outcome}\"}} {wanted}\n");
        let counted = async {
            while !self.metrics.encode(&Population::default()).contains(&line) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, counted)
            .await
            .unwrap_or_else(|_| panic!("{line}{}", self.metrics.encode(&Population::default())));
    }
}

fn alerts(body: &Value) -> Vec<(&str, &str)> {
    let alerts = body["alerts"].as_array().unwrap().iter();
    alerts.map(|alert| (alert["alert"].as_str().unwrap(), alert["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_webhook_is_told_the_beginning_and_the_recovery() {
    let mut told = Told::by(vec![], QUICK).await;
    told.change("LychgateNotReady", State::Firing);
    let body = told.body().await;
    assert_eq!(alerts(&body), [("LychgateNotReady", "firing")]);
    assert_eq!((&body["node"], &body["alerts"][0]["severity"]), (&"n1".into(), &"critical".into()));
    told.counted("delivered", 1).await;
    told.change("LychgateNotReady", State::Resolved);
    assert_eq!(alerts(&told.body().await), [("LychgateNotReady", "resolved")]);
    told.counted("delivered", 2).await;
    told.counted("failed", 0).await;
}

#[tokio::test]
async fn a_storm_of_users_is_one_message() {
    let mut told = Told::by(vec![], QUICK).await;
    for n in 0..500 {
        told.webhook.changed(&Change {
            alert: "LychgateUserAt50",
            severity: config::Severity::Info,
            user: Some(UserId::parse(&format!("u{n}")).unwrap()),
            state: State::Firing,
            value: 0.5,
            since: jiff::Timestamp::UNIX_EPOCH,
        });
    }
    let body = told.body().await;
    assert_eq!((alerts(&body).len(), &body["alerts"][0]["users"]["count"]), (1, &500.into()));
    told.counted("delivered", 1).await;
}

#[tokio::test]
async fn a_server_that_fails_closes_or_wants_to_be_left_alone_is_asked_again() {
    let mut told = Told::by(vec![Says(BROKEN), Closes, Says(LATER), Says(OK)], QUICK).await;
    told.change("LychgateNotReady", State::Firing);
    let first = told.body().await;
    for _ in 0..3 {
        assert_eq!(told.body().await, first, "the same message");
    }
    told.counted("delivered", 1).await;
    told.counted("retried", 3).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_let_go_and_asked_again() {
    let mut told = Told::by(vec![Hangs], Pace { post_within: Duration::from_millis(300), ..QUICK }).await;
    told.change("LychgateNotReady", State::Firing);
    let first = told.body().await;
    assert_eq!(told.body().await, first);
    told.counted("delivered", 1).await;
}

#[tokio::test]
async fn what_was_given_up_is_not_lost_and_is_counted() {
    let script = (0..ATTEMPTS).map(|_| Says(BROKEN)).collect();
    let mut told = Told::by(script, QUICK).await;
    told.change("LychgateNotReady", State::Firing);
    for _ in 0..ATTEMPTS {
        told.body().await;
    }
    told.counted("failed", 1).await;
    assert_eq!(alerts(&told.body().await), [("LychgateNotReady", "firing")]);
    told.counted("delivered", 1).await;
}

#[tokio::test]
async fn an_answer_that_will_not_change_is_not_asked_for_five_times() {
    let mut told = Told::by(vec![Says(GONE), Says(ELSEWHERE)], QUICK).await;
    told.change("LychgateNotReady", State::Firing);
    for _ in 0..3 {
        told.body().await;
    }
    told.counted("delivered", 1).await;
    told.counted("failed", 2).await;
    told.counted("retried", 0).await;
}

/// PagerDuty has one message for each alert.
#[tokio::test]
async fn a_message_that_is_refused_for_good_keeps_no_other_one_back() {
    let (address, bodies) = server((0..3).map(|_| Says(GONE)).collect()).await;
    let kind = config::WebhookKind::PagerDuty { routing_key: "key".to_owned() };
    let pace = Pace { later: PATIENCE * 10, ..QUICK };
    let mut told = Told::of_kind(kind, &format!("http://{address}/geheim"), bodies, pace);
    for alert in ["LychgateBreakerOpen", "LychgateNotReady"] {
        told.change(alert, State::Firing);
    }
    let key = |body: Value| body["dedup_key"].as_str().unwrap().to_owned();
    assert_eq!(key(told.body().await), "lychgate/n1/LychgateBreakerOpen");
    assert_eq!(key(told.body().await), "lychgate/n1/LychgateNotReady", "the next one of the same round");
    told.counted("failed", 2).await;
    told.change("LychgateRepaired", State::Firing);
    let again = [key(told.body().await), key(told.body().await), key(told.body().await)];
    assert_eq!(again[2], "lychgate/n1/LychgateRepaired", "what is new waits for no refusal: {again:?}");
    told.counted("delivered", 2).await;
}

#[tokio::test]
async fn whoever_rings_never_waits_for_a_webhook_that_nobody_answers() {
    let mut told = Told::by(vec![Hangs], QUICK).await;
    told.change("LychgateNotReady", State::Firing);
    told.body().await;
    // The request is under way and nobody answers: all of this is noted at once, and nothing of it piles up.
    for n in 0..100_000_u32 {
        told.change("LychgateBreakerOpen", if n % 2 == 0 { State::Firing } else { State::Resolved });
    }
    told.change("LychgateRepaired", State::Firing);
    let news = told.webhook.desk().news(Duration::ZERO);
    let news: Vec<_> = news.iter().map(|report| report.alert.name).collect();
    assert_eq!(news, ["LychgateRepaired"]);
}

/// The address of a webhook is a secret.
#[tokio::test]
async fn no_text_of_an_error_holds_the_address() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_, bodies) = mpsc::channel(1);
    let told = Told::at(&format!("http://{nobody}/geheim"), bodies, QUICK);
    let client = told.webhook.client().await.unwrap();
    let Posted::NotNow(why, None) = told.webhook.post(&client, &Value::Null).await else {
        panic!("nobody listens there");
    };
    assert!(!why.contains("geheim") && !why.contains(&nobody.to_string()), "{why}");
    assert!(!format!("{:?}", told.webhook).contains("geheim"));
}
