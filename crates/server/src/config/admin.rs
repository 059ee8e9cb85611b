//! `[admin]` and `[admin.keys.NAME]`: who may ask and steer on the admin listener, and what is kept of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range};
use super::value::Secret;

/// Bytes of a hash of SHA-256.
const HASH_BYTES: usize = 32;

/// The longest name of a key: it stands in every line of the audit log.
const MAX_NAME_BYTES: usize = 64;

const HOW_TO_MAKE_A_KEY: &str = "Make one with `lychgate admin-key NAME` and copy the lines that it prints.";

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `[admin.keys.NAME]`: keys of operators and backends by name.
    pub keys: BTreeMap<String, AdminKey>,
    /// Whoever logs in and is in this group may read.
    pub group: Option<String>,
    /// Whoever logs in and is in this group may read and change.
    pub write_group: Option<String>,
    /// Whether `/metrics` wants a key or a group, too. Default: no.
    pub metrics_need_key: bool,
    /// Entries of the audit log that are kept. Default 100,000; 1,000 to 10,000,000.
    pub audit_entries: usize,
    /// How long an entry of the audit log is kept. Default 365 days; 1 to 3,650.
    pub audit_age: Duration,
}

impl Admin {
    /// Whether anybody can prove to be an operator.
    #[must_use]
    pub fn knows_anybody(&self) -> bool {
        !self.keys.is_empty() || self.group.is_some() || self.write_group.is_some()
    }
}

/// `[admin.keys.NAME]`
#[derive(Clone)]
pub struct AdminKey {
    /// SHA-256 of the key as it is presented. A key has 256 random bits, which nobody finds by trying, so that a hash made
    /// to be slow, as for passwords, would protect nothing more.
    pub hash: [u8; HASH_BYTES],
    /// What it may do. Default: read.
    pub role: Role,
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminKey").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What an operator may do; the greater one may do what the lesser may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    #[default]
    Read,
    /// Look and change.
    Write,
}

impl Role {
    /// The word in the configuration and in errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdmin {
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_group: Option<String>,
    metrics_need_key: bool,
    audit_entries: usize,
    audit_days: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, RawKey>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawKey {
    /// Nobody prints it: where the key itself was pasted instead of its hash, no error and no `lychgate config` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Secret>,
    role: Role,
}

impl RawAdmin {
    pub(super) fn check(&self) -> Result<Admin, Fault> {
        for (key, group) in [("admin.group", &self.group), ("admin.write_group", &self.write_group)] {
            if group.as_ref().is_some_and(String::is_empty) {
                return Err(Fault::value(key, "is empty", "Name a group that your tokens carry, or leave it out."));
            }
        }
        in_range("admin.audit_entries", self.audit_entries, 1_000, 10_000_000)?;
        in_range("admin.audit_days", self.audit_days, 1, 3_650)?;
        let keys = self.keys.iter().map(|(name, key)| Ok((name.clone(), key.check(name)?)));
        let admin = Admin {
            keys: keys.collect::<Result<_, Fault>>()?,
            group: self.group.clone(),
            write_group: self.write_group.clone(),
            metrics_need_key: self.metrics_need_key,
            audit_entries: self.audit_entries,
            audit_age: Duration::from_secs(self.audit_days as u64 * 24 * 3600),
        };
        match admin.metrics_need_key && !admin.knows_anybody() {
            true => Err(Fault::value(
                "admin.metrics_need_key",
                "is set, and there is neither a key nor a group: nobody could read the metrics",
                HOW_TO_MAKE_A_KEY,
            )),
            false => Ok(admin),
        }
    }
}

impl RawKey {
    fn check(&self, name: &str) -> Result<AdminKey, Fault> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
            return Err(Fault::value(
                "admin.keys",
                format!("holds {name:?}, which is no name of a key"),
                "A name has 1 to 64 letters, digits, dots, dashes and underscores: the audit log says who acted by it.",
            ));
        }
        let key = format!("admin.keys.{name}.hash");
        match &self.hash {
            None => Err(Fault::value(key, "is not set", HOW_TO_MAKE_A_KEY)),
            Some(hash) => match parse_hash(&hash.0) {
                Some(hash) => Ok(AdminKey { hash, role: self.role }),
                None => {
                    Err(Fault::value(key, "is no hash: it must be \"sha256:\" and 64 hex digits", HOW_TO_MAKE_A_KEY))
                }
            },
        }
    }
}

