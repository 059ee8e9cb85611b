//! The logins in memory: pure, the time is an argument.

use std::collections::{HashMap, HashSet};
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
    /// The id of the proof of a login that followed another one of its user in the same browser: that of the first. In
    /// memory alone, as are the sockets that are found by it.
    followed: HashMap<Digest, u64>,
    /// Logins that were ended lately, by the id of their proof, and when.
    ended: HashMap<u64, u64>,
    /// Logins whose last use is not in the store yet.
    unsaved: HashMap<Digest, u64>,
}

/// A login that lets nobody in any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) digest: Digest,
    pub(super) user: UserId,
    pub(super) proof: Proof,
}

impl Rows {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            by_digest: HashMap::new(),
            of_user: HashMap::new(),
            followed: HashMap::new(),
            ended: HashMap::new(),
            unsaved: HashMap::new(),
        }
    }

    /// Takes a login in, in place of the one that its browser showed `before`; answers those that are ended by it: that of
    /// another user, and what makes room. One of the same user goes on in the new one, with whatever it let in: his
    /// other tabs lose nothing by it (hazard R11). What else is to be forgotten is its old token, the second answer.
    pub(super) fn replace(&mut self, before: Option<&Digest>, login: Login, now: u64) -> (Vec<Ended>, Option<Digest>) {
        let old = before.and_then(|before| self.by_digest.get(before)).map(|old| (old.digest, old.user == login.user));
        match old {
            None => (self.insert(login, now), None),
            Some((old, true)) => {
                let known_by = self.proof_of(&old).map(|proof| proof.id);
                self.forget(&old);
                self.followed.extend(known_by.map(|id| (login.digest, id)));
                (self.insert(login, now), Some(old))
            }
            Some((old, false)) => {
                let mut gone: Vec<Ended> = self.end(&old, now).into_iter().collect();
                gone.extend(self.insert(login, now));
                (gone, None)
            }
        }
    }

    /// Takes a login in; answers those that make room for it, which are ended.
    pub(super) fn insert(&mut self, login: Login, now: u64) -> Vec<Ended> {
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

    /// The login that a browser shows, if it is still one, and what its sockets are found by; it was seen now.
    pub(super) fn show(&mut self, digest: &Digest, now: u64) -> Option<(&Login, Proof)> {
        let idle_seconds = self.bounds.idle_timeout.as_secs();
        self.by_digest.get(digest).filter(|login| is_valid(login, idle_seconds, now))?;
        self.touch(digest, now);
        Some((self.by_digest.get(digest)?, self.proof_of(digest)?))
    }

    /// Those whose proofs hold a connection open are in use, though they make no request.
    pub(super) fn touch_all(&mut self, connected: &HashSet<u64>, now: u64) {
        let is_connected = |digest: &Digest| self.proof_of(digest).is_some_and(|proof| connected.contains(&proof.id));
        let live: Vec<Digest> = self.by_digest.keys().filter(|digest| is_connected(digest)).copied().collect();
        for digest in &live {
            self.touch(digest, now);
        }
    }

    fn touch(&mut self, digest: &Digest, now: u64) {
        if let Some(login) = self.by_digest.get_mut(digest).filter(|login| login.seen < now) {
            login.seen = now;
            self.unsaved.insert(*digest, now);
        }
    }

    /// Ends a login; answers whose it was.
    pub(super) fn end(&mut self, digest: &Digest, now: u64) -> Option<Ended> {
        let proof = self.proof_of(digest)?;
        let login = self.forget(digest)?;
        self.ended.insert(proof.id, now);
        Some(Ended { digest: login.digest, user: login.user, proof })
    }

    /// Ends all logins of a user.
    pub(super) fn end_all(&mut self, user: &UserId, now: u64) -> Vec<Ended> {
        let his = self.of_user.get(user).cloned().unwrap_or_default();
        his.iter().filter_map(|digest| self.end(digest, now)).collect()
    }

    /// Ends those that no provider vouches for any more.
    pub(super) fn end_unvouched(&mut self, is_known: impl Fn(&str) -> bool, now: u64) -> Vec<Ended> {
        let gone = self.by_digest.values().filter(|login| !is_known(&login.provider));
        let gone: Vec<Digest> = gone.map(|login| login.digest).collect();
        gone.iter().filter_map(|digest| self.end(digest, now)).collect()
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

    /// What the store could not note has to be noted the next time.
    pub(super) fn not_saved(&mut self, seen: Vec<(Digest, u64)>) {
        for (digest, at) in seen {
            if self.by_digest.contains_key(&digest) {
                // It may have been seen since.
                self.unsaved.entry(digest).or_insert(at);
            }
        }
    }

    /// What the driver knows a login by. The digest is that of a random token, so that a part of it can be guessed by
    /// nobody.
    fn proof_of(&self, digest: &Digest) -> Option<Proof> {
        let login = self.by_digest.get(digest)?;
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        let own = u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1);
        Some(Proof { id: self.followed.get(digest).copied().unwrap_or(own), issued: login.issued })
    }

    fn forget(&mut self, digest: &Digest) -> Option<Login> {
        let login = self.by_digest.remove(digest)?;
        self.unsaved.remove(digest);
        self.followed.remove(digest);
        if let Some(his) = self.of_user.get_mut(&login.user) {
            his.retain(|kept| kept != digest);
            if his.is_empty() {
                self.of_user.remove(&login.user);
            }
        }
        Some(login)
    }
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

    fn digests(ended: &[Ended]) -> Vec<u8> {
        ended.iter().map(|ended| ended.digest[0]).collect()
    }

    fn proof(digest: u8) -> Proof {
        Proof { id: u64::from_le_bytes([digest; 8]), issued: 0 }
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
        assert_eq!(digests(&rows.insert(login(3, "ann", 3), 3)), [1]);
        assert!(!is_in(&mut rows, 1, 3) && is_in(&mut rows, 2, 3) && is_in(&mut rows, 3, 3) && is_in(&mut rows, 9, 3));
    }

    #[test]
    fn a_full_node_ends_the_login_that_was_used_longest_ago() {
        let mut rows = Rows::new(BOUNDS);
        for (n, user) in ["a", "b", "c", "d"].into_iter().enumerate() {
            rows.insert(login(n as u8, user, n as u64), n as u64);
        }
        assert!(is_in(&mut rows, 0, 5));
        assert_eq!(digests(&rows.insert(login(9, "e", 6), 6)), [1]);
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
        assert!((1..=3).all(|digest| rows.has_ended(proof(digest))));
        rows.tidy(1 + ENDED_SECONDS);
        assert!(!rows.has_ended(proof(1)), "nobody can still be on his way in with it");
    }

    #[test]
    fn when_a_login_was_seen_is_handed_to_the_store_once() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        assert!(is_in(&mut rows, 1, 3) && is_in(&mut rows, 1, 4));
        assert_eq!(rows.tidy(5), (vec![], vec![([1; 32], 4)]));
        assert_eq!(rows.tidy(5), (vec![], vec![]));
    }

    #[test]
    fn what_the_store_could_not_note_is_handed_to_it_again() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        rows.insert(login(2, "bob", 0), 0);
        assert!(is_in(&mut rows, 1, 3) && is_in(&mut rows, 2, 3));
        let (_, seen) = rows.tidy(4);
        assert!(is_in(&mut rows, 1, 5));
        rows.end(&[2; 32], 5);
        rows.not_saved(seen);
        assert_eq!(rows.tidy(6), (vec![], vec![([1; 32], 5)]), "the latest time, and nothing of who is gone");
    }

    #[test]
    fn a_login_whose_socket_is_open_is_in_use() {
        let mut rows = Rows::new(BOUNDS);
        for (digest, user) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            rows.insert(login(digest, user, 0), 0);
        }
        rows.touch_all(&HashSet::from([proof(1).id, 77]), 9);
        assert_eq!(digests(&rows.insert(login(5, "e", 9), 9)).len(), 1);
        let (over, seen) = rows.tidy(10);
        assert_eq!((over.len(), seen), (2, vec![([1; 32], 9)]), "neither the idle timeout nor the bound hit him");
        assert!(is_in(&mut rows, 1, 18));
    }

    #[test]
    fn a_second_login_of_the_same_user_takes_over_what_the_first_let_in() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        assert_eq!(rows.replace(Some(&[1; 32]), login(2, "ann", 1), 1), (vec![], Some([1; 32])));
        assert!(!is_in(&mut rows, 1, 1), "its cookie is worth nothing");
        assert!(!rows.has_ended(proof(1)), "whoever is on his way in with it comes in");
        assert_eq!(rows.replace(Some(&[2; 32]), login(3, "ann", 2), 2), (vec![], Some([2; 32])));
        let ended = rows.end(&[3; 32], 3).unwrap();
        assert_eq!(ended.proof, Proof { id: proof(1).id, issued: 2 }, "one logout ends them all");
        assert!(rows.followed.is_empty());
    }

    #[test]
    fn a_login_of_another_user_ends_the_one_before_it() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        let (ended, forgotten) = rows.replace(Some(&[1; 32]), login(2, "bob", 1), 1);
        assert_eq!((digests(&ended), forgotten), (vec![1], None));
        assert!(rows.has_ended(proof(1)));
        assert_eq!(rows.replace(Some(&[9; 32]), login(3, "bob", 1), 1), (vec![], None), "one that nobody knows");
    }

    #[test]
    fn logins_of_a_provider_that_is_gone_end() {
        let mut rows = Rows::new(BOUNDS);
        rows.insert(login(1, "ann", 0), 0);
        rows.insert(Login { provider: "q".into(), ..login(2, "bob", 0) }, 0);
        assert_eq!(digests(&rows.end_unvouched(|name| name == "p", 1)), [2]);
        assert!(is_in(&mut rows, 1, 1) && !is_in(&mut rows, 2, 1));
    }
}
