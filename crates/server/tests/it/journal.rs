//! The journal on disk, as operators meet it: files that are broken, taken or full, and `lychgate threads` beside a
//! gateway that works.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::gateway::{Gateway, Process, configuration, soon};

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn within(parent: &Path) -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let name = format!("journal-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self(parent.join(name))
    }

    fn keys(&self) -> [String; 2] {
        [r#"journal.kind = "sqlite""#.to_owned(), format!("journal.directory = {:?}", self.0)]
    }

    async fn gateway(&self, more: &[&str]) -> Gateway {
        let keys = self.keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Gateway::start(&keys).await
    }

    /// A gateway that does not come up: its exit code and what it said.
    async fn refused(&self) -> (Option<i32>, String) {
        let keys = self.keys();
        Process::serve(&configuration(&keys.each_ref().map(String::as_str))).end().await
    }

    /// `lychgate threads` on this directory.
    fn threads(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lychgate"));
        command.arg("threads").args(arguments).arg("--data").arg(&self.0).env_clear().current_dir(&self.0);
        command.output().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn a_damaged_journal_is_not_started_on_and_the_way_out_is_named() {
    let place = Place::new();
    drop(place.gateway(&[]).await);
    fs::write(place.0.join("journal.db"), "a letter to somebody else").unwrap();
    let (code, said) = place.refused().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("journal.db: the journal is damaged") && said.contains("restore a backup"), "{said}");
    assert!(said.lines().count() < 8, "{said}");
}

#[tokio::test]
async fn a_directory_belongs_to_one_gateway_until_it_dies() {
    let place = Place::new();
    let mut first = place.gateway(&[]).await;
    let (code, said) = place.refused().await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("another gateway works in this directory"), "{said}");
    first.process.signal(rustix::process::Signal::KILL);
    first.process.end().await;
    place.gateway(&[]).await.serves_others().await;
}

#[tokio::test]
async fn operators_look_at_threads_and_delete_them_beside_a_gateway() {
    let place = Place::new();
    let gateway = place.gateway(&[]).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("t1").await;
    ann.ask("t1", "r1", "What is a lychgate?").await;

    let list = text(&place.threads(&["list"]));
    assert!(list.contains("ann") && list.contains("t1") && list.contains("What is a lychgate?"), "{list}");
    let shown = text(&place.threads(&["show", "ann", "t1"]));
    assert!(shown.contains("user:\n  What is a lychgate?") && shown.contains("assistant:"), "{shown}");
    let export = text(&place.threads(&["export", "--user", "ann"]));
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 5 && lines[0]["thread"] == "t1", "{export}");

    let asked = place.threads(&["delete", "ann", "t1"]);
    assert!(asked.status.code() == Some(2) && text(&asked).contains("--yes"), "{}", text(&asked));
    let deleted = place.threads(&["delete", "ann", "t1", "--yes"]);
    assert!(deleted.status.success(), "{}", text(&deleted));
    let again = place.threads(&["delete", "ann", "t1", "--yes"]);
    assert!(again.status.code() == Some(1) && text(&again).contains("no thread"), "{}", text(&again));
    let mut other = gateway.connect("ann").await;
    assert_eq!(other.open("t1").await["messages"], serde_json::json!([]));
    // The tab that was attached goes on as well.
    let events = ann.ask("t1", "r2", "And now?").await;
    assert_eq!(events.last().unwrap()["event"]["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn a_thread_that_is_deleted_under_its_run_stays_empty_and_takes_the_next_run() {
    let place = Place::new();
    let gateway = place.gateway(&[r#"agents.demo.delay = "100ms""#]).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("t1").await;
    ann.run("t1", "r1", &"one word after the other ".repeat(12)).await;
    ann.expect_event("TEXT_MESSAGE_CONTENT").await;
    let flying = place.threads(&["delete", "ann", "t1", "--yes"]);
    assert!(flying.status.code() == Some(1) && text(&flying).contains("in flight"), "{}", text(&flying));
    let deleted = place.threads(&["delete", "ann", "t1", "--yes", "--force"]);
    assert!(deleted.status.success(), "{}", text(&deleted));
    // The run before it has nothing to write its end to; it is busy until it has noticed.
    ann.run("t1", "r2", "And now?").await;
    soon(async {
        loop {
            let frame = ann.expect_one_of(&["event", "error"]).await;
            match frame["type"].as_str().unwrap() {
                "error" => ann.run("t1", "r2", "And now?").await,
                _ if frame["event"]["runId"] == "r2" => break,
                _ => {}
            }
        }
    })
    .await;
    let events = ann.events_to_end().await;
    assert_eq!(events.last().unwrap()["event"]["runId"], "r2");
    let mut other = gateway.connect("ann").await;
    let messages = other.open("t1").await["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 2, "{messages}");
    drop(gateway);
}

/// A file system of a few megabytes, unmounted with the test; none where this user may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new() -> Option<Self> {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("small-disk-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&place);
        let mounted = mount.status().is_ok_and(|status| status.success());
        let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
        assert!(mounted || !must, "where everything is tested, a disk has to be filled");
        mounted.then_some(Self(place))
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        for size in [65_536, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn on_a_full_disk_the_run_ends_with_an_error_to_read_and_the_gateway_goes_on() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("SKIPPED: this user may not mount a small disk, so none was filled");
        return;
    };
    let place = Place::within(&disk.0);
    let gateway = place.gateway(&[r#"agents.demo.delay = "100ms""#]).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("t1").await;
    ann.run("t1", "r1", &"one word after the other ".repeat(12)).await;
    ann.expect_event("TEXT_MESSAGE_CONTENT").await;
    disk.fill();
    let events = ann.events_to_end().await;
    let end = &events.last().unwrap()["event"];
    assert_eq!(end["type"], "RUN_ERROR", "{end}");
    assert!(end["message"].as_str().unwrap().len() > 10, "{end}");

    let (status, said) = gateway.get("/readyz").await;
    assert_eq!((status, said.contains("the disk is full")), (503, true), "{said}");
    assert_eq!(gateway.get("/healthz").await.0, 200);
    ann.run("t1", "r2", "Is there room?").await;
    ann.expect_error("internal").await;

    fs::remove_file(disk.0.join("filler")).unwrap();
    soon(async { while gateway.get("/readyz").await.0 != 200 {} }).await;
    let events = ann.ask("t1", "r3", "And now?").await;
    assert_eq!(events.last().unwrap()["event"]["type"], "RUN_FINISHED");
    drop(gateway);
}
