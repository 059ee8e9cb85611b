//! What people see, tried as people do: the client SDK against a real gateway, the pages in a real browser.
//!
//! ```text
//! sdk    vitest (sdk/ts, console) --starts--> lychgate serve
//! pages  apt (chromium) -> Playwright (console/e2e) --starts--> lychgate, bench crowd -> target/screens, target/playwright
//!        '-> every state that has a picture in target/screens has one in docs/screens, and the other way round
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, install, run, web};

const VITEST_WITHIN: Duration = Duration::from_secs(10 * 60);
const PLAYWRIGHT_WITHIN: Duration = Duration::from_secs(20 * 60);

/// The SDK's tests, and those of what the pages compute.
pub(crate) fn sdk(root: &Path) -> Result<()> {
    web::packages(root)?;
    let gateway = built::programs(root)?;
    // The examples and the pages import the package as others do, from what was built.
    web::npm_run(root, "sdk/ts", "build", VITEST_WITHIN)?;
    let sdk = test(root, &gateway, "sdk/ts", "test", VITEST_WITHIN);
    let console = test(root, &gateway, "console", "test", VITEST_WITHIN);
    // Both were tried, so that one run shows everything.
    sdk.and(console)
}

/// The pages, in Chromium; and whether docs/ shows the states that were looked at.
pub(crate) fn browser(root: &Path) -> Result<()> {
    let made = look(root)?;
    let kept = pictures(&root.join(SCREENS))?;
    let differ: Vec<_> = made.symmetric_difference(&kept).map(String::as_str).collect();
    match differ.is_empty() {
        true => Ok(()),
        false => {
            bail!(
                "{SCREENS} shows other states than the tests: {}; `cargo xtask e2e screens` mends it",
                differ.join(", ")
            )
        }
    }
}

/// The same, and the pictures into docs/.
pub(crate) fn screens(root: &Path) -> Result<()> {
    let made = look(root)?;
    let (from, to) = (screens_of_tests(root)?, root.join(SCREENS));
    empty(&to)?;
    for name in &made {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| format!("could not copy {name}"))?;
    }
    std::fs::write(to.join("README.md"), gallery(&made))?;
    println!("{} pictures are in {SCREENS} now.", made.len());
    Ok(())
}

/// Runs the browser's tests; the pictures that they made.
fn look(root: &Path) -> Result<BTreeSet<String>> {
    install::program("chromium", "chromium")?;
    web::quickly(root)?;
    let gateway = built::programs(root)?;
    empty(&screens_of_tests(root)?)?;
    test(root, &gateway, "console", "e2e", PLAYWRIGHT_WITHIN)?;
    pictures(&screens_of_tests(root)?)
}

/// Where people look at them.
const SCREENS: &str = "docs/screens";

fn screens_of_tests(root: &Path) -> Result<PathBuf> {
    Ok(run::target_dir(root)?.join("screens"))
}

fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory).with_context(|| format!("could not empty {}", directory.display()))?;
    }
    std::fs::create_dir_all(directory).with_context(|| format!("could not make {}", directory.display()))
}

/// Names of the pictures in a directory; none where it is missing.
fn pictures(directory: &Path) -> Result<BTreeSet<String>> {
    if !directory.exists() {
        return Ok(BTreeSet::new());
    }
    let names = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.as_ref().map_or(true, |name: &String| name.ends_with(".png"))).collect()
}

/// A page with every state, light beside dark.
fn gallery(pictures: &BTreeSet<String>) -> String {
    let states: BTreeSet<&str> = pictures
        .iter()
        .filter_map(|name| name.strip_suffix("-light.png").or_else(|| name.strip_suffix("-dark.png")))
        .collect();
    let mut page = String::from(
        "# What the pages look like\n\n<!-- Made by `cargo xtask e2e screens`: by the tests in console/e2e, which look at each state \
         in both themes. -->\n\n| state | light | dark |\n|---|---|---|\n",
    );
    for state in states {
        page.push_str(&format!(
            "| {state} | ![{state}, light]({state}-light.png) | ![{state}, dark]({state}-dark.png) |\n"
        ));
    }
    page
}

fn test(root: &Path, programs: &Path, workspace: &str, script: &str, within: Duration) -> Result<()> {
    let mut command = web::npm(root, &["run", "--workspace", workspace, script]);
    command.env("LYCHGATE_BIN", programs.join("lychgate")).env("LYCHGATE_CROWD", programs.join("bench"));
    command.env("CI", "true");
    run::recorded(&mut command);
    run::stream(&mut command, within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_shows_each_state_in_both_themes() {
        let pictures = ["chat-empty-dark.png", "chat-empty-light.png"].map(str::to_owned).into();
        let page = gallery(&pictures);
        let row =
            "| chat-empty | ![chat-empty, light](chat-empty-light.png) | ![chat-empty, dark](chat-empty-dark.png) |\n";
        assert!(page.ends_with(row) && page.matches(".png").count() == 2, "{page}");
    }
}
