//! Logins through a provider that others wrote: npm oidc-provider, which `cargo xtask test` starts.
//!
//! Without its address the tests say that they are skipped, and are green. So every check prints a line that begins with
//! "checked:", and the starter (xtask/src/oidc_provider.rs) counts them: there a check that was not made is a failure.

mod operators;
mod published;

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;

use super::browser::{Browser, LOGIN, path_of};
use super::{GOOGLE, ORIGIN, greeted, refused_hello, socket};
use crate::gateway::{Call, Doors, Gateway, soon};
use crate::http::client::{Answer, Ask};

/// The provider, if it was started.
fn provider() -> Option<String> {
    let address = std::env::var("LYCHGATE_OIDC_URL").ok();
    if address.is_none() {
        eprintln!("skipped: no LYCHGATE_OIDC_URL; `cargo xtask test` starts the provider and sets it");
    }
    address
}

/// A gateway whose users log in there, and which browsers reach as [`ORIGIN`].
async fn gateway(url: &str, more: &[&str]) -> Gateway {
    let issuer = format!("login.providers.peer.issuer_url = {url:?}");
    let origin = format!("server.public_url = {ORIGIN:?}");
    let keys = [
        &issuer,
        &origin,
        r#"login.providers.peer.client_id = "lychgate""#,
        r#"login.providers.peer.client_secret = "a secret between the gateway and its provider""#,
        r#"login.providers.peer.scopes = ["email", "profile"]"#,
        r#"login.providers.peer.plan_claim = "plan""#,
        r#"login.providers.peer.groups_claim = "groups""#,
    ];
    Gateway::start(&[&keys[..], more].concat()).await
}

/// The provider as something to send requests to.
fn doors(url: &str) -> Doors {
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    Doors { address, admin: address }
}

/// Logs in as somebody at the provider: the path of ours that it sends the browser back to.
async fn at_provider(url: &str, address: &str, user: &str) -> String {
    at_provider_for(ORIGIN, url, address, user).await
}

/// The same, for a listener that browsers know as this origin.
async fn at_provider_for(origin: &str, url: &str, address: &str, user: &str) -> String {
    let mut there = Browser::default();
    let mut path = format!("{}&login_hint={user}", path_of(address));
    loop {
        let answer = there.visit(&path, &doors(url)).await;
        let next = answer.header("location").unwrap_or_else(|| panic!("{} at {path}", answer.head)).to_owned();
        if let Some(back) = next.strip_prefix(origin) {
            return back.to_owned();
        }
        path = path_of(&next).to_owned();
    }
}

/// The whole way: to the provider, and back with what it says.
async fn log_in(browser: &mut Browser, gateway: &Doors, url: &str, user: &str) -> Answer {
    let away = browser.visit("/v1/login/peer?return_to=/chat%3Ft=1", gateway).await;
    assert_eq!(away.status, 302, "{}", away.head);
    let back = at_provider(url, away.header("location").unwrap(), user).await;
    browser.visit(&back, gateway).await
}

