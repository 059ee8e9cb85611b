//! Logins with a browser: cookie, Origin, tickets, logout, over real sockets.

use serde_json::{Value, json};

mod bad_provider;
mod browser;
mod demo;
mod peer;

use browser::{Browser, LOGIN};
use demo::Demo;

use crate::gateway::{Call, Client, Doors, Gateway};
use crate::http::client::Ask;

/// Where browsers reach the gateways of the tests that log in at a provider.
const ORIGIN: &str = "https://chat.example.test";

/// A subject of Google: larger than 64 bits.
const GOOGLE: &str = "105945141827451681156";

/// A WebSocket of a page of this origin, with the cookies of this browser.
fn socket(browser: &Browser, origin: &str) -> Call {
    let line = browser.cookie_line();
    let call = Call::without_token().header("origin", origin);
    if line.is_empty() { call } else { call.header("cookie", &line) }
}

/// Connects, and is known.
async fn greeted(call: Call, doors: &Doors) -> Client {
    let mut client = call.dial(doors).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.hello = client.expect("hello").await;
    client
}

/// Connects, and is told that nobody knows who it is.
async fn refused_hello(call: Call, doors: &Doors) {
    let mut client = call.dial(doors).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect_error("unauthorized").await;
    client.expect_close(4501).await;
}

/// A `POST` of the demo's own page that ends the login.
fn log_out(demo: &Demo) -> Ask {
    Ask::new("POST", "/v1/logout").header("origin", demo.origin())
}

/// A `POST` that asks for a ticket.
fn ticket() -> Ask {
    Ask::new("POST", "/v1/tickets")
}

fn with_ticket(issued: &Value) -> Call {
    Call::without_token().query(&format!("ticket={}", issued["ticket"].as_str().unwrap()))
}

#[tokio::test]
async fn the_demo_says_that_its_login_is_for_this_machine_and_has_no_password() {
    let demo = Demo::start().await;
    assert!(demo.said.contains("without a password (for this demonstration and this machine alone)"), "{}", demo.said);
    let mut page = Browser::default().visit("/v1/login", &demo.doors).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; form-action 'self'"), "{policy}");
    let text = page.rest().await;
    assert!(text.contains("without a password") && text.contains("/v1/login/demo"), "{text}");
    let mut browser = demo.browser("Ann+%3Cb%3E").await;
    let text = browser.visit("/v1/login", &demo.doors).await.rest().await;
    assert!(text.contains("logged in as <b>Ann &lt;b&gt;</b>") && text.contains("/v1/logout"), "{text}");
}

#[tokio::test]
async fn a_gateway_that_is_no_demo_lets_nobody_in_by_a_name() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::default();
    let answer = browser.send(Ask::post("/v1/login/demo", &json!({"name": "ann"})), &gateway).await;
    assert_eq!((answer.status, browser.cookie(LOGIN)), (404, None));
}

#[tokio::test]
async fn the_cookie_opens_a_socket_for_the_gateways_own_page_and_for_no_other() {
    let demo = Demo::start().await;
    let browser = demo.browser(GOOGLE).await;
    let client = greeted(socket(&browser, &demo.origin()), &demo.doors).await;
    assert_eq!(client.hello["user"], GOOGLE);
    let port = demo.doors.address.port();
    greeted(socket(&browser, &format!("http://localhost:{port}")), &demo.doors).await;
    for foreign in [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        &format!("https://127.0.0.1:{port}"),
        &format!("http://127.0.0.1:{port}.evil.example"),
        &format!("http://sub.localhost:{port}"),
        &format!("http://127.0.0.1:{}", port ^ 1),
    ] {
        refused_hello(socket(&browser, foreign), &demo.doors).await;
    }
    let without_origin = Call::without_token().header("cookie", &browser.cookie_line());
    refused_hello(without_origin, &demo.doors).await;
}

