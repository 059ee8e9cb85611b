//! `[journal]`: where events are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range};
use super::value::Span;

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Where the logs are. Default `sqlite`.
    pub kind: JournalKind,
    /// Where `sqlite` keeps its file; made if it is not there. Default `lychgate-data`, in the working directory.
    pub directory: PathBuf,
    /// When `sqlite` acknowledges. Default `normal`.
    pub durability: Durability,
    /// Bytes of all threads of `memory` together; beyond it finished threads go, least recently written first. Default
    /// 256 MiB, at least 64 KiB.
    pub max_bytes: usize,
    /// Events that one thread keeps for resuming; older ones live on as messages. Default 8,192, at least 1.
    pub max_events_per_thread: usize,
    /// Messages that one thread keeps. Default 1,000, at least 1.
    pub max_messages_per_thread: usize,
    /// Bytes of JSON that one thread of `sqlite` keeps: of its messages, and again of its events. Default 16 MiB, at
    /// least 64 KiB.
    pub max_bytes_per_thread: usize,
    /// How long nobody may have written to a thread of `sqlite` before its pieces of text are joined. Default 10 min.
    pub compact_after: Duration,
    /// How long after its last run a thread of `sqlite` is deleted. Default never; at least a day.
    pub retention: Option<Duration>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kind: JournalKind::Sqlite,
            directory: PathBuf::from("lychgate-data"),
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
    pub(super) fn check(&self) -> Result<Journal, Fault> {
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
