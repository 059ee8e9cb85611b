//! `[journal]`: where events are kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range};

/// `[journal]`
#[derive(Clone, Debug)]
pub struct Journal {
    /// Only `memory` so far.
    pub kind: JournalKind,
    /// Bytes of all threads together; beyond it finished threads go, least recently written first. Default 256 MiB, at
    /// least 64 KiB.
    pub max_bytes: usize,
    /// Events that one thread keeps for resuming; older ones live on as messages. Default 8,192, at least 1.
    pub max_events_per_thread: usize,
    /// Messages that one thread keeps. Default 1,000, at least 1.
    pub max_messages_per_thread: usize,
    /// For backends on disk.
    pub path: Option<PathBuf>,
}

/// Which journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// In this process; gone with it.
    #[default]
    Memory,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJournal {
    kind: JournalKind,
    max_bytes: usize,
    max_events_per_thread: usize,
    max_messages_per_thread: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
}

impl RawJournal {
    pub(super) fn check(&self) -> Result<Journal, Fault> {
        in_range("journal.max_bytes", self.max_bytes, 65_536, usize::MAX)?;
        in_range("journal.max_events_per_thread", self.max_events_per_thread, 1, usize::MAX)?;
        in_range("journal.max_messages_per_thread", self.max_messages_per_thread, 1, usize::MAX)?;
        match (self.kind, &self.path) {
            // Whoever names a path believes that his events are kept; they would not be.
            (JournalKind::Memory, Some(_)) => Err(Fault::value(
                "journal.path",
                "has no effect: journal.kind = \"memory\" keeps events in this process alone",
                "Leave it out.",
            )),
            (JournalKind::Memory, None) => Ok(Journal {
                kind: self.kind,
                max_bytes: self.max_bytes,
                max_events_per_thread: self.max_events_per_thread,
                max_messages_per_thread: self.max_messages_per_thread,
                path: None,
            }),
        }
    }
}
