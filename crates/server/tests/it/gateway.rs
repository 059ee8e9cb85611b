//! A gateway as people run it: the real program in a process of its own, on ports of its own.
//!
//! ```text
//! Gateway::start(keys) ─► file ─► lychgate serve --config FILE ─► its log says where it listens
//!        │ connect(user) ─► Client
//!        └ drop ─► SIGTERM by process id ─► SIGKILL after the grace
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) mod client;

pub(crate) use client::{Call, Client, Heard};

use crate::record;

/// No test waits longer for anything. Generous, because other work may hold the machine; nothing waits it out.
const PATIENCE: Duration = Duration::from_secs(30);

/// From SIGTERM to SIGKILL when a test lets go of its gateway.
const GRACE: Duration = Duration::from_secs(10);

/// What tokens of the tests are signed with.
pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// The key of an operator who may change things, and of one who may look; the configuration below has their hashes.
pub(crate) const KEY: &str = "lychgate_a-key-of-the-tests-that-may-change";
pub(crate) const READ_KEY: &str = "lychgate_a-key-of-the-tests-that-may-look";

/// What every gateway of the tests is told, unless a test says otherwise.
const KEYS: [&str; 13] = [
    // Tests that poll come from one address and as fast as they can.
    "server.connects_per_second_per_address = 10000",
    r#"server.listen = "127.0.0.1:0""#,
    r#"server.admin_listen = "127.0.0.1:0""#,
    r#"server.environment = "test""#,
    r#"server.drain_timeout = "200ms""#,
    r#"websocket.close_timeout = "200ms""#,
    r#"agents.demo.delay = "0s""#,
    r#"journal.kind = "memory""#,
    r#"auth.jwt.secret = "a secret of the tests, long enough for HS256""#,
    // Tests of another issuer or of a login show its users tokens of this secret as well.
    "auth.shared_users = true",
    r#"admin.keys.ops.hash = "sha256:a434c7eae27bb48a6932ec5dd15d56ba9c04f0cf00a90d73094aefb01f85e9de""#,
    r#"admin.keys.ops.role = "write""#,
    r#"admin.keys.support.hash = "sha256:d0872b1091f3764a9cced7c611f8855cacf934595db99ad4a1be45d8cf78c9a7""#,
];

static FILES: AtomicU32 = AtomicU32::new(0);

/// Waits, but not for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// What the program has written to standard error.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    is_over: bool,
}

/// The program, started with a configuration file. Dropping it ends it, in bounded time.
pub(crate) struct Process {
    child: Child,
    log: watch::Receiver<Log>,
    over: mpsc::Receiver<()>,
    file: PathBuf,
}

impl Process {
    /// `lychgate serve --config FILE`, where the file holds these lines of `section.key = value`. Nothing of this
    /// process's environment reaches it.
    pub(crate) fn serve(lines: &[String]) -> Self {
        Self::serve_in(lines, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn serve_in(lines: &[String], environment: &[(&str, &str)]) -> Self {
        let name = format!("gateway-{}-{}.toml", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, lines.join("\n")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lychgate"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (writer, log) = watch::channel(Log::default());
        let (running, over) = mpsc::sync_channel(1);
        let mut recorded = record::log();
        [SECRET, KEY, READ_KEY].into_iter().for_each(record::secret);
        let proves = |name: &str| ["KEY", "SECRET", "TOKEN", "HEADERS"].iter().any(|word| name.contains(word));
        environment.iter().filter(|(name, _)| proves(name)).for_each(|(_, value)| record::secret(value));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                recorded.iter_mut().for_each(|log| writeln!(log, "{line}").unwrap());
                writer.send_modify(|log| log.lines.push(line));
            }
            writer.send_modify(|log| log.is_over = true);
            drop(running);
        });
        Self { child, log, over, file }
    }

    /// Waits for a line of the log with this text in it.
    pub(crate) async fn line_with(&self, text: &str) -> String {
        let has = |log: &Log| log.lines.iter().find(|line| line.contains(text)).cloned();
        let mut log = self.log.clone();
        let log = soon(log.wait_for(|log| log.is_over || has(log).is_some())).await.unwrap();
        has(&log).unwrap_or_else(|| panic!("the program ended without saying {text:?}:\n{}", log.lines.join("\n")))
    }

    /// How many lines of the log so far have this text in them.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log.borrow().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for the end; answers the exit code and all that was written to standard error.
    pub(crate) async fn end(&mut self) -> (Option<i32>, String) {
        let mut log = self.log.clone();
        let said = soon(log.wait_for(|log| log.is_over)).await.unwrap().lines.join("\n");
        (self.child.wait().unwrap().code(), said)
    }

