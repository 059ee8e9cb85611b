//! What a server must be before anything is written there.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::time::timeout;

use super::error::OpenError;
use crate::whereabouts::{Found, is_denial};

/// What the keys are; another number means other keys.
pub(super) const SCHEMA: u32 = 1;
const OLDEST_MAJOR: u32 = 7;
/// For the whole check.
const WITHIN: Duration = Duration::from_millis(500);

/// Why there is no connection.
pub(super) fn explain(error: &RedisError) -> OpenError {
    match error.kind() {
        _ if is_denial(error) => OpenError::Denied(error.to_string()),
        ErrorKind::InvalidClientConfig => OpenError::Address,
        _ => OpenError::Unreachable(error.to_string()),
    }
}

/// Checks the version, that nothing is evicted, and that what stands under our prefix is ours; leaves our mark where
/// there is none. Gives the generation, random, which is another one after the data were lost.
pub(super) async fn check(found: &mut Found, key: &str) -> Result<String, OpenError> {
    let Found { connection, server, .. } = found;
    let version = if server.version.is_empty() { "unknown" } else { &server.version };
    // Valkey tells its own version beside, and Redis 7.2 as this one.
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
    if major < OLDEST_MAJOR {
        return Err(OpenError::TooOld(version.to_owned()));
    }
    if !matches!(server.policy.as_str(), "" | "noeviction") {
        return Err(OpenError::Evicts(server.policy.clone()));
    }
    let late = |_| OpenError::Unreachable("no answer in 500 ms".to_owned());
    timeout(WITHIN, mark(connection, key)).await.map_err(late)?
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
