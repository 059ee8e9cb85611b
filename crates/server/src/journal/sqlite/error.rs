//! Why a journal cannot be opened: each names the file and the way out.

use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// Why a journal was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system denies the directory or a file in it.
    #[error("{}: the journal's directory cannot be used: {source}\n  Let this user write there, or name another directory with --data or journal.directory.", path.display())]
    Denied {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: another gateway works in this directory\n  Stop it, or name another directory with --data or journal.directory. A gateway that died holds nothing.", path.display())]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// There is nothing to read.
    #[error("{}: there is no journal here\n  Name the directory of a gateway with --data; its default is journal.directory.", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// Some other program's database.
    #[error("{}: this is a database of another program\n  Move it away, or name another directory with --data or journal.directory.", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("{}: this journal has version {found}, and this program knows {known} at most\n  Start the version of Lychgate that wrote it or a later one, or restore the backup from before.", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// It is not what was written.
    #[error("{0}: the journal is damaged: {why}\n  Stop here and copy the directory. Then restore a backup, or try: sqlite3 {0} .recover | sqlite3 recovered.db\n  or move {0}* away: the gateway starts with an empty journal. docs/journal.md says more.", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system failed.
    #[error("{}: the journal cannot be opened: {why}", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

impl From<OpenError> for Error {
    /// Exit code 2 where the operator has to ask for something else, 1 where something has to be mended.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Denied { .. }
            | OpenError::InUse { .. }
            | OpenError::Missing { .. }
            | OpenError::Foreign { .. }
            | OpenError::Newer { .. } => Self::Usage(error.to_string()),
            OpenError::Damaged { .. } | OpenError::Failed { .. } => Self::Failed(error.to_string()),
        }
    }
}
