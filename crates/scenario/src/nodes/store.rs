//! The Redis that the nodes of a stage share: one server, or one that another one takes over from.
//!
//! ```text
//! Alone:    nodes --proxies--> first
//! Watched:  nodes --three sentinels say who--> first, or its heir
//! Sharded:  nodes --MOVED says who, of four--> first, or its heir
//! ```
//!
//! Sentinels and the nodes of a Redis Cluster announce addresses themselves, so nothing can lie between them and the gateways.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{Instant, sleep};

use super::redis::{Keeps, MASTER, Redis};

mod sharded;
#[cfg(test)]
mod tests;
mod watched;

/// How long servers may take to agree about something: a sentinel that was late itself trusts nothing for 30 s.
const AGREE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is written to a former master, to see it go.
const MARK: &str = "written-to-the-former-master";

/// In the list of connections: that of a sentinel, and that which asks for the list.
const OF_A_SENTINEL: &str = " name=sentinel-";
const OURS: &str = " cmd=client|list ";

/// How the nodes find the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They are told where it is.
    Alone,
    /// They ask sentinels.
    Watched,
    /// It is one of a Redis Cluster.
    Sharded,
}

/// The servers. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Store {
    kind: Kind,
    /// Who serves at the start; what happens happens to this one.
    first: Redis,
    /// Who takes over.
    heir: Option<Heir>,
    /// Who decides that: sentinels, or further masters of a Redis Cluster.
    voters: Vec<Redis>,
}

#[derive(Debug)]
struct Heir {
    server: Redis,
    serves: bool,
}

impl Store {
    /// Servers that are ready, and know each other.
    ///
    /// # Errors
    /// When redis-server is not installed, or one does not start, or they do not find each other.
    pub(super) async fn start(kind: Kind) -> anyhow::Result<Self> {
        let (first, heir, voters) = match kind {
            Kind::Alone => return Ok(Self { kind, first: Redis::start().await?, heir: None, voters: Vec::new() }),
            Kind::Watched => watched::start().await?,
            Kind::Sharded => sharded::start().await?,
        };
        Ok(Self { kind, first, heir: Some(Heir { server: heir, serves: false }), voters })
    }

    /// What the nodes are to be told, where nothing lies between.
    pub(super) fn url(&self) -> Option<String> {
        let all = |servers: &[&Redis]| servers.iter().map(|it| it.address().to_string()).collect::<Vec<_>>().join(",");
        let voters: Vec<&Redis> = self.voters.iter().collect();
        match self.kind {
            Kind::Alone => None,
            Kind::Watched => Some(format!("redis+sentinel://{}/{MASTER}", all(&voters))),
            Kind::Sharded => Some(format!("redis+cluster://{},{}", self.first.address(), all(&voters))),
        }
    }

    /// Of the server that serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.serving().address()
    }

    /// A key of the nodes by its name behind the prefix.
    pub(super) fn key(&self, name: &str) -> String {
        match self.kind {
            Kind::Alone | Kind::Watched => format!("lychgate:{name}"),
            Kind::Sharded => format!("{{lychgate}}:{name}"),
        }
    }

    /// As [`Redis::ask`], of the server that serves.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn ask(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        self.serving().ask(words).await
    }

    pub(super) fn freeze(&self) -> anyhow::Result<()> {
        self.first.freeze()
    }

    pub(super) fn thaw(&self) -> anyhow::Result<()> {
        self.first.thaw()
    }

    /// As [`Redis::kill`].
    ///
    /// # Errors
    /// As there.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.first.kill().await
    }

    /// As [`Redis::start_again`].
    ///
    /// # Errors
    /// As there.
    pub(super) async fn start_again(&mut self, keeps: Keeps) -> anyhow::Result<()> {
        self.first.start_again(keeps).await
    }

    /// The heir hears nothing of the first any more: what is written from now on is lost with that one.
    ///
    /// # Errors
    /// When there is no heir, or one of the two does not do as it is told.
    pub(super) async fn cut_off_heir(&self) -> anyhow::Result<()> {
        // The first asks for no password, and refuses who shows one.
        self.heir()?.server.ask(&["CONFIG", "SET", "masterauth", "another"]).await?;
        self.first.ask(&["CLIENT", "KILL", "TYPE", "replica"]).await?;
        Ok(())
    }

    /// Kills the first, and waits until the heir has been made the master.
    ///
    /// # Errors
    /// As [`Self::kill`] and [`Self::promoted`].
    pub(super) async fn fail_over(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.promoted().await
    }

    /// Waits until the heir has been made the master: from then on it is the one that serves.
    ///
    /// # Errors
    /// When that takes longer than a minute, with what it is instead.
    pub(super) async fn promoted(&mut self) -> anyhow::Result<()> {
        until("the replica is the master", async || role(&self.heir()?.server, &["master"]).await).await?;
        if let Some(heir) = &mut self.heir {
            heir.serves = true;
        }
        Ok(())
    }

    /// Has the first go on, which still takes itself for the master, until sentinels have it follow its heir.
    ///
    /// # Errors
    /// When nodes stay with it, or it keeps what was written to it, or does not follow within a minute.
    pub(super) async fn comes_back(&self) -> anyhow::Result<()> {
        self.first.thaw()?;
        self.first.ask(&["SET", MARK, "by us"]).await.context("the former master takes writes until it is told")?;
        until("the former master is left alone", async || self.is_left_alone().await).await?;
        // Whoever stays is turned out when it becomes a replica: by sentinels, about eight seconds later.
        role(&self.first, &["master"]).await.context("nodes stayed with the former master while it was one")?;
        let place = self.heir()?.server.address();
        let (host, port) = (place.ip().to_string(), place.port().to_string());
        let follows = ["slave", &host, &port, "connected"];
        until("the former master follows its heir", async || role(&self.first, &follows).await).await?;
        let kept = self.first.ask(&["EXISTS", MARK]).await?;
        ensure!(kept == ["0"], "the former master keeps what was written to it when there was another one");
        Ok(())
    }

    /// Whether nobody but sentinels and us is connected to the first.
    async fn is_left_alone(&self) -> anyhow::Result<()> {
        let told = self.first.ask(&["CLIENT", "LIST"]).await?;
        let is_known = |line: &&str| line.contains(OF_A_SENTINEL) || line.contains(OURS);
        match told.iter().flat_map(|text| text.lines()).find(|line| !is_known(line)) {
            Some(line) => bail!("somebody else is connected to it: {line}"),
            None => Ok(()),
        }
    }

    fn serving(&self) -> &Redis {
        self.heir.as_ref().filter(|heir| heir.serves).map_or(&self.first, |heir| &heir.server)
    }

    fn heir(&self) -> anyhow::Result<&Heir> {
        self.heir.as_ref().context("this Redis is one server, and nobody takes over from it")
    }
}

/// Whether what a server says of its part in a replication begins with these words.
async fn role(server: &Redis, words: &[&str]) -> anyhow::Result<()> {
    let told = server.ask(&["ROLE"]).await?;
    ensure!(told.iter().zip(words).filter(|(told, word)| told == *word).count() == words.len(), "its role is {told:?}");
    Ok(())
}

/// Waits until servers say that it is so.
///
/// # Errors
/// When they do not within a minute, with what they said last.
async fn until(what: &str, is_so: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let deadline = Instant::now() + AGREE_WITHIN;
    loop {
        let Err(instead) = is_so().await else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(instead.context(format!("after {AGREE_WITHIN:?} it was not so that {what}")));
        }
        sleep(LOOK_EVERY).await;
    }
}