#[tokio::test]
async fn a_cookie_of_yesterday_does_not_lock_a_good_token_out() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let logged_out = browser.cookie_line();
    browser.send(log_out(&demo), &demo.doors).await;
    let never_ours = format!("{LOGIN}={}", "A".repeat(43));
    // One that was revoked needs an operator: see `peer::operators`.
    for stale in [never_ours, logged_out] {
        let call = Call::without_token().header("origin", &demo.origin()).header("cookie", &stale);
        let mut client = call.dial(&demo.doors).await.unwrap();
        client.say(json!({"type": "hello", "token": demo.token})).await;
        assert_eq!(client.expect("hello").await["user"], "demo");
    }
}

#[tokio::test]
async fn the_first_proof_counts_header_before_ticket_before_cookie() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("cookie").await;
    let issued = browser.send(ticket().header("origin", demo.origin()), &demo.doors).await.json().await;
    let mut other = demo.browser("other").await;
    let all = with_ticket(&issued).header("origin", &demo.origin()).header("cookie", &other.cookie_line());
    let bearer = format!("Bearer {}", demo.token);
    let by_header = greeted(all.header("authorization", &bearer), &demo.doors).await;
    assert_eq!(by_header.hello["user"], "demo");
    let all = with_ticket(&issued).header("origin", &demo.origin()).header("cookie", &other.cookie_line());
    assert_eq!(
        greeted(all, &demo.doors).await.hello["user"],
        "cookie",
        "the ticket was not used up by the request before"
    );
    let me = other.send(Ask::get("/v1/me"), &demo.doors).await.json().await;
    assert_eq!(me["user"], "other");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_whoever_has_a_used_one_hears_why() {
    let demo = Demo::start().await;
    let bearer = ticket().header("authorization", format!("Bearer {}", demo.token));
    let mut answer = bearer.send(&demo.doors).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let issued = answer.json().await;
    assert_eq!(issued["expires_in"], 30);
    assert!(issued["ticket"].as_str().is_some_and(|ticket| ticket.len() >= 22), "{issued}");
    assert_eq!(greeted(with_ticket(&issued), &demo.doors).await.hello["user"], "demo");
    for bad in [issued, json!({"ticket": ""}), json!({"ticket": "A".repeat(43)}), json!({"ticket": "a.b.c"})] {
        let mut client = with_ticket(&bad).dial(&demo.doors).await.unwrap();
        let error = client.expect_error("unauthorized").await;
        assert!(error["message"].as_str().unwrap().contains("a new one is fetched"), "{error}");
        // Its page is told to come back with another one: a restart, or another node, is no lockout.
        assert_eq!(client.expect_close(4004).await, json!({"reason": "token_expired", "reconnect": true}));
    }
    assert_eq!(ticket().send(&demo.doors).await.status, 401, "nobody gets one for nothing");
}

