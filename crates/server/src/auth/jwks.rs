//! Keys that an issuer publishes (RFC 7517), fetched in the background and never on behalf of a token's wishes.
//!
//! ```text
//! token --kid--> known? ---------------------------------> verified by that key
//!                  '-- no: remembered, a round is wanted --> Pending, for 5 min and until a round that began later
//!                                  |                             '-- still not there: refused
//! task: rest --due, or wanted--> fetch --> keys replaced, or kept while the issuer is down
//!         '- at least 10 s between two
//! ```
//!
//! The address comes from the configuration alone; a `kid` is compared and hashed, and is no part of any address
//! (hazard R32).

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use self::document::KeySet;
use self::fetch::{Failure, Fetch, Fetched};
use super::AuthError;
use super::issuers::{Checker, Unproven};
use super::jwt::Head;
use crate::config;

mod document;
mod fetch;

/// Between the beginnings of two rounds: whatever tokens say, the issuer hears of us no more often.
const SPACING: Duration = Duration::from_secs(10);

/// After a round that failed, where nobody asks for a key in the meantime.
const RETRY: Duration = Duration::from_secs(30);

/// How long keys are used that could not be fetched again.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Names of keys that were asked for in vain, of which as many are remembered. One that is forgotten is asked for again.
const MAX_ABSENT: usize = 1024;

/// From the first time that such a name is heard to its refusal, while the issuer is asked again and again: caches between
/// an issuer and us may hold a new key back for minutes, and whoever is refused for good does not come back (hazard R11).
const LATE: Duration = Duration::from_secs(5 * 60);

/// From the first time to when it is forgotten. An issuer may sign with a key long before it publishes it.
const ABSENT: Duration = Duration::from_secs(10 * 60);

