//! Logins at a provider that others wrote and had certified (npm `oidc-provider`), on loopback.
//!
//! ```text
//! npm install (target/npm, pinned) -> node xtask/peers/oidc_provider.mjs -> cargo test, with its address: tests/it/login/peer.rs
//! ```

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::install;
use crate::peer::{self, Check};
use crate::run::Watched;

const PACKAGE: &str = "oidc-provider";
const VERSION: &str = "9.13.3";

/// Where the provider sends users back to in those tests: they take the gateway for this one, as behind a proxy.
const REDIRECT: &str =
    "https://chat.example.test/v1/login/peer/callback https://ops.example.test/v1/login/peer/callback";
const CHECKS: usize = 18;

/// Installs and starts it, runs the tests that need it, and ends it again.
pub(crate) fn run(root: &Path) -> Result<()> {
    let (_provider, address) = start(root, REDIRECT)?;
    // One after the other: a provider whose key was changed has forgotten the tokens of whoever is logging in.
    let environment = [("LYCHGATE_OIDC_URL", address), ("RUST_TEST_THREADS", "1".to_owned())];
    Check { tests: &["--test=it", "login::peer"], environment: &environment, checks: CHECKS }.run(root)?;
    println!("{PACKAGE} {VERSION}: passed");
    Ok(())
}

/// Installs and starts it; users come back to `redirects`, separated by spaces. Answers its address too, which is its
/// issuer.
pub(crate) fn start(root: &Path, redirects: &str) -> Result<(Watched, String)> {
    let mut command = Command::new("node");
    command
        .current_dir(root)
        .arg("xtask/peers/oidc_provider.mjs")
        .env("OIDC_HOME", home(root)?)
        .env("OIDC_REDIRECTS", redirects);
    peer::listening(PACKAGE, &mut command)
}

/// Installs it; answers the directory that holds `node_modules`.
pub(crate) fn home(root: &Path) -> Result<std::path::PathBuf> {
    install::program("node", "nodejs")?;
    install::npm(root, PACKAGE, VERSION)
}
