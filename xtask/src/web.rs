//! `cargo xtask web`: the client SDK and the pages, checked and built where the gateway embeds them from.
//!
//! ```text
//! npm ci (when package-lock.json is another one) -> sdk/ts: types, build, size, package -> console: types, build, size
//!                                                    -> sdk/ts/dist                        -> console/dist
//! ```

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{install, run};

pub(crate) const HELP: &str = "\
cargo xtask web

Installs what package-lock.json names (node_modules), builds the client SDK (sdk/ts/dist) and the pages
(console/dist), and checks types, sizes and the package. A release embeds console/dist; the dev profile
reads it when it is asked. Needs node (20 or newer) and npm.";

const NPM_WITHIN: Duration = Duration::from_secs(300);

/// What both pages may weigh together, compressed: they load over a train's network.
const PAGES_AT_MOST: u64 = 120_000;

/// The scripts of the workspaces, in order.
const SCRIPTS: [(&str, &str); 6] = [
    ("sdk/ts", "check"),
    ("sdk/ts", "build"),
    ("sdk/ts", "size"),
    ("sdk/ts", "pack-check"),
    ("console", "check"),
    ("console", "build"),
];

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        bail!("web does not know `{unknown}`\n\n{HELP}");
    }
    packages(root)?;
    for (workspace, script) in SCRIPTS {
        npm_run(root, workspace, script, NPM_WITHIN)?;
    }
    let bytes = weight(&root.join("console/dist"))?;
    if bytes > PAGES_AT_MOST {
        bail!("the pages weigh {bytes} bytes compressed; {PAGES_AT_MOST} is what they may");
    }
    println!("The pages weigh {bytes} bytes compressed, of {PAGES_AT_MOST} that they may.");
    Ok(())
}

/// Builds the pages without checking them, for whoever wants to see them soon.
pub(crate) fn quickly(root: &Path) -> Result<()> {
    packages(root)?;
    npm_run(root, "sdk/ts", "build", NPM_WITHIN)?;
    npm_run(root, "console", "build", NPM_WITHIN)
}

/// Runs a script of a workspace.
pub(crate) fn npm_run(root: &Path, workspace: &str, script: &str, within: Duration) -> Result<()> {
    run::stream(&mut npm(root, &["run", "--workspace", workspace, script]), within)
}

/// npm, at the root of the workspaces.
pub(crate) fn npm(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root).args(words).env("NO_UPDATE_NOTIFIER", "1");
    command
}

/// Makes sure that exactly what the lock file names lies in `node_modules`. Install scripts of packages are not run
/// (`.npmrc`).
pub(crate) fn packages(root: &Path) -> Result<()> {
    install::program("node", "nodejs")?;
    install::program("npm", "npm")?;
    let lock = root.join("package-lock.json");
    let wanted = std::fs::read(&lock).with_context(|| format!("could not read {}", lock.display()))?;
    // Written last: what was interrupted is begun anew.
    let stamp = root.join("node_modules/.lychgate-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run::stream(&mut npm(root, &["ci"]), NPM_WITHIN)?;
    std::fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
}

/// Bytes of the files below a directory, each compressed as the gateway sends it.
fn weight(directory: &Path) -> Result<u64> {
    let script = "const fs=require('fs'),zlib=require('zlib');let sum=0;\
         for(const entry of fs.readdirSync(process.argv[1],{recursive:true,withFileTypes:true}))\
         if(entry.isFile())sum+=zlib.gzipSync(fs.readFileSync((entry.parentPath??entry.path)+'/'+entry.name)).length;\
         console.log(sum)";
    let said = run::capture(Command::new("node").args(["-e", script]).arg(directory), NPM_WITHIN)?;
    said.trim().parse().with_context(|| format!("node said {said:?} and not how much the pages weigh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_web_does_not_know_are_refused_before_anything_is_installed() {
        let refused = run(Path::new("no/such/place"), &["--watch".to_owned()]);
        assert!(refused.is_err_and(|error| error.to_string().contains("--watch")));
    }

    #[test]
    fn pages_are_weighed_as_they_are_sent() {
        let directory = std::env::temp_dir().join(format!("lychgate-weight-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("assets")).unwrap();
        std::fs::write(directory.join("chat.html"), "a".repeat(100_000)).unwrap();
        std::fs::write(directory.join("assets/chat.js"), "b".repeat(100_000)).unwrap();
        let bytes = weight(&directory).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!((100..10_000).contains(&bytes), "{bytes}");
    }
}
