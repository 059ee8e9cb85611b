//! Logins between the redirect to the provider and the way back: few, short, each for one browser and one use.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::LoginError;
use crate::auth::opaque::{Digest, Opaque};

/// From the redirect to the way back: time to find a second factor.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(600);

/// Logins that are under way at once; the newest win.
const MAX_PENDING: usize = 16_384;

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

/// All of them, by the digest of their `state`.
#[derive(Debug)]
pub(super) struct Pending {
    departures: Mutex<Departures>,
    max: usize,
}

#[derive(Debug, Default)]
struct Departures {
    by_state: HashMap<Digest, (Departure, Instant)>,
    /// Oldest first; may name some that have come back.
    order: VecDeque<Digest>,
}

impl Default for Pending {
    fn default() -> Self {
        Self::bounded(MAX_PENDING)
    }
}

impl Pending {
    fn bounded(max: usize) -> Self {
        Self { departures: Mutex::default(), max }
    }

    /// Remembers a departure; answers its `state`.
    pub(super) fn depart(&self, departure: Departure) -> Opaque {
        let state = Opaque::random();
        let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        departures.drop_expired();
        while departures.order.len() >= self.max {
            departures.drop_oldest();
        }
        departures.order.push_back(state.digest());
        departures.by_state.insert(state.digest(), (departure, Instant::now() + PENDING_LIFETIME));
        state
    }

    /// The departure that somebody comes back from; nobody does twice.
    ///
    /// # Errors
    /// [`LoginError::UnknownState`], [`LoginError::OtherBrowser`]: the latter leaves it for the browser that left.
    pub(super) fn come_back(&self, state: &str, browser: Option<&Opaque>) -> Result<Departure, LoginError> {
        let state = Opaque::parse(state).ok_or(LoginError::UnknownState)?;
        let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        let (departure, expires) = departures.by_state.get(&state.digest()).ok_or(LoginError::UnknownState)?;
        if *expires <= Instant::now() {
            return Err(LoginError::UnknownState);
        }
        if browser.map(Opaque::digest) != Some(departure.browser) {
            return Err(LoginError::OtherBrowser);
        }
        let (departure, _) = departures.by_state.remove(&state.digest()).ok_or(LoginError::UnknownState)?;
        Ok(departure)
    }
}

impl Departures {
    fn drop_expired(&mut self) {
        let now = Instant::now();
        while let Some(state) = self.order.front() {
            match self.by_state.get(state) {
                Some((_, expires)) if *expires > now => break,
                Some(_) | None => self.drop_oldest(),
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(state) = self.order.pop_front() {
            self.by_state.remove(&state);
        }
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
        let state = pending.depart(left.clone());
        assert_eq!(pending.come_back(state.as_str(), Some(&other)), Err(LoginError::OtherBrowser));
        assert_eq!(pending.come_back(state.as_str(), None), Err(LoginError::OtherBrowser));
        assert_eq!(pending.come_back(state.as_str(), Some(&mine)), Ok(left));
        assert_eq!(pending.come_back(state.as_str(), Some(&mine)), Err(LoginError::UnknownState));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stays_away_for_ten_minutes_begins_again() {
        let pending = Pending::default();
        let browser = Opaque::random();
        let state = pending.depart(departure(&browser));
        advance(PENDING_LIFETIME).await;
        assert_eq!(pending.come_back(state.as_str(), Some(&browser)), Err(LoginError::UnknownState));
        pending.depart(departure(&browser));
        assert_eq!(pending.departures.lock().unwrap().by_state.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_remembered_than_the_bound_and_the_newest_win() {
        let pending = Pending::bounded(2);
        let browser = Opaque::random();
        let states: Vec<_> = (0..3).map(|_| pending.depart(departure(&browser))).collect();
        let comes_back = |state: &Opaque| pending.come_back(state.as_str(), Some(&browser)).is_ok();
        assert_eq!(states.iter().map(comes_back).collect::<Vec<_>>(), [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_state_is_unknown() {
        for state in ["", "x", Opaque::random().as_str()] {
            assert_eq!(Pending::default().come_back(state, None), Err(LoginError::UnknownState));
        }
    }
}
