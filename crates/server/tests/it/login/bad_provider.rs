//! Providers that are down, hang, or answer with what nobody should believe.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ORIGIN;
use super::browser::Browser;
use crate::gateway::Gateway;

/// How it answers a request for `path`; none hangs.
type Script = fn(issuer: &str, path: &str) -> Option<String>;

/// A server on loopback that answers as it was told to; it ends when it is dropped.
struct BadProvider {
    issuer: String,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl BadProvider {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (count, own) = (Arc::clone(&asked), issuer.clone());
        tasks.spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let read = socket.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                count.fetch_add(1, Ordering::Relaxed);
                match script(&own, text.split(' ').nth(1).unwrap_or_default()) {
                    // It may have had enough of a long answer.
                    Some(answer) => drop(socket.write_all(answer.as_bytes()).await),
                    None => held.push(socket),
                }
            }
        });
        Self { issuer, asked, _tasks: tasks }
    }

    async fn gateway(&self) -> Gateway {
        gateway(&self.issuer).await
    }
}

async fn gateway(issuer: &str) -> Gateway {
    let issuer = format!("login.providers.bad.issuer_url = {issuer:?}");
    let origin = format!("server.public_url = {ORIGIN:?}");
    Gateway::start(&[&issuer, &origin, r#"login.providers.bad.client_id = "c""#]).await
}

fn json(body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

fn metadata(issuer: &str, says: &str) -> Option<String> {
    json(&format!(
        r#"{{"issuer":"{says}","authorization_endpoint":"{issuer}/auth","token_endpoint":"{issuer}/token","jwks_uri":"{issuer}/jwks",
        "response_types_supported":["code"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}}"#
    ))
}

/// The login says that it is the provider, and when to try again; everybody with a token goes on.
async fn is_told_to_try_again(gateway: &Gateway) {
    let mut answer = Browser::default().visit("/v1/login/bad", gateway).await;
    assert_eq!(answer.status, 503, "{}", answer.head);
    let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&retry_after), "{retry_after}");
    let text = answer.rest().await;
    assert!(text.contains("try again in"), "{text}");
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_provider_that_is_down_stops_nobody_but_its_own_users() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = gateway(&format!("http://{free}")).await;
    is_told_to_try_again(&gateway).await;
    let listed = Browser::default().send(crate::http::client::Ask::get("/v1/login"), &gateway).await.json().await;
    assert!(listed["providers"][0]["retry_in"].as_u64().is_some_and(|wait| wait <= 5_000), "{listed}");
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_and_left_alone_for_a_while() {
    let provider = BadProvider::start(|_, _| None).await;
    let gateway = provider.gateway().await;
    is_told_to_try_again(&gateway).await;
    is_told_to_try_again(&gateway).await;
    assert_eq!(provider.asked.load(Ordering::Relaxed), 1, "the second user's question was not passed on");
}

#[tokio::test]
async fn a_provider_that_calls_itself_by_another_name_is_not_believed() {
    let provider = BadProvider::start(|issuer, _| metadata(issuer, "https://evil.example")).await;
    is_told_to_try_again(&provider.gateway().await).await;
}

#[tokio::test]
async fn a_redirect_of_a_provider_is_not_followed() {
    let provider = BadProvider::start(|issuer, path| match path {
        "/elsewhere" => metadata(issuer, issuer),
        _ => Some(
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        ),
    })
    .await;
    is_told_to_try_again(&provider.gateway().await).await;
    assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_jwks_of_10_mb_is_not_read_to_its_end() {
    let provider = BadProvider::start(|issuer, path| match path {
        "/jwks" => json(&format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(10_000_000))),
        _ => metadata(issuer, issuer),
    })
    .await;
    let gateway = provider.gateway().await;
    is_told_to_try_again(&gateway).await;
    gateway.process.line_with("an answer of more than 65536 bytes").await;
}

#[tokio::test]
async fn a_link_that_wants_to_send_users_elsewhere_is_refused_before_the_provider_is_asked() {
    let provider = BadProvider::start(|issuer, path| match path {
        "/jwks" => json(r#"{"keys":[]}"#),
        _ => metadata(issuer, issuer),
    })
    .await;
    let gateway = provider.gateway().await;
    for elsewhere in ["https://evil.example", "//evil.example", "/%5Cevil.example", "/..//evil.example", "chat"] {
        let answer = Browser::default().visit(&format!("/v1/login/bad?return_to={elsewhere}"), &gateway).await;
        assert_eq!(answer.status, 400, "{elsewhere}");
    }
    assert_eq!(provider.asked.load(Ordering::Relaxed), 0);
    let answer = Browser::default().visit("/v1/login/bad?return_to=/chat", &gateway).await;
    assert_eq!(answer.status, 302, "{}", answer.head);
    let there = answer.header("location").unwrap();
    for part in [
        "code_challenge_method=S256",
        "state=",
        "nonce=",
        "redirect_uri=https%3A%2F%2Fchat.example.test%2Fv1%2Flogin%2Fbad%2Fcallback",
    ] {
        assert!(there.contains(part), "{there}");
    }
}
