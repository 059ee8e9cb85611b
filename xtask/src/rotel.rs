//! Traces through an OTLP collector that others wrote (PyPI `rotel`): it decodes what the gateway sends, and passes it on.
//!
//! ```text
//! pip install (target/venv/rotel, pinned) -> rotel-agent on a free port, passing on to another -> cargo test, with both:
//!     gateway --OTLP--> rotel --OTLP--> the test (tests/it/traces.rs), which looks at the parents; and what rotel prints
//! ```

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::install;
use crate::peer::Check;
use crate::run::Watched;

const START_WITHIN: Duration = Duration::from_secs(30);

/// Installs and starts it, runs the test that needs it, and ends it again.
pub(crate) fn run(root: &Path) -> Result<()> {
    let python = install::python(root, "rotel", &root.join("xtask/peers/rotel.txt"))?;
    let program = program(&python)?;
    let [grpc, http, behind] = free_ports()?;
    let mut command = Command::new(program);
    command
        .args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http", "--batch-timeout", "50ms"])
        .args(["--otlp-exporter-endpoint", &format!("http://{behind}")])
        .args(["--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http])
        .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
    let _rotel = Watched::start("rotel", &mut command)?;
    listens(&http)?;
    let environment =
        [("LYCHGATE_OTLP_URL", format!("http://{http}/v1/traces")), ("LYCHGATE_OTLP_PASSED_ON_TO", behind)];
    Check { tests: &["--test=it", "traces::one_trace_goes"], environment: &environment, checks: 1 }.run(root)?;
    println!("rotel: passed");
    Ok(())
}

/// The collector itself, which its package holds as a file that nobody may run yet.
fn program(python: &Path) -> Result<PathBuf> {
    let code = "import importlib.util, pathlib; \
                print(pathlib.Path(importlib.util.find_spec('rotel').origin).parent / 'rotel-agent')";
    let output = Command::new(python).args(["-I", "-c", code]).output().context("python could not be started")?;
    if !output.status.success() {
        bail!("rotel is not where pip put it: {}", String::from_utf8_lossy(&output.stderr));
    }
    let program = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, may_run).with_context(|| format!("{} cannot be run", program.display()))?;
    Ok(program)
}

/// Waits until somebody takes connections there: the collector does not say when it does.
fn listens(address: &str) -> Result<()> {
    let deadline = Instant::now() + START_WITHIN;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            bail!("rotel does not listen on {address} after {START_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Addresses that were free a moment ago: the collector is told where to listen and does not say where it does.
fn free_ports() -> Result<[String; 3]> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let sockets = [listen()?, listen()?, listen()?];
    let mut addresses = [const { String::new() }; 3];
    for (address, socket) in addresses.iter_mut().zip(&sockets) {
        *address = socket.local_addr()?.to_string();
    }
    Ok(addresses)
}
