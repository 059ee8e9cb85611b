//! A browser that people use, headless, against a gateway and a provider: login, cookie, Origin, logout.
//!
//! ```text
//! apt (chromium), npm (playwright-core) -> oidc-provider -> lychgate serve -> node xtask/peers/login_browser.mjs
//! ```

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, install, oidc_provider, run};

/// It drives the browser and brings none of its own.
const PACKAGE: &str = "playwright-core";
const VERSION: &str = "1.65.0";

/// What the browser made sure of; fewer means that it did not really run.
const CHECKS: usize = 8;
const BROWSER_WITHIN: Duration = Duration::from_secs(180);
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Installs the browser, starts provider and gateway, and lets it log in.
pub(crate) fn run(root: &Path) -> Result<()> {
    install::program("chromium", "chromium")?;
    let driver = install::npm(root, PACKAGE, VERSION)?;
    let mut command = built::program(root, "lychgate")?;
    // The provider has to know where users come back to before the gateway listens there.
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let origin = format!("http://{listen}");
    let (_provider, issuer) = oidc_provider::start(root, &format!("{origin}/v1/login/peer/callback"))?;
    let file = run::target_dir(root)?.join("chromium.toml");
    std::fs::write(&file, configuration(&origin, &issuer)).with_context(|| format!("{}", file.display()))?;
    command.args(["serve", "--config"]).arg(&file);
    command.args(["--listen", &listen.to_string()]);
    let gateway = run::Watched::start("gateway", &mut command)?;
    let checked = wait_for(listen).and_then(|()| check(root, &driver, &origin));
    let stopped = gateway.stop();
    checked.and(stopped)
}

fn configuration(origin: &str, issuer: &str) -> String {
    format!(
        "server.public_url = \"{origin}\"\nserver.admin_listen = \"127.0.0.1:0\"\nserver.drain_timeout = \"200ms\"\n\
         journal.kind = \"memory\"\nauth.jwt.secret = \"a secret of this check, which signs nothing\"\n\
         auth.shared_users = true\nweb.chat = false\n\
         [login.providers.peer]\ntitle = \"oidc-provider\"\nissuer_url = \"{issuer}\"\nclient_id = \"lychgate\"\n\
         client_secret = \"a secret between the gateway and its provider\"\n"
    )
}

fn wait_for(listen: std::net::SocketAddr) -> Result<()> {
    let deadline = std::time::Instant::now() + READY_WITHIN;
    while std::net::TcpStream::connect_timeout(&listen, Duration::from_secs(1)).is_err() {
        if std::time::Instant::now() > deadline {
            bail!("the gateway does not listen on {listen}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn check(root: &Path, driver: &Path, origin: &str) -> Result<()> {
    let mut browser = Command::new("node");
    browser
        .current_dir(root)
        .arg("xtask/peers/login_browser.mjs")
        .env("DRIVER_HOME", driver)
        .env("GATEWAY_URL", origin);
    let said = run::capture(&mut browser, BROWSER_WITHIN)?;
    let checked: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("checked: ")).collect();
    if checked.len() != CHECKS {
        bail!("Chromium: {} of {CHECKS} checks were made\n{said}", checked.len());
    }
    println!("Chromium: {}", checked.join("; "));
    Ok(())
}
