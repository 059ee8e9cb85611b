//! What of this machine a configuration can contradict. What cannot be read is not known, and contradicts nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, geteuid, getrlimit};

use crate::config::{Config, JournalKind};

/// Magic numbers of file systems in memory (statfs(2)).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// Descriptors that this user's processes may have open.
    pub(super) descriptors: Option<u64>,
    /// Bytes that a process here may take: the smallest limit of its control groups, or all memory there is.
    pub(super) memory: Option<u64>,
    /// Connections that the kernel keeps for a listener.
    pub(super) backlog: Option<u64>,
    /// Where the journal lies; none without a journal on disk.
    pub(super) disk: Option<Disk>,
}

/// The file system of a directory, or of where it would be made.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) directory: PathBuf,
    pub(super) is_memory: bool,
    /// Bytes that are free for this user.
    pub(super) free: u64,
    pub(super) size: u64,
    /// Whether it belongs to somebody else, and we are not root.
    pub(super) is_foreign: bool,
}

impl Machine {
    pub(super) fn read(config: &Config) -> Self {
        let directory = match config.journal.kind {
            JournalKind::Sqlite => Some(config.journal.directory.as_path()),
            JournalKind::Memory | JournalKind::Redis => None,
        };
        Self {
            descriptors: getrlimit(Resource::Nofile).current,
            memory: memory(),
            backlog: number(Path::new("/proc/sys/net/core/somaxconn")),
            disk: directory.and_then(disk),
        }
    }
}

fn memory() -> Option<u64> {
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = groups.into_iter().filter_map(|path| number(Path::new(path)));
    let total = || {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    };
    limits.chain(total()).min()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn disk(directory: &Path) -> Option<Disk> {
    let absolute = std::path::absolute(directory).ok()?;
    // One that is not there yet is made in the nearest that is.
    let existing = absolute.ancestors().find(|path| path.exists())?;
    let known = rustix::fs::statfs(existing).ok()?;
    let block = u64::try_from(known.f_bsize).unwrap_or(0);
    let kind = known.f_type as u64 & 0xffff_ffff;
    let owner = fs::metadata(existing).ok()?.uid();
    let us = geteuid();
    Some(Disk {
        directory: absolute.clone(),
        is_memory: kind == TMPFS || kind == RAMFS,
        free: known.f_bavail.saturating_mul(block),
        size: known.f_blocks.saturating_mul(block),
        is_foreign: existing == absolute && !us.is_root() && owner != us.as_raw(),
    })
}
