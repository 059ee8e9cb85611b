//! Runs other programs: what is running is always visible, nothing runs without a deadline, and what is ended is ended
//! by its process id together with everything that it started.
//!
//! ```text
//! deadline passed -> TERM to the process and its descendants -> 10 s -> KILL to those that are left -> error
//! ```
//!
//! Children stay in our process group: Ctrl-C in a terminal reaches them without our doing.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::family::end;
use self::tail::Tail;
use crate::secrets;

mod family;
pub(crate) mod flaky;
mod tail;

/// How often a long command without a terminal says that it is still at work.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);
/// From TERM to KILL: above the gateway's own ten seconds of drain, so that an orderly stop is not cut short.
const GRACE: Duration = Duration::from_secs(30);
/// How often we look whether a child has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long we read on when a child has ended.
const REST_WITHIN: Duration = Duration::from_secs(10);
/// Lines of a watched child that may wait for us; what comes beyond it is shown, but not looked at.
const LINES_WAITING: usize = 1_024;

/// The cargo that called us, in `root`, with the committed lock file as it is.
pub(crate) fn cargo(root: &Path, subcommand: &str) -> Command {
    let mut command = bare_cargo(root);
    command.args([subcommand, "--locked"]);
    command
}

/// The cargo that called us, in `root`, and nothing more.
pub(crate) fn bare_cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    recorded(&mut command);
    command
}

/// Tells it where a run of all tests records; without one it goes by what whoever called us says.
pub(crate) fn recorded(command: &mut Command) {
    if let Some(directory) = RECORD.get() {
        command.env(secrets::VARIABLE, directory);
    }
}

/// Where the gateways of tests leave their logs, while all tests run.
pub(crate) static RECORD: OnceLock<PathBuf> = OnceLock::new();

/// Runs to its end with output streamed. An error if it cannot start, fails, or passes its deadline; without a terminal it
/// ends with the last lines of that output.
pub(crate) fn stream(command: &mut Command, within: Duration) -> Result<()> {
    let line = display(command);
    println!("$ {line}");
    command.stdin(Stdio::null());
    // In a terminal the child sees one, and draws its progress.
    if !std::io::stdout().is_terminal() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().with_context(|| format!("could not start `{line}`"))?;
    let tail = Tail::follow(&mut child);
    let status = wait(&mut child, &line, within);
    let last = tail.lines();
    match status {
        Ok(status) if status.success() => {
            flaky::note(&last);
            Ok(())
        }
        Ok(status) => bail!("`{line}` failed: {status}{}", tail::quoted(&last)),
        Err(late) => bail!("{late}{}", tail::quoted(&last)),
    }
}

/// Runs to its end and returns what it wrote to standard output; standard error is streamed.
pub(crate) fn capture(command: &mut Command, within: Duration) -> Result<String> {
    let line = display(command);
    let (status, text) = told(command, within)?;
    match status? {
        status if status.success() => Ok(text),
        status => bail!("`{line}` failed: {status}"),
    }
}

