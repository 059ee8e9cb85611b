//! The `openai` agent against aimock, a stand-in for OpenAI that others wrote (npm `@copilotkit/aimock`).
//!
//! ```text
//! npm install (target/npm, pinned) -> fixtures (target/aimock) -> llmock on a free port -> cargo test, with its address:
//!     the agent alone (agent::openai::tests::peer), and a whole gateway (tests/it/agents_peers.rs) -> end it by process id
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::install;
use crate::peer::{self, Check};
use crate::run;

const PACKAGE: &str = "@copilotkit/aimock";
const VERSION: &str = "1.43.0";
/// What the tests of the agent, and those of a whole gateway, make sure of.
const AGENT_CHECKS: usize = 8;
const GATEWAY_CHECKS: usize = 3;

/// Installs and starts aimock, runs the test that needs it, and ends it again.
pub(crate) fn run(root: &Path) -> Result<()> {
    let program = install::npm(root, PACKAGE, VERSION)?.join("node_modules/.bin/llmock");
    let fixtures = write_fixtures(&run::target_dir(root)?.join("aimock"))?;
    let mut command = Command::new(program);
    command.args(["-p", "0", "-l", "20", "-c", "8", "-f"]).arg(fixtures);
    let (_aimock, address) = peer::listening("aimock", &mut command)?;
    let environment = [("LYCHGATE_AIMOCK_URL", format!("{address}/v1"))];
    for (tests, checks) in [
        (["--lib", "agent::openai::tests::peer"], AGENT_CHECKS),
        (["--test=it", "agents_peers::aimock"], GATEWAY_CHECKS),
    ] {
        Check { tests: &tests, environment: &environment, checks }.run(root)?;
    }
    println!("aimock {VERSION}: passed");
    Ok(())
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
            "response": {
                "error": { "message": "Rate limited", "type": "rate_limit_error" }, "status": 429, "retryAfter": 7,
            },
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
