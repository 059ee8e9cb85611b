//! The list of users in one line each.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{COLONS, ask, encoded};
use crate::gateway::Gateway;
use crate::http::client::Ask;

async fn page(gateway: &Gateway, query: &str) -> Value {
    let (status, page) = ask(gateway, Ask::get(format!("/v1/admin/users?{query}"))).await;
    assert_eq!(status, 200, "{page}");
    page
}

fn names(page: &Value) -> Vec<String> {
    page["users"].as_array().unwrap().iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect()
}

/// Everybody, page by page.
async fn all(gateway: &Gateway, query: &str) -> Vec<String> {
    let (mut met, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(gateway, &format!("{query}{after}")).await;
        met.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return met,
        }
    }
}

const USERS: usize = 2_000;

#[tokio::test]
async fn thousands_of_users_are_met_once_each_in_every_order_while_others_come_and_go() {
    let gateway = Gateway::start(&[r#"limits.linger = "1h""#]).await;
    let stay: BTreeSet<String> = (0..USERS).map(|n| format!("user-{n:04}")).collect();
    let everybody: Vec<&String> = stay.iter().collect();
    for some in everybody.chunks(50) {
        join_all(some.iter().map(|user| async {
            let mut tab = gateway.connect(user).await;
            tab.open("t1").await;
            // Its session stays, and its socket does not.
            tab.reset();
        }))
        .await;
    }
    let first = page(&gateway, "limit=1").await;
    assert_eq!(first["total"], USERS);
    for sort in ["", "sort=user&", "sort=pressure&"] {
        let comes_and_goes = async {
            for n in 0..20 {
                let mut tab = gateway.connect(&format!("guest-{n}")).await;
                tab.open("t1").await;
                tab.close().await;
            }
        };
        let query = format!("{sort}limit=200");
        let (met, ()) = tokio::join!(all(&gateway, &query), comes_and_goes);
        let met: Vec<String> = met.into_iter().filter(|user| user.starts_with("user-")).collect();
        if !sort.is_empty() {
            assert!(met.is_sorted(), "as full as each other: by name");
        }
        assert_eq!(met.len(), USERS, "{sort}");
        assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), stay, "{sort}");
    }
    assert_eq!(all(&gateway, "search=user-1234").await, ["user-1234"]);
    assert_eq!(all(&gateway, "sort=pressure&search=er-19&limit=200").await.len(), 100);
    assert_eq!(all(&gateway, "search=nobody").await, [""; 0]);
}

#[tokio::test]
async fn a_line_says_what_a_user_holds_and_how_it_does() {
    let gateway = Gateway::start(&[r#"limits.linger = "1h""#]).await;
    let mut ann = gateway.connect(COLONS).await;
    for thread in ["t1", "t2"] {
        ann.open(thread).await;
    }
    ann.run("t1", "r1", "stall").await;
    ann.expect_event("TEXT_MESSAGE_CONTENT").await;
    let mut gone = gateway.connect(COLONS).await;
    gone.open("t3").await;
    gone.reset();
    gateway.metric_becomes("lychgate_connections", |count| count == 1.0).await;
    let lend = Ask::new("PUT", format!("/v1/admin/users/{}/limits", encoded(COLONS)));
    assert_eq!(ask(&gateway, lend.body(r#"{"max_sessions": 25, "for": "1h"}"#)).await.0, 200);
    let mut bob = gateway.connect("bob").await;
    bob.open("t1").await;

    let page = page(&gateway, "sort=pressure").await;
    assert_eq!((names(&page), &page["total"]), (vec![COLONS.to_owned(), "bob".to_owned()], &json!(2)));
    let ann = &page["users"][0];
    assert_eq!((&ann["used"], &ann["limit"], &ann["level"]), (&json!(3), &json!(25), &json!("ok")));
    assert_eq!((&ann["connections"], &ann["runs"], &ann["waiting"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(
        (&ann["alive"], &ann["suspect"], &ann["zombie"], &ann["detached"]),
        (&json!(2), &json!(0), &json!(0), &json!(1))
    );
    assert_eq!(ann["lent"]["max_sessions"], 25);
    assert!(ann.get("plan").is_none() && ann.get("reserve_until").is_none() && page.get("next").is_none(), "{page}");
}

#[tokio::test]
async fn a_mistake_in_the_query_names_its_parameter() {
    let gateway = Gateway::start(&[]).await;
    for (query, names) in
        [("limit=0", "`limit`"), ("limit=201", "`limit`"), ("sort=size", "`sort`"), ("after=x", "`after`")]
    {
        let (status, error) = ask(&gateway, Ask::get(format!("/v1/admin/users?{query}"))).await;
        assert!(status == 400 && error["message"].as_str().unwrap().contains(names), "{query}: {error}");
    }
}
