//! Operators log in on their own listener, and users' logins are none there.

use serde_json::json;

use super::{at_provider_for, gateway, log_in, provider};
use crate::gateway::Doors;
use crate::http::client::Ask;
use crate::login::ORIGIN;
use crate::login::browser::Browser;

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
