//! Autobahn's fuzzing client against the echo example: is our frame layer RFC 6455?
//!
//! The suite needs Python 2.7, so where there is none the run is skipped, loudly. Its home is `target/autobahn`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::built;
use crate::test::Skipped;

/// The last virtualenv that makes a home for Python 2.7, and the suite.
const VIRTUALENV: &str = "virtualenv==16.7.12";
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The name of the peer under test in the suite's report.
const AGENT: &str = "lychgate";

/// Cases against the default limits, and those with messages of up to 16 MiB against a raised one. Sections 12 and 13
/// test compression, which we do not offer.
const DEFAULT_LIMIT: Round = Round {
    name: "default",
    cases: &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
    max_message_bytes: 256 * 1024,
};
const RAISED_LIMIT: Round = Round { name: "raised", cases: &["9.*"], max_message_bytes: 16 * 1024 * 1024 };

struct Round {
    name: &'static str,
    cases: &'static [&'static str],
    max_message_bytes: usize,
}

/// What one section of the suite came to.
#[derive(Default)]
struct Section {
    passed: usize,
    failed: Vec<String>,
    non_strict: Vec<String>,
    informational: usize,
}

/// Runs the suite and prints a table of its sections.
///
/// # Errors
/// When a case failed, or when the suite could not be installed or run. Without Python 2.7 the step is [`Skipped`].
pub(crate) fn run(root: &Path) -> Result<()> {
    let home = root.join("target").join("autobahn");
    let Some(python) = find_python() else {
        bail!(Skipped("there is no Python 2.7 here (`pyenv install 2.7.18` brings it)".to_owned()));
    };
    let wstest = install(&home, &python)?;
    let echo = build_echo(root)?;
    let mut sections = BTreeMap::new();
    for round in [DEFAULT_LIMIT, RAISED_LIMIT] {
        let report = fuzz(&home, &wstest, &echo, &round)?;
        collect(&report, &mut sections)?;
    }
    print_table(&sections);
    let failed: Vec<&str> = sections.values().flat_map(|section| &section.failed).map(String::as_str).collect();
    ensure!(failed.is_empty(), "autobahn: {} cases failed: {}", failed.len(), failed.join(", "));
    Ok(())
}

fn find_python() -> Option<PathBuf> {
    let pyenv = match (std::env::var_os("PYENV_ROOT"), std::env::home_dir()) {
        (Some(pyenv), _) => Some(PathBuf::from(pyenv)),
        (None, Some(home)) => Some(home.join(".pyenv")),
        (None, None) => None,
    };
    let versions = pyenv.map(|pyenv| pyenv.join("versions/2.7.18/bin/python2.7"));
    versions.into_iter().chain([PathBuf::from("python2.7")]).find(|python| is_python(python))
}

fn is_python(python: &Path) -> bool {
    Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Makes a Python home with the suite in it, unless it is there already. Answers the path of `wstest`.
fn install(home: &Path, python: &Path) -> Result<PathBuf> {
    let wstest = home.join("venv/bin/wstest");
    if wstest.exists() {
        return Ok(wstest);
    }
    println!("autobahn: installing {SUITE} into {}", home.display());
    fs::create_dir_all(home)?;
    let tools = home.join("virtualenv");
    let pip = ["-m", "pip", "install", "--quiet", "--target"].map(OsStr::new);
    check(Command::new(python).args(pip).arg(&tools).arg(VIRTUALENV))?;
    let venv = home.join("venv");
    let virtualenv = ["-m", "virtualenv", "--quiet"];
    check(Command::new(python).args(virtualenv).arg(&venv).env("PYTHONPATH", &tools))?;
    check(Command::new(venv.join("bin/pip")).args(["install", "--quiet", SUITE]))?;
    Ok(wstest)
}

/// Builds the echo example and answers its path.
fn build_echo(root: &Path) -> Result<PathBuf> {
    Ok(built::programs(root)?.join("examples/echo"))
}

/// One run of the fuzzing client against a server of its own. Answers the path of its report.
fn fuzz(home: &Path, wstest: &Path, echo: &Path, round: &Round) -> Result<PathBuf> {
    let server = Server::start(echo, round.max_message_bytes)?;
    let outdir = home.join(format!("report-{}", round.name));
    if outdir.exists() {
        fs::remove_dir_all(&outdir)?;
    }
    let specification = json!({
        "outdir": outdir,
        "servers": [{ "agent": AGENT, "url": format!("ws://{}", server.address) }],
        "cases": round.cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
        "options": { "failByDrop": false },
    });
    let file = home.join(format!("specification-{}.json", round.name));
    fs::write(&file, specification.to_string())?;
    let arguments = ["-m", "fuzzingclient", "-s"];
    check(Command::new(wstest).args(arguments).arg(&file).current_dir(home).stdout(Stdio::null()))?;
    Ok(outdir.join("index.json"))
}

/// The echo example, ended with this value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(echo: &Path, max_message_bytes: usize) -> Result<Self> {
        let mut child = Command::new(echo)
            .args(["--listen", "127.0.0.1:0", "--max-message-bytes"])
            .arg(max_message_bytes.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", echo.display()))?;
        let stdout = child.stdout.take();
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout.context("the example has a standard output")?).read_line(&mut line)?;
        match line.trim().rsplit_once(' ') {
            Some((_, address)) => address.clone_into(&mut server.address),
            None => bail!("the echo example said {line:?} instead of its address"),
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds the results of a report to their sections.
fn collect(report: &Path, sections: &mut BTreeMap<u32, Section>) -> Result<()> {
    let text = fs::read_to_string(report).with_context(|| format!("reading {}", report.display()))?;
    let report: Value = serde_json::from_str(&text)?;
    let cases = report[AGENT].as_object().context("the report names our server")?;
    ensure!(!cases.is_empty(), "the report has no cases");
    for (case, result) in cases {
        let number = case.split('.').next().unwrap_or_default().parse()?;
        let section: &mut Section = sections.entry(number).or_default();
        let verdict = |key: &str| result[key].as_str().unwrap_or("missing").to_owned();
        match (verdict("behavior").as_str(), verdict("behaviorClose").as_str()) {
            ("OK", "OK" | "INFORMATIONAL") => section.passed += 1,
            ("NON-STRICT", "OK" | "INFORMATIONAL") => section.non_strict.push(case.clone()),
            ("INFORMATIONAL", "OK" | "INFORMATIONAL") => section.informational += 1,
            (behavior, close) => section.failed.push(format!("{case} ({behavior}, close {close})")),
        }
    }
    Ok(())
}

fn print_table(sections: &BTreeMap<u32, Section>) {
    println!("autobahn section | passed | failed | non-strict | informational");
    for (number, section) in sections {
        println!(
            "{number:>16} | {:>6} | {:>6} | {:>10} | {:>13}",
            section.passed,
            section.failed.len(),
            section.non_strict.len(),
            section.informational
        );
    }
    for (number, section) in sections.iter().filter(|(_, section)| !section.non_strict.is_empty()) {
        println!("autobahn: non-strict in section {number}: {}", section.non_strict.join(", "));
    }
}

fn check(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