fn parse_hash(text: &str) -> Option<[u8; HASH_BYTES]> {
    let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 2 * HASH_BYTES && hex.is_ascii())?;
    let mut hash = [0; HASH_BYTES];
    for (at, byte) in hash.iter_mut().enumerate() {
        let pair = &hex[2 * at..2 * at + 2];
        // A sign is no hex digit, though the standard library reads one.
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load};

    const SECRET: &str = "[auth.jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"\n";

    fn admin(text: &str) -> Result<Admin, String> {
        Config::from_toml(&format!("{text}\n{SECRET}")).map(|config| config.admin).map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_is_an_operator_by_default() {
        let admin = admin("").unwrap();
        assert!(!admin.knows_anybody() && !admin.metrics_need_key);
        assert_eq!((admin.audit_entries, admin.audit_age), (100_000, Duration::from_secs(365 * 24 * 3600)));
    }

    #[test]
    fn a_key_is_read_with_its_hash_and_may_only_look_unless_it_says_more() {
        let hash = "ab".repeat(32);
        let text = format!(
            "[admin.keys.ops]\nhash = \"sha256:{hash}\"\n[admin.keys.ci]\nhash = \"sha256:{hash}\"\nrole = \"write\""
        );
        let admin = admin(&text).unwrap();
        assert_eq!((admin.keys["ops"].hash, admin.keys["ops"].role), ([0xab; 32], Role::Read));
        assert_eq!(admin.keys["ci"].role, Role::Write);
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_repeated() {
        for wrong in [
            "lychgate_the-key-itself".to_owned(),
            String::new(),
            format!("sha256:{}", "a".repeat(63)),
            format!("sha256:{}", "+a".repeat(32)),
            format!("sha256:{}", "ü".repeat(32)),
            format!("SHA256:{}", "a".repeat(64)),
        ] {
            let error = admin(&format!("[admin.keys.ops]\nhash = \"{wrong}\"")).unwrap_err();
            assert!(error.contains("admin.keys.ops.hash is no hash") && error.contains("admin-key"), "{error}");
            assert!(wrong.is_empty() || !error.contains(&wrong), "{error}");
        }
        assert!(admin("[admin.keys.ops]\nrole = \"write\"").unwrap_err().contains("admin.keys.ops.hash is not set"));
    }

    #[test]
    fn what_cannot_be_meant_says_why() {
        let hash = format!("hash = \"sha256:{}\"", "ab".repeat(32));
        for (text, says) in [
            (format!("[admin.keys.\"two words\"]\n{hash}"), "no name of a key"),
            (format!("[admin.keys.\"\"]\n{hash}"), "no name of a key"),
            (format!("[admin.keys.{}]\n{hash}", "k".repeat(65)), "no name of a key"),
            (format!("[admin.keys.ops]\n{hash}\nrole = \"root\""), "admin.keys.ops.role"),
            ("[admin]\ngroup = \"\"".to_owned(), "admin.group is empty"),
            ("[admin]\nmetrics_need_key = true".to_owned(), "nobody could read the metrics"),
            ("[admin]\naudit_entries = 10".to_owned(), "at least 1000"),
            ("[admin]\naudit_days = 0".to_owned(), "at least 1"),
            ("[admin.keys.ops]\nhsh = \"x\"".to_owned(), "Did you mean admin.keys.ops.hash?"),
        ] {
            let error = admin(&text).unwrap_err();
            assert!(error.contains(says), "{text} gave: {error}");
        }
    }

    #[test]
    fn a_key_comes_from_the_environment_too_and_its_hash_is_printed_by_nothing() {
        let hash = "cd".repeat(32);
        let environment = [
            ("LYCHGATE__AUTH__JWT__SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
            ("LYCHGATE__ADMIN__KEYS__OPS__HASH", format!("sha256:{hash}")),
            ("LYCHGATE__ADMIN__KEYS__OPS__ROLE", "write".to_owned()),
        ];
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let loaded = load(crate::config::Sources { environment, ..Default::default() }).unwrap();
        let config = loaded.check().unwrap();
        assert_eq!(config.admin.keys["ops"].role, Role::Write);
        assert!(!loaded.to_toml().contains(&hash) && !format!("{config:?}").contains("205, 205"), "{config:?}");
    }
}