/// Runs to its end and returns whether it succeeded and what it wrote to standard output, also at the deadline; standard
/// error is streamed.
pub(crate) fn told(command: &mut Command, within: Duration) -> Result<(Result<ExitStatus>, String)> {
    let line = display(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{line}`"))?;
    let mut out = child.stdout.take().context("standard output was piped")?;
    // Read beside the wait: a child that fills the pipe while nobody reads would never end.
    let (give, pieces) = mpsc::channel();
    thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(read @ 1..) = out.read(&mut piece) {
            let _ = give.send(piece[..read].to_vec());
        }
    });
    let status = wait(&mut child, &line, within);
    // Not until the pipe ends: a stranger that the child left behind may hold it for ever.
    let deadline = Instant::now() + REST_WITHIN;
    let next = || pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
    let bytes: Vec<u8> = std::iter::from_fn(next).flatten().collect();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Waits for the end, says every now and then that it is still waiting, and ends the child at the deadline.
fn wait(child: &mut Child, line: &str, within: Duration) -> Result<ExitStatus> {
    let begin = Instant::now();
    let mut said = begin;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begin.elapsed() >= within {
            end(child)?;
            bail!("`{line}` did not end within {} s", within.as_secs());
        }
        if said.elapsed() >= PROGRESS_EVERY && !std::io::stderr().is_terminal() {
            said = Instant::now();
            eprintln!("... {} s: {line}", begin.elapsed().as_secs());
        }
        thread::sleep(POLL);
    }
}

/// A child whose standard output we follow line by line; ended when dropped.
pub(crate) struct Watched {
    child: Child,
    lines: mpsc::Receiver<String>,
    name: String,
}

impl Watched {
    /// Starts it. Its standard output is shown with its name in front, its standard error as it comes.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let line = display(command);
        println!("$ {line} &");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start `{line}`"))?;
        let out = child.stdout.take().context("standard output was piped")?;
        let (give, lines) = mpsc::sync_channel(LINES_WAITING);
        let prefix = name.to_owned();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("{prefix} | {line}");
                // Nobody listens any more, but the pipe must be drained all the same or the child would block on it.
                let _ = give.try_send(line);
            }
        });
        let name = name.to_owned();
        Ok(Self { child, lines, name })
    }

    /// The next line of its standard output for which `wanted` gives something; an error at the deadline or its end.
    pub(crate) fn line<T>(&mut self, within: Duration, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("{} did not print what we wait for within {} s", self.name, within.as_secs())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    // It may have closed its output and live on: waiting alone could last for ever.
                    let status = end(&mut self.child)?;
                    bail!("{} ended before it printed what we wait for: {status}", self.name)
                }
            }
        }
    }

    /// Asks it to stop and waits; an error if it did not stop in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = end(&mut self.child)?;
        if !status.success() {
            bail!("{} did not stop in order after TERM: {status}", self.name);
        }
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Only on the way out of an error; the error is what gets reported.
        if let Ok(None) = self.child.try_wait() {
            let _ = end(&mut self.child);
        }
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(root: &Path) -> Result<PathBuf> {
    let mut command = cargo(root, "metadata");
    let text = capture(command.args(["--no-deps", "--format-version", "1"]), Duration::from_secs(60))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let directory = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(directory))
}

/// Whether a program of this name is on the PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::family::{end_after, is_running};
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let error = stream(&mut shell("exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 3"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_command_that_fails_away_from_a_terminal_is_told_with_its_last_lines() {
        let last_of = |script: &str| {
            let mut command = shell(script);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let tail = Tail::follow(&mut child);
            wait(&mut child, "sh", Duration::from_secs(10)).unwrap();
            tail::quoted(&tail.lines())
        };
        // Two pipes have no order between them: the long one is alone.
        let lines = last_of("for line in $(seq 100); do echo line-$line; done; echo why; exit 1");
        assert!(lines.ends_with("| line-100\n    | why") && !lines.contains("line-1\n"), "{lines}");
        let lines = last_of("echo here; echo why >&2; exit 1");
        assert!(lines.contains("| here") && lines.contains("| why"), "{lines}");
    }

    #[test]
    fn a_command_past_its_deadline_is_ended_with_what_it_started() {
        // The shell waits for a grandchild that would outlive the test by far.
        let mut command = shell("sleep 600 & echo $!; wait");
        let mut watched = Watched::start("sleeper", &mut command).unwrap();
        let grandchild: u32 = watched.line(Duration::from_secs(10), |line| line.parse().ok()).unwrap();
        assert!(is_running(grandchild));
        let error = wait(&mut watched.child, "sleeper", Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
        assert!(!is_running(grandchild));
    }

    #[test]
    fn output_longer_than_a_pipe_is_read_whole() {
        let text = capture(&mut shell("yes | head -c 300000"), Duration::from_secs(30)).unwrap();
        assert_eq!(text.len(), 300_000);
    }

    #[test]
    fn what_a_command_said_is_known_when_it_fails_and_when_it_is_ended() {
        let (status, text) = told(&mut shell("echo why; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!((status.unwrap().code(), text.as_str()), (Some(3), "why\n"));
        let (status, text) = told(&mut shell("echo why; exec sleep 600"), Duration::from_secs(2)).unwrap();
        assert_eq!((status.is_err(), text.as_str()), (true, "why\n"));
    }

    #[test]
    fn a_child_that_ends_before_its_line_is_told_from_one_that_is_late() {
        let mut gone = Watched::start("gone", &mut shell("echo other; exit 7")).unwrap();
        let error = gone.line(Duration::from_secs(10), |_| None::<()>).unwrap_err();
        assert!(error.to_string().contains("ended before"), "{error}");
        let mut late = Watched::start("late", &mut shell("exec sleep 600")).unwrap();
        let error = late.line(Duration::from_millis(20), |_| None::<()>).unwrap_err();
        assert!(error.to_string().contains("did not print"), "{error}");
    }

    #[test]
    fn stopping_is_orderly_only_when_the_child_says_so() {
        let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let mut polite = Watched::start("polite", &mut shell(script)).unwrap();
        polite.line(Duration::from_secs(10), |line| (line == "up").then_some(())).unwrap();
        polite.stop().unwrap();
        let rude = Watched::start("rude", &mut shell("exec sleep 600")).unwrap();
        assert!(rude.stop().is_err());
    }

    #[test]
    fn a_child_that_does_not_hear_is_killed_after_its_grace() {
        let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
        let mut deaf = Watched::start("deaf", &mut shell(script)).unwrap();
        deaf.line(Duration::from_secs(10), |line| (line == "up").then_some(())).unwrap();
        let status = end_after(&mut deaf.child, Duration::from_millis(200)).unwrap();
        assert!(!status.success());
        assert!(!is_running(deaf.child.id()));
    }
}
