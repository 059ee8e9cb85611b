//! A real redis-server: on a free port of this machine, stopped, killed, emptied and started again, ended with us.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::live::folder::Folder;

mod line;
mod part;

pub(super) use line::Line;
use line::ask;
pub(super) use part::{MASTER, Part};

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a server.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Somebody may name a port that is ours.
const ATTEMPTS: u32 = 10;

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
    part: Part,
    port: Port,
    /// For the others of its Redis Cluster.
    bus: Port,
    folder: Folder,
}

impl Redis {
    /// A server that is ready, alone, and has never been written to.
    ///
    /// # Errors
    /// When redis-server is not installed, or does not start.
    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::start_as(Part::Alone).await
    }

    /// A server that is ready for its part.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(super) async fn start_as(part: Part) -> anyhow::Result<Self> {
        for _ in 0..ATTEMPTS {
            let (port, bus, folder) = (Port::free()?, Port::free()?, Folder::new());
            std::fs::create_dir_all(folder.path()).context("no folder for Redis' files can be made")?;
            if let Some(child) = spawn(part, &port, &bus, &folder).await? {
                return Ok(Self { child, part, port, bus, folder });
            }
        }
        bail!("redis-server did not start as {part:?}: {ATTEMPTS} times it ended before it answered")
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Sends a command on a connection of its own. The answer is flat: the parts of all lists one after the other, nothing
    /// as an empty text.
    ///
    /// # Errors
    /// When it does not answer within 2 s, or answers with an error.
    pub(super) async fn ask(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        ask(self.address(), words).await
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
            if let Some(child) = spawn(self.part, &self.port, &self.bus, &self.folder).await? {
                self.child = child;
                return Ok(());
            }
        }
        bail!("redis-server did not get its port again within {PATIENCE:?}: {}", self.port.address)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().context("redis-server is gone")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process id is positive")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// A port of this machine that nobody else is given as long as this lives, also while no server listens at it: whoever talks to
/// a server that was killed must not reach the server of somebody else.
#[derive(Debug)]
struct Port {
    address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    fn free() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // The server sets it too, and so may listen where this is bound.
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).context("no port is free")?;
        Ok(Self { address: socket.local_addr()?, _held: socket })
    }
}

/// The server, once it answers; none where it ended before.
async fn spawn(part: Part, port: &Port, bus: &Port, folder: &Folder) -> anyhow::Result<Option<Child>> {
    let address = port.address;
    let mut child = part
        .command(address.port(), bus.address.port(), folder.path())?
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
        if is_ours && ask(address, &["PING"]).await.is_ok() {
            return Ok(Some(child));
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("redis-server at {address} did not answer within {PATIENCE:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn the_port_of_a_server_that_was_killed_is_given_to_nobody_else() {
        let mut redis = Redis::start().await.unwrap();
        redis.kill().await.unwrap();
        let other = TcpSocket::new_v4().unwrap();
        assert_eq!(other.bind(redis.address()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        assert!(redis.ask(&["PING"]).await.is_err(), "nobody listens there");
    }
}
