//! What a server says of itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Astray, Misplaced};

/// From one INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `redis_version`, as it stands there; empty where it is missing. Valkey tells the Redis that it is compatible with.
    pub version: String,
    /// `maxmemory_policy`.
    pub policy: String,
    /// Which data are there, as far as a server can tell: its process (`run_id`), and since when it goes its own way
    /// (`master_replid`, another one after each failover). Where it differs, what was acknowledged last may be missing.
    pub run: Arc<str>,
    pub(super) mode: Mode,
    pub(super) role: Role,
    pub(super) is_loading: bool,
}

/// `redis_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Standalone,
    Sentinel,
    Cluster,
}

/// `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Replica,
}

impl Server {
    /// What INFO said, in whichever sections.
    #[must_use]
    pub fn read(said: &str) -> Self {
        let fields: HashMap<&str, &str> = said.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        Self {
            version: field("redis_version").to_owned(),
            policy: field("maxmemory_policy").to_owned(),
            run: format!("{}-{}", field("run_id"), field("master_replid")).into(),
            mode: match field("redis_mode") {
                "sentinel" => Mode::Sentinel,
                "cluster" => Mode::Cluster,
                _ => Mode::Standalone,
            },
            role: if field("role") == "slave" { Role::Replica } else { Role::Master },
            is_loading: field("loading") == "1",
        }
    }

    /// Whether it is of the kind that the address says.
    pub(super) fn is(&self, wanted: Mode) -> Result<(), Astray> {
        let misplaced = match (wanted, self.mode) {
            (Mode::Standalone | Mode::Cluster, Mode::Sentinel) => Misplaced::IsSentinel,
            (Mode::Standalone, Mode::Cluster) => Misplaced::IsCluster,
            (Mode::Cluster, Mode::Standalone) => Misplaced::NoCluster,
            (Mode::Sentinel, Mode::Standalone | Mode::Cluster) => Misplaced::NoSentinel,
            (Mode::Standalone, Mode::Standalone)
            | (Mode::Sentinel, Mode::Sentinel)
            | (Mode::Cluster, Mode::Cluster) => return Ok(()),
        };
        Err(Astray::Misplaced(misplaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_read_also_where_lines_are_missing() {
        let said = "# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\nrun_id:abc\r\nmaxmemory_policy:noeviction\r\n\
                    role:slave\r\nmaster_replid:def\r\nloading:1\r\n";
        let server = Server::read(said);
        assert_eq!((&*server.version, &*server.run, &*server.policy), ("7.0.15", "abc-def", "noeviction"));
        assert_eq!((server.mode, server.role, server.is_loading), (Mode::Cluster, Role::Replica, true));
        let nothing = Server::read("");
        assert_eq!((&*nothing.version, nothing.mode, nothing.role), ("", Mode::Standalone, Role::Master));
    }
}
