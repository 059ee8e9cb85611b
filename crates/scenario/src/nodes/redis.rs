//! A real redis-server: on a free port of this machine, stopped, killed, emptied and started again, ended with us.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::live::folder::Folder;

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a command of ours may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A port that was free may be taken before the server has it.
const ATTEMPTS: u32 = 10;

/// The longest value that we ask for.
const MAX_BULK: usize = 1 << 20;

/// What it keeps over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Nothing.
    Nothing,
    /// Everything that it acknowledged.
    Everything,
}

/// A server. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Redis {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl Redis {
    /// A server that is ready, and has never been written to.
    ///
    /// # Errors
    /// When redis-server is not installed, or does not start.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).context("no folder for Redis' files can be made")?;
        for _ in 0..ATTEMPTS {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
            if let Some(child) = spawn(free, &folder).await? {
                return Ok(Self { child, address: free, folder });
            }
        }
        bail!("redis-server did not start: {ATTEMPTS} times its port was taken before it had it")
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a command on a connection of its own. The answer is flat: the parts of all lists one after the other, nothing
    /// as an empty text.
    ///
    /// # Errors
    /// When it does not answer within 2 s, or answers with an error.
    pub(super) async fn ask(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        ask(self.address, words).await
    }

    pub(super) fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    pub(super) fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends the process at once; its port refuses connections.
    ///
    /// # Errors
    /// When it is still there after 20 s.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.child.kill()).await.context("redis-server could not be killed")??)
    }

    /// Starts it again on its port, after [`Self::kill`].
    ///
    /// # Errors
    /// When it does not start within 20 s.
    pub(super) async fn start_again(&mut self, keeps: Keeps) -> anyhow::Result<()> {
        if keeps == Keeps::Nothing {
            std::fs::remove_dir_all(self.folder.path())?;
            std::fs::create_dir_all(self.folder.path())?;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(child) = spawn(self.address, &self.folder).await? {
                self.child = child;
                return Ok(());
            }
        }
        bail!("redis-server did not get its port {} again within {PATIENCE:?}", self.address)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().context("redis-server is gone")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process id is positive")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// The server, once it answers; none where it ended before.
async fn spawn(address: SocketAddr, folder: &Folder) -> anyhow::Result<Option<Child>> {
    let mut child = Command::new("redis-server")
        .args(["--port", &address.port().to_string(), "--bind", &address.ip().to_string()])
        // What it acknowledged is with the kernel: it survives the process, and no disk is waited for.
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("redis-server does not start: install the package `redis-server`")?;
    let own = format!("process_id:{}", child.id().unwrap_or_default());
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        // Another server may have taken the port.
        let told = ask(address, &["INFO", "server"]).await.unwrap_or_default();
        let is_ours = told.iter().any(|text| text.lines().any(|line| line == own));
        // While it reads its files it answers everything but INFO with an error.
        if is_ours && ask(address, &["EXISTS", "key"]).await.is_ok() {
            return Ok(Some(child));
        }
        sleep(Duration::from_millis(10)).await;
    }
    bail!("redis-server at {address} did not answer within {PATIENCE:?}")
}

/// One command to the server at `address`, as [`Redis::ask`].
pub(super) async fn ask(address: SocketAddr, words: &[&str]) -> anyhow::Result<Vec<String>> {
    let asked = async { Line::open(address).await?.ask(words).await };
    timeout(ANSWERS_WITHIN, asked)
        .await
        .with_context(|| format!("Redis did not answer {words:?} in {ANSWERS_WITHIN:?}"))?
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Line(BufReader<TcpStream>);

impl Line {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A command and its answer, flat. The caller bounds the wait.
    pub(super) async fn ask(&mut self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.write_all(command.as_bytes()).await?;
        answer(&mut self.0).await
    }
}

async fn answer(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Vec<String>> {
    let (mut parts, mut missing) = (Vec::new(), 1_usize);
    while missing > 0 {
        missing -= 1;
        let mut line = String::new();
        ensure!(reader.read_line(&mut line).await? > 0, "Redis hung up");
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).context("Redis sent an empty line")?;
        match kind {
            "+" | ":" => parts.push(rest.to_owned()),
            "-" => bail!("Redis says {rest}"),
            // -1 stands for nothing.
            "*" => missing += rest.parse::<usize>().unwrap_or_default(),
            "$" => match rest.parse::<usize>() {
                Ok(length) => {
                    ensure!(length <= MAX_BULK, "Redis sent {length} bytes, {MAX_BULK} are the most that we ask for");
                    let mut bytes = vec![0; length + 2];
                    reader.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    parts.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                Err(_) => parts.push(String::new()),
            },
            _ => bail!("`{line}` is no answer of Redis"),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_read_flat_and_errors_are_errors() {
        let mut text = &b"*3\r\n$2\r\nab\r\n*2\r\n:7\r\n$-1\r\n+OK\r\n"[..];
        assert_eq!(answer(&mut text).await.unwrap(), ["ab", "7", "", "OK"]);
        assert!(answer(&mut &b"-ERR no\r\n"[..]).await.unwrap_err().to_string().contains("ERR no"));
        assert!(answer(&mut &b"*1\r\n"[..]).await.is_err(), "it hung up in the middle");
    }

    #[tokio::test]
    async fn a_server_comes_back_on_its_port_with_what_it_is_told_to_keep() {
        let mut redis = Redis::start().await.unwrap();
        redis.ask(&["SET", "key", "value"]).await.unwrap();
        for (keeps, expected) in [(Keeps::Everything, "1"), (Keeps::Nothing, "0")] {
            redis.kill().await.unwrap();
            assert!(redis.ask(&["PING"]).await.is_err(), "it was killed");
            redis.start_again(keeps).await.unwrap();
            assert_eq!(redis.ask(&["EXISTS", "key"]).await.unwrap(), [expected]);
        }
    }
}