    pub(crate) fn file(&self) -> String {
        self.file.display().to_string()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        // A process that was waited for is gone, and its id may be somebody else's.
        if self.child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if self.over.recv_timeout(GRACE) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.signal(Signal::KILL);
        }
        self.child.wait().unwrap();
        fs::remove_file(&self.file).unwrap();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log.borrow().lines.join("\n"));
        }
    }
}

/// A gateway that serves, in a process of its own.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    doors: Doors,
}

/// Where a gateway is reached, wherever it runs.
#[derive(Clone, Copy)]
pub(crate) struct Doors {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Deref for Gateway {
    type Target = Doors;

    fn deref(&self) -> &Doors {
        &self.doors
    }
}

impl Gateway {
    /// Starts one with these lines of `section.key = value` beside, or instead of, the usual ones.
    pub(crate) async fn start(keys: &[&str]) -> Self {
        Self::started(Process::serve(&configuration(keys))).await
    }

    /// One whose process was started already.
    pub(crate) async fn started(process: Process) -> Self {
        let line = process.line_with(": serving ").await;
        let address = |name: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
            value.parse().unwrap()
        };
        Self { doors: Doors { address: address("listen="), admin: address("admin=") }, process }
    }
}

impl Doors {
    /// A token of this user.
    pub(crate) fn token(&self, user: &str) -> String {
        token(&claims(user))
    }

    /// A client of this user who has said hello.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        self.connect_with(user, json!({"type": "hello"})).await
    }

    /// A client of this user with a hello of its own.
    pub(crate) async fn connect_with(&self, user: &str, hello: Value) -> Client {
        let mut client = Call::with_token(&self.token(user)).dial(self).await.unwrap();
        client.is_acknowledging = hello["heartbeat"] == "app";
        client.say(hello).await;
        client.hello = client.expect("hello").await;
        client
    }

    /// An operator's console that shows this key or token and was greeted.
    pub(crate) async fn console(&self, bearer: &str) -> Client {
        let mut console = Call::of_console(bearer).dial(self).await.unwrap();
        console.hello = console.expect("hello").await;
        console
    }

    /// `GET` on the admin listener: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut socket = soon(TcpStream::connect(self.admin)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        soon(socket.write_all(request.as_bytes())).await.unwrap();
        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The sum of all series of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let value = |line: &str| -> Option<f64> {
            let rest = line.strip_prefix(name)?;
            let is_whole_name = rest.starts_with(['{', ' ']);
            is_whole_name.then(|| rest.rsplit(' ').next().unwrap().parse().unwrap())
        };
        text.lines().filter_map(value).sum()
    }

    /// Scrapes until the metric is as it should be.
    pub(crate) async fn metric_becomes(&self, name: &str, is_right: impl Fn(f64) -> bool) {
        soon(async { while !is_right(self.metric(name).await) {} }).await;
    }

    /// The gateway goes on: a user who behaves gets an answer.
    pub(crate) async fn serves_others(&self) {
        let mut client = self.connect("somebody who behaves").await;
        client.open("well").await;
        let events = client.ask("well", &format!("r{}", FILES.fetch_add(1, Ordering::Relaxed)), "hello").await;
        assert_eq!(events.last().unwrap()["event"]["type"], "RUN_FINISHED");
    }
}

/// The lines of a configuration: the usual keys, less those that are given.
pub(crate) fn configuration(keys: &[&str]) -> Vec<String> {
    let name = |line: &str| line.split(" = ").next().unwrap().to_owned();
    let given: Vec<String> = keys.iter().copied().map(name).collect();
    let usual = KEYS.into_iter().filter(|line| !given.contains(&name(line)));
    // Everything is searched for what must not be in it.
    let recorded = [r#"log.level = "trace""#, "log.storm_lines = 0"];
    let recorded = recorded.into_iter().filter(|line| record::is_on() && !given.contains(&name(line)));
    usual.chain(recorded).chain(keys.iter().copied()).map(str::to_owned).collect()
}

/// What a good token says.
pub(crate) fn claims(user: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"sub": user, "iss": "lychgate", "aud": "lychgate", "iat": now, "exp": now + 3600})
}

/// A token that says whatever it is told to, rightly signed.
pub(crate) fn token(claims: &Value) -> String {
    sign(claims, SECRET)
}

pub(crate) fn sign(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap();
    record::secret(&token);
    token
}
