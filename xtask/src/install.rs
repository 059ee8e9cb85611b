//! What a check needs beyond Rust: packages from npm and PyPI by pinned version, packages from apt by name.
//!
//! npm packages go to `target/npm/<name>`, Python's to `target/venv/<name>`, so that `cargo clean` removes them; apt is
//! asked only when a program is missing, and only by root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run;

const NPM_WITHIN: Duration = Duration::from_secs(180);
const PIP_WITHIN: Duration = Duration::from_secs(300);
const APT_WITHIN: Duration = Duration::from_secs(300);

/// Fails with a sentence if the C compiler or `make`, which the TLS library and the allocator are built with, is
/// missing: better now than after minutes of compiling.
pub(crate) fn need_compiler() -> Result<()> {
    let compiler = std::env::var_os("CC").is_some() || ["cc", "gcc", "clang"].into_iter().any(run::is_on_path);
    if !compiler {
        bail!("a C compiler is needed (`apt install gcc libc6-dev`, or your system's equal)");
    }
    program("make", "make")
}

/// Makes sure that `program` is on the PATH: with apt, if it is missing and we may.
pub(crate) fn program(program: &str, package: &str) -> Result<()> {
    match run::is_on_path(program) {
        true => Ok(()),
        false => apt(program, package),
    }
}

/// Installs `package` with apt, if we may.
fn apt(missing: &str, package: &str) -> Result<()> {
    if !(run::is_on_path("apt-get") && is_root()) {
        bail!("`{missing}` is needed: install the package `{package}` of your system");
    }
    println!("`{missing}` is missing: installing `{package}`");
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
        run::stream(&mut command, APT_WITHIN)
    };
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", "--no-install-recommends", package])
}

/// Makes sure that exactly this version lies in `target/npm/<name>`, and returns that directory (the one that holds
/// `node_modules`). Install scripts of packages are not run.
pub(crate) fn npm(root: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let home = run::target_dir(root)?.join("npm").join(name);
    let manifest = home.join("node_modules").join(name).join("package.json");
    if installed_version(&manifest).as_deref() == Some(version) {
        return Ok(home);
    }
    program("npm", "npm")?;
    std::fs::create_dir_all(&home).with_context(|| format!("could not make {}", home.display()))?;
    // Without a package.json of its own npm would look for one further up and install there.
    std::fs::write(home.join("package.json"), "{\"private\":true}\n")?;
    let mut command = Command::new("npm");
    command
        .current_dir(&home)
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"])
        .arg(format!("{name}@{version}"));
    run::stream(&mut command, NPM_WITHIN)?;
    match installed_version(&manifest) {
        Some(found) if found == version => Ok(home),
        found => bail!("npm installed {name} {found:?}, not {version}"),
    }
}

/// Makes sure that `target/venv/<name>` is a Python environment with exactly the packages that `requirements` pins, and
/// returns its Python.
pub(crate) fn python(root: &Path, name: &str, requirements: &Path) -> Result<PathBuf> {
    let home = run::target_dir(root)?.join("venv").join(name);
    let python = home.join("bin/python");
    let wanted =
        std::fs::read_to_string(requirements).with_context(|| format!("could not read {}", requirements.display()))?;
    // Written last: what was interrupted is begun anew.
    let stamp = home.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    program("python3", "python3")?;
    // Debian ships Python without what makes environments.
    let has_venv = Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    if !has_venv.is_ok_and(|status| status.success()) {
        apt("python3 -m venv", "python3-venv")?;
    }
    run::stream(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), PIP_WITHIN)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    run::stream(&mut pip, PIP_WITHIN)?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

fn installed_version(manifest: &Path) -> Option<String> {
    let text = std::fs::read_to_string(manifest).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_installs_nothing() {
        program("sh", "no-such-package").unwrap();
    }

    #[test]
    fn a_manifest_that_is_missing_or_broken_counts_as_not_installed() {
        assert_eq!(installed_version(Path::new("no/such/package.json")), None);
        assert_eq!(installed_version(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path()), None);
    }
}
