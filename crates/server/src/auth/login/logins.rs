//! The logins of a realm: in memory for every request, in the store for the next start.
//!
//! ```text
//!  begin ──► store, then memory ──► token for the cookie       a restart logs nobody out
//!  identity(cookie) ──► memory                                 every request
//!  end ──► memory; whoever called closes sockets, then keep ──► store      nobody comes in any more, nobody comes back
//!  tidy ──► what has expired, and when the others were seen
//! ```
//!
//! Nothing here is asynchronous, so that nobody who hangs up can leave a login half ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::{Proof, UserId};

use super::Realm;
use super::rows::{self, Bounds, Rows};
use crate::auth::Identity;
use crate::auth::opaque::{Digest, Opaque};
use crate::config;
use crate::store::logins::Login;
use crate::store::{Store, StoreError};
use crate::wire::unix_ms;

/// What vouches for whoever logs in by a name alone; no provider is called so.
pub const DEMO: &str = "demo";

/// Somebody whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// His user id here.
    pub user: UserId,
    /// Who vouches for him.
    pub provider: Box<str>,
    /// The plan that the provider names.
    pub plan: Option<Box<str>>,
    /// The groups that the provider names.
    pub groups: Vec<Box<str>>,
}

/// A login that has just begun.
#[derive(Debug)]
pub struct Begun {
    /// For the cookie.
    pub token: Opaque,
    /// How long the cookie is good for.
    pub lifetime: Duration,
    /// Logins that it ended: that of another user in this browser, and those that made room.
    pub ended: Ended,
}

/// Logins that let nobody in any more. Their sockets are to be closed, and then their end to be kept.
#[derive(Debug)]
#[must_use = "a restart brings them back, and their sockets are open still"]
pub struct Ended {
    /// Whose sockets they let in, and what these are found by.
    pub sockets: Vec<(UserId, Proof)>,
    digests: Vec<Digest>,
    store: Arc<Store>,
}

impl Ended {
    /// Ends them in the store, too: when this returns, no restart brings them back. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn keep(&self) -> Result<(), StoreError> {
        self.store.end_logins(&self.digests)
    }
}

/// Who is logged in.
#[derive(Debug)]
pub struct Logins {
    realm: Realm,
    rows: Mutex<Rows>,
    store: Arc<Store>,
}

