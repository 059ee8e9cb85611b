//! What is looked at before a node joins: whether this Redis can carry leases, and whether the keys are ours.

use std::time::Duration;

use ::redis::Value;
use tokio::time::sleep;

use super::keys::Keys;
use super::link::Link;
use super::scripts::SCHEMA;
use crate::cluster::lease::Trouble;
use crate::config::{self, RedisUrl};
use crate::whereabouts::{Misplaced, Server};

/// The oldest server whose scripts do what ours need.
const LEAST_VERSION: (u32, u32) = (7, 0);
/// Pages of SCAN that are read in search of keys of others.
const MAX_PAGES: u32 = 64;
const PAGE: u32 = 1_000;
/// After a flush a node may give a place back before its next beat names the data set: keys of ours look like another's for as
/// long as a beat is away, a second at most.
const LOOKS_AGAIN: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a node does not start. Every sentence says what to do; none quotes the address's password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It refused who we are.
    #[error(
        "Redis at {0} refuses this user or password\n  Set cluster.url, url_env or url_file to an address with the right ones; docs/cluster.md has the ACL SETUSER line with what that user needs."
    )]
    Forbidden(RedisUrl),
    /// The address means something else than what is there.
    #[error("cluster.url ({url}) {what}\n  {}", what.remedy())]
    Misplaced {
        /// Where.
        url: RedisUrl,
        /// What is there.
        what: Misplaced,
    },
    /// It is older than 7.0, or no Redis.
    #[error(
        "what answers at {url} is Redis {version:?}, and 7.0 or newer is needed\n  Update it, or name another one in cluster.url."
    )]
    TooOld {
        /// Where.
        url: RedisUrl,
        /// What it said.
        version: String,
    },
    /// It throws keys away when its memory is full: sessions would lose their places.
    #[error(
        "Redis at {url} has maxmemory-policy {policy:?}: it would throw leases away when its memory is full\n  Set maxmemory-policy noeviction there, or name a Redis of its own in cluster.url."
    )]
    Evicts {
        /// Where.
        url: RedisUrl,
        /// Its policy.
        policy: String,
    },
    /// Keys of another program.
    #[error(
        "Redis at {url} has keys under {prefix:?} that are not ours, such as {key:?}\n  Set cluster.prefix to a word that nobody else uses, or delete those keys."
    )]
    ForeignKeys {
        /// Where.
        url: RedisUrl,
        /// Our prefix.
        prefix: String,
        /// One of them.
        key: String,
    },
    /// Another version's layout.
    #[error(
        "the keys under {prefix:?} at {url} have the layout {found:?}, and this version knows {SCHEMA:?}\n  Run one version in all nodes, or set another cluster.prefix."
    )]
    OtherSchema {
        /// Where.
        url: RedisUrl,
        /// Our prefix.
        prefix: String,
        /// What is there.
        found: String,
    },
    /// Another cluster.
    #[error(
        "the keys under {prefix:?} at {url} belong to the cluster {found:?}, and this node is of {name:?}\n  Two clusters on one Redis need a cluster.prefix each; nodes of one cluster need the same cluster.name."
    )]
    OtherCluster {
        /// Where.
        url: RedisUrl,
        /// Our prefix.
        prefix: String,
        /// Whose keys these are.
        found: String,
        /// Our name.
        name: String,
    },
}

/// What came of looking.
pub(super) enum Look {
    Fine,
    /// It went away while it was looked at.
    Away(Trouble),
    Wrong(StartError),
}

pub(super) async fn look(link: &Link, server: &Server, settings: &config::Redis, keys: &Keys) -> Look {
    if let Err(error) = suits(server, settings) {
        return Look::Wrong(error);
    }
    let mut told = whose(link, settings, keys).await;
    for _ in 0..LOOKS_AGAIN {
        if !matches!(told, Ok(Some(StartError::ForeignKeys { .. }))) {
            break;
        }
        sleep(PAUSE).await;
        told = whose(link, settings, keys).await;
    }
    match told {
        Ok(None) => Look::Fine,
        Ok(Some(error)) => Look::Wrong(error),
        Err(Trouble::Forbidden) => Look::Wrong(StartError::Forbidden(settings.url.clone())),
        Err(trouble) => Look::Away(trouble),
    }
}

pub(super) fn suits(server: &Server, settings: &config::Redis) -> Result<(), StartError> {
    let url = settings.url.clone();
    let mut numbers = server.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version < LEAST_VERSION {
        return Err(StartError::TooOld { url, version: server.version.clone() });
    }
    if server.policy != "noeviction" {
        return Err(StartError::Evicts { url, policy: server.policy.clone() });
    }
    Ok(())
}

async fn whose(link: &Link, settings: &config::Redis, keys: &Keys) -> Result<Option<StartError>, Trouble> {
    let (url, prefix) = (settings.url.clone(), settings.prefix.clone());
    let mut command = ::redis::cmd("HMGET");
    command.arg(keys.cluster()).arg("schema").arg("name");
    let (schema, name): (Option<String>, Option<String>) = match link.send(&command).await {
        Err(Trouble::Foreign) => return Ok(Some(StartError::ForeignKeys { url, prefix, key: keys.cluster() })),
        other => other?,
    };
    Ok(match (schema, name) {
        (None, _) => first_key(link, keys).await?.map(|key| StartError::ForeignKeys { url, prefix, key }),
        (Some(found), _) if found != SCHEMA => Some(StartError::OtherSchema { url, prefix, found }),
        (Some(_), Some(found)) if found == settings.name => None,
        (Some(_), found) => {
            let found = found.unwrap_or_default();
            Some(StartError::OtherCluster { url, prefix, found, name: settings.name.clone() })
        }
    })
}

/// A key under our prefix, where there should be none yet. In a large data set of others not every page is read.
async fn first_key(link: &Link, keys: &Keys) -> Result<Option<String>, Trouble> {
    let mut cursor = "0".to_owned();
    for _ in 0..MAX_PAGES {
        let mut command = ::redis::cmd("SCAN");
        command.arg(&cursor).arg("MATCH").arg(keys.pattern()).arg("COUNT").arg(PAGE);
        let (next, found): (String, Vec<Value>) = link.send(&command).await?;
        let foreign = found.into_iter().find_map(|key| match key {
            Value::BulkString(bytes) => {
                let key = String::from_utf8_lossy(&bytes).into_owned();
                (!keys.is_expected(&key)).then_some(key)
            }
            _ => None,
        });
        if foreign.is_some() || next == "0" {
            return Ok(foreign);
        }
        cursor = next;
    }
    Ok(None)
}
