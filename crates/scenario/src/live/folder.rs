//! A folder that goes with whoever holds it.

use std::path::{Path, PathBuf};

/// A folder below the system's for temporary files, under a name of its own; nobody has made it yet.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lychgate-live-{}", uuid::Uuid::new_v4().simple())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever it is for may never have made it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
