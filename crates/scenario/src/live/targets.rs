//! Tells a Prometheus which gateways there are: a file for each, as its `file_sd_configs` read them.
//!
//! ```text
//! gateway starts -> DIR/slow-fill.json: {address, instance="slow-fill"} -> ... -> a last scrape -> the file goes -> it stops
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::time::sleep;

use super::metrics::Admin;

/// Whoever scrapes each second has seen what there was to see.
const LAST_SCRAPE: Duration = Duration::from_millis(2_500);

/// The directory of the files.
#[derive(Debug, Clone)]
pub struct Targets(PathBuf);

/// A gateway that can be scraped; dropped, it can not.
#[derive(Debug)]
pub struct Notice(PathBuf);

impl Targets {
    /// The files go into this directory, which is there.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// A gateway of this name can be scraped here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn post(&self, name: &str, admin: Admin) -> anyhow::Result<Notice> {
        let path = self.0.join(format!("{}.json", name.replace('/', "-")));
        let targets = json!([{ "targets": [admin.0.to_string()], "labels": { "instance": name } }]);
        // Renamed, so that nobody reads half of it.
        let half = path.with_extension("half");
        std::fs::write(&half, targets.to_string())
            .and_then(|()| std::fs::rename(&half, &path))
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Notice(path))
    }
}

impl Notice {
    /// Lets everything be seen that was, and then takes the gateway off the list.
    pub async fn withdraw(self) {
        sleep(LAST_SCRAPE).await;
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        // One that stays is a target that does not answer.
        let _ = std::fs::remove_file(&self.0);
    }
}
