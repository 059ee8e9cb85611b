//! What a gateway says in its log: where it listens, what it calls an error, and whether it counts with other nodes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

/// Log lines of level `error` that are kept to be shown.
const ERRORS_KEPT: usize = 20;

/// The last lines of a gateway's log, and its errors.
#[derive(Debug, Default)]
pub(super) struct Log {
    tail: VecDeque<String>,
    /// Lines of level `error`, and panics.
    pub(super) errors: Vec<String>,
    /// Where all of it goes as well, for `cargo xtask test` to search.
    record: Option<File>,
    /// Whether its last word was that it counts with the other nodes; none where it said neither.
    pub(super) counts_together: Option<bool>,
    /// How often it said that it goes by its own count.
    pub(super) times_alone: u32,
}

impl Log {
    /// Of the gateway that signs with `secret`.
    pub(super) fn of(secret: &str) -> anyhow::Result<Self> {
        Ok(Self { record: record(secret)?, ..Self::default() })
    }

    fn take(&mut self, line: String) {
        // A disk that takes no more is found by whoever searches for too little.
        self.record.iter_mut().for_each(|record| drop(writeln!(record, "{line}")));
        const TAIL: usize = 40;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        match said["fields"]["event"].as_str() {
            Some("cluster.healthy") => self.counts_together = Some(true),
            Some("cluster.unknown") => {
                self.counts_together = Some(false);
                self.times_alone += 1;
            }
            Some(_) | None => {}
        }
        let is_error = said["level"] == "ERROR" || line.contains("panicked at");
        if is_error && self.errors.len() < ERRORS_KEPT {
            self.errors.push(line.clone());
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(super) fn shown(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// The file for a gateway's log, where `LYCHGATE_TEST_RECORD` names a directory; its secret is left beside it.
fn record(secret: &str) -> anyhow::Result<Option<File>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(directory) = std::env::var_os("LYCHGATE_TEST_RECORD").map(PathBuf::from) else { return Ok(None) };
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let secrets = directory.join(format!("live-{process}.secrets"));
    let mut secrets = File::options().create(true).append(true).open(secrets)?;
    secrets.write_all(format!("{}\n", Value::from(secret)).as_bytes())?;
    Ok(Some(File::create(directory.join(format!("live-{process}-{count}.log")))?))
}

pub(super) fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a gateway listens, as its log says once it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// Reads a log to its end, so that the gateway never waits for us to take a line.
pub(super) async fn follow(lines: impl AsyncRead + Unpin, log: Arc<Mutex<Log>>, found: mpsc::Sender<Ready>) {
    let mut lines = BufReader::new(lines).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(ready) = Ready::parse(&line) {
            // Nobody waits for addresses any more once the gateway is ready.
            let _ = found.try_send(ready);
        }
        lock(&log).take(line);
    }
}

impl Ready {
    fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let address = |name: &str| line["fields"][name].as_str()?.parse().ok();
        Some(Self { listen: address("listen")?, admin: address("admin")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_line_that_names_both() {
        let line = r#"{"level":"INFO","fields":{"message":"ready","listen":"127.0.0.1:5","admin":"127.0.0.1:6"}}"#;
        let ready = Ready::parse(line).unwrap();
        assert_eq!((ready.listen.port(), ready.admin.port()), (5, 6));
        assert_eq!(Ready::parse(r#"{"level":"INFO","fields":{"message":"ready"}}"#), None);
        assert_eq!(Ready::parse("plain words"), None);
    }

    #[test]
    fn errors_and_panics_of_the_gateway_are_remembered_and_the_rest_only_for_a_while() {
        let mut log = Log::default();
        log.take(r#"{"level":"ERROR","fields":{"message":"a promise is broken"}}"#.to_owned());
        (0..100).for_each(|n| log.take(format!(r#"{{"level":"INFO","fields":{{"message":"{n}"}}}}"#)));
        log.take("thread 'x' panicked at src/lib.rs:1:1".to_owned());
        assert_eq!(log.errors.len(), 2);
        assert_eq!(log.tail.len(), 40);
    }
    #[test]
    fn the_last_word_about_the_other_nodes_counts() {
        let mut log = Log::default();
        for (event, expected) in
            [("cluster.unknown", Some(false)), ("session.created", Some(false)), ("cluster.healthy", Some(true))]
        {
            log.take(format!(r#"{{"level":"INFO","fields":{{"event":"{event}"}}}}"#));
            assert_eq!(log.counts_together, expected, "{event}");
        }
        assert_eq!(log.times_alone, 1);
    }
}
