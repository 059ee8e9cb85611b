//! A real redis-server for a test: on a free port, without a file, ended by its pid.
//!
//! ```text
//! test --start, stop, freeze, kill, restart--> redis-server <--redis://127.0.0.1:port-- what is tested
//!   '------------command (a connection each)------^
//! ```
//!
//! It speaks RESP by itself, so that a test sees what is in the server and not what our client makes of it.
//! [`watched`] has a master with a replica and three sentinels, [`sharded`] a Redis Cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

// Named, because the tests of the gateway take this file from elsewhere.
#[path = "redis_server/sharded.rs"]
pub(crate) mod sharded;
#[path = "redis_server/watched.rs"]
pub(crate) mod watched;

/// Nothing here takes longer; nothing waits it out.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody may name a port that is ours.
const ATTEMPTS: u32 = 10;

/// A server that goes with the test.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    port: Port,
    password: Option<String>,
    options: Vec<String>,
}

impl Redis {
    /// A server that keeps what it holds in memory alone, evicts nothing and asks for no password.
    ///
    /// # Panics
    ///
    /// With a sentence that names the package when there is no redis-server here.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// As [`Self::start`], with a password.
    pub(crate) fn with_password(password: &str) -> Self {
        let mut redis = Self::with(&["--requirepass", password]);
        redis.password = Some(password.to_owned());
        redis
    }

    /// As [`Self::start`], with further options as on the command line (`--maxmemory-policy`, `allkeys-lru`).
    pub(crate) fn with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        for _ in 0..ATTEMPTS {
            let port = Port::free();
            if let Some(child) = spawn(port.number, &options) {
                return Self { child, port, password: None, options };
            }
        }
        panic!("redis-server did not start with {options:?}: it takes no such option, or no port is free");
    }

    /// What a line of INFO says; nothing where there is none.
    pub(crate) fn said(&self, field: &str) -> String {
        let told = self.command(&["INFO"]);
        let line = told.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// With the password, where there is one.
    pub(crate) fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}", self.port())
    }

    /// Sends one command on a connection of its own and returns the answer as text: nil is empty, the parts of an array
    /// stand in a line each, an error begins with `-`.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(&stream);
        if let Some(password) = &self.password {
            (&stream).write_all(&encoded(&["AUTH", password])).unwrap();
            assert_eq!(answer(&mut reader), "OK");
        }
        (&stream).write_all(&encoded(words)).unwrap();
        answer(&mut reader)
    }

    pub(crate) fn flush_all(&self) {
        assert_eq!(self.command(&["FLUSHALL"]), "OK");
    }

    /// Commands of every client wait for this long, then are answered.
    pub(crate) fn pause(&self, time: Duration) {
        assert_eq!(self.command(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"]), "OK");
    }

    /// The process stands still; its sockets stay open and take what fits into their buffers.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// The process goes on where [`Self::freeze`] stopped it.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The process ends at once, with all that it held; its port refuses connections.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its port, empty, after [`Self::kill`].
    pub(crate) fn restart(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = spawn(self.port(), &self.options) {
                self.child = child;
                return;
            }
            assert!(Instant::now() < deadline, "redis-server did not get its port {} again", self.port());
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of this machine that nobody else is given as long as this lives, also while no server listens at it: whoever talks to
/// a server that was killed must not reach the server of another test.
#[derive(Debug)]
struct Port {
    number: u16,
    _held: Socket,
}

impl Port {
    fn free() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // The server sets it too, and so may listen where this is bound.
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self { number, _held: socket }
    }
}

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never was so: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The server, once it takes connections; none where it ended instead.
fn spawn(port: u16, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    // A replica would leave what it is sent in a file, which the next server of this folder would begin with.
    command.args(["--repl-diskless-load", "swapdb", "--repl-diskless-sync-delay", "0"]);
    command.args(options);
    run(command, "Ready to accept connections")
}

/// The process, once it said so; none where it ended instead.
fn run(mut command: Command, signal: &str) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("redis-server does not start ({error}): install the package `redis-server`"),
    };
    let output = child.stdout.take().unwrap();
    if is_ready(output, signal) {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Reads what the server says until that; false where it ends before, or takes too long. It goes on
/// without a reader then: Redis ignores that nobody takes its words.
fn is_ready(mut output: ChildStdout, signal: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&wait));
        if !matches!(ready, Ok(1..)) {
            return false;
        }
        match output.read(&mut chunk) {
            Ok(0) | Err(_) => return false,
            Ok(count) => said.extend_from_slice(&chunk[..count]),
        }
        if String::from_utf8_lossy(&said).contains(signal) {
            return true;
        }
    }
}

fn encoded(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    command.into_bytes()
}

fn answer(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).unwrap_or_else(|| panic!("the server hung up"));
    match kind {
        "+" | ":" => rest.to_owned(),
        "-" => line.to_owned(),
        "$" => match rest.parse::<usize>() {
            Ok(length) => bulk(reader, length),
            Err(_) => String::new(),
        },
        "*" => {
            let parts = (0..rest.parse::<usize>().unwrap_or_default()).map(|_| answer(reader));
            parts.collect::<Vec<_>>().join("\n")
        }
        _ => panic!("`{line}` is no RESP"),
    }
}

fn bulk(reader: &mut impl BufRead, length: usize) -> String {
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).unwrap();
    bytes.truncate(length);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_server_answers_and_forgets_what_it_is_told_to_forget() {
    let mut redis = Redis::with_password("a secret");
    assert!(redis.url().ends_with(&format!("a secret@127.0.0.1:{}", redis.port())));
    assert_eq!(redis.command(&["RPUSH", "list", "ä", "b"]), "2");
    assert_eq!(redis.command(&["LRANGE", "list", "0", "-1"]), "ä\nb");
    assert!(redis.command(&["INCR", "list"]).starts_with("-WRONGTYPE"));
    redis.flush_all();
    assert_eq!((redis.command(&["GET", "list"]), redis.said("redis_mode")), (String::new(), "standalone".to_owned()));
    redis.command(&["SET", "key", "value"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.command(&["EXISTS", "key"]), "0");
}

#[test]
fn a_server_that_stands_still_answers_when_it_goes_on() {
    let redis = Redis::start();
    redis.pause(Duration::from_millis(50));
    assert_eq!(redis.command(&["PING"]), "PONG");
    redis.freeze();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| redis.command(&["PING"]));
        redis.thaw();
        assert_eq!(asked.join().unwrap(), "PONG");
    });
}

#[test]
fn the_port_of_a_server_that_was_killed_is_given_to_nobody_else() {
    let mut redis = Redis::start();
    redis.kill();
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let refused = other.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, redis.port())).into()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
}