impl Logins {
    /// Those that the store knows of this realm. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(realm: Realm, config: &config::Login, store: Arc<Store>) -> Result<Arc<Self>, StoreError> {
        let mut kept = store.logins(realm.as_str())?;
        // The newest win here, too, if the bounds were lowered meanwhile.
        kept.sort_by_key(|login| login.issued);
        let mut rows = Rows::new(Bounds::from(config));
        let now = now();
        let mut gone: Vec<Digest> = Vec::new();
        for login in kept {
            gone.extend(rows.insert(login, now).iter().map(|ended| ended.digest));
        }
        gone.extend(rows.end_unvouched(|provider| is_known(config, provider), now).iter().map(|ended| ended.digest));
        gone.extend(rows.tidy(now).0);
        store.end_logins(&gone)?;
        Ok(Arc::new(Self { realm, rows: Mutex::new(rows), store }))
    }

    /// From now on these bounds hold. A lifetime is that of logins to come; lower counts end nobody by themselves. Logins
    /// of providers that are gone end.
    pub fn reload(&self, config: &config::Login) -> Ended {
        let gone = {
            let mut rows = self.rows();
            rows.bounds = Bounds::from(config);
            rows.end_unvouched(|provider| is_known(config, provider), now())
        };
        self.ended(gone)
    }

    /// Whose logins these are.
    #[must_use]
    pub fn realm(&self) -> Realm {
        self.realm
    }

    /// Logs somebody in, in place of the login that his browser showed `before`; when this returns, a restart does not log
    /// him out. A login of the same user goes on in the new one: what it let in stays. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be written: he is not logged in.
    pub fn begin(&self, vouched: Vouched, before: Option<&Opaque>) -> Result<Begun, StoreError> {
        let token = Opaque::random();
        let (now, lifetime) = (now(), self.rows().bounds.lifetime);
        let login = Login {
            digest: token.digest(),
            user: vouched.user,
            provider: vouched.provider,
            plan: vouched.plan,
            groups: vouched.groups,
            issued: now,
            expires: now.saturating_add(lifetime.as_secs().max(1)),
            seen: now,
        };
        self.store.keep_login(self.realm.as_str(), &login)?;
        tracing::info!(user = %login.user, provider = &*login.provider, realm = self.realm.as_str(), "logged in");
        let (gone, forgotten) = self.rows().replace(before.map(Opaque::digest).as_ref(), login, now);
        let mut ended = self.ended(gone);
        ended.digests.extend(forgotten);
        Ok(Begun { token, lifetime, ended })
    }

    /// Whom a cookie speaks for: none, where its login has ended or never was.
    #[must_use]
    pub fn identity(&self, token: &Opaque) -> Option<Identity> {
        let mut rows = self.rows();
        let (login, proof) = rows.show(&token.digest(), now())?;
        Some(Identity {
            user: login.user.clone(),
            expires: Some(login.expires),
            plan: login.plan.clone(),
            agents: None,
            groups: login.groups.clone().into(),
            proof,
        })
    }

    /// Ends the login that a cookie shows: it lets nobody in from now on.
    pub fn end(&self, token: &Opaque) -> Ended {
        let gone = self.rows().end(&token.digest(), now());
        self.ended(gone.into_iter().collect())
    }

    /// Ends all logins of a user, on whatever browser.
    pub fn end_all(&self, user: &UserId) -> Ended {
        let gone = self.rows().end_all(user, now());
        self.ended(gone)
    }

    /// Whether what this proof stands for is a login that was ended in the last two minutes: whoever showed it before
    /// that may still be on his way in.
    #[must_use]
    pub fn has_ended(&self, proof: Proof) -> bool {
        self.rows().has_ended(proof)
    }

    /// Forgets what has expired, and notes in the store when the others were seen: to be called every minute or so, with
    /// the ids of the proofs that hold a connection open, which count as seen now. Waits for the disk.
    pub fn tidy(&self, connected: &HashSet<u64>) {
        let (over, seen) = {
            let (mut rows, now) = (self.rows(), now());
            rows.touch_all(connected, now);
            rows.tidy(now)
        };
        if let Err(error) = self.store.end_logins(&over).and_then(|()| self.store.note_logins_seen(&seen)) {
            // What has expired expires at the next start, too.
            tracing::error!(%error, "what has become of logins was not kept");
            self.rows().not_saved(seen);
        }
    }

    fn ended(&self, gone: Vec<rows::Ended>) -> Ended {
        for login in &gone {
            tracing::info!(user = %login.user, realm = self.realm.as_str(), "logged out");
        }
        let digests = gone.iter().map(|login| login.digest).collect();
        let sockets = gone.into_iter().map(|login| (login.user, login.proof)).collect();
        Ended { sockets, digests, store: Arc::clone(&self.store) }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&config::Login> for Bounds {
    fn from(config: &config::Login) -> Self {
        Self {
            lifetime: config.lifetime,
            idle_timeout: config.idle_timeout,
            max_per_user: config.max_logins_per_user,
            max: config.max_logins,
        }
    }
}

/// Whether this provider vouches for anybody still.
fn is_known(config: &config::Login, provider: &str) -> bool {
    config.providers.contains_key(provider) || (config.is_demo && provider == DEMO)
}

fn now() -> u64 {
    unix_ms() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> config::Login {
        let text = format!(
            "server.public_url = 'https://chat.example.org'\nauth.shared_users = true\nauth.jwt.secret = '{}'\n\
             login.providers.p = {{ issuer_url = 'https://issuer.example', client_id = 'c' }}",
            "s".repeat(32)
        );
        config::Config::from_toml(&text).unwrap().login
    }

    fn open(store: &Arc<Store>) -> Arc<Logins> {
        Logins::open(Realm::Users, &config(), Arc::clone(store)).unwrap()
    }

    fn vouched(user: &str) -> Vouched {
        Vouched { user: UserId::parse(user).unwrap(), provider: "p".into(), plan: None, groups: vec!["staff".into()] }
    }

    fn begin(logins: &Logins, user: &str) -> Opaque {
        logins.begin(vouched(user), None).unwrap().token
    }

    #[test]
    fn a_restart_logs_nobody_out_and_nobody_in() {
        let store = Store::open(None).unwrap();
        let logins = open(&store);
        let (ann, bob) = (begin(&logins, "ann"), begin(&logins, "bob"));
        let proof = logins.identity(&bob).unwrap().proof;
        let ended = logins.end(&bob);
        assert_eq!(ended.sockets, [(vouched("bob").user, proof)]);
        assert!(logins.has_ended(proof));
        ended.keep().unwrap();
        let logins = open(&store);
        let identity = logins.identity(&ann).unwrap();
        assert_eq!((identity.user.as_str(), &*identity.groups), ("ann", &["staff".into()][..]));
        assert_eq!(logins.identity(&bob), None);
    }

    #[test]
    fn a_login_of_users_is_none_of_operators() {
        let store = Store::open(None).unwrap();
        let ann = begin(&open(&store), "ann");
        let operators = Logins::open(Realm::Operators, &config(), store).unwrap();
        assert_eq!(operators.identity(&ann), None);
    }

    #[test]
    fn everywhere_means_every_login_of_the_user_and_of_nobody_else() {
        let logins = open(&Store::open(None).unwrap());
        let (first, second, bob) = (begin(&logins, "ann"), begin(&logins, "ann"), begin(&logins, "bob"));
        assert_eq!(logins.end_all(&vouched("ann").user).sockets.len(), 2);
        assert_eq!((logins.identity(&first), logins.identity(&second)), (None, None));
        assert!(logins.identity(&bob).is_some());
    }

    #[test]
    fn logging_in_again_leaves_the_sockets_of_the_first_login_and_nothing_of_its_cookie() {
        let store = Store::open(None).unwrap();
        let logins = open(&store);
        let first = begin(&logins, "ann");
        let proof = logins.identity(&first).unwrap().proof;
        let again = logins.begin(vouched("ann"), Some(&first)).unwrap();
        assert_eq!(again.ended.sockets, []);
        again.ended.keep().unwrap();
        assert_eq!(logins.identity(&first), None);
        assert_eq!(store.logins("user").unwrap().len(), 1, "no restart brings the first one back");
        assert_eq!(logins.end(&again.token).sockets[0].1.id, proof.id, "the logout finds the sockets of both");
    }

    #[test]
    fn logins_of_a_provider_that_is_gone_end_at_a_reload_and_at_a_start() {
        let without = config::Login { providers: std::collections::BTreeMap::new(), ..config() };
        let store = Store::open(None).unwrap();
        let logins = open(&store);
        let ann = begin(&logins, "ann");
        assert_eq!(logins.reload(&config()).sockets, []);
        assert!(logins.identity(&ann).is_some());
        let ended = logins.reload(&without);
        assert_eq!((ended.sockets.len(), logins.identity(&ann)), (1, None));
        // It was not kept, as if the process had ended here.
        drop((ended, logins));
        let logins = Logins::open(Realm::Users, &without, Arc::clone(&store)).unwrap();
        assert_eq!((logins.identity(&ann), store.logins("user").unwrap()), (None, vec![]));
    }

    #[test]
    fn bounds_that_were_lowered_end_the_oldest_logins_at_the_next_start() {
        let store = Store::open(None).unwrap();
        let logins = open(&store);
        for _ in 0..3 {
            begin(&logins, "ann");
        }
        let bounds = config::Login { max_logins_per_user: 1, ..config() };
        drop(Logins::open(Realm::Users, &bounds, Arc::clone(&store)).unwrap());
        assert_eq!(store.logins("user").unwrap().len(), 1);
    }

    #[test]
    fn when_a_login_was_seen_is_noted_once_the_store_can_be_written_again() {
        let directory = std::env::temp_dir().join(format!("lychgate-seen-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let store = Store::open(Some(&directory)).unwrap();
        let logins = open(&store);
        begin(&logins, "ann");
        let begun = store.logins("user").unwrap()[0].clone();
        let seen = begun.seen + 7;
        logins.rows().show(&begun.digest, seen).unwrap();
        // Somebody else writes, for longer than the store waits.
        let other = rusqlite::Connection::open(directory.join("doors.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        logins.tidy(&HashSet::new());
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.logins("user").unwrap()[0].seen, begun.seen);
        logins.tidy(&HashSet::new());
        assert_eq!(store.logins("user").unwrap()[0].seen, seen);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
