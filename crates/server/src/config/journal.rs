//! `[journal]`: where events are kept.

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
}

impl RawJournal {
    pub(super) fn check(&self) -> Result<Journal, Fault> {
        in_range("journal.max_bytes", self.max_bytes, 65_536, usize::MAX)?;
        in_range("journal.max_events_per_thread", self.max_events_per_thread, 1, usize::MAX)?;
        in_range("journal.max_messages_per_thread", self.max_messages_per_thread, 1, usize::MAX)?;
        Ok(Journal {
            kind: self.kind,
            max_bytes: self.max_bytes,
            max_events_per_thread: self.max_events_per_thread,
            max_messages_per_thread: self.max_messages_per_thread,
        })
    }
}
