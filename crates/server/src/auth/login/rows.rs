//! The logins in memory: pure, the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use lychgate_core::{Proof, UserId};

use crate::auth::opaque::Digest;
use crate::store::logins::Login;

/// How long it is remembered that a login was ended: whoever showed it before that may still be on his way in, for as
/// long as a ticket lasts and a `hello` may take.
const ENDED_SECONDS: u64 = 120;

/// How many logins there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lifetime: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_per_user: usize,
    pub(super) max: usize,
}

/// All logins of a realm. Times are in seconds since 1970.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) bounds: Bounds,
    by_digest: HashMap<Digest, Login>,
    of_user: HashMap<UserId, Vec<Digest>>,
    /// Logins that were ended lately, by the id of their proof, and when.
    ended: HashMap<u64, u64>,
    /// Logins whose last use is not in the store yet.
    unsaved: HashMap<Digest, u64>,
}

impl Rows {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            by_digest: HashMap::new(),
            of_user: HashMap::new(),
            ended: HashMap::new(),
            unsaved: HashMap::new(),
        }
    }

    /// Takes a login in; answers those that make room for it, which are ended.
    pub(super) fn insert(&mut self, login: Login, now: u64) -> Vec<Login> {
        let mut gone = Vec::new();
        let his = self.of_user.entry(login.user.clone()).or_default();
        his.push(login.digest);
        if his.len() > self.bounds.max_per_user {
            gone.extend(his.first().copied());
        }
        self.by_digest.insert(login.digest, login);
        if gone.is_empty() && self.by_digest.len() > self.bounds.max {
            gone.extend(self.by_digest.values().min_by_key(|login| login.seen).map(|login| login.digest));
        }
        gone.iter().filter_map(|digest| self.end(digest, now)).collect()
    }

    /// The login that a browser shows, if it is still one; it was seen now.
    pub(super) fn show(&mut self, digest: &Digest, now: u64) -> Option<&Login> {
        let idle_seconds = self.bounds.idle_timeout.as_secs();
        let login = self.by_digest.get_mut(digest).filter(|login| is_valid(login, idle_seconds, now))?;
        if login.seen < now {
            login.seen = now;
            self.unsaved.insert(*digest, now);
        }
        Some(login)
    }

    /// Ends a login; answers whose it was.
    pub(super) fn end(&mut self, digest: &Digest, now: u64) -> Option<Login> {
        let login = self.forget(digest)?;
        self.ended.insert(proof(&login).id, now);
        Some(login)
    }

    /// Ends all logins of a user.
    pub(super) fn end_all(&mut self, user: &UserId, now: u64) -> Vec<Login> {
        let his = self.of_user.get(user).cloned().unwrap_or_default();
        his.iter().filter_map(|digest| self.end(digest, now)).collect()
    }

    /// Whether what this proof stands for was ended lately.
    pub(super) fn has_ended(&self, proof: Proof) -> bool {
        self.ended.contains_key(&proof.id)
    }

    /// Forgets what has expired; answers what the store has to forget, and what it has to note as seen.
    pub(super) fn tidy(&mut self, now: u64) -> (Vec<Digest>, Vec<(Digest, u64)>) {
        let idle_seconds = self.bounds.idle_timeout.as_secs();
        let over = self.by_digest.values().filter(|login| !is_valid(login, idle_seconds, now));
        let over: Vec<Digest> = over.map(|login| login.digest).collect();
        for digest in &over {
            self.forget(digest);
        }
        self.ended.retain(|_, at| now < *at + ENDED_SECONDS);
        (over, self.unsaved.drain().collect())
    }

    fn forget(&mut self, digest: &Digest) -> Option<Login> {
        let login = self.by_digest.remove(digest)?;
        self.unsaved.remove(digest);
        if let Some(his) = self.of_user.get_mut(&login.user) {
            his.retain(|kept| kept != digest);
            if his.is_empty() {
                self.of_user.remove(&login.user);
            }
        }
        Some(login)
    }
}

