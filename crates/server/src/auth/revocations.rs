//! Tokens and logins that do not count any more, though they look as good as ever.
//!
//! ```text
//! revoke --> store, durably --> memory --> whoever asked closes what is open: Driver::expel with `is_hit`
//! start  --> store ------------> memory
//! every door: is_hit(user, proof)?
//! ```
//!
//! A revocation is forgotten when nothing that it hits can be valid any more: at its `until`, or after
//! `auth.keep_revocations`. None is forgotten before that to make room: a full memory refuses the next one, aloud.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{Proof, UserId};

use super::claims::ProofIds;
use crate::config;
use crate::store::revocations::Row;
use crate::store::{Store, StoreError};

/// Revocations that are kept. Everybody's tokens of a time are one, and each user's are one.
const MAX_REVOCATIONS: usize = 100_000;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token, by its `jti`, which is not longer than 256 bytes.
    Token {
        /// Its `jti`.
        jti: String,
        /// Its `iss`; none for that of any issuer.
        issuer: Option<String>,
    },
    /// All that one user was given before a time: tokens by their `iat`, logins by their beginning.
    User(UserId),
    /// The same of everybody.
    Everybody,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// For users and everybody: what was issued before this time, in seconds since 1970; none for all that was issued
    /// until now. What does not say when it was issued is hit always.
    pub issued_before: Option<u64>,
    /// When nothing of it can be valid any more, in seconds since 1970; none for `auth.keep_revocations` from now.
    pub until: Option<u64>,
}

/// What became of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// As it is kept, with its times.
    pub revocation: Revocation,
    /// Whether it hits anything that was not hit before.
    pub is_new: bool,
}

/// Why something could not be revoked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// As many are kept as can be.
    #[error(
        "{MAX_REVOCATIONS} revocations are kept, which is the most; revoke by user or by time, or wait until some end"
    )]
    Full,
    /// The id of a token is longer than 256 bytes.
    #[error("the jti has {0} bytes; at most {MAX_ID_BYTES} can be revoked, otherwise revoke by user")]
    TooLong(usize),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
}

/// What revocations say of something that let a user in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it counts.
    Good,
    /// It does not count any more.
    Revoked,
    /// The same; but it may have been issued after the revocation, by a clock that is slow or in the same second, and then
    /// the next one counts.
    Early {
        /// When the next one is issued late enough, as far as we know.
        retry_in: Duration,
    },
}

/// How long something is revoked, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    issued_before: u64,
    until: u64,
}

impl Term {
    fn of(self, what: Revoked) -> Revocation {
        Revocation { what, issued_before: Some(self.issued_before), until: Some(self.until) }
    }
}

/// All of them.
pub struct Revocations {
    store: Arc<Store>,
    pub(super) ids: ProofIds,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    terms: HashMap<Revoked, Term>,
    /// The revoked tokens, by what their proofs hold.
    tokens: HashMap<u64, u64>,
    /// The known issuers: a `jti` without one is of each of them.
    issuers: Vec<String>,
    /// By how many seconds a clock of theirs may be slow.
    leeway: u64,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").finish_non_exhaustive()
    }
}

impl Revocations {
    /// Those of the store that still count. Waits for the disk.
    ///
    /// # Errors
    /// The store, or one revocation in it, cannot be read: going on would let in what was revoked.
    pub fn restore(store: Arc<Store>) -> Result<Self, StoreError> {
        store.forget_revocations(now())?;
        let mut kept = Kept::default();
        for row in store.revocations()? {
            let what = Revoked::try_from(&row).map_err(StoreError::unreadable)?;
            kept.terms.insert(what, Term { issued_before: row.issued_before, until: row.until });
        }
        Ok(Self { store, ids: ProofIds::default(), kept: RwLock::new(kept) })
    }

