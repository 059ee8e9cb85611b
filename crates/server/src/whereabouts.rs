//! A connection to the Redis that an address means: a server, the master that sentinels name, or the node of a Redis Cluster
//! that has our keys. Whichever it is, it is one server, whose place is looked up whenever somebody connects.
//!
//! ```text
//! redis://            ------------------------------------------------.
//! redis+sentinel://   all sentinels at once --the newest word-- master +--> INFO: what it is --> Found
//! redis+cluster://    all nodes named at once --MOVED-- slot's owner --'    '--replica, loading, another kind--> Astray
//! ```
//!
//! Nothing here comes back by itself. Whoever loses a connection, or reads MOVED, READONLY or the like on it, opens another
//! one, and finds by [`Server::run`] whether the data may be others (decision 25 says why not the clients of the library).

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};
use tokio::time::timeout;

use crate::config::{RedisUrl, Site};

mod astray;
mod cluster;
mod sentinel;
mod server;

pub use self::astray::{Astray, Misplaced, is_denial};
pub use self::server::Server;
use self::server::{Mode, Role};

/// Where to ask, and how long.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    there: There,
    deadline: Duration,
}

/// [`Site`], read by the library.
#[derive(Clone)]
enum There {
    Fixed(ConnectionInfo),
    Sentinel { sentinels: Vec<ConnectionInfo>, name: String, server: ConnectionInfo },
    Cluster { seeds: Vec<ConnectionInfo>, key: String },
}

/// A server that serves, and a connection to it.
#[derive(Debug)]
pub struct Found {
    /// Over which everything is asked; without a deadline of its own.
    pub connection: MultiplexedConnection,
    /// What it said of itself.
    pub server: Server,
    /// For further connections to the same server.
    pub client: Client,
}

impl Whereabouts {
    /// `key` is any of the caller's: where it is a Redis Cluster, its slot tells the server. Nobody is asked yet.
    ///
    /// # Errors
    /// When the library cannot read the address.
    pub fn new(url: &RedisUrl, key: &str, deadline: Duration) -> Result<Self, RedisError> {
        let read = |url: &String| {
            let info = url.as_str().into_connection_info()?;
            Ok::<_, RedisError>(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        };
        let all = |urls: &[String]| urls.iter().map(read).collect::<Result<Vec<_>, _>>();
        let there = match url.site() {
            Site::Fixed(url) => There::Fixed(read(url)?),
            Site::Sentinel { sentinels, name, server } => {
                There::Sentinel { sentinels: all(sentinels)?, name: name.clone(), server: read(server)? }
            }
            Site::Cluster { seeds } => There::Cluster { seeds: all(seeds)?, key: key.to_owned() },
        };
        Ok(Self { there, deadline })
    }

    /// Looks up who is to be asked now, and connects. Takes the deadline at most for a server, twice that where others have
    /// to be asked for it.
    ///
    /// # Errors
    /// [`Astray`]: nothing was written anywhere.
    pub async fn open(&self) -> Result<Found, Astray> {
        let found = self.look_up().await?;
        tracing::debug!(server = %found.client.get_connection_info().addr(), "this Redis is asked from now on");
        Ok(found)
    }

    async fn look_up(&self) -> Result<Found, Astray> {
        match &self.there {
            There::Fixed(server) => self.enter(server, Mode::Standalone).await?.serving(),
            There::Sentinel { sentinels, name, server } => {
                let (host, port) = self.within(sentinel::master(sentinels, name, self.deadline / 2)).await?;
                self.enter(&at(server, host, port), Mode::Standalone).await?.serving()
            }
            There::Cluster { seeds, key } => {
                let tries = first(seeds.iter().map(|seed| cluster::owner(self, seed, key)));
                timeout(self.deadline * 2, tries).await.map_err(|_| Astray::Silent)?
            }
        }
    }

    /// Connects to one server and reads what it is.
    async fn enter(&self, there: &ConnectionInfo, mode: Mode) -> Result<Found, Astray> {
        self.within(async {
            let (client, mut connection) = connect(there, self.deadline).await?;
            let said: String = redis::cmd("INFO").query_async(&mut connection).await?;
            let server = Server::read(&said);
            server.is(mode)?;
            Ok(Found { connection, server, client })
        })
        .await
    }

    async fn within<T>(&self, asked: impl Future<Output = Result<T, Astray>>) -> Result<T, Astray> {
        timeout(self.deadline, asked).await.map_err(|_| Astray::Silent)?
    }
}

impl Found {
    /// A server that takes writes, which neither a replica does nor one that still reads its file.
    fn serving(self) -> Result<Self, Astray> {
        match (self.server.role, self.server.is_loading) {
            (_, true) => Err(Astray::Unfit("it is loading its data")),
            (Role::Replica, false) => Err(Astray::Unfit("it is a replica, which takes no writes")),
            (Role::Master, false) => Ok(self),
        }
    }
}

/// A connection to the same server that hears what is published there. Without a deadline.
pub async fn listen(client: &Client) -> Result<PubSub, RedisError> {
    client.get_async_pubsub().await
}

async fn connect(there: &ConnectionInfo, within: Duration) -> Result<(Client, MultiplexedConnection), RedisError> {
    let client = Client::open(there.clone())?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(within));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok((client, connection))
}

/// The same way of speaking, elsewhere.
fn at(like: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let there = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        // The list of the library is open; sockets of files have no host that could be another.
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.clone().set_addr(there)
}

/// The first that gets through; else the reason that says most.
async fn first<T>(tries: impl Iterator<Item = impl Future<Output = Result<T, Astray>>>) -> Result<T, Astray> {
    let mut tries: FuturesUnordered<_> = tries.collect();
    let mut why = Astray::Silent;
    while let Some(tried) = tries.next().await {
        match tried {
            Ok(found) => return Ok(found),
            Err(error) => why = why.or(error),
        }
    }
    Err(why)
}

impl std::fmt::Debug for There {
    /// Without the parts that may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Fixed",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster { .. } => "Cluster",
        })
    }
}

#[cfg(test)]
mod tests;
