//! Publications, as the audit log knows them: whatever reached a user stands there, and so does what did not.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::ask;
use crate::gateway::{Doors, Gateway, soon};
use crate::http::client::{Answer, Ask};

/// A journal on disk that somebody else may hold, so that publications wait as long as a test wants.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let name = format!("publish-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    async fn gateway(&self) -> Gateway {
        Gateway::start(&[r#"journal.kind = "sqlite""#, &format!("journal.directory = {:?}", self.0)]).await
    }

    /// Nobody else writes to the journal until this is dropped; the gateway waits for it, up to a minute.
    fn held(&self) -> Connection {
        let journal = Connection::open(self.0.join("journal.db")).unwrap();
        journal.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        journal.execute_batch("BEGIN IMMEDIATE").unwrap();
        journal
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn publish(gateway: &Gateway, thread: Option<&str>, key: &str) -> Answer {
    let events = json!([{"type": "CUSTOM", "name": "order", "value": key}]);
    let body = json!({"user": "ann", "thread": thread, "key": key, "events": events});
    let admin = Doors { address: gateway.admin, ..**gateway };
    Ask::post("/v1/admin/publish", &body).by_operator().start(&admin).await
}

/// The entry of a publication whose key begins so, once it has this outcome.
async fn entry(gateway: &Gateway, key: &str, outcome: &str) -> Value {
    soon(async {
        loop {
            let page = ask(gateway, Ask::get("/v1/admin/audit?limit=500")).await.1;
            let is_it = |entry: &&Value| {
                let its = entry["parameters"]["key"].as_str().is_some_and(|its| its.starts_with(key));
                its && entry["outcome"] == outcome
            };
            if let Some(entry) = page["entries"].as_array().unwrap().iter().find(is_it) {
                return entry.clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_publication_is_written_down_before_it_is_made_and_after_whether_the_backend_stays_or_hangs_up() {
    let place = Place::new();
    let gateway = place.gateway().await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    let held = place.held();
    let hung_up = publish(&gateway, Some("t1"), "k1").await;
    entry(&gateway, "k1", "begun").await;
    drop(hung_up);
    // By the time that it answers somebody else, the gateway may know that this one is gone.
    entry(&gateway, "k1", "begun").await;
    drop(held);
    assert_eq!(tab.events_to_end().await[1]["event"]["value"], "k1", "it reaches the user all the same");
    let done = entry(&gateway, "k1", "done").await;
    assert_eq!((&done["user"], &done["thread"]), (&json!("ann"), &json!("t1")));
    assert_eq!(done["result"]["threads"][0]["thread"], "t1", "{done}");
}

#[tokio::test]
async fn a_publication_that_fails_on_one_of_several_threads_says_in_the_audit_log_which_were_written() {
    let place = Place::new();
    let gateway = place.gateway().await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    tab.open("t2").await;
    let held = place.held();
    // More than may wait on one thread.
    let mut crowd = Vec::new();
    for n in 0..30 {
        crowd.push(publish(&gateway, Some("t2"), &format!("crowd-{n}")).await);
    }
    entry(&gateway, "crowd", "failed").await;
    let mut both = publish(&gateway, None, "both").await;
    entry(&gateway, "both", "begun").await;
    drop(held);
    both.catch_up().await;
    assert_eq!((both.status, &both.json().await["code"]), (409, &json!("busy")));
    let failed = entry(&gateway, "both", "failed").await;
    assert_eq!(failed["result"]["threads"][0]["thread"], "t1", "{failed}");
    assert_eq!(failed["result"]["failed"], json!([{"thread": "t2", "code": "busy"}]));
    // The same again completes it, once the others are through.
    soon(async {
        loop {
            let mut again = publish(&gateway, None, "both").await;
            again.catch_up().await;
            match (again.status, again.json().await) {
                (200, told) => return assert_eq!(told["threads"].as_array().unwrap().len(), 2, "{told}"),
                (status, error) => assert_eq!((status, &error["code"]), (409, &json!("busy"))),
            }
        }
    })
    .await;
}
