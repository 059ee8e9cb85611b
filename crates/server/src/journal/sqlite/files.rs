//! The directory: who may look into it, who works on it, and what is kept back for the day on which the disk is full.
//!
//! ```text
//! DIR (0700)/ lock          held by the one gateway that works here, given back by the kernel when it dies; in it, the mark
//!             journal.db    and -wal, -shm beside it (0600)
//!             ballast       room that ends of runs may still use when the disk is full
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;

use super::error::OpenError;

const DATABASE: &str = "journal.db";
const LOCK: &str = "lock";
const BALLAST: &str = "ballast";

/// What the ends of a few hundred runs need.
const BALLAST_BYTES: usize = 4 * 1_024 * 1_024;
/// What has to be free beside it: a ballast that took the last room would be given up at once.
const BESIDE_BALLAST: u64 = 1_024 * 1_024;

/// The file of the database in `directory`.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

/// A directory that this process works on and no other does.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The kernel gives the lock back when the last descriptor of it is closed, however the process ends.
    lock: File,
}

/// What the directory says of the file in it, apart from the file: how it was when it was last opened or closed. A backup
/// that was copied over the file says something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Random text, of one opening or closing alone.
    pub(super) nonce: String,
    /// The highest rank that was seen in the file since.
    pub(super) rank: u64,
}

/// Of the last part of a mark.
const RANK_DIGITS: usize = 20;

impl Directory {
    /// Makes the directory where it is missing, and the file in it; nobody but this user may read either.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        let denied = |source| OpenError::Denied { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(denied)?;
        let lock = private(&path.join(LOCK)).map_err(denied)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse { path: path.to_owned() }),
            Err(error) => return Err(denied(error.into())),
        }
        private(&database(path)).map_err(denied)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    pub(super) fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// Names the file of the database as no copy of it is named: a backup that was put in its place is another one.
    pub(super) fn identity(&self) -> String {
        let identity = || -> io::Result<String> {
            let file = fs::metadata(self.database())?;
            let born = file.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            Ok(format!("{}:{}:{}", file.dev(), file.ino(), born.map_or(0, |born| born.as_nanos())))
        };
        identity().unwrap_or_default()
    }

    /// The mark; an empty one where there is none that can be read.
    pub(super) fn mark(&self) -> Mark {
        let text = fs::read_to_string(self.path.join(LOCK)).unwrap_or_default();
        let mark = text
            .trim_end()
            .split_once(' ')
            .and_then(|(rank, nonce)| Some(Mark { nonce: nonce.to_owned(), rank: rank.parse().ok()? }));
        mark.unwrap_or_default()
    }

    /// Replaces the mark, and returns when the disk has it.
    pub(super) fn leave_mark(&self, mark: &Mark) -> io::Result<()> {
        let text = format!("{:0RANK_DIGITS$} {}\n", mark.rank, mark.nonce);
        self.lock.set_len(text.len() as u64)?;
        self.lock.write_all_at(text.as_bytes(), 0)?;
        self.lock.sync_all()
    }

    /// Raises the rank of the mark, without waiting for the disk: what a loss of power takes of it makes it no wrong one.
    pub(super) fn raise_mark(&self, rank: u64) -> io::Result<()> {
        self.lock.write_all_at(format!("{rank:0RANK_DIGITS$}").as_bytes(), 0)
    }

    /// Takes room on the disk, if there is enough: to try and fail would take all that is left from everybody else on it,
    /// again and again. Real bytes: a file system that compresses or shares blocks would give holes no room.
    pub(super) fn take_ballast(&self) -> io::Result<()> {
        let path = self.path.join(BALLAST);
        if fs::metadata(&path).is_ok_and(|ballast| ballast.len() == BALLAST_BYTES as u64) {
            return Ok(());
        }
        let free = statvfs(&self.path)?;
        let is_told = free.f_blocks > 0;
        if is_told && free.f_bavail.saturating_mul(free.f_frsize) < BALLAST_BYTES as u64 + BESIDE_BALLAST {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too little is free to keep some of it back"));
        }
        let taken = private(&path).and_then(|mut file| {
            let noise: Vec<u8> =
                (0..BALLAST_BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            file.write_all(&noise)?;
            file.sync_data()
        });
        taken.inspect_err(|_| self.give_ballast_up())
    }

    /// Gives the room back.
    pub(super) fn give_ballast_up(&self) {
        if let Err(error) = fs::remove_file(self.path.join(BALLAST))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the ballast cannot be given up");
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).open(path)
}

/// Which boot of the machine this is; none where the kernel does not say.
pub(super) fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned()).filter(|boot| !boot.is_empty())
}