/// The keys of one issuer. Dropping it ends its task.
pub(super) struct Jwks {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

/// A key that is not known yet.
#[derive(Debug)]
pub(super) struct Pending {
    /// When to ask again.
    pub(super) retry_in: Duration,
    /// Where a round is under way, or about to begin: tells when it has ended.
    pub(super) round: Option<watch::Receiver<u64>>,
}

struct Shared {
    name: String,
    fetch: Fetch,
    state: Mutex<State>,
    /// Somebody wants a round.
    wanted: Notify,
    /// Rounds that have ended.
    ended: watch::Sender<u64>,
    hasher: RandomState,
}

struct State {
    keys: Arc<KeySet>,
    /// When they were fetched; none before the first time.
    fetched: Option<Instant>,
    /// Rounds that have begun.
    begun: u64,
    /// When the last of them did.
    began: Option<Instant>,
    in_flight: bool,
    /// The last one that brought keys.
    succeeded: u64,
    is_down: bool,
    is_wanted: bool,
    /// When the next one is due if nobody wants it earlier.
    due: Instant,
    absent: VecDeque<Absent>,
}

/// A key that was asked for and is not among the known ones.
#[derive(Clone, Copy)]
struct Absent {
    hash: u64,
    /// Rounds that had begun by then: only a later one can tell.
    after: u64,
    since: Instant,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Jwks {
    /// Begins to fetch, in a task of the current runtime. An issuer that is down stops nobody who waits for nothing of it.
    pub(super) fn start(issuer: config::Issuer, address: config::Address) -> Self {
        let shared = Arc::new(Shared::new(issuer, address));
        let task = tokio::spawn(keep_fresh(Arc::clone(&shared)));
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// The claims of a token that one of the keys signed.
    pub(super) fn check(&self, token: &str, head: &Head) -> Result<Map<String, Value>, Unproven> {
        loop {
            let (keys, round) = self.shared.keys();
            let (checked, sought) = match &head.key {
                Some(kid) => {
                    let named = keys.named(kid, head.algorithm).map(|key| key.check(token));
                    (named.or_else(|| first_that_signed(keys.nameless(head.algorithm), token)), kid.as_str())
                }
                // Without a name it may be of any of them, and of one that is not known yet.
                None => (first_that_signed(keys.allowing(head.algorithm), token), token),
            };
            match checked {
                Some(checked) => return Ok(checked?),
                None => match self.shared.seek(sought, round) {
                    Some(unproven) => return Err(unproven),
                    None => continue,
                },
            }
        }
    }
}

/// What the key that signed a token says of it; none where it is none of these.
fn first_that_signed<'a>(
    keys: impl Iterator<Item = &'a Checker>,
    token: &str,
) -> Option<Result<Map<String, Value>, AuthError>> {
    keys.map(|key| key.check(token)).find(|checked| !matches!(checked, Err(AuthError::BadSignature)))
}

impl Shared {
    fn new(issuer: config::Issuer, address: config::Address) -> Self {
        let state = State {
            keys: Arc::default(),
            fetched: None,
            begun: 0,
            began: None,
            in_flight: false,
            succeeded: 0,
            is_down: false,
            is_wanted: false,
            due: Instant::now(),
            absent: VecDeque::new(),
        };
        Self {
            name: issuer.name.clone(),
            fetch: Fetch::new(issuer, address),
            state: Mutex::new(state),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            hasher: RandomState::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known ones, and the round that brought them; none of them once nobody could confirm them for a day.
    fn keys(&self) -> (Arc<KeySet>, u64) {
        let state = self.lock();
        let keys = match state.fetched.is_some_and(|at| at.elapsed() <= STALE) {
            true => Arc::clone(&state.keys),
            false => Arc::default(),
        };
        (keys, state.succeeded)
    }

    /// A key that is not among those of a round: refused if one that began after it was first asked for did not bring it,
    /// and it is not on its way any more. None where others have come meanwhile, which may hold it: whoever was refused by those before would be locked out.
    fn seek(&self, what: &str, round: u64) -> Option<Unproven> {
        let hash = self.hasher.hash_one(what);
        let mut state = self.lock();
        if state.succeeded != round {
            return None;
        }
        let now = Instant::now();
        let asked = state.first_asked(hash, now);
        if state.succeeded > asked.after && now.duration_since(asked.since) >= LATE {
            return Some(AuthError::UnknownKey.into());
        }
        state.is_wanted = true;
        let next = state.began.map_or(now, |began| (began + SPACING).max(now));
        let round = (state.in_flight || next == now).then(|| self.ended.subscribe());
        let wait = if state.in_flight { Duration::ZERO } else { next.saturating_duration_since(now) };
        drop(state);
        let retry_in = spread(wait.max(Duration::from_secs(1)));
        self.wanted.notify_one();
        Some(Unproven::Pending(Pending { retry_in, round }))
    }

    fn begin(&self) {
        let mut state = self.lock();
        state.begun += 1;
        state.began = Some(Instant::now());
        state.in_flight = true;
        state.is_wanted = false;
    }

    fn end(&self, outcome: Result<Fetched, Failure>) {
        let (mut state, now) = (self.lock(), Instant::now());
        state.in_flight = false;
        match outcome {
            Ok(fetched) => {
                let count = fetched.keys.len();
                match (state.fetched, state.is_down) {
                    (None, _) => tracing::info!(issuer = self.name, keys = count, "the keys of an issuer are there"),
                    (Some(_), true) => tracing::info!(issuer = self.name, keys = count, "an issuer is back"),
                    (Some(_), false) => tracing::debug!(issuer = self.name, keys = count, "keys fetched"),
                }
                state.keys = Arc::new(fetched.keys);
                state.fetched = Some(now);
                state.succeeded = state.begun;
                state.is_down = false;
                state.due = now + fetched.fresh_for;
            }
            Err(error) => {
                match state.is_down {
                    false => tracing::warn!(
                        issuer = self.name,
                        %error,
                        has_keys = state.fetched.is_some(),
                        "the keys of an issuer cannot be fetched; known ones go on working for a day"
                    ),
                    true => {
                        tracing::debug!(issuer = self.name, %error, "the keys of an issuer cannot be fetched still")
                    }
                }
                state.is_down = true;
                state.due = now + RETRY;
            }
        }
        drop(state);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Until the next round is due, or somebody wants one and it is allowed.
    async fn rest(&self) {
        loop {
            let due = {
                let state = self.lock();
                let allowed = state.began.map_or(state.due, |began| began + SPACING);
                if state.is_wanted { allowed } else { state.due.max(allowed) }
            };
            tokio::select! {
                () = sleep_until(due) => return,
                () = self.wanted.notified() => {}
            }
        }
    }
}

impl State {
    /// When this key was first asked for, which may be now.
    fn first_asked(&mut self, hash: u64, now: Instant) -> Absent {
        let known = self.absent.iter().position(|it| it.hash == hash);
        match known {
            Some(at) if now.duration_since(self.absent[at].since) < ABSENT => return self.absent[at],
            Some(at) => drop(self.absent.remove(at)),
            None => {}
        }
        if self.absent.len() >= MAX_ABSENT {
            self.absent.pop_front();
        }
        let absent = Absent { hash, after: self.begun, since: now };
        self.absent.push_back(absent);
        absent
    }
}

/// A time that is longer by up to a half, drawn anew each time: after a rotation all ask for one key, and must not come back
/// at one moment (hazard R21).
fn spread(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    wait + wait.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// The task: one round after the other, so that there are never two at once.
async fn keep_fresh(shared: Arc<Shared>) {
    loop {
        shared.begin();
        let outcome = shared.fetch.round().await;
        shared.end(outcome);
        shared.rest().await;
    }
}

/// How many keys of a set could be used; none where the set could not. For the fuzz target, which fetches nothing.
#[cfg(fuzzing)]
#[must_use]
pub fn key_set(document: &[u8], issuer: &config::Issuer) -> Option<usize> {
    KeySet::parse(document, issuer).ok().map(|keys| keys.len())
}

#[cfg(test)]
mod tests;
