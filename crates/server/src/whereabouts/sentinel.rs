//! What sentinels say of a master: all are asked at once, and of what a majority says the newest counts. One that was cut off
//! names the former master, and one that hangs keeps nobody waiting.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::astray::is_denial;
use super::{Astray, Misplaced, connect};

/// What one sentinel says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    /// Rises with each failover (`config-epoch`).
    epoch: u64,
    host: String,
    port: u16,
}

/// Host and port of the master. Each sentinel is given the time `within`.
pub(super) async fn master(
    sentinels: &[ConnectionInfo],
    name: &str,
    within: Duration,
) -> Result<(String, u16), Astray> {
    let mut asked: FuturesUnordered<_> = sentinels.iter().map(|sentinel| ask(sentinel, name, within)).collect();
    let (mut heard, mut newest, mut why) = (0, None, Astray::Silent);
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(word) => (heard, newest) = (heard + 1, newest.max(Some(word))),
            Err(error) => why = why.or(error),
        }
        if heard > sentinels.len() / 2 {
            break;
        }
    }
    newest.map(|word| (word.host, word.port)).ok_or(why)
}

async fn ask(sentinel: &ConnectionInfo, name: &str, within: Duration) -> Result<Word, Astray> {
    let asked = async {
        let (_, mut connection) = connect(sentinel, within).await?;
        word(&mut connection, name).await
    };
    match timeout(within, asked).await {
        Ok(answer) => answer.map_err(judged),
        Err(_) => Err(Astray::Silent),
    }
}

async fn word(connection: &mut MultiplexedConnection, name: &str) -> Result<Word, Astray> {
    // This one names the new master as soon as there is one; SENTINEL MASTER waits until its replicas follow it.
    let mut address = redis::cmd("SENTINEL");
    address.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let Some((host, port)) = address.query_async::<Option<(String, u16)>>(connection).await? else {
        let masters: Vec<HashMap<String, String>> =
            redis::cmd("SENTINEL").arg("MASTERS").query_async(connection).await?;
        let known = masters.into_iter().filter_map(|mut master| master.remove("name")).collect();
        return Err(Astray::Misplaced(Misplaced::UnknownMaster { name: name.to_owned(), known }));
    };
    let mut facts = redis::cmd("SENTINEL");
    facts.arg("MASTER").arg(name);
    let facts: HashMap<String, String> = facts.query_async(connection).await?;
    let epoch = facts.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
    Ok(Word { epoch, host, port })
}

/// What only a sentinel knows, another server has no command for.
fn judged(error: Astray) -> Astray {
    let is_unknown = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError);
    match error {
        Astray::Failed(error) if is_denial(&error) => Astray::Misplaced(Misplaced::SentinelDenies),
        Astray::Failed(error) if is_unknown(&error) => Astray::Misplaced(Misplaced::NoSentinel),
        other => other,
    }
}
