//! Logins between the redirect to the provider and the way back: sealed into their own `state`, each for one browser and
//! one use.
//!
//! ```text
//!  depart: { provider, browser, nonce, verifier, return_to, expiry } ──seal──► state ──► provider ──► callback: state
//!  come_back: state ──open──► this browser? in time? not used? ──► the departure
//!  used: only once the provider has taken the code
//! ```
//!
//! Nothing is kept here of whoever leaves: anybody may begin logins, and a table of them could be filled by one who begins
//! many, so that nobody else came back (hazard R31). The seal is in the `state` and not in the cookie, so that a
//! browser may have several logins under way, in one short cookie.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::wire::millis;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::LoginError;
use crate::auth::opaque::{Digest, Opaque};

/// From the redirect to the way back: time to find a second factor.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(600);

/// The longest `state` that is looked at, in bytes: with the longest path to go on with it has fewer.
const MAX_STATE_BYTES: usize = 8 * 1024;

/// States that were used lately and are remembered. Each stands for a code that a provider has taken; of one that is
/// forgotten early the provider takes none a second time (RFC 6749, section 4.1.2).
const MAX_USED: usize = 16_384;

/// What has to be known when the user comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    pub(super) provider: Box<str>,
    /// Which browser left: the digest of a cookie of its own.
    pub(super) browser: Digest,
    pub(super) nonce: Opaque,
    /// The secret of PKCE (RFC 7636).
    pub(super) verifier: Opaque,
    /// The path to go on with.
    pub(super) return_to: String,
}

/// A departure as it is sealed.
#[derive(Deserialize, Serialize)]
struct Sealed {
    provider: Box<str>,
    browser: String,
    nonce: String,
    verifier: String,
    return_to: String,
    /// In milliseconds since the key was made.
    expires: u64,
}

/// Seals and opens departures, with a key that nobody else has and that is gone with the process.
pub(super) struct Pending {
    key: RandomizedNonceKey,
    since: Instant,
    used: Mutex<Used>,
    max_used: usize,
}

/// By their nonce, which no two departures have in common.
#[derive(Default)]
struct Used {
    nonces: HashSet<Digest>,
    /// Oldest first.
    order: VecDeque<(Digest, Instant)>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self::bounded(MAX_USED)
    }
}

