//! Keys of operators and backends: 256 random bits that stand nowhere but with whoever uses them.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{AdminKey, Role};

/// What every key begins with, so that a scanner of leaked secrets, and we, know one when we see it.
pub(super) const PREFIX: &str = "lychgate_";

/// A key that was just made.
pub struct OperatorKey(String);

impl OperatorKey {
    /// From the operating system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// What is presented. It is shown once, to the person who asked for it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands in the configuration: `sha256:` and the hash of the key's text in hex, as `sha256sum` prints it.
    #[must_use]
    pub fn hash(&self) -> String {
        let hash = digest(&SHA256, self.0.as_bytes());
        hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey(...)")
    }
}

/// The configured keys.
#[derive(Debug)]
pub(super) struct Keys(Vec<(Box<str>, AdminKey)>);

impl Keys {
    pub(super) fn new(keys: &BTreeMap<String, AdminKey>) -> Self {
        Self(keys.iter().map(|(name, key)| (name.as_str().into(), key.clone())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of a key without its text.
    pub(super) fn hash(presented: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, presented.as_bytes()).as_ref());
        hash
    }

    /// What a key of this name and hash may do; none where there is none any more.
    pub(super) fn role_of(&self, name: &str, hash: &[u8; 32]) -> Option<Role> {
        self.0.iter().find(|(known, key)| **known == *name && key.hash == *hash).map(|(_, key)| key.role)
    }

    /// Whose key it is. Every key is compared, each in constant time: how long it takes tells nothing of any.
    pub(super) fn find(&self, presented: &str) -> Option<(&str, Role)> {
        let hash = Self::hash(presented);
        let mut found = None;
        for (name, key) in &self.0 {
            if verify_slices_are_equal(&hash, &key.hash).is_ok() {
                found = Some((&**name, key.role));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(key: &OperatorKey) -> [u8; 32] {
        digest(&SHA256, key.reveal().as_bytes()).as_ref().try_into().unwrap()
    }

    #[test]
    fn a_key_is_known_by_its_hash_alone_and_no_other_is_taken_for_it() {
        let (key, other) = (OperatorKey::generate().unwrap(), OperatorKey::generate().unwrap());
        let keys = [("ops".to_owned(), AdminKey { hash: hash_of(&key), role: Role::Write })];
        let keys = Keys::new(&keys.into());
        assert_eq!(keys.find(key.reveal()), Some(("ops", Role::Write)));
        for wrong in [other.reveal(), "", PREFIX, &key.reveal()[..key.reveal().len() - 1], &key.hash()] {
            assert_eq!(keys.find(wrong), None, "{wrong}");
        }
        assert!(!format!("{keys:?} {key:?}").contains(key.reveal()));
    }

    #[test]
    fn a_key_has_256_bits_and_the_hash_that_the_configuration_reads() {
        let key = OperatorKey::generate().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(key.reveal().strip_prefix(PREFIX).unwrap()).unwrap().len(), 32);
        let config = format!(
            "[auth.jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"\n[admin.keys.k]\nhash = \"{}\"",
            key.hash()
        );
        let config = crate::config::Config::from_toml(&config).unwrap();
        assert_eq!(config.admin.keys["k"].hash, hash_of(&key));
    }
}
