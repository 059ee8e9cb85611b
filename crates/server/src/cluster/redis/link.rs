//! The connection to Redis: opened, asked and judged within deadlines.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::{Client, Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::time::timeout;

use super::keys::Keys;
use crate::cluster::lease::Trouble;
use crate::config;
use crate::whereabouts::{Astray, Misplaced, Server, Whereabouts, is_denial, listen};

/// One connection, over which all commands of this node go, many at a time. Cloning it is cheap. It never comes back by
/// itself: whoever opens the next one looks first whose data he finds (R33).
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    client: Client,
    deadline: Duration,
    /// What the server calls its data: see [`Server::run`].
    pub(super) run: Arc<str>,
}

/// Opens connections to one address.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    whereabouts: Whereabouts,
    deadline: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unopened {
    /// It may be there later.
    Away(Trouble),
    /// The address has to be written otherwise.
    Misplaced(Misplaced),
}

impl Dialer {
    pub(super) fn new(settings: &config::Redis, keys: &Keys) -> Result<Self, RedisError> {
        let deadline = settings.command_timeout;
        Ok(Self { whereabouts: Whereabouts::new(&settings.url, &keys.cluster(), deadline)?, deadline })
    }

    /// A connection, and what its server says of itself. Takes twice the deadline at most.
    pub(super) async fn open(&self) -> Result<(Link, Server), Unopened> {
        let found = self.whereabouts.open().await.map_err(|astray| match astray {
            Astray::Silent => Unopened::Away(Trouble::Silent),
            Astray::Unfit(_) => Unopened::Away(Trouble::Unfit),
            Astray::Failed(error) => Unopened::Away(trouble(&error)),
            Astray::Misplaced(misplaced) => Unopened::Misplaced(misplaced),
        })?;
        let run = Arc::clone(&found.server.run);
        let link = Link { connection: found.connection, client: found.client, deadline: self.deadline, run };
        Ok((link, found.server))
    }
}

impl From<Unopened> for Trouble {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Away(trouble) => trouble,
            Unopened::Misplaced(_) => Self::Unfit,
        }
    }
}

impl Link {
    /// Runs a script; sends its text where the server does not know it yet.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Trouble> {
        let mut connection = self.connection.clone();
        self.within(script.invoke_async(&mut connection)).await
    }

    /// A connection to the same server that hears what is published.
    pub(super) async fn listen(&self, channels: &[String]) -> Result<PubSub, Trouble> {
        let opening = async {
            let mut ear = listen(&self.client).await?;
            ear.subscribe(channels).await?;
            Ok(ear)
        };
        self.within(opening).await
    }

    pub(super) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let mut connection = self.connection.clone();
        self.within(command.query_async(&mut connection)).await
    }

    /// A command that ran out of time may still be applied (R16); who waits for it learns only that.
    async fn within<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, Trouble> {
        match timeout(self.deadline, asked).await {
            Ok(answer) => answer.map_err(|error| trouble(&error)),
            Err(_) => Err(Trouble::Silent),
        }
    }
}

/// The words of the error are the server's, and may quote what we sent: none of them is kept.
fn trouble(error: &RedisError) -> Trouble {
    match error.code() {
        _ if error.is_timeout() => Trouble::Silent,
        _ if error.is_io_error() || error.is_connection_dropped() => Trouble::Unreachable,
        _ if is_denial(error) => Trouble::Forbidden,
        Some("WRONGTYPE") => Trouble::Foreign,
        Some(_) | None => Trouble::Unfit,
    }
}
