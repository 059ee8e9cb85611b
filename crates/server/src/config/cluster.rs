//! `[cluster]`: whether other nodes share the limits of users, and where they meet.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, not_zero};
use super::redis::RedisUrl;
use super::secret::Outside;
use super::value::{Secret, Span};

/// The prefix and the name stand in keys and patterns of Redis.
const MAX_NAME_BYTES: usize = 64;

/// A node's address stands in the table of nodes, of which each has a copy.
const MAX_ADDRESS_BYTES: usize = 255;

/// Where a Redis listens that nobody configured.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// `[cluster]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cluster {
    /// This node alone.
    #[default]
    Single,
    /// Nodes that meet in Redis.
    Redis(Redis),
}

/// Where nodes meet, and how long they wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Its address. Default `redis://127.0.0.1:6379`.
    pub url: RedisUrl,
    /// What every key begins with. Default `lychgate`.
    pub prefix: String,
    /// The cluster's name: nodes of another name under the same prefix are refused. Default `lychgate`.
    pub name: String,
    /// This node's name, for people. Default: that of its machine.
    pub node_name: Option<String>,
    /// Where people find this node: `HOST:PORT` or a URL. Default: where it listens, by the machine's name if that is everywhere.
    pub node_address: Option<String>,
    /// How long a node that does not answer holds its places. Default 10 s, 1 s to 10 min.
    pub node_lease: Duration,
    /// How long anything may wait for Redis. Default 500 ms, at most a quarter of `node_lease`.
    pub command_timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Single,
    Redis,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCluster {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    prefix: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_address: Option<String>,
    node_lease: Span,
    command_timeout: Span,
}

impl RawCluster {
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Cluster, Fault> {
        word("cluster.prefix", &self.prefix)?;
        word("cluster.name", &self.name)?;
        if let Some(name) = &self.node_name {
            word("cluster.node_name", name)?;
        }
        if let Some(address) = &self.node_address {
            place("cluster.node_address", address)?;
        }
        not_zero("cluster.command_timeout", self.command_timeout.0)?;
        let lease = self.node_lease.0;
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&lease) {
            let remedy = "Set it to \"1s\" to \"10m\", or leave it out for the default.";
            return Err(Fault::value("cluster.node_lease", "is no time that a node's lease can have", remedy));
        }
        // A node has to be able to try more than once before the others bury it.
        if self.command_timeout.0 > lease / 4 {
            let rule = "must not be longer than a quarter of";
            return Err(Fault::against("cluster.command_timeout", rule, "cluster.node_lease"));
        }
        match self.kind {
            Kind::Single => Ok(Cluster::Single),
            Kind::Redis => Ok(Cluster::Redis(Redis {
                url: RedisUrl::of(
                    ["cluster.url", "cluster.url_env", "cluster.url_file"],
                    (&self.url, &self.url_env, &self.url_file),
                    outside,
                )?
                .map_or_else(|| RedisUrl::parse("cluster.url", DEFAULT_URL), Ok)?,
                prefix: self.prefix.clone(),
                name: self.name.clone(),
                node_name: self.node_name.clone(),
                node_address: self.node_address.clone(),
                node_lease: lease,
                command_timeout: self.command_timeout.0,
            })),
        }
    }
}

/// Letters, digits and a few signs that mean nothing to a pattern or to a hash tag of Redis.
fn word(key: &str, text: &str) -> Result<(), Fault> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Fault::value(key, format!("is {text:?}"), "Use letters, digits, `-`, `_` and `.`, 64 at most.")),
    }
}

/// Something that stands in a table: it has neither blanks nor signs that nobody sees.
fn place(key: &str, text: &str) -> Result<(), Fault> {
    match !text.is_empty() && text.len() <= MAX_ADDRESS_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Fault::value(
            key,
            format!("is {text:?}"),
            "Write it as people reach this node, for instance \"gateway-1.example.org:8443\", without blanks, 255 bytes at most.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn cluster(table: &str) -> Result<Cluster, String> {
        let secret = "auth.jwt.secret = \"a secret of the tests, long enough for HS256\"\n";
        let checked = Config::from_toml(&format!("{secret}[cluster]\n{table}"));
        checked.map(|config| config.cluster).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_alone_unless_it_is_told_where_others_are() {
        assert_eq!(cluster(""), Ok(Cluster::Single));
        let Ok(Cluster::Redis(redis)) = cluster("kind = \"redis\"") else { panic!("no cluster") };
        assert_eq!((redis.url.to_string().as_str(), redis.prefix.as_str()), ("redis://127.0.0.1:6379", "lychgate"));
        assert_eq!((redis.node_lease, redis.command_timeout), (Duration::from_secs(10), Duration::from_millis(500)));
    }

    #[test]
    fn a_wrong_address_is_refused_and_a_password_in_it_is_never_shown() {
        for url in ["localhost:6379", "http://:hunter2@h", "redis://:hunter2@", "redis://:hunter2@h:99999"] {
            let error = cluster(&format!("kind = \"redis\"\nurl = {url:?}")).unwrap_err();
            assert!(error.contains("cluster.url "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let good = cluster("kind = \"redis\"\nurl = \"rediss://me:hunter2@redis.example.org:6380/3\"").unwrap();
        assert!(!format!("{good:?}").contains("hunter2"), "{good:?}");
        assert!(format!("{good:?}").contains("redis.example.org:6380"), "{good:?}");
    }

    #[test]
    fn values_that_cannot_be_meant_name_their_key() {
        for (table, key) in [
            ("prefix = \"a*\"", "cluster.prefix"),
            ("name = \"\"", "cluster.name"),
            ("node_address = \"\"", "cluster.node_address"),
            ("node_address = \"gateway 1\"", "cluster.node_address"),
            ("node_lease = \"100ms\"", "cluster.node_lease"),
            (
                "node_lease = \"2s\"\ncommand_timeout = \"600ms\"",
                "must not be longer than a quarter of cluster.node_lease",
            ),
            ("kind = \"redis\"\nurl = \"redis://h\"\nurl_env = \"X\"", "must not be set together with cluster.url_env"),
        ] {
            let error = cluster(table).unwrap_err();
            assert!(error.contains(key), "{table:?} gave: {error}");
        }
    }
}
