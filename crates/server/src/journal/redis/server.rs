//! What a server must be before anything is written there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::error::OpenError;

/// What the keys are; another number means other keys.
pub(super) const SCHEMA: u32 = 1;
const OLDEST_MAJOR: u32 = 7;
/// For the whole check.
const WITHIN: Duration = Duration::from_millis(500);

/// Who answers.
#[derive(Debug)]
pub(super) struct Server {
    /// Random, another one for each process and after each failover.
    pub(super) run_id: Arc<str>,
    /// Random, another one after the data were lost.
    pub(super) generation: String,
}

/// Why there is no connection.
pub(super) fn explain(error: &RedisError) -> OpenError {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            OpenError::Denied(error.to_string())
        }
        ErrorKind::InvalidClientConfig => OpenError::Address,
        // The list of the library is open; the code is what the server said.
        _ if matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM")) => OpenError::Denied(error.to_string()),
        _ => OpenError::Unreachable(error.to_string()),
    }
}

/// Checks the version, that nothing is evicted, and that what stands under our prefix is ours; leaves our mark where
/// there is none.
pub(super) async fn check(connection: &mut MultiplexedConnection, key: &str) -> Result<Server, OpenError> {
    let late = |_| OpenError::Unreachable("no answer in 500 ms".to_owned());
    timeout(WITHIN, check_now(connection, key)).await.map_err(late)?
}

async fn check_now(connection: &mut MultiplexedConnection, key: &str) -> Result<Server, OpenError> {
    let info: String = redis::cmd("INFO").query_async(connection).await.map_err(|error| explain(&error))?;
    let said: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let version = said.get("redis_version").copied().unwrap_or("unknown");
    // Valkey tells its own version beside, and Redis 7.2 as this one.
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
    if major < OLDEST_MAJOR {
        return Err(OpenError::TooOld(version.to_owned()));
    }
    if said.get("loading").copied() == Some("1") {
        return Err(OpenError::Unreachable("it is loading its data".to_owned()));
    }
    if let Some(policy) = said.get("maxmemory_policy").filter(|policy| **policy != "noeviction") {
        return Err(OpenError::Evicts((*policy).to_owned()));
    }
    let run_id: Arc<str> = said.get("run_id").copied().unwrap_or_default().into();
    Ok(Server { run_id, generation: mark(connection, key).await? })
}

/// Reads the mark of the journal, and leaves one where there is none.
async fn mark(connection: &mut MultiplexedConnection, key: &str) -> Result<String, OpenError> {
    let failed = |error: RedisError| match error.code() {
        Some("WRONGTYPE") => {
            let what = "is not a hash, so it is not of a gateway".to_owned();
            OpenError::Foreign { key: key.to_owned(), what }
        }
        Some("READONLY") => OpenError::Unreachable("it is a replica, which takes no writes".to_owned()),
        _ => explain(&error),
    };
    let length: u64 = redis::cmd("HLEN").arg(key).query_async(connection).await.map_err(failed)?;
    let fresh = uuid::Uuid::new_v4().simple().to_string();
    for (field, value) in [("schema", SCHEMA.to_string()), ("generation", fresh)] {
        // What somebody else wrote there stays as it is. Several nodes may come here at once: the first one is right.
        if length == 0 {
            let mut set = redis::cmd("HSETNX");
            set.arg(key).arg(field).arg(value).query_async::<u64>(connection).await.map_err(failed)?;
        }
    }
    let mut read = redis::cmd("HMGET");
    let (schema, generation): (Option<String>, Option<String>) =
        read.arg(key).arg("schema").arg("generation").query_async(connection).await.map_err(failed)?;
    match (schema.as_deref().map(str::parse::<u32>), generation) {
        (Some(Ok(SCHEMA)), Some(generation)) => Ok(generation),
        (Some(Ok(_)), _) => {
            let found = schema.unwrap_or_default();
            Err(OpenError::Newer { key: key.to_owned(), found, known: SCHEMA })
        }
        (None | Some(_), _) => {
            let what = "has no schema that a gateway wrote".to_owned();
            Err(OpenError::Foreign { key: key.to_owned(), what })
        }
    }
}
