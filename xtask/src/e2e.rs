//! `cargo xtask e2e`: users against a real gateway, over real sockets.
//!
//! ```text
//! build (ci) -> live plans, their own gateways         -> table, and a page with plots below target/
//!                        '<-scrapes- Prometheus             -> which alerts fired, and which must not have
//!                 -> lychgate demo on a free port --url, token--> npm ws --hello, open, run--> streamed answer
//!                                                 <-TERM, must stop in order
//! ```

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::prometheus::{ALONE, Prometheus};
use crate::{built, install, oidc_provider, pages, run};

pub(crate) const HELP: &str = "\
cargo xtask e2e [PART...]
cargo xtask e2e --login oidc

Without words all parts, else those that are named:
live     every live plan of lychgate-scenario (a page with plots: target/live/index.html) while a
         Prometheus (Debian's) scrapes the gateways and evaluates deploy/prometheus/lychgate.rules.yml,
         then the golden path with a third-party client (npm `ws`) against `lychgate demo`
sdk      the client SDK against real gateways (vitest)
browser  chat page and console in Debian's Chromium (Playwright; pictures: target/screens)
screens  the same, and its pictures into docs/screens; only when it is named
`--login oidc`: every live plan with users who log in at a provider (npm `oidc-provider`).";

/// The program of crates/scenario.
const SIMULATOR: &str = "lychgate-scenario";
/// Above every bound that a single plan has inside, of which the longest is the 3 minutes in a network namespace: whoever
/// gives up there says why.
const PLANS_WITHIN: Duration = Duration::from_secs(10 * 60);
const START_WITHIN: Duration = Duration::from_secs(30);
const CLIENT_WITHIN: Duration = Duration::from_secs(60);

/// Where the provider sends the users of live plans back to: whichever gateway they came from takes it for its own.
const LIVE_REDIRECT: &str = "https://chat.example.test/v1/login/live/callback";

/// The client that proves that we speak WebSocket and not merely to ourselves.
pub(crate) const WS_VERSION: &str = "8.23.0";

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    if args.iter().map(String::as_str).eq(["--login", "oidc"]) {
        return logged_in(root);
    }
    let named = args.iter().map(|word| part(word)).collect::<Result<Vec<_>>>()?;
    let parts = if named.is_empty() { PARTS.map(|(_, part)| part).to_vec() } else { named };
    // All are tried, so that one run shows everything.
    parts.into_iter().map(|part| part(root)).fold(Ok(()), Result::and)
}

type Part = fn(&Path) -> Result<()>;

const PARTS: [(&str, Part); 3] = [("live", live), ("sdk", pages::sdk), ("browser", pages::browser)];

fn part(word: &str) -> Result<Part> {
    let found = PARTS.iter().find(|(name, _)| *name == word);
    if word == "screens" {
        return Ok(pages::screens);
    }
    found.map(|(_, part)| *part).ok_or_else(|| anyhow::anyhow!("e2e does not know `{word}`\n\n{HELP}"))
}

/// Live plans under Prometheus, and a client that is not ours.
pub(crate) fn live(root: &Path) -> Result<()> {
    let plans = live_plans(root);
    let golden_path = golden_path(root);
    // Both were tried, so that one run shows everything.
    plans.and(golden_path)
}

fn live_plans(root: &Path) -> Result<()> {
    let report = run::target_dir(root)?.join("live");
    let mut command = built::program(root, SIMULATOR)?;
    let prometheus = Prometheus::start(root)?;
    command.args(["live", "--plan", "all"]);
    command.arg("--report").arg(report);
    command.args(["--alone", ALONE, "--targets"]).arg(prometheus.targets());
    let (status, table) = run::told(&mut command, PLANS_WITHIN)?;
    println!("{table}");
    let judged = prometheus.judge(&table);
    // Both were looked at, so that one run shows everything.
    match status? {
        status if status.success() => judged,
        status => bail!("not every live plan kept its promises: {status}"),
    }
}

/// Every live plan once more, with users who log in at a provider instead of bringing a token.
pub(crate) fn logged_in(root: &Path) -> Result<()> {
    let (_provider, issuer) = oidc_provider::start(root, LIVE_REDIRECT)?;
    let mut command = built::program(root, SIMULATOR)?;
    command.args(["live", "--plan", "all", "--login", "oidc", "--issuer", &issuer]);
    run::stream(&mut command, PLANS_WITHIN)
}

/// What the README promises: start the demo, take its token, be answered.
fn golden_path(root: &Path) -> Result<()> {
    install::program("node", "nodejs")?;
    run::stream(
        Command::new("node").current_dir(root).args([
            "--test",
            "--test-reporter=spec",
            "xtask/peers/transcript.test.mjs",
        ]),
        CLIENT_WITHIN,
    )?;
    let packages = install::npm(root, "ws", WS_VERSION)?;
    let mut command = built::program(root, "lychgate")?;
    command.args(["demo", "--port", "0"]);
    let mut demo = run::Watched::start("demo", &mut command)?;
    let mut printed = Printed::default();
    let (url, token) = demo.line(START_WITHIN, |line| printed.read(line))?;
    let mut client = Command::new("node");
    client
        .current_dir(root)
        .arg("xtask/peers/golden-path.mjs")
        .env("WS_HOME", &packages)
        .env("GATEWAY_URL", url)
        // Not as an argument: those are seen by every user of the machine.
        .env("GATEWAY_TOKEN", token);
    let answered = run::stream(&mut client, CLIENT_WITHIN);
    let stopped = demo.stop();
    answered.and(stopped)
}

/// What we look for among the lines that `lychgate demo` prints, in whatever order they come.
#[derive(Default)]
pub(crate) struct Printed {
    url: Option<String>,
    token: Option<String>,
}

impl Printed {
    /// Takes a line; gives address and token once both are known.
    pub(crate) fn read(&mut self, line: &str) -> Option<(String, String)> {
        let line = line.trim();
        if let Some(token) = line.strip_prefix("export TOKEN=").or_else(|| line.strip_prefix("token:")) {
            self.token = Some(token.trim().to_owned());
        } else if self.url.is_none() {
            let mut words = line.split(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | '`'));
            self.url = words.find(|word| word.starts_with("ws://")).map(str::to_owned);
        }
        self.url.clone().zip(self.token.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<(String, String)> {
        let mut printed = Printed::default();
        lines.iter().find_map(|line| printed.read(line))
    }

    #[test]
    fn address_and_token_are_read_in_whatever_order_they_are_printed() {
        let found = Some(("ws://127.0.0.1:4567/v1/ws".to_owned(), "a.b.c".to_owned()));
        assert_eq!(read(&["Lychgate demo", "url: ws://127.0.0.1:4567/v1/ws", "", "token: a.b.c"]), found);
        assert_eq!(read(&["  token:  a.b.c ", "websocat 'ws://127.0.0.1:4567/v1/ws' -H x"]), found);
    }

    #[test]
    fn neither_alone_is_enough() {
        assert_eq!(read(&["url: ws://127.0.0.1:4567/v1/ws", "the token: comes later"]), None);
        assert_eq!(read(&["token: a.b.c", "http://127.0.0.1:1/"]), None);
    }
}