/// What the driver knows a login by. The digest is that of a random token, so that a part of it can be guessed by nobody.
pub(super) fn proof(login: &Login) -> Proof {
    let [a, b, c, d, e, f, g, h, ..] = login.digest;
    Proof { id: u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1), issued: login.issued }
}

fn is_valid(login: &Login, idle_seconds: u64, now: u64) -> bool {
    now < login.expires && now < login.seen.saturating_add(idle_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { lifetime: Duration::from_secs(100), idle_timeout: Duration::from_secs(10), max_per_user: 2, max: 4 };

    fn login(digest: u8, user: &str, at: u64) -> Login {
        Login {
            digest: [digest; 32],
            user: UserId::parse(user).unwrap(),
            provider: "p".into(),
            plan: None,
            groups: Vec::new(),
            issued: at,
            expires: at + 100,
            seen: at,
        }
    }

    fn is_in(rows: &mut Rows, digest: u8, now: u64) -> bool {
        rows.show(&[digest; 32], now).is_some()
    }

    #[test]
    fn a_login_that_is_used_lives_to_its_end_and_one_that_is_not_ends_sooner() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        rows.insert(login(2, "bob", 0), 0);
        for now in (0..99).step_by(9) {
            assert!(is_in(&mut rows, 1, now), "{now}");
        }
        assert!(!is_in(&mut rows, 1, 100), "its lifetime is over, however often it was used");
        assert!(!is_in(&mut rows, 2, 10), "nobody has used it for the idle timeout");
        assert_eq!(rows.tidy(100).0.len(), 2);
        assert_eq!((rows.by_digest.len(), rows.of_user.len()), (0, 0));
    }

    #[test]
    fn the_newest_logins_of_a_user_win_and_others_lose_none_by_it() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(9, "bob", 0), 0);
        assert!(rows.insert(login(1, "ann", 1), 1).is_empty());
        assert!(rows.insert(login(2, "ann", 2), 2).is_empty());
        assert_eq!(rows.insert(login(3, "ann", 3), 3), [login(1, "ann", 1)]);
        assert!(!is_in(&mut rows, 1, 3) && is_in(&mut rows, 2, 3) && is_in(&mut rows, 3, 3) && is_in(&mut rows, 9, 3));
    }

    #[test]
    fn a_full_node_ends_the_login_that_was_used_longest_ago() {
        let mut rows = Rows::new(BOUNDS);
        for (n, user) in ["a", "b", "c", "d"].into_iter().enumerate() {
            rows.insert(login(n as u8, user, n as u64), n as u64);
        }
        assert!(is_in(&mut rows, 0, 5));
        assert_eq!(rows.insert(login(9, "e", 6), 6), [login(1, "b", 1)]);
        assert!(is_in(&mut rows, 9, 6));
    }

    #[test]
    fn an_ended_login_is_nobodys_and_is_remembered_for_a_while() {
        let mut rows = Rows::new(BOUNDS);
        for digest in 1..=2 {
            rows.insert(login(digest, "ann", 0), 0);
        }
        rows.insert(login(3, "bob", 0), 0);
        assert_eq!(rows.end(&[3; 32], 1).unwrap().user.as_str(), "bob");
        assert_eq!(rows.end(&[3; 32], 1), None, "twice");
        let user = UserId::parse("ann").unwrap();
        assert_eq!(rows.end_all(&user, 1).len(), 2);
        assert!(!is_in(&mut rows, 1, 1) && !is_in(&mut rows, 2, 1));
        assert!((1..=3).all(|digest| rows.has_ended(proof(&login(digest, "x", 0)))));
        rows.tidy(1 + ENDED_SECONDS);
        assert!(!rows.has_ended(proof(&login(1, "ann", 0))), "nobody can still be on his way in with it");
    }

    #[test]
    fn when_a_login_was_seen_is_handed_to_the_store_once() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        assert!(is_in(&mut rows, 1, 3) && is_in(&mut rows, 1, 4));
        assert_eq!(rows.tidy(5), (vec![], vec![([1; 32], 4)]));
        assert_eq!(rows.tidy(5), (vec![], vec![]));
    }
}
