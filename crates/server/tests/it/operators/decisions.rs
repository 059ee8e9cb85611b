//! The feed of decisions: in order, by pages, as they come, and honest about what is gone.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::ask;
use crate::gateway::{Gateway, READ_KEY, soon};
use crate::http::client::Ask;

async fn page(gateway: &Gateway, query: &str) -> Value {
    let (status, page) = ask(gateway, Ask::get(format!("/v1/admin/decisions?{query}"))).await;
    assert_eq!(status, 200, "{page}");
    page
}

fn threads(page: &Value) -> Vec<&str> {
    page["decisions"].as_array().unwrap().iter().map(|told| told["thread"].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn whoever_pages_hears_of_everybody_once_and_in_order() {
    let gateway = Gateway::start(&[]).await;
    let mut clients = Vec::new();
    for n in 0..7 {
        let mut client = gateway.connect(&format!("user-{}", n % 2)).await;
        client.open(&format!("t{n}")).await;
        clients.push(client);
    }
    let (mut heard, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let found = page(&gateway, &format!("after={after}&limit=3")).await;
        assert_eq!((&found["missed"], &found["restarted"]), (&json!(0), &json!(false)));
        if found["decisions"].as_array().unwrap().is_empty() {
            break;
        }
        heard.extend(threads(&found).into_iter().map(str::to_owned));
        after = found["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(heard, (0..7).map(|n| format!("t{n}")).collect::<Vec<_>>());
    assert_eq!(threads(&page(&gateway, "limit=2").await), ["t5", "t6"], "without `after`: the newest");
    assert_eq!(threads(&page(&gateway, "after=0&user=user-1").await), ["t1", "t3", "t5"]);
    assert_eq!(threads(&page(&gateway, "interesting=true").await), [""; 0], "free slots interest nobody");
    assert_eq!(threads(&page(&gateway, "verdict=evicted,dead").await), [""; 0]);
    assert_eq!(threads(&page(&gateway, "since=2100-01-01T00:00:00Z").await), [""; 0]);
    assert_eq!(page(&gateway, "since=2020-01-01T00:00:00Z&limit=1000").await["decisions"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn whoever_waits_is_told_when_something_is_decided() {
    let gateway = Gateway::start(&[]).await;
    let next = page(&gateway, "").await["next"].as_str().unwrap().to_owned();
    let query = format!("after={next}&wait=30s");
    let waits = page(&gateway, &query);
    let decides = async {
        let mut client = gateway.connect("ann").await;
        client.open("t1").await;
        client
    };
    let (page, _client) = soon(Box::pin(async { tokio::join!(waits, decides) })).await;
    assert_eq!(threads(&page), ["t1"]);
    assert_eq!(page["decisions"][0]["user"], "ann");
}

#[tokio::test]
async fn a_crowd_that_waits_is_bounded_and_told_so() {
    let gateway = Gateway::start(&[]).await;
    let next = page(&gateway, "").await["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/admin/decisions?after={next}&wait=3s");
    let crowd = join_all((0..20).map(|_| ask(&gateway, Ask::get(&path)))).await;
    let count = |status| crowd.iter().filter(|(of, _)| *of == status).count();
    assert_eq!((count(200), count(429)), (16, 4), "{crowd:?}");
}

#[tokio::test]
async fn what_was_dropped_is_counted_and_a_cursor_of_another_life_is_known() {
    let gateway = Gateway::start(&["explain.feed_bytes = 4096"]).await;
    let mut client = gateway.connect("ann").await;
    for n in 0..40 {
        client.open(&format!("t{}", n % 10)).await;
        client.say(json!({"type": "leave", "thread": format!("t{}", n % 10)})).await;
        client.expect("closed").await;
    }
    let newest = page(&gateway, "limit=1").await;
    let (epoch, last) = newest["next"].as_str().unwrap().split_once('.').unwrap();
    let last: u64 = last.parse().unwrap();
    let after_first = page(&gateway, &format!("after={epoch}.1")).await;
    let (missed, held) = (after_first["missed"].as_u64().unwrap(), threads(&after_first).len() as u64);
    assert!(missed > 0 && missed + held == last - 1, "{missed} and {held} of {last}");
    let other = page(&gateway, "after=00000000000000aa.7").await;
    assert_eq!((&other["restarted"], threads(&other).len() as u64), (&json!(true), held));
    assert!(gateway.metric("lychgate_explain_bytes").await > 0.0);
}

#[tokio::test]
async fn a_feed_is_for_readers_and_a_mistake_names_its_parameter() {
    let gateway = Gateway::start(&[]).await;
    let reader = Ask::get("/v1/admin/decisions").header("authorization", format!("Bearer {READ_KEY}"));
    assert_eq!(reader.send_to_admin(&gateway).await.status, 200);
    assert_eq!(Ask::get("/v1/admin/decisions").send_to_admin(&gateway).await.status, 401);
    for (query, names) in [
        ("after=x", "`after`"),
        ("limit=0", "`limit`"),
        ("limit=1001", "`limit`"),
        ("level=worst", "`level`"),
        ("verdict=evicted,forgiven", "forgiven"),
        ("since=yesterday", "`since`"),
        ("interesting=maybe", "`interesting`"),
        ("wait=31s", "`wait`"),
        ("wait=5", "`wait`"),
    ] {
        let (status, error) = ask(&gateway, Ask::get(format!("/v1/admin/decisions?{query}"))).await;
        assert_eq!(status, 400, "{query}");
        assert!(error["message"].as_str().unwrap().contains(names), "{query}: {error}");
    }
}
