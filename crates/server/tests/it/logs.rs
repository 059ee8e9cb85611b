//! Standard error: what it is told when nobody reads it, when somebody is in a storm, and at the end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::gateway::{Doors, Gateway, Process, configuration, soon};

/// A gateway whose standard error is read to the line that says where it listens, and then left alone.
struct Unread {
    child: Child,
    /// Held open: nobody reads on, and the pipe fills.
    errors: BufReader<std::process::ChildStderr>,
    file: PathBuf,
    doors: Doors,
}

impl Unread {
    fn start(keys: &[&str]) -> Self {
        let name = format!("unread-{}.toml", std::process::id());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, configuration(keys).join("\n")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lychgate"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("gateway.serving") {
            let before = std::mem::take(&mut line);
            assert!(errors.read_line(&mut line).unwrap() > 0, "it ended before it served: {before}");
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line["fields"][name].as_str().unwrap().parse().unwrap();
        let doors = Doors { address: address("listen"), admin: address("admin") };
        Self { child, errors, file, doors }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _gone = self.child.kill();
        self.child.wait().unwrap();
        fs::remove_file(&self.file).unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_the_log_stops_neither_answers_nor_heartbeats_nor_the_end() {
    let mut gateway = Unread::start(&[
        r#"log.format = "json""#,
        r#"log.level = "trace""#,
        "log.storm_lines = 0",
        r#"liveness.ping_interval = "300ms""#,
        r#"liveness.ping_answer = "250ms""#,
    ]);
    let doors = gateway.doors;
    let mut client = doors.connect("ann").await;
    client.open("t1").await;
    // Until the pipe is full, the queue behind it too, and lines are lost.
    let mut run = 0;
    while doors.metric("lychgate_log_lines_dropped_total").await == 0.0 {
        run += 1;
        assert_eq!(
            client.ask("t1", &format!("r{run}"), "hello").await.last().unwrap()["event"]["type"],
            "RUN_FINISHED"
        );
    }
    doors.serves_others().await;
    // The reaper, which sends them, logs too.
    let pings = doors.metric("lychgate_pings_total").await;
    doors.metric_becomes("lychgate_pings_total", |now| now > pings + 1.0).await;
    assert_eq!(doors.get("/readyz").await.0, 200);
    let id = rustix::process::Pid::from_child(&gateway.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    // It gives its reader a second, and no more.
    soon(async {
        while gateway.child.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert!(gateway.child.wait().unwrap().success());
    let mut rest = String::new();
    gateway.errors.read_to_string(&mut rest).unwrap();
    assert!(rest.lines().count() > 10, "{rest}");
}

#[tokio::test]
async fn a_storm_of_one_kind_of_line_is_told_in_a_sentence_and_counted() {
    let keys = ["log.storm_lines = 3", "log.storm_every = 1000"];
    let gateway = Gateway::start(&keys).await;
    for _ in 0..40 {
        gateway.connect("ann").await.close().await;
    }
    gateway.process.line_with(" more like this").await;
    gateway.process.line_with(r#"like="connection.opened""#).await;
    assert!(gateway.metric("lychgate_log_lines_dropped_total").await > 0.0);
}

/// A journal that cannot be opened ends the program before it serves.
#[tokio::test]
async fn what_was_logged_before_an_early_error_is_written() {
    let keys = [r#"journal.kind = "sqlite""#, r#"journal.directory = "/proc/no/such/place""#, r#"log.level = "trace""#];
    let (code, said) = Process::serve(&configuration(&keys)).end().await;
    assert_ne!(code, Some(0));
    assert!(said.contains("lychgate: "), "{said}");
}

#[tokio::test]
async fn every_line_of_googles_form_is_one_object() {
    let mut gateway = Process::serve(&configuration(&[
        r#"log.format = "gcp""#,
        r#"log.level = "trace""#,
        r#"log.gcp_project = "my-project-42""#,
    ]));
    gateway.line_with("gateway.serving").await;
    gateway.signal(rustix::process::Signal::TERM);
    let (code, said) = gateway.end().await;
    assert_eq!(code, Some(0), "{said}");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["severity"].is_string() && line["time"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(said.contains("gateway.stopped"), "{said}");
}
