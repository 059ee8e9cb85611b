//! `[journal]`: where events are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range};
use super::redis::{RedisUrl, prefix};
use super::secret::Outside;
use super::value::{Secret, Span};

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Where the logs are. Default `sqlite`.
    pub kind: JournalKind,
    /// Where `sqlite` keeps its file; made if it is not there. Default `lychgate-data`, in the working directory.
    pub directory: PathBuf,
    /// Where the Redis of `redis` is; always there with that kind, once secrets were read. Default none.
    pub url: Option<RedisUrl>,
    /// What every key of `redis` begins with. Default `lychgate`.
    pub prefix: String,
    /// When `sqlite` acknowledges. Default `normal`.
    pub durability: Durability,
    /// Bytes of all threads of `memory` together; beyond it finished threads go, least recently written first. Default
    /// 256 MiB, at least 64 KiB.
    pub max_bytes: usize,
    /// Events that one thread keeps for resuming; older ones live on as messages. Default 8,192, at least 1.
    pub max_events_per_thread: usize,
    /// Messages that one thread keeps. Default 1,000, at least 1.
    pub max_messages_per_thread: usize,
    /// Bytes of JSON that one thread of `sqlite` or `redis` keeps: of its messages, and again of its events. Default 16 MiB, at
    /// least 64 KiB.
    pub max_bytes_per_thread: usize,
    /// How long nobody may have written to a thread of `sqlite` before its pieces of text are joined. Default 10 min.
    pub compact_after: Duration,
    /// How long after its last run a thread of `sqlite` or `redis` is deleted. Default never; at least a day.
    pub retention: Option<Duration>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kind: JournalKind::Sqlite,
            directory: PathBuf::from("lychgate-data"),
            url: None,
            prefix: "lychgate".to_owned(),
            durability: Durability::Normal,
            max_bytes: 256 * 1_024 * 1_024,
            max_events_per_thread: 8_192,
            max_messages_per_thread: 1_000,
            max_bytes_per_thread: 16 * 1_024 * 1_024,
            compact_after: Duration::from_secs(600),
            retention: None,
        }
    }
}

/// Which journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// In this process; gone with it.
    Memory,
    /// In a file of this node.
    #[default]
    Sqlite,
    /// In a Redis that several nodes share.
    Redis,
}

/// What an acknowledged append survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The death of the process; a loss of power may take what was acknowledged last.
    #[default]
    Normal,
    /// The loss of power as well: each append waits for the disk.
    Full,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJournal {
    kind: JournalKind,
    directory: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    prefix: String,
    durability: Durability,
    max_bytes: usize,
    max_events_per_thread: usize,
    max_messages_per_thread: usize,
    max_bytes_per_thread: usize,
    compact_after: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<u32>,
}

impl RawJournal {
    /// Reads the secrets, too.
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Journal, Fault> {
        let url = RedisUrl::of(
            ["journal.url", "journal.url_env", "journal.url_file"],
            (&self.url, &self.url_env, &self.url_file),
            outside,
        )?;
        match (self.kind, &url) {
            (JournalKind::Redis, None) => {
                let remedy = "Write redis://[user:password@]host:6379, or name where it is kept with journal.url_env or journal.url_file.";
                Err(Fault::value("journal.url", "is not set, and journal.kind is \"redis\"", remedy))
            }
            (JournalKind::Redis | JournalKind::Memory | JournalKind::Sqlite, _) => {
                Ok(Journal { url, ..self.check_without_secrets()? })
            }
        }
    }

    /// Everything but the address of a Redis.
    pub(super) fn check_without_secrets(&self) -> Result<Journal, Fault> {
        if self.directory.as_os_str().is_empty() {
            let remedy = "Name a directory, or leave it out for the default.";
            return Err(Fault::value("journal.directory", "is empty", remedy));
        }
        in_range("journal.max_bytes", self.max_bytes, 65_536, usize::MAX)?;
        in_range("journal.max_events_per_thread", self.max_events_per_thread, 1, usize::MAX)?;
        in_range("journal.max_messages_per_thread", self.max_messages_per_thread, 1, usize::MAX)?;
        in_range("journal.max_bytes_per_thread", self.max_bytes_per_thread, 65_536, usize::MAX)?;
        if let Some(days) = self.retention_days {
            in_range("journal.retention_days", days as usize, 1, 36_500)?;
        }
        Ok(Journal {
            kind: self.kind,
            directory: self.directory.clone(),
            url: None,
            prefix: prefix("journal.prefix", &self.prefix)?,
            durability: self.durability,
            max_bytes: self.max_bytes,
            max_events_per_thread: self.max_events_per_thread,
            max_messages_per_thread: self.max_messages_per_thread,
            max_bytes_per_thread: self.max_bytes_per_thread,
            compact_after: self.compact_after.0,
            retention: self.retention_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3_600)),
        })
    }
}
