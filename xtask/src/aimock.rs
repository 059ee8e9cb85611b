//! The `openai` agent against aimock, a stand-in for OpenAI that others wrote (npm `@copilotkit/aimock`).
//!
//! ```text
//! npm install (target/npm/aimock, pinned) -> fixtures (target/aimock) -> llmock on a free port
//!     -> cargo test agent::openai::tests::peer, with its address -> end it by its process id
//! ```

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::install;

const PACKAGE: &str = "@copilotkit/aimock";
const VERSION: &str = "1.43.0";
/// What the test prints for each thing that it made sure of; fewer means that it did not really run.
const CHECKS: usize = 8;
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Installs and starts aimock, runs the test that needs it, and ends it again.
pub(crate) fn run(root: &Path) -> Result<()> {
    install::program("npm", "npm")?;
    let program = install(&root.join("target/npm/aimock"))?;
    let fixtures = write_fixtures(&root.join("target/aimock"))?;
    let peer = Peer::start(&program, &fixtures)?;
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["test", "--package", "lychgate", "--lib", "agent::openai::tests::peer", "--", "--nocapture"])
        .env("LYCHGATE_AIMOCK_URL", format!("{}/v1", peer.address))
        .stderr(Stdio::inherit())
        .output()
        .context("cargo test does not start")?;
    let said = String::from_utf8_lossy(&output.stdout);
    // The test harness prints "test name ... " without a line end before what the test prints.
    let checked: Vec<&str> = said.lines().filter_map(|line| line.split("checked: ").nth(1)).collect();
    if !output.status.success() || checked.len() != CHECKS {
        bail!("aimock: {} of {CHECKS} checks were made\n{said}", checked.len());
    }
    println!("aimock {VERSION}: {}", checked.join("; "));
    Ok(())
}

/// Installs the pinned version unless it is there, and gives the path of its program.
fn install(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("node_modules/.bin/llmock");
    let installed = fs::read_to_string(folder.join("node_modules").join(PACKAGE).join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if program.exists() && installed.is_some_and(|package| package["version"] == VERSION) {
        return Ok(program);
    }
    fs::create_dir_all(folder)?;
    // A package of its own, so that npm does not install into one that it finds further up.
    fs::write(folder.join("package.json"), json!({ "private": true }).to_string())?;
    let status = Command::new("npm")
        .current_dir(folder)
        .args(["install", "--save-exact", "--no-audit", "--no-fund", "--loglevel=error"])
        .arg(format!("{PACKAGE}@{VERSION}"))
        .stdout(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(program),
        false => bail!("npm could not install {PACKAGE}@{VERSION} into {}", folder.display()),
    }
}

/// What the peer answers to which question. `peer.rs` beside the agent asks exactly these.
fn write_fixtures(folder: &Path) -> Result<PathBuf> {
    let weather = json!([
        { "id": "call_1", "name": "get_weather", "arguments": { "city": "SF" } },
        { "name": "get_time", "arguments": {} },
    ]);
    let fixtures = json!({ "fixtures": [
        {
            "match": { "userMessage": "greet" },
            "response": {
                "content": "Hello from the mock, in several pieces.",
                "usage": { "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 },
            },
        },
        { "match": { "userMessage": "weather", "toolCallId": "call_1" }, "response": { "content": "It is sunny." } },
        { "match": { "userMessage": "weather" }, "response": { "toolCalls": weather } },
        {
            "match": { "userMessage": "think" },
            "response": { "content": "42", "reasoning": "Let me think about it." },
        },
        {
            "match": { "userMessage": "limit" },
            "response": { "error": { "message": "Rate limited", "type": "rate_limit_error" }, "status": 429 },
        },
        {
            "match": { "userMessage": "cut" },
            "response": { "content": "This sentence is cut off before its end." },
            "truncateAfterChunks": 3,
        },
        {
            "match": { "userMessage": "slow" },
            "response": { "content": "Too late." },
            "streamingProfile": { "ttft": 600_000 },
        },
    ] });
    fs::create_dir_all(folder)?;
    fs::write(folder.join("chat.json"), fixtures.to_string())?;
    Ok(folder.to_owned())
}

/// A running aimock; ended by its process id when dropped.
struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    fn start(program: &Path, fixtures: &Path) -> Result<Self> {
        let child = Command::new(program)
            .args(["-p", "0", "-l", "20", "-c", "8", "-f"])
            .arg(fixtures)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        // From here on the drop of `peer` ends the process, whatever fails.
        let mut peer = Self { child, address: String::new() };
        let stdout = peer.child.stdout.take().context("aimock's output is not piped")?;
        let (tell, told) = mpsc::sync_channel(1);
        // Reads to the end, because a peer whose pipe is full stands still.
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(std::result::Result::ok);
            for address in lines.filter_map(|line| Some(line.split("listening on ").nth(1)?.trim().to_owned())) {
                // Only the first address is waited for.
                let _full = tell.try_send(address);
            }
        });
        peer.address = told.recv_timeout(START_TIMEOUT).context("aimock did not say where it listens")?;
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