#[tokio::test]
async fn a_ticket_reads_and_never_changes_anything() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let mut issue = async || {
        let issued = browser.send(ticket().header("origin", demo.origin()), &demo.doors).await.json().await;
        issued["ticket"].as_str().unwrap().to_owned()
    };
    let path = format!("/v1/me?ticket={}", issue().await);
    assert_eq!(Ask::get(path).send(&demo.doors).await.json().await["user"], "ann");
    let path = format!("/v1/tickets?ticket={}", issue().await);
    assert_eq!(Ask::new("POST", path).send(&demo.doors).await.status, 401);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_with_the_cookie() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let port = demo.doors.address.port();
    for foreign in [
        Some("https://evil.example".to_owned()),
        Some("null".to_owned()),
        Some(format!("http://sub.127.0.0.1:{port}")),
        Some(format!("http://127.0.0.1:{port}.evil.example")),
        None,
    ] {
        for path in ["/v1/tickets", "/v1/logout", "/v1/threads/t1/runs"] {
            let ask = Ask::post(path, &json!({}));
            let ask = match &foreign {
                Some(origin) => ask.header("origin", origin),
                None => ask,
            };
            let mut answer = browser.send(ask, &demo.doors).await;
            let code = answer.json().await["code"].as_str().unwrap().to_owned();
            assert!(["unauthorized", "forbidden"].contains(&&*code), "{path} {foreign:?}: {code}");
        }
    }
    let vouched = ticket().header("sec-fetch-site", "same-origin");
    assert_eq!(browser.send(vouched, &demo.doors).await.status, 200);
    let sibling = Ask::get("/v1/me").header("sec-fetch-site", "same-site");
    assert_eq!(browser.send(sibling, &demo.doors).await.status, 401);
    let read = browser.send(Ask::get("/v1/me"), &demo.doors).await;
    assert_eq!(read.status, 200, "he is logged in still");
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_with_credentials() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let preflight = Ask::new("OPTIONS", "/v1/tickets")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    for ask in [preflight, Ask::get("/v1/me").header("origin", "https://evil.example")] {
        let answer = browser.send(ask, &demo.doors).await;
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{}", answer.head);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_logs_nobody_in() {
    let demo = Demo::start().await;
    let mut browser = Browser::default();
    for foreign in ["https://evil.example", "null"] {
        let ask = Ask::post("/v1/login/demo", &json!({"name": "mallory"})).header("origin", foreign);
        assert_eq!(browser.send(ask, &demo.doors).await.status, 403);
    }
    assert_eq!(browser.cookie(LOGIN), None);
}

#[tokio::test]
async fn logout_closes_the_sockets_of_this_login_and_of_no_other() {
    let demo = Demo::start().await;
    let (mut here, there) = (demo.browser("ann").await, demo.browser("ann").await);
    let mut first = greeted(socket(&here, &demo.origin()), &demo.doors).await;
    let mut second = greeted(socket(&there, &demo.origin()), &demo.doors).await;
    first.open("t1").await;
    let out = here.send(Ask::new("POST", "/v1/logout").header("origin", demo.origin()), &demo.doors).await;
    assert_eq!((out.status, here.cookie(LOGIN)), (204, None));
    first.expect_close(4513).await;
    second.open("t2").await;
    let again = here.send(Ask::new("POST", "/v1/logout").header("origin", demo.origin()), &demo.doors).await;
    assert_eq!(again.status, 204, "whoever is logged out already is told that it is done");
}

#[tokio::test]
async fn logout_everywhere_closes_the_sockets_of_every_login_of_the_user() {
    let demo = Demo::start().await;
    let (mut here, there) = (demo.browser("ann").await, demo.browser("ann").await);
    let bob = demo.browser("bob").await;
    let mut first = greeted(socket(&here, &demo.origin()), &demo.doors).await;
    let mut second = greeted(socket(&there, &demo.origin()), &demo.doors).await;
    let mut his = greeted(socket(&bob, &demo.origin()), &demo.doors).await;
    let everywhere = Ask::new("POST", "/v1/logout?everywhere=true").header("origin", demo.origin());
    here.send(everywhere, &demo.doors).await;
    first.expect_close(4513).await;
    second.expect_close(4513).await;
    refused_hello(socket(&there, &demo.origin()), &demo.doors).await;
    his.open("t1").await;
}

#[tokio::test]
async fn logout_closes_a_socket_of_its_login_that_brought_a_token_since() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("demo").await;
    let mut client = greeted(socket(&browser, &demo.origin()), &demo.doors).await;
    client.say(json!({"type": "hello", "token": demo.token})).await;
    client.open("t1").await;
    let mut by_token = Call::with_token(&demo.token).dial(&demo.doors).await.unwrap();
    by_token.say(json!({"type": "hello"})).await;
    by_token.expect("hello").await;
    browser.send(Ask::new("POST", "/v1/logout").header("origin", demo.origin()), &demo.doors).await;
    client.expect_close(4513).await;
    by_token.open("t2").await;
}