impl Pending {
    fn bounded(max_used: usize) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        // Of the kind that survives a nonce which comes twice: whoever begins logins decides how many there are.
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key).expect("32 bytes are a key");
        Self { key, since: Instant::now(), used: Mutex::default(), max_used }
    }

    /// The `state` of a departure.
    pub(super) fn depart(&self, departure: &Departure) -> String {
        let sealed = Sealed {
            provider: departure.provider.clone(),
            browser: URL_SAFE_NO_PAD.encode(departure.browser),
            nonce: departure.nonce.as_str().to_owned(),
            verifier: departure.verifier.as_str().to_owned(),
            return_to: departure.return_to.clone(),
            expires: self.now() + millis(PENDING_LIFETIME),
        };
        let mut text = serde_json::to_vec(&sealed).expect("text and numbers always serialise");
        let nonce = self.key.seal_in_place_append_tag(Aad::empty(), &mut text).expect("few bytes can be sealed");
        URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &text].concat())
    }

    /// The departure that somebody comes back from.
    ///
    /// # Errors
    /// [`LoginError::UnknownState`], [`LoginError::OtherBrowser`]: the latter leaves it for the browser that left.
    pub(super) fn come_back(&self, state: &str, browser: Option<&Opaque>) -> Result<Departure, LoginError> {
        let (departure, expires) = self.open(state).ok_or(LoginError::UnknownState)?;
        if expires <= self.now() || self.used().nonces.contains(&departure.nonce.digest()) {
            return Err(LoginError::UnknownState);
        }
        match browser.map(Opaque::digest) == Some(departure.browser) {
            true => Ok(departure),
            false => Err(LoginError::OtherBrowser),
        }
    }

    /// Somebody came back from it with a code that the provider took: nobody does twice.
    ///
    /// # Errors
    /// [`LoginError::UnknownState`]: somebody did meanwhile.
    pub(super) fn arrived(&self, departure: &Departure) -> Result<(), LoginError> {
        let nonce = departure.nonce.digest();
        let mut used = self.used();
        if !used.nonces.insert(nonce) {
            return Err(LoginError::UnknownState);
        }
        // From now, which is later than the state expires.
        used.order.push_back((nonce, Instant::now() + PENDING_LIFETIME));
        while let Some((oldest, until)) = used.order.front().copied() {
            if until > Instant::now() && used.order.len() <= self.max_used {
                break;
            }
            used.order.pop_front();
            used.nonces.remove(&oldest);
        }
        Ok(())
    }

    fn open(&self, state: &str) -> Option<(Departure, u64)> {
        let bytes = (state.len() <= MAX_STATE_BYTES).then(|| URL_SAFE_NO_PAD.decode(state).ok())??;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let text = self.key.open_in_place(Nonce::from(nonce), Aad::empty(), &mut text).ok()?;
        let sealed: Sealed = serde_json::from_slice(text).ok()?;
        let departure = Departure {
            provider: sealed.provider,
            browser: URL_SAFE_NO_PAD.decode(sealed.browser).ok()?.try_into().ok()?,
            nonce: Opaque::parse(&sealed.nonce)?,
            verifier: Opaque::parse(&sealed.verifier)?,
            return_to: sealed.return_to,
        };
        Some((departure, sealed.expires))
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn departure(browser: &Opaque) -> Departure {
        Departure {
            provider: "p".into(),
            browser: browser.digest(),
            nonce: Opaque::random(),
            verifier: Opaque::random(),
            return_to: "/".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_used_once_and_by_the_browser_that_left() {
        let pending = Pending::default();
        let (mine, other) = (Opaque::random(), Opaque::random());
        let left = departure(&mine);
        let state = pending.depart(&left);
        assert_eq!(pending.come_back(&state, Some(&other)), Err(LoginError::OtherBrowser));
        assert_eq!(pending.come_back(&state, None), Err(LoginError::OtherBrowser));
        assert_eq!(pending.come_back(&state, Some(&mine)), Ok(left.clone()));
        assert_eq!(pending.arrived(&left), Ok(()));
        assert_eq!(pending.come_back(&state, Some(&mine)), Err(LoginError::UnknownState));
        assert_eq!(pending.arrived(&left), Err(LoginError::UnknownState), "both came back before either arrived");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stays_away_for_ten_minutes_begins_again() {
        let pending = Pending::default();
        let browser = Opaque::random();
        let left = departure(&browser);
        let state = pending.depart(&left);
        advance(PENDING_LIFETIME - Duration::from_millis(1)).await;
        assert_eq!(pending.come_back(&state, Some(&browser)), Ok(left));
        advance(Duration::from_millis(1)).await;
        assert_eq!(pending.come_back(&state, Some(&browser)), Err(LoginError::UnknownState));
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_thousand_departures_of_others_stop_nobody_from_coming_back() {
        let pending = Pending::default();
        let browser = Opaque::random();
        let left = departure(&browser);
        let state = pending.depart(&left);
        for _ in 0..20_000 {
            pending.depart(&departure(&browser));
        }
        assert_eq!(pending.come_back(&state, Some(&browser)), Ok(left));
        assert!(pending.used().order.is_empty(), "nothing is kept of those who only left");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_used_states_are_remembered_than_the_bound_and_none_for_longer_than_needed() {
        let pending = Pending::bounded(2);
        let browser = Opaque::random();
        let counts = || {
            let used = pending.used();
            (used.order.len(), used.nonces.len())
        };
        for _ in 0..3 {
            pending.arrived(&departure(&browser)).unwrap();
        }
        assert_eq!(counts(), (2, 2));
        advance(PENDING_LIFETIME).await;
        pending.arrived(&departure(&browser)).unwrap();
        assert_eq!(counts(), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_state_or_was_changed_or_is_of_another_process_is_unknown() {
        let browser = Opaque::random();
        let pending = Pending::default();
        let state = pending.depart(&departure(&browser));
        let changed = match state.strip_prefix('A') {
            Some(rest) => format!("B{rest}"),
            None => format!("A{}", &state[1..]),
        };
        let foreign = Pending::default().depart(&departure(&browser));
        let long = "A".repeat(MAX_STATE_BYTES + 1);
        for state in ["", "x", "AAAA", Opaque::random().as_str(), &changed, &foreign, &long, &state[..state.len() - 4]]
        {
            assert_eq!(pending.come_back(state, Some(&browser)), Err(LoginError::UnknownState), "{state}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_tells_nobody_what_it_holds() {
        let left = departure(&Opaque::random());
        let state = Pending::default().depart(&left);
        let bytes = URL_SAFE_NO_PAD.decode(&state).unwrap();
        for secret in [left.verifier.as_str(), left.nonce.as_str()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
        let longest = Departure { return_to: "/".repeat(1024), ..left };
        assert!(Pending::default().depart(&longest).len() < MAX_STATE_BYTES);
    }
}