#[tokio::test]
async fn a_login_at_a_provider_opens_a_socket_until_the_logout_closes_it() {
    let Some(url) = provider() else { return };
    let gateway = gateway(&url, &[]).await;
    let mut browser = Browser::default();
    let back = log_in(&mut browser, &gateway, &url, GOOGLE).await;
    assert_eq!((back.status, back.header("location")), (303, Some("/chat?t=1")), "{}", back.head);
    assert!(back.head.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{}", back.head);
    let mut client = greeted(socket(&browser, ORIGIN), &gateway).await;
    assert_eq!(client.hello["user"], GOOGLE);
    client.open("t1").await;
    assert_eq!(client.ask("t1", "r1", "hello").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    println!("checked: login to streamed answer, and Google's id is the user's");

    let out = browser.send(Ask::new("POST", "/v1/logout").header("origin", ORIGIN), &gateway).await;
    assert_eq!(out.status, 204);
    let reason = client.expect_close(4513).await;
    assert_eq!((&reason["reason"], &reason["reconnect"]), (&json!("logged_out"), &json!(false)));
    refused_hello(socket(&browser, ORIGIN), &gateway).await;
    println!("checked: logout closes the socket with 4513, and nobody comes back with its cookie");
}

#[tokio::test]
async fn what_the_provider_says_of_plan_and_groups_is_known_here() {
    let Some(url) = provider() else { return };
    let gateway = gateway(&url, &["plans.gold.max_sessions_per_user = 40"]).await;
    let mut browser = Browser::default();
    log_in(&mut browser, &gateway, &url, "gold-1").await;
    let me = browser.send(Ask::get("/v1/me"), &gateway).await.json().await;
    assert_eq!((&me["user"], &me["plan"]), (&json!("gold-1"), &json!("gold")), "{me}");
    log_in(&mut browser, &gateway, &url, "operator-1").await;
    let me = browser.send(Ask::get("/v1/me"), &gateway).await.json().await;
    assert_eq!((&me["user"], &me["groups"]), (&json!("operator-1"), &json!(["operators"])), "{me}");
    println!("checked: plan and groups come from the userinfo endpoint");
}

#[tokio::test]
async fn new_keys_of_the_provider_are_fetched_once_for_logins_and_for_its_tokens() {
    let Some(url) = provider() else { return };
    let gateway = gateway(&url, &[]).await;
    let mut browser = Browser::default();
    assert_eq!(log_in(&mut browser, &gateway, &url, "before").await.status, 303);
    assert_eq!(Ask::new("POST", "/control/rotate").send(&doors(&url)).await.status, 204);
    let back = log_in(&mut browser, &gateway, &url, "after").await;
    assert_eq!(back.status, 303, "{}", back.head);
    assert_eq!(browser.send(Ask::get("/v1/me"), &gateway).await.json().await["user"], "after");
    println!("checked: a login goes through after the provider has changed its keys");
    published::are_proven_before_and_after_a_rotation(&url).await;
}

#[tokio::test]
async fn a_way_back_that_is_used_twice_or_by_another_browser_logs_nobody_in() {
    let Some(url) = provider() else { return };
    let gateway = gateway(&url, &[]).await;
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let away = browser.visit("/v1/login/peer", &gateway).await;
    let back = at_provider(&url, away.header("location").unwrap(), "ann").await;
    for stranger in [&mut other, &mut Browser::default()] {
        let refused = stranger.visit(&back, &gateway).await;
        assert_eq!((refused.status, stranger.cookie(LOGIN)), (400, None), "{}", refused.head);
        assert!(refused.header("content-security-policy").is_some());
    }
    assert_eq!(browser.visit(&back, &gateway).await.status, 303);
    let replayed = browser.clone().visit(&back, &gateway).await;
    assert_eq!(replayed.status, 400);
    println!("checked: state is for one browser and one use");

    let away = browser.visit("/v1/login/peer", &gateway).await;
    let back = at_provider(&url, away.header("location").unwrap(), "nobody").await;
    let mut refused = browser.visit(&back, &gateway).await;
    assert_eq!(refused.status, 401);
    assert!(refused.rest().await.contains("you did not log in"));
    let altered = back.replace("iss=", "iss=http%3A%2F%2Fevil.example&was=");
    let away = browser.visit("/v1/login/peer", &gateway).await;
    let state = away.header("location").unwrap().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let old = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(browser.visit(&altered.replace(old, &state), &gateway).await.status, 502, "a mix-up is refused");
    println!("checked: a user who says no, and another issuer's answer, are told apart and log nobody in");
}

#[tokio::test]
async fn only_accounts_on_the_lists_come_in() {
    let Some(url) = provider() else { return };
    let list = r#"login.providers.peer.allowed_email_domains = ["example.org"]"#;
    let gateway = gateway(&url, &[list]).await;
    let mut browser = Browser::default();
    assert_eq!(log_in(&mut browser, &gateway, &url, "ann").await.status, 303);
    let mut browser = Browser::default();
    let refused = log_in(&mut browser, &gateway, &url, "unverified-1").await;
    assert_eq!((refused.status, browser.cookie(LOGIN)), (403, None), "{}", refused.head);
    println!("checked: an address that is not verified is not on the list");
}

#[tokio::test]
async fn a_restart_of_the_gateway_logs_nobody_out() {
    let Some(url) = provider() else { return };
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("login-{}", std::process::id()));
    let kept = format!("journal.directory = {:?}", directory.display().to_string());
    let keys = [r#"journal.kind = "sqlite""#, &kept];
    let mut first = gateway(&url, &keys).await;
    let (mut stays, mut leaves) = (Browser::default(), Browser::default());
    log_in(&mut stays, &first, &url, "stays").await;
    log_in(&mut leaves, &first, &url, "leaves").await;
    let remembered = leaves.clone();
    leaves.send(Ask::new("POST", "/v1/logout").header("origin", ORIGIN), &first).await;
    first.process.signal(Signal::KILL);
    soon(first.process.end()).await;
    drop(first);
    let second = gateway(&url, &keys).await;
    assert_eq!(greeted(socket(&stays, ORIGIN), &second).await.hello["user"], "stays");
    refused_hello(socket(&remembered, ORIGIN), &second).await;
    drop(second);
    std::fs::remove_dir_all(directory).unwrap();
    println!("checked: logins and logouts outlive the process, and SIGKILL");
}

#[tokio::test]
async fn a_ticket_of_a_login_is_worth_nothing_after_the_logout() {
    let Some(url) = provider() else { return };
    let gateway = gateway(&url, &[]).await;
    let mut browser = Browser::default();
    log_in(&mut browser, &gateway, &url, "ann").await;
    let ask = || Ask::new("POST", "/v1/tickets").header("origin", ORIGIN);
    let first = browser.send(ask(), &gateway).await.json().await;
    let second = browser.send(ask(), &gateway).await.json().await;
    let dial = |ticket: &serde_json::Value| {
        Call::without_token().query(&format!("ticket={}", ticket["ticket"].as_str().unwrap()))
    };
    let mut client = greeted(dial(&first), &gateway).await;
    browser.send(Ask::new("POST", "/v1/logout").header("origin", ORIGIN), &gateway).await;
    client.expect_close(4513).await;
    let mut late = dial(&second).dial(&gateway).await.unwrap();
    late.expect_error("unauthorized").await;
    late.expect_close(4513).await;
    println!("checked: a ticket falls with the login that it came from");
}
