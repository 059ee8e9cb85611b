//! The connection to Redis: opened, asked and judged within deadlines.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation,
    ServerErrorKind,
};
use tokio::time::timeout;

use crate::cluster::lease::Trouble;
use crate::config;

/// One connection, over which all commands of this node go, many at a time. Cloning it is cheap. It never comes back by
/// itself: whoever opens the next one looks first whose data he finds (R33).
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    deadline: Duration,
    /// The server's own id of this run of it.
    pub(super) run: Arc<str>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) policy: String,
    run: String,
}

/// Opens connections to one address.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    client: Client,
    deadline: Duration,
}

impl Dialer {
    pub(super) fn new(settings: &config::Redis) -> Result<Self, RedisError> {
        let there = settings.url.as_str().into_connection_info()?;
        let client = Client::open(there.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        Ok(Self { client, deadline: settings.command_timeout })
    }

    /// A connection, and what its server says of itself.
    pub(super) async fn open(&self) -> Result<(Link, Server), Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(Some(self.deadline));
        let opening = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let told: String = ::redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
            let memory: String = ::redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
            Ok((connection, Server::read(&told, &memory)))
        };
        let (connection, server) = self.within(opening).await?;
        Ok((Link { connection, deadline: self.deadline, run: server.run.as_str().into() }, server))
    }

    /// A connection that hears what is published.
    pub(super) async fn listen(&self, channels: &[String]) -> Result<PubSub, Trouble> {
        let opening = async {
            let mut ear = self.client.get_async_pubsub().await?;
            ear.subscribe(channels).await?;
            Ok(ear)
        };
        self.within(opening).await
    }

    async fn within<T>(&self, opening: impl Future<Output = Result<T, RedisError>>) -> Result<T, Trouble> {
        match timeout(self.deadline, opening).await {
            Ok(done) => done.map_err(|error| trouble(&error)),
            Err(_) => Err(Trouble::Silent),
        }
    }
}

impl Link {
    /// Runs a script; sends its text where the server does not know it yet.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Trouble> {
        let mut connection = self.connection.clone();
        self.within(script.invoke_async(&mut connection)).await
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

impl Server {
    fn read(server: &str, memory: &str) -> Self {
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim_end().to_owned()
        };
        Self {
            version: field(server, "redis_version"),
            policy: field(memory, "maxmemory_policy"),
            run: field(server, "run_id"),
        }
    }
}

/// The words of the error are the server's, and may quote what we sent: none of them is kept.
fn trouble(error: &RedisError) -> Trouble {
    match error.kind() {
        _ if error.is_timeout() => Trouble::Silent,
        _ if error.is_io_error() || error.is_connection_dropped() => Trouble::Unreachable,
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => Trouble::Forbidden,
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => Trouble::Forbidden,
            Some("WRONGTYPE") => Trouble::Foreign,
            _ => Trouble::Unfit,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_read_also_where_lines_are_missing() {
        let server =
            Server::read("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n", "maxmemory_policy:noeviction\r\n");
        assert_eq!((&*server.version, &*server.run, &*server.policy), ("7.0.15", "abc", "noeviction"));
        assert_eq!(Server::read("", "").version, "");
    }
}
