//! How often an address may connect, and how often a proof that failed is looked at again.
//!
//! ```text
//!  connect --> within the rate of its network? --yes--> served
//!                     '--no--> served if its request brings a valid proof; else told to wait, longer each time
//!  a proof  --> failed often from this network? --no--> verified --fails--> noted
//!                     '--yes--> not looked at before its pause is over
//! ```
//!
//! Nothing here keeps out somebody who can prove who he is: the rate of connects is asked for nobody with a valid proof,
//! and failures are counted for one credential of one network, so that a stale tab locks out neither another token nor
//! the same office's other tabs (hazard R20). All tables are bounded (hazard R31).

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use self::bounded::Bounded;
use self::patience::Patience;
use crate::driver::network;

mod bounded;
mod patience;

/// Networks, and credentials, that are remembered at a time: a few megabytes at most.
const MAX_KEYS: usize = 65_536;

/// How many seconds' worth of connects may come at once: with the default rate an office of 500 tabs that reconnects
/// twice is within it.
const BURST_SECONDS: u32 = 20;

/// Failures of one credential that cost nothing. A client that tries a bad token on every transport makes a few.
const FREE_FAILURES: u32 = 10;

/// Nobody is told to wait longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A full table is swept so often at most, because a sweep looks at every key.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

type Limiter = RateLimiter<IpAddr, Bounded<IpAddr>, Clock, NoOpMiddleware<std::time::Instant>>;

/// The rates of one listener.
pub struct Rates {
    connects: Limiter,
    /// Who connects beyond the rate.
    hasty: Patience<IpAddr>,
    failures: Patience<(IpAddr, Credential)>,
    /// When the limiter dropped the keys that say nothing any more.
    swept: Mutex<Instant>,
    hasher: RandomState,
}

/// What somebody showed to prove who he is, as a keyed hash: nobody can learn anything from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credential(u64);

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("networks", &self.connects.len()).finish_non_exhaustive()
    }
}

impl Rates {
    /// So many connects per second from one network, twenty times as many at once.
    pub(super) fn new(per_second: NonZeroU32) -> Arc<Self> {
        let quota = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST));
        Arc::new(Self {
            connects: RateLimiter::new(quota, Bounded::new(MAX_KEYS), Clock),
            hasty: Patience::new(MAX_KEYS, 0),
            failures: Patience::new(MAX_KEYS, FREE_FAILURES),
            swept: Mutex::new(Instant::now()),
            hasher: RandomState::new(),
        })
    }

    /// Notes a connect. Answers, beyond the rate, when somebody without a proof is to come back: later each time, 60 s
    /// at most, and jittered.
    pub(super) fn connect(&self, address: IpAddr) -> Option<Duration> {
        self.sweep();
        let network = network(address);
        match self.connects.check_key(&network) {
            Ok(()) => None,
            Err(_) => Some(self.hasty.again(network)),
        }
    }

    /// The keyed hash of what was shown, in parts.
    pub(super) fn credential(&self, parts: [&[u8]; 4]) -> Credential {
        Credential(self.hasher.hash_one(parts))
    }

    /// How long this credential is not looked at, because it failed so often from this network.
    pub(super) fn held_off(&self, address: IpAddr, credential: Credential) -> Option<Duration> {
        self.failures.pause(&(network(address), credential))
    }

    /// A credential was looked at and proves nothing.
    pub(super) fn failed(&self, address: IpAddr, credential: Credential) {
        self.failures.again((network(address), credential));
    }

    /// Drops networks whose state says no more than that of one that was never here.
    fn sweep(&self) {
        let now = Instant::now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= *swept + SWEEP_EVERY {
            *swept = now;
            drop(swept);
            self.connects.retain_recent();
        }
    }
}

const BURST: NonZeroU32 = match NonZeroU32::new(BURST_SECONDS) {
    Some(seconds) => seconds,
    None => NonZeroU32::MIN,
};

/// The runtime's clock, which tests can stop.
#[derive(Clone, Debug)]
struct Clock;

impl governor::clock::Clock for Clock {
    type Instant = std::time::Instant;

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests;
