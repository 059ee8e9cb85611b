//! From the claims of a token whose signature holds to whom it speaks for.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use lychgate_core::{Proof, UserId};
use serde_json::{Map, Value};

use super::{AuthError, Identity};
use crate::config::ClaimNames;

/// The longest name of a plan, an agent or a group that is looked at.
const MAX_NAME_BYTES: usize = 64;

/// Agents and groups that are looked at.
const MAX_NAMES: usize = 64;

/// Hashes under a key of this process: what they say means nothing anywhere else.
#[derive(Clone, Debug, Default)]
pub(super) struct ProofIds(RandomState);

impl ProofIds {
    /// What a token is found by when it is revoked. An id is unique with its issuer alone (RFC 7519, section 4.1.7).
    pub(super) fn of_token(&self, issuer: &str, jti: &str) -> u64 {
        // 0 stands for none.
        self.0.hash_one((issuer, jti)).max(1)
    }
}

/// How the claims of one issuer are read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) issuer: &'a str,
    /// What stands before its user ids.
    pub(super) prefix: &'a str,
    pub(super) names: &'a ClaimNames,
    pub(super) leeway: Duration,
    pub(super) ids: &'a ProofIds,
    /// Now, in seconds since 1970.
    pub(super) now: u64,
}

impl Reading<'_> {
    /// Whom the token speaks for. Issuer, audience and `exp` are checked already.
    pub(super) fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, AuthError> {
        let Some(Value::String(user)) = claims.get(&self.names.user) else {
            return Err(AuthError::MissingClaim(self.names.user.clone()));
        };
        // By itself first: a prefix makes no user of nobody.
        let bare = UserId::parse(user).map_err(AuthError::BadSubject)?;
        let user = match self.prefix {
            "" => bare,
            prefix => UserId::parse(&format!("{prefix}{user}")).map_err(AuthError::BadSubject)?,
        };
        Ok(Identity {
            user,
            expires: Some(self.expires(claims)?),
            plan: claims.get(&self.names.plan).and_then(Value::as_str).and_then(name),
            agents: claims.get(&self.names.agents).and_then(names),
            groups: claims.get(&self.names.groups).and_then(names).unwrap_or_default(),
            proof: self.proof(claims),
        })
    }

    /// The claim that is configured to end the connection, or `exp`.
    fn expires(&self, claims: &Map<String, Value>) -> Result<u64, AuthError> {
        let own = self.names.connection_expires.as_ref().and_then(|name| claims.get(name));
        match own {
            Some(claim) => match seconds(claim) {
                Some(at) if at.saturating_add(self.leeway.as_secs()) < self.now => Err(AuthError::Expired),
                Some(at) => Ok(at),
                None => Err(AuthError::MissingClaim(self.names.connection_expires.clone().unwrap_or_default())),
            },
            None => claims.get("exp").and_then(seconds).ok_or_else(|| AuthError::MissingClaim("exp".to_owned())),
        }
    }

    fn proof(&self, claims: &Map<String, Value>) -> Proof {
        let id = claims.get("jti").and_then(Value::as_str).map_or(0, |jti| self.ids.of_token(self.issuer, jti));
        let issued = claims.get("iat").and_then(seconds).unwrap_or(0);
        // A token of tomorrow would outlive every revocation of today.
        let is_past = issued <= self.now.saturating_add(self.leeway.as_secs());
        Proof { id, issued: if is_past { issued } else { 0 } }
    }
}

/// `exp` and its like may have a fraction (RFC 7519, section 2: NumericDate).
fn seconds(claim: &Value) -> Option<u64> {
    claim.as_u64().or_else(|| claim.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64))
}

/// Text that is too long names nothing of ours.
fn name(text: &str) -> Option<Box<str>> {
    (!text.is_empty() && text.len() <= MAX_NAME_BYTES).then(|| text.into())
}

/// A list, or text with spaces between, as scopes are written (RFC 8693, section 4.2). What is there and cannot be read
/// lists nothing: a mistake must not allow more than was meant.
fn names(claim: &Value) -> Option<Arc<[Box<str>]>> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(text.split_ascii_whitespace().filter_map(name).take(MAX_NAMES).collect()),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).filter_map(name).take(MAX_NAMES).collect()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(Arc::default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn read(names: &ClaimNames, claims: &Value) -> Result<Identity, AuthError> {
        let ids = ProofIds::default();
        let reading = Reading { issuer: "i", prefix: "", names, leeway: Duration::from_secs(30), ids: &ids, now: NOW };
        reading.identity(claims.as_object().unwrap())
    }

    #[test]
    fn claims_are_called_as_the_issuer_calls_them() {
        let names = ClaimNames {
            user: "uid".into(),
            plan: "tier".into(),
            agents: "may_ask".into(),
            groups: "roles".into(),
            connection_expires: Some("session".into()),
        };
        let claims = json!({"uid": "ann", "sub": "x", "tier": "pro", "may_ask": "a b", "roles": ["ops", 7],
            "exp": NOW + 10, "session": NOW + 900});
        let identity = read(&names, &claims).unwrap();
        assert_eq!((identity.user.as_str(), identity.plan.as_deref()), ("ann", Some("pro")));
        assert_eq!(identity.agents.as_deref(), Some(&["a".into(), "b".into()][..]));
        assert_eq!(*identity.groups, ["ops"].map(Box::<str>::from));
        assert_eq!(identity.expires, Some(NOW + 900));
    }

    #[test]
    fn a_connection_ends_with_exp_where_its_own_claim_is_missing_and_is_refused_where_that_has_passed() {
        let names = ClaimNames { connection_expires: Some("session".into()), ..ClaimNames::default() };
        let expires = |claims: Value| read(&names, &claims).map(|identity| identity.expires.unwrap());
        assert_eq!(expires(json!({"sub": "ann", "exp": NOW + 10})), Ok(NOW + 10));
        let passed = json!({"sub": "ann", "exp": NOW + 10, "session": NOW - 31});
        assert_eq!(expires(passed), Err(AuthError::Expired));
        let garbled = json!({"sub": "ann", "exp": NOW + 10, "session": "soon"});
        assert_eq!(expires(garbled), Err(AuthError::MissingClaim("session".into())));
    }

    #[test]
    fn agents_that_are_not_listed_are_all_and_a_list_that_cannot_be_read_is_none() {
        let agents = |claim: Value| {
            read(&ClaimNames::default(), &json!({"sub": "ann", "exp": NOW, "agents": claim})).unwrap().agents
        };
        assert_eq!(agents(Value::Null), None);
        for none in [json!(7), json!({}), json!(true), json!([]), json!(""), json!([7])] {
            assert_eq!(agents(none).as_deref(), Some(&[][..]));
        }
    }

    #[test]
    fn a_token_of_tomorrow_counts_as_issued_nobody_knows_when() {
        let issued = |iat: Value| {
            read(&ClaimNames::default(), &json!({"sub": "ann", "exp": NOW, "iat": iat})).unwrap().proof.issued
        };
        assert_eq!(issued(json!(NOW + 20)), NOW + 20);
        assert_eq!(issued(json!(NOW + 31)), 0);
        assert_eq!(issued(json!("today")), 0);
    }
}
