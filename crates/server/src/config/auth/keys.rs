//! What tokens of an issuer are signed with: a shared secret, a public key in a file, or keys that it publishes.
//!
//! The kind of the key decides which algorithms are possible, so that nothing can make an HMAC secret of a public key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::{AlgorithmFamily, DecodingKey};

pub use jsonwebtoken::Algorithm;

use crate::config::address::Address;
use crate::config::error::Fault;
use crate::config::secret::Outside;
use crate::config::value::Secret;

/// The shortest RSA key that the cryptography takes, as bytes of its modulus: 2048 bits.
const MIN_RSA_BYTES: usize = 256;

/// Where the keys of an issuer come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Known to both sides.
    Secret(Arc<[u8]>),
    /// Read from a file.
    Public(PublicKey),
    /// Published by the issuer as a JWK set (RFC 7517) at this address.
    Jwks(Address),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Public(key) => write!(f, "Public({key:?})"),
            Self::Jwks(address) => write!(f, "Jwks({address:?})"),
        }
    }
}

/// A public key, ready for use.
#[derive(Clone)]
pub struct PublicKey {
    /// What the library verifies with.
    pub key: DecodingKey,
    pem: String,
    possible: &'static [Algorithm],
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.key.family())
    }
}

/// HMAC, the shortest first.
pub(super) const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
/// RSA, the usual one first.
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
/// Everything that has a public key.
pub(super) const PUBLISHED: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

impl PublicKey {
    /// Reads PEM; the error is the end of a sentence that starts with the key of the configuration.
    pub(super) fn parse(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("names a file with a private key, which has no business here".to_owned());
        }
        if !pem.contains("PUBLIC KEY") {
            return Err("names a file without a line \"-----BEGIN PUBLIC KEY-----\"".to_owned());
        }
        let bytes = pem.as_bytes();
        let read = DecodingKey::from_rsa_pem(bytes)
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_ed_pem(bytes));
        let key = read.map_err(|_| "names a file with a key that is neither RSA, EC nor Ed25519".to_owned())?;
        let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        let possible: &[Algorithm] = match (key.family(), length) {
            (AlgorithmFamily::Rsa, length) if length < MIN_RSA_BYTES => {
                return Err("names a file with an RSA key of fewer than 2048 bits".to_owned());
            }
            (AlgorithmFamily::Rsa, _) => RSA,
            // An uncompressed point: one byte, and two coordinates of 32 or 48 bytes.
            (AlgorithmFamily::Ec, 65) => &[Algorithm::ES256],
            (AlgorithmFamily::Ec, 97) => &[Algorithm::ES384],
            (AlgorithmFamily::Ed, 32) => &[Algorithm::EdDSA],
            (AlgorithmFamily::Ec, _) => {
                return Err("names a file with an EC key that is neither on P-256 nor on P-384".to_owned());
            }
            (AlgorithmFamily::Ed | AlgorithmFamily::Hmac, _) => {
                return Err("names a file with a key that is neither RSA, EC nor Ed25519".to_owned());
            }
        };
        Ok(Self { key, pem: pem.to_owned(), possible })
    }
}

impl KeySource {
    /// What keys of this kind can be used with, the default first.
    pub(super) fn possible(&self) -> &'static [Algorithm] {
        match self {
            Self::Secret(_) => HMAC,
            Self::Public(key) => key.possible,
            Self::Jwks(_) => PUBLISHED,
        }
    }
}

/// The three ways to name a secret, of which one may be used.
pub(super) struct SecretSource<'a> {
    /// The table that they stand in.
    pub(super) table: &'a str,
    pub(super) text: Option<&'a Secret>,
    pub(super) variable: Option<&'a str>,
    pub(super) file: Option<&'a Path>,
}

/// What a secret is for.
pub(super) struct How<'a> {
    /// The one that needs the longest secret.
    pub(super) algorithm: Algorithm,
    pub(super) remedy: &'a str,
}

impl SecretSource<'_> {
    /// The secret; none where none is named.
    pub(super) fn read(&self, outside: &Outside<'_>, how: &How<'_>) -> Result<Option<Vec<u8>>, Fault> {
        const EXCLUDES: &str = "must not be set together with";
        let [secret, secret_env, secret_file] =
            ["secret", "secret_env", "secret_file"].map(|key| format!("{}.{key}", self.table));
        let (key, text) = match (self.text, self.variable, self.file) {
            (None, None, None) => return Ok(None),
            (Some(_), Some(_), _) => return Err(Fault::against(secret, EXCLUDES, secret_env)),
            (Some(_), _, Some(_)) => return Err(Fault::against(secret, EXCLUDES, secret_file)),
            (None, Some(_), Some(_)) => return Err(Fault::against(secret_env, EXCLUDES, secret_file)),
            (Some(text), None, None) => (secret, text.0.clone()),
            (None, Some(name), None) => {
                let text = outside.variable(&secret_env, name)?;
                (secret_env, text)
            }
            (None, None, Some(path)) => {
                let text = outside.file(&secret_file, path)?;
                (secret_file, text)
            }
        };
        match (text.len(), least_bytes(how.algorithm)) {
            (len, least) if len < least => {
                let what = format!("gives a secret of {len} bytes; {:?} needs at least {least}", how.algorithm);
                Err(Fault::value(key, what, how.remedy))
            }
            _ => Ok(Some(text.into_bytes())),
        }
    }
}

/// A secret is at least as long as the hash (RFC 7518, section 3.2).
fn least_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        // The library's list is open; no other one of it takes a secret.
        _ => super::MIN_SECRET_BYTES,
    }
}