#[tokio::test]
async fn a_login_that_ends_between_handshake_and_hello_lets_nobody_in() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let mut client = socket(&browser, &demo.origin()).dial(&demo.doors).await.unwrap();
    browser.send(Ask::new("POST", "/v1/logout").header("origin", demo.origin()), &demo.doors).await;
    client.say(json!({"type": "hello"})).await;
    client.expect_close(4513).await;
}

#[tokio::test]
async fn a_login_that_ends_while_a_body_is_on_its_way_starts_nothing() {
    let demo = Demo::start().await;
    let input = json!({"messages": [{"id": "m1", "role": "user", "content": "hello"}]});
    let run = json!({"run": "r1", "input": input}).to_string();
    let agui = json!({"threadId": "t1", "runId": "r1", "messages": [{"id": "m1", "role": "user", "content": "hello"}],
        "tools": [], "context": [], "state": {}, "forwardedProps": {}})
    .to_string();
    for (path, body) in [("/v1/threads/t1/runs", run), ("/v1/agui", agui)] {
        let mut browser = demo.browser("ann").await;
        let ask = Ask::new("POST", path)
            .header("origin", demo.origin())
            .header("cookie", browser.cookie_line())
            .header("content-type", "application/json")
            .header("content-length", body.len().to_string())
            .header("expect", "100-continue");
        let mut answer = ask.start(&demo.doors).await;
        answer.catch_up().await;
        assert_eq!(answer.status, 100, "who he is has been looked at, and the body is waited for");
        browser.send(log_out(&demo), &demo.doors).await;
        answer.send_more(body.as_bytes()).await;
        answer.catch_up().await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.head);
    }
}

#[tokio::test]
async fn whoever_logs_in_again_keeps_his_other_tabs_until_he_logs_out() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let first = browser.clone();
    let mut tab = greeted(socket(&browser, &demo.origin()), &demo.doors).await;
    let mut late = socket(&browser, &demo.origin()).dial(&demo.doors).await.unwrap();
    demo.log_in(&mut browser, "ann").await;
    tab.open("t1").await;
    late.say(json!({"type": "hello"})).await;
    late.expect("hello").await;
    refused_hello(socket(&first, &demo.origin()), &demo.doors).await;
    browser.send(log_out(&demo), &demo.doors).await;
    tab.expect_close(4513).await;
    late.expect_close(4513).await;
}

#[tokio::test]
async fn a_login_of_another_user_closes_the_tabs_of_the_one_before() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let mut tab = greeted(socket(&browser, &demo.origin()), &demo.doors).await;
    demo.log_in(&mut browser, "bob").await;
    tab.expect_close(4513).await;
}

#[tokio::test]
async fn no_more_logins_are_begun_from_a_network_than_it_may_connect() {
    let rate = "server.connects_per_second_per_address = 1";
    let gateway = Gateway::start(&[rate, &format!("server.public_url = {ORIGIN:?}")]).await;
    let mut told = 0;
    for path in ["/v1/login", "/v1/login/peer", "/v1/login/peer/callback"].repeat(200) {
        let answer = Ask::get(path).send(&gateway).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some(), "{}", answer.head);
            told += 1;
        }
        if told == 6 {
            return;
        }
    }
    panic!("600 attempts, and {told} of them too many");
}

#[tokio::test]
async fn a_user_sees_the_slots_that_he_holds() {
    let demo = Demo::start().await;
    let mut browser = demo.browser("ann").await;
    let mut client = greeted(socket(&browser, &demo.origin()), &demo.doors).await;
    client.open("t1").await;
    let me = browser.send(Ask::get("/v1/me"), &demo.doors).await.json().await;
    assert_eq!(me["sessions"], json!([{"thread": "t1"}]), "{me}");
    assert_eq!((&me["limits"]["used"], &me["limits"]["limit"]), (&json!(1), &json!(20)));
    assert!(me["expires_in"].as_u64().is_some_and(|left| left > 3600), "{me}");
}