    /// From now on these are the issuers, whose clocks may be slow by so much.
    pub(super) fn know(&self, issuers: Vec<String>, leeway: Duration) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.issuers = issuers;
        kept.leeway = leeway.as_secs();
        kept.index(&self.ids);
    }

    /// Records a revocation, and knows it from then on. Waits for the disk.
    pub(super) fn add(&self, revocation: &Revocation, config: &config::Auth) -> Result<Recorded, RevokeError> {
        let now = now();
        let what = revocation.what.clone();
        if let Revoked::Token { jti, issuer } = &what {
            let longest = jti.len().max(issuer.as_ref().map_or(0, String::len));
            if longest > MAX_ID_BYTES {
                return Err(RevokeError::TooLong(longest));
            }
        }
        self.forget(now)?;
        let term = Term {
            // What is issued in this very second is hit, too: who logs in again does so a moment later.
            issued_before: revocation.issued_before.unwrap_or(now.saturating_add(1)),
            until: revocation.until.unwrap_or(now.saturating_add(config.keep_revocations.as_secs())),
        };
        let recorded = Recorded { revocation: term.of(what.clone()), is_new: true };
        // Of another node, and read late: it hits nothing any more.
        if term.until <= now {
            return Ok(Recorded { is_new: false, ..recorded });
        }
        {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            match kept.terms.get(&what) {
                Some(known) if known.issued_before >= term.issued_before && known.until >= term.until => {
                    return Ok(Recorded { is_new: false, ..recorded });
                }
                None if kept.terms.len() >= MAX_REVOCATIONS => return Err(RevokeError::Full),
                Some(_) | None => {}
            }
        }
        self.store.add_revocation(&row(&what, term))?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let known = kept.terms.entry(what.clone()).or_insert(term);
        known.issued_before = known.issued_before.max(term.issued_before);
        known.until = known.until.max(term.until);
        let until = known.until;
        kept.index_one(&what, until, &self.ids);
        Ok(recorded)
    }

    /// All that still count, in no order.
    pub(super) fn all(&self) -> Vec<Revocation> {
        let now = now();
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.terms.iter().filter(|(_, term)| now < term.until).map(|(what, term)| term.of(what.clone())).collect()
    }

    fn forget(&self, now: u64) -> Result<(), StoreError> {
        self.store.forget_revocations(now)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.terms.retain(|_, term| term.until > now);
        kept.tokens.retain(|_, until| *until > now);
        Ok(())
    }

    /// Whether what let a user in does not count any more.
    #[must_use]
    pub fn is_hit(&self, user: &UserId, proof: Proof) -> bool {
        self.verdict(user, proof) != Verdict::Good
    }

    /// What is to be said to whoever shows this.
    pub(super) fn verdict(&self, user: &UserId, proof: Proof) -> Verdict {
        let now = now();
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.terms.is_empty() {
            return Verdict::Good;
        }
        let by_time = |what: &Revoked| {
            let term = kept.terms.get(what)?;
            (proof.issued < term.issued_before && now < term.until).then_some(term.issued_before)
        };
        let issued_before = by_time(&Revoked::Everybody).max(by_time(&Revoked::User(user.clone())));
        let by_id = kept.tokens.get(&proof.id).is_some_and(|until| now < *until);
        match (by_id, issued_before) {
            (false, None) => Verdict::Good,
            (false, Some(before)) if kept.may_be_later(proof.issued, before, now) => {
                Verdict::Early { retry_in: Duration::from_secs(before.saturating_sub(now).max(1)) }
            }
            (_, _) => Verdict::Revoked,
        }
    }
}

impl Kept {
    /// Whether something of this date may have been issued after a revocation that is so fresh, by a clock that is slow
    /// within what is tolerated.
    fn may_be_later(&self, issued: u64, before: u64, now: u64) -> bool {
        issued > 0 && issued.saturating_add(self.leeway.max(1)) >= before && now < before.saturating_add(self.leeway)
    }

    fn index(&mut self, ids: &ProofIds) {
        self.tokens.clear();
        let all: Vec<(Revoked, u64)> = self.terms.iter().map(|(what, term)| (what.clone(), term.until)).collect();
        all.iter().for_each(|(what, until)| self.index_one(what, *until, ids));
    }

    fn index_one(&mut self, what: &Revoked, until: u64, ids: &ProofIds) {
        match what {
            Revoked::Token { jti, issuer: Some(issuer) } => drop(self.tokens.insert(ids.of_token(issuer, jti), until)),
            Revoked::Token { jti, issuer: None } => {
                self.tokens.extend(self.issuers.iter().map(|issuer| (ids.of_token(issuer, jti), until)));
            }
            Revoked::User(_) | Revoked::Everybody => {}
        }
    }
}

fn row(what: &Revoked, term: Term) -> Row {
    let (kind, subject, issuer) = match what {
        Revoked::Token { jti, issuer } => ("token", jti.clone(), issuer.clone()),
        Revoked::User(user) => ("user", user.as_str().to_owned(), None),
        Revoked::Everybody => ("everybody", String::new(), None),
    };
    let Term { issued_before, until } = term;
    Row { kind: kind.to_owned(), subject, issuer: issuer.unwrap_or_default(), issued_before, until }
}

impl TryFrom<&Row> for Revoked {
    /// A sentence for the operator.
    type Error = String;

    fn try_from(row: &Row) -> Result<Self, String> {
        match row.kind.as_str() {
            "token" => {
                let issuer = Some(row.issuer.clone()).filter(|issuer| !issuer.is_empty());
                Ok(Self::Token { jti: row.subject.clone(), issuer })
            }
            "user" => {
                let user = UserId::parse(&row.subject).map(Self::User);
                user.map_err(|error| format!("a revocation in it cannot be read: the user that it names {error}"))
            }
            "everybody" => Ok(Self::Everybody),
            kind => Err(format!(
                "a revocation in it cannot be read: it is of the kind {kind:?}, which this version does not know; \
                 start the version that wrote it"
            )),
        }
    }
}

fn now() -> u64 {
    crate::wire::unix_ms() / 1000
}

#[cfg(test)]
mod tests;
