//! Readiness means delivery (hazard R26): what keeps an answer from its reader makes `/readyz` red, and nothing else has to.

use std::path::PathBuf;

use rusqlite::Connection;

use crate::gateway::{Gateway, soon};

/// A directory of the tests that is gone with them.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn key(&self) -> String {
        format!("journal.directory = {:?}", self.0.display().to_string())
    }

    /// Another program takes the file of the journal for itself, until the answer is dropped.
    pub(crate) fn hold(&self) -> Connection {
        let files = std::fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        let is_journal = |path: &PathBuf| path.file_name().is_some_and(|name| name == "journal.db");
        let database = Connection::open(files.into_iter().find(is_journal).unwrap()).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        database
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Trials that come quickly, and have the time that a noisy machine needs.
pub(crate) const HASTY: [&str; 3] =
    [r#"journal.kind = "sqlite""#, r#"server.readiness_interval = "100ms""#, r#"liveness.runtime_stuck_after = "2s""#];

#[tokio::test]
async fn a_journal_that_hangs_makes_the_node_red_until_it_goes_on() {
    let place = Place::new("held-journal");
    let gateway = Gateway::start(&[&HASTY[..], &[&place.key()]].concat()).await;
    assert_eq!(gateway.get("/readyz").await, (200, "ready\n".to_owned()));
    let held = place.hold();
    soon(async { while gateway.get("/readyz").await.0 == 200 {} }).await;
    let (status, why) = gateway.get("/readyz").await;
    assert!(status == 503 && why.starts_with("not ready: ") && why.contains("journal"), "{why}");
    assert_eq!(gateway.get("/healthz").await.0, 200, "the process lives");
    gateway.metric_becomes("lychgate_ready", |ready| ready < 1.0).await;
    drop(held);
    soon(async { while gateway.get("/readyz").await.0 != 200 {} }).await;
    gateway.metric_becomes("lychgate_ready", |ready| ready > 0.0).await;
    gateway.serves_others().await;
}

#[tokio::test]
async fn trials_show_in_no_count_no_list_and_no_log() {
    let place = Place::new("tried-journal");
    let gateway = Gateway::start(&[&HASTY[..], &[&place.key()]].concat()).await;
    let mut others = 0;
    // Each of these takes its time, in which several trials are made.
    soon(async {
        while others < 20 {
            others += 1;
            assert_eq!(gateway.get("/readyz").await.0, 200);
            for metric in ["sessions", "connections", "connects_total", "admissions_total", "disconnects_total"] {
                assert_eq!(gateway.metric(&format!("lychgate_{metric}")).await, 0.0, "{metric}");
            }
        }
    })
    .await;
    assert_eq!(gateway.process.count("loopback"), 0);
}
