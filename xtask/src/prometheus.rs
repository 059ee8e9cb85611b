//! A real Prometheus (Debian's): it checks our rules, plays their cases, and scrapes gateways while live plans are played.
//!
//! ```text
//! apt (prometheus) -> promtool check rules, check config, test rules
//! prometheus <-scrapes each second- gateways of `lychgate-scenario live --targets DIR`
//!      '--promtool query--> which alerts fired where and when, what was counted --judge--> as it must be
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::{install, run};

mod judge;

const CHECK_WITHIN: Duration = Duration::from_secs(120);
const QUERY_WITHIN: Duration = Duration::from_secs(30);
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where rules, cases and the example of a configuration lie.
const RULES: &str = "deploy/prometheus";

/// Plans of which every alert is looked at: what is counted on their gateways is theirs alone.
pub(crate) const ALONE: &str = "slow-fill,twenty-zombies";

/// `promtool` on everything that lies in `deploy/prometheus`.
pub(crate) fn rules(root: &Path) -> Result<()> {
    install()?;
    let promtool = |words: &[&str], file: &str| {
        let mut command = Command::new("promtool");
        run::stream(command.current_dir(root).args(words).arg(format!("{RULES}/{file}")), CHECK_WITHIN)
    };
    promtool(&["check", "rules"], "lychgate.rules.yml")?;
    promtool(&["check", "config"], "prometheus.yml")?;
    promtool(&["test", "rules"], "lychgate.test.yml")
}

fn install() -> Result<()> {
    install::program("promtool", "prometheus")?;
    install::program("prometheus", "prometheus")
}

/// A Prometheus that scrapes whatever gateways are told to it. Ended by its process id when it is dropped.
pub(crate) struct Prometheus {
    url: String,
    home: PathBuf,
    began: SystemTime,
    _process: run::Watched,
}

impl Prometheus {
    /// Starts one on a free port of this machine, with our rules and an empty storage below target/.
    pub(crate) fn start(root: &Path) -> Result<Self> {
        install()?;
        let home = run::target_dir(root)?.join("prometheus");
        if home.exists() {
            std::fs::remove_dir_all(&home).with_context(|| format!("could not empty {}", home.display()))?;
        }
        std::fs::create_dir_all(home.join("targets")).with_context(|| format!("could not make {}", home.display()))?;
        let file = home.join("prometheus.yml");
        std::fs::write(&file, configuration(root, &home)).with_context(|| format!("{}", file.display()))?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("prometheus");
        command
            .current_dir(&home)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", home.join("storage").display()))
            .arg(format!("--web.listen-address={listen}"))
            .arg("--log.level=error");
        let process = run::Watched::start("prometheus", &mut command)?;
        wait_for(listen)?;
        Ok(Self { url: format!("http://{listen}"), home, began: SystemTime::now(), _process: process })
    }

    /// Where gateways are told to it, a file each.
    pub(crate) fn targets(&self) -> PathBuf {
        self.home.join("targets")
    }

    /// Looks at what was scraped since the start, beside the table that the plans printed.
    pub(crate) fn judge(&self, table: &str) -> Result<()> {
        let firing = self.range("ALERTS{alertstate=\"firing\"}")?;
        let seen = self.range("lychgate_sessions")?;
        let prevented = self.range("lychgate_lockouts_prevented_total")?;
        let found = judge::Found::read(&[firing, seen, prevented])?;
        println!("{}", found.shown());
        match found.faults(table).as_slice() {
            [] => Ok(()),
            faults => bail!("Prometheus saw something else than it must:\n{}", faults.join("\n")),
        }
    }

    /// Every second of an expression, from the start to now.
    fn range(&self, expression: &str) -> Result<serde_json::Value> {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|it| it.as_secs().to_string());
        let (start, end) = (seconds(self.began)?, seconds(SystemTime::now())?);
        let mut command = Command::new("promtool");
        command
            .args(["query", "range", "--format=json", "--step=1s"])
            .args([format!("--start={start}"), format!("--end={end}")])
            .args([&self.url, expression]);
        let text = run::capture(&mut command, QUERY_WITHIN)?;
        serde_json::from_str(&text).with_context(|| format!("promtool answered {expression} with {text}"))
    }
}

fn configuration(root: &Path, home: &Path) -> String {
    let rules = root.join(RULES).join("lychgate.rules.yml");
    let targets = home.join("targets").join("*.json");
    format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\nrule_files: [{rules:?}]\n\
         scrape_configs:\n  - job_name: lychgate\n    file_sd_configs:\n      - files: [{targets:?}]\n        refresh_interval: 1s\n"
    )
}

fn wait_for(listen: SocketAddr) -> Result<()> {
    let begin = Instant::now();
    let mut command = Command::new("promtool");
    command.args(["query", "instant", &format!("http://{listen}"), "vector(1)"]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    while !command.status().context("promtool did not start")?.success() {
        if begin.elapsed() > START_WITHIN {
            bail!("Prometheus did not answer on {listen} within {} s", START_WITHIN.as_secs());
        }
        sleep(LOOK_EVERY);
    }
    Ok(())
}
