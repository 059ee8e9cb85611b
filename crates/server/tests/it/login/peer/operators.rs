//! Operators log in on their own listener, and users' logins are none there.

use std::path::PathBuf;

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use super::{at_provider_for, gateway, log_in, provider};
use crate::gateway::{Call, Doors};
use crate::http::client::Ask;
use crate::login::browser::Browser;
use crate::login::{ORIGIN, greeted, socket};

/// Where browsers of operators reach the admin listener.
const OPERATIONS: &str = "https://ops.example.test";

/// The name of the cookie of an operator's login.
const COOKIE: &str = "__Host-lychgate-operator";

/// Logs in on the admin listener.
async fn log_in_to_operate(browser: &mut Browser, admin: &Doors, url: &str, user: &str) {
    let away = browser.visit("/v1/login/peer", admin).await;
    let back = at_provider_for(OPERATIONS, url, away.header("location").unwrap(), user).await;
    let came = browser.visit(&back, admin).await;
    assert_eq!(came.status, 303, "{}", came.head);
    assert!(browser.cookie(COOKIE).is_some(), "{}", came.head);
}

fn sessions() -> Ask {
    Ask::get("/v1/admin/sessions")
}

fn reclaim(user: &str) -> Ask {
    Ask::post(format!("/v1/admin/users/{user}/reclaim"), &json!({"level": "moderate"}))
}

#[tokio::test]
async fn an_operator_of_the_group_looks_and_changes_and_nobody_else_does() {
    let Some(url) = provider() else { return };
    let origin = format!("admin.public_url = {OPERATIONS:?}");
    let gateway = gateway(&url, &[&origin, r#"admin.write_group = "operators""#]).await;
    let admin = Doors { address: gateway.admin, admin: gateway.admin };

    let mut operator = Browser::default();
    log_in_to_operate(&mut operator, &admin, &url, "operator-1").await;
    assert_eq!(operator.send(sessions(), &admin).await.status, 200);
    let own = reclaim("ann").header("origin", OPERATIONS);
    assert_eq!(operator.send(own, &admin).await.status, 200);
    for foreign in [ORIGIN, "https://ops.example.test.evil.example", "null"] {
        let asked = operator.send(reclaim("ann").header("origin", foreign), &admin).await;
        assert_eq!(asked.status, 403, "{foreign}");
    }
    assert_eq!(operator.send(reclaim("ann"), &admin).await.status, 403, "a form of any page sends no better proof");
    println!("checked: an operator logs in on the admin listener, looks, and changes from its own page alone");

    let mut nobody = Browser::default();
    log_in_to_operate(&mut nobody, &admin, &url, "ann").await;
    assert_eq!(nobody.send(sessions(), &admin).await.status, 403, "no group of operators");
    let mut user = Browser::default();
    log_in(&mut user, &gateway, &url, "operator-1").await;
    assert_eq!(user.send(sessions(), &admin).await.status, 401, "a login of a user is none of an operator");
    println!("checked: neither a group that is none nor a user's login operates anything");

    let out = Ask::new("POST", "/v1/logout").header("origin", OPERATIONS);
    assert_eq!(operator.send(out, &admin).await.status, 204);
    assert_eq!(operator.send(sessions(), &admin).await.status, 401);
    println!("checked: an operator who logged out is none");
}

#[tokio::test]
async fn an_operators_login_opens_the_live_socket_for_his_own_page_and_closes_it_when_it_ends() {
    let Some(url) = provider() else { return };
    let origin = format!("admin.public_url = {OPERATIONS:?}");
    let gateway = gateway(&url, &[&origin, r#"admin.group = "operators""#]).await;
    let admin = Doors { address: gateway.admin, admin: gateway.admin };
    let mut operator = Browser::default();
    log_in_to_operate(&mut operator, &admin, &url, "operator-1").await;
    let console = |browser: &Browser, origin: &str| {
        Call::of_nobody().header("origin", origin).header("cookie", &browser.cookie_line())
    };

    for foreign in [ORIGIN, "https://ops.example.test.evil.example", "null"] {
        match console(&operator, foreign).dial(&gateway).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 403, "{foreign}"),
            Err(error) => panic!("{foreign}: {error}"),
            Ok(_) => panic!("{foreign} got a socket"),
        }
    }
    // A page of the listener's address is ours, and wants a key: the login is that of the public address alone.
    let mut by_address = console(&operator, &format!("http://{}", gateway.admin)).dial(&gateway).await.unwrap();
    by_address.expect_error("unauthorized").await;
    by_address.expect_close(4501).await;
    println!("checked: the cookie of an operator opens the live socket for no foreign page");

    let mut client = console(&operator, OPERATIONS).dial(&gateway).await.unwrap();
    let hello = client.expect("hello").await;
    assert_eq!((&hello["operator"], &hello["role"]), (&json!("user:operator-1"), &json!("read")));
    let mut user = Browser::default();
    log_in_to_operate(&mut user, &admin, &url, "ann").await;
    let mut nobody = console(&user, OPERATIONS).dial(&gateway).await.unwrap();
    nobody.expect_error("forbidden").await;
    nobody.expect_close(4503).await;
    println!("checked: the cookie of an operator opens the live socket for his own page");

    let out = Ask::new("POST", "/v1/logout").header("origin", OPERATIONS);
    assert_eq!(operator.send(out, &admin).await.status, 204);
    assert_eq!(client.expect_close(4513).await, json!({"reason": "logged_out", "reconnect": false}));
    println!("checked: a login of an operator that ends closes its live socket with 4513");
}

#[tokio::test]
async fn a_user_whom_an_operator_logs_out_is_out_and_his_cookie_locks_no_token_out() {
    let Some(url) = provider() else { return };
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("logged-out-{}", std::process::id()));
    let kept = format!("journal.directory = {:?}", directory.display().to_string());
    let gateway = gateway(&url, &[r#"journal.kind = "sqlite""#, &kept]).await;
    for (ask, code) in [
        (Ask::new("DELETE", "/v1/admin/users/ann/sessions"), 4513),
        (Ask::post("/v1/admin/revocations", &json!({"user": "ann"})), 4501),
    ] {
        let mut browser = Browser::default();
        // Of a second that the revocation before did not take.
        while log_in(&mut browser, &gateway, &url, "ann").await.status == 303
            && browser.send(Ask::get("/v1/me"), &gateway).await.status != 200
        {}
        let mut client = greeted(socket(&browser, ORIGIN), &gateway).await;
        assert!(browser.visit("/v1/login", &gateway).await.rest().await.contains("logged in as"));
        assert_eq!(ask.by_operator().send_to_admin(&gateway).await.status, 200);
        client.expect_close(code).await;
        assert!(!browser.visit("/v1/login", &gateway).await.rest().await.contains("logged in as"));
        let call = Call::without_token().header("origin", ORIGIN).header("cookie", &browser.cookie_line());
        let mut client = call.dial(&gateway).await.unwrap();
        client.say(json!({"type": "hello", "token": gateway.token("bob")})).await;
        assert_eq!(client.expect("hello").await["user"], "bob");
        let doors = rusqlite::Connection::open(directory.join("doors.db")).unwrap();
        let left: u64 = doors.query_row("SELECT count(*) FROM logins", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "no restart brings the login back");
    }
    drop(gateway);
    std::fs::remove_dir_all(directory).unwrap();
    println!("checked: an operator's log out ends logins, and their cookies stand in nobody's way");
}
