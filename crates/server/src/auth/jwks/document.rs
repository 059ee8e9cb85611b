//! A JWK set (RFC 7517): which of its keys can be used, and with which algorithms.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::issuers::{Checker, rules};
use crate::config;

/// The longest name of a key that is looked at.
const MAX_KID_BYTES: usize = 256;

/// Keys of one set that are looked at: nobody publishes more, and a token without a `kid` tries them one by one.
const MAX_KEYS: usize = 32;

/// The shortest RSA modulus that the cryptography takes: 2048 bits.
const MIN_RSA_BYTES: usize = 256;

/// Keys that tokens of one issuer may be signed with.
#[derive(Default)]
pub(super) struct KeySet(Vec<Published>);

struct Published {
    kid: Option<String>,
    checker: Checker,
}

impl KeySet {
    /// Reads a set. Keys of a kind that is not known, for encryption, or for algorithms that the issuer is not configured
    /// with, are left out, because a set may hold such ones beside ours.
    ///
    /// # Errors
    /// It is no JWK set, or holds no key that could be used.
    pub(super) fn parse(document: &[u8], issuer: &config::Issuer) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(document).map_err(|_| "is no JWK set: {\"keys\":[...]}")?;
        let usable: Vec<_> = set.keys.into_iter().filter_map(|key| published(key, issuer)).take(MAX_KEYS).collect();
        match usable.is_empty() {
            true => Err("holds no key that could be used with the configured algorithms"),
            false => Ok(Self(usable)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key of this name. Of several of one name the one that fits the algorithm is meant (RFC 7517, section 4.5).
    pub(super) fn named(&self, kid: &str, algorithm: Algorithm) -> Option<&Checker> {
        let named = || self.0.iter().filter(|key| key.kid.as_deref() == Some(kid)).map(|key| &key.checker);
        named().find(|key| key.allows(algorithm)).or_else(|| named().next())
    }

    /// The keys without a name that may be used with an algorithm: a set need not name its keys, though tokens do
    /// (RFC 7517, section 4.5).
    pub(super) fn nameless(&self, algorithm: Algorithm) -> impl Iterator<Item = &Checker> {
        let nameless = self.0.iter().filter(|key| key.kid.is_none()).map(|key| &key.checker);
        nameless.filter(move |key| key.allows(algorithm))
    }

    /// Every key that may be used with an algorithm.
    pub(super) fn allowing(&self, algorithm: Algorithm) -> impl Iterator<Item = &Checker> {
        self.0.iter().map(|key| &key.checker).filter(move |key| key.allows(algorithm))
    }
}

fn published(key: Value, issuer: &config::Issuer) -> Option<Published> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let is_for_signatures = match (&jwk.common.public_key_use, &jwk.common.key_operations) {
        (Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)), _) => false,
        (Some(PublicKeyUse::Signature) | None, Some(operations)) => operations.contains(&KeyOperations::Verify),
        (Some(PublicKeyUse::Signature) | None, None) => true,
    };
    let fitting = fitting(&jwk)?;
    let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
        Some(named) => Algorithm::try_from(named).into_iter().filter(|one| fitting.contains(one)).collect(),
        None => fitting.to_vec(),
    };
    let algorithms: Vec<Algorithm> =
        algorithms.into_iter().filter(|algorithm| issuer.algorithms.contains(algorithm)).collect();
    let kid = jwk.common.key_id.clone();
    let is_usable =
        is_for_signatures && !algorithms.is_empty() && kid.as_ref().is_none_or(|kid| kid.len() <= MAX_KID_BYTES);
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_usable)?;
    Some(Published { kid, checker: Checker { key, rules: rules(issuer, &algorithms) } })
}

/// What a key of this kind can be used with. A secret is none that could be published.
fn fitting(jwk: &Jwk) -> Option<&'static [Algorithm]> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            // Four characters of base64 stand for three bytes.
            let is_long = rsa.n.len() * 3 / 4 >= MIN_RSA_BYTES;
            is_long.then_some(&[RS256, RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(ec) => match (&ec.curve, bytes) {
            (EllipticCurve::P256, 65) => Some(&[ES256]),
            (EllipticCurve::P384, 97) => Some(&[ES384]),
            (_, _) => None,
        },
        AlgorithmParameters::OctetKeyPair(pair) => match (&pair.curve, bytes) {
            (EllipticCurve::Ed25519, 32) => Some(&[EdDSA]),
            (_, _) => None,
        },
        // The library's list is open.
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => None,
    }
}
