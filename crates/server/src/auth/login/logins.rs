//! The logins of a realm: in memory for every request, in the store for the next start.
//!
//! ```text
//!  begin ──► store, then memory ──► token for the cookie       a restart logs nobody out
//!  identity(cookie) ──► memory                                 every request
//!  end ──► memory, then store; whoever called closes sockets   nobody comes in any more, then nobody comes back
//!  tidy ──► what has expired, and when the others were seen
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::{Proof, UserId};
use tokio::task::spawn_blocking;

use super::Realm;
use super::rows::{Bounds, Rows, proof};
use crate::auth::Identity;
use crate::auth::opaque::{Digest, Opaque};
use crate::config;
use crate::store::logins::Login;
use crate::store::{Store, StoreError};
use crate::wire::unix_ms;

/// Somebody whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
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
    /// Logins that made room for it: their sockets are to be closed.
    pub ended: Vec<Proof>,
}

/// Logins that let nobody in any more.
#[derive(Debug)]
pub struct Ended {
    /// What their sockets are found by.
    pub proofs: Vec<Proof>,
    /// Whether the store knows of their end; where it does not, a restart may bring them back.
    pub kept: Result<(), StoreError>,
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
            gone.extend(rows.insert(login, now).iter().map(|login| login.digest));
        }
        gone.extend(rows.tidy(now).0);
        store.end_logins(&gone)?;
        Ok(Arc::new(Self { realm, rows: Mutex::new(rows), store }))
    }

    /// From now on these bounds hold. A lifetime is that of logins to come; lower counts end nobody by themselves.
    pub fn reload(&self, config: &config::Login) {
        self.rows().bounds = Bounds::from(config);
    }

    /// Whose logins these are.
    #[must_use]
    pub fn realm(&self) -> Realm {
        self.realm
    }

    /// Logs somebody in; when this returns, a restart does not log him out.
    ///
    /// # Errors
    /// The store cannot be written: he is not logged in.
    pub async fn begin(&self, visitor: Visitor) -> Result<Begun, StoreError> {
        let token = Opaque::random();
        let (now, lifetime) = (now(), self.rows().bounds.lifetime);
        let login = Login {
            digest: token.digest(),
            user: visitor.user,
            provider: visitor.provider,
            plan: visitor.plan,
            groups: visitor.groups,
            issued: now,
            expires: now.saturating_add(lifetime.as_secs().max(1)),
            seen: now,
        };
        let row = login.clone();
        let realm = self.realm.as_str();
        self.stored(move |store| store.keep_login(realm, &row)).await?;
        tracing::info!(user = %login.user, provider = &*login.provider, realm, "logged in");
        let gone = self.rows().insert(login, now);
        let Ended { proofs: ended, kept } = self.forget(gone).await;
        if let Err(error) = kept {
            tracing::error!(%error, "a login that made room may come back with the next start");
        }
        Ok(Begun { token, lifetime, ended })
    }

    /// Whom a cookie speaks for: none, where its login has ended or never was.
    #[must_use]
    pub fn identity(&self, token: &Opaque) -> Option<Identity> {
        let mut rows = self.rows();
        let login = rows.show(&token.digest(), now())?;
        Some(Identity {
            user: login.user.clone(),
            expires: Some(login.expires),
            plan: login.plan.clone(),
            agents: None,
            groups: login.groups.clone().into(),
            proof: proof(login),
        })
    }

    /// Ends the login that a cookie shows: it lets nobody in from now on, and when this returns, not after a restart
    /// either.
    pub async fn end(&self, token: &Opaque) -> Ended {
        let login = self.rows().end(&token.digest(), now());
        self.forget(login.into_iter().collect()).await
    }

    /// Ends all logins of a user, on whatever browser.
    pub async fn end_all(&self, user: &UserId) -> Ended {
        let logins = self.rows().end_all(user, now());
        self.forget(logins).await
    }

    /// Whether what this proof stands for is a login that was ended in the last two minutes: whoever showed it before
    /// that may still be on his way in.
    #[must_use]
    pub fn has_ended(&self, proof: Proof) -> bool {
        self.rows().has_ended(proof)
    }

    /// Forgets what has expired, and notes in the store when the others were seen: to be called every minute or so.
    pub async fn tidy(&self) {
        let (over, seen) = self.rows().tidy(now());
        let tidied =
            self.stored(move |store| store.end_logins(&over).and_then(|()| store.note_logins_seen(&seen))).await;
        if let Err(error) = tidied {
            tracing::error!(%error, "what has become of logins was not kept");
        }
    }

    async fn forget(&self, logins: Vec<Login>) -> Ended {
        for login in &logins {
            tracing::info!(user = %login.user, realm = self.realm.as_str(), "logged out");
        }
        let proofs = logins.iter().map(proof).collect();
        let digests: Vec<Digest> = logins.iter().map(|login| login.digest).collect();
        let kept = match digests.is_empty() {
            true => Ok(()),
            false => self.stored(move |store| store.end_logins(&digests)).await,
        };
        Ended { proofs, kept }
    }

    async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        spawn_blocking(move || work(&store)).await.unwrap_or_else(|_| Err(StoreError::interrupted()))
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

fn now() -> u64 {
    unix_ms() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> config::Login {
        config::Config::from_toml("auth.jwt.secret = 'a secret of the tests, long enough for HS256'").unwrap().login
    }

    fn visitor(user: &str) -> Visitor {
        Visitor { user: UserId::parse(user).unwrap(), provider: "p".into(), plan: None, groups: vec!["staff".into()] }
    }

    #[tokio::test]
    async fn a_restart_logs_nobody_out_and_nobody_in() {
        let store = Store::open(None).unwrap();
        let logins = Logins::open(Realm::Users, &config(), Arc::clone(&store)).unwrap();
        let ann = logins.begin(visitor("ann")).await.unwrap().token;
        let bob = logins.begin(visitor("bob")).await.unwrap().token;
        let proof = logins.identity(&bob).unwrap().proof;
        let ended = logins.end(&bob).await;
        assert_eq!((ended.proofs, ended.kept.is_ok()), (vec![proof], true));
        assert!(logins.has_ended(proof));
        drop(logins);
        let logins = Logins::open(Realm::Users, &config(), store).unwrap();
        let identity = logins.identity(&ann).unwrap();
        assert_eq!((identity.user.as_str(), &*identity.groups), ("ann", &["staff".into()][..]));
        assert_eq!(logins.identity(&bob), None);
    }

    #[tokio::test]
    async fn a_login_of_users_is_none_of_operators() {
        let store = Store::open(None).unwrap();
        let users = Logins::open(Realm::Users, &config(), Arc::clone(&store)).unwrap();
        let ann = users.begin(visitor("ann")).await.unwrap().token;
        let operators = Logins::open(Realm::Operators, &config(), store).unwrap();
        assert_eq!(operators.identity(&ann), None);
    }

    #[tokio::test]
    async fn everywhere_means_every_login_of_the_user_and_of_nobody_else() {
        let logins = Logins::open(Realm::Users, &config(), Store::open(None).unwrap()).unwrap();
        let first = logins.begin(visitor("ann")).await.unwrap().token;
        let second = logins.begin(visitor("ann")).await.unwrap().token;
        let bob = logins.begin(visitor("bob")).await.unwrap().token;
        assert_eq!(logins.end_all(&visitor("ann").user).await.proofs.len(), 2);
        assert_eq!((logins.identity(&first), logins.identity(&second)), (None, None));
        assert!(logins.identity(&bob).is_some());
    }

    #[tokio::test]
    async fn bounds_that_were_lowered_end_the_oldest_logins_at_the_next_start() {
        let store = Store::open(None).unwrap();
        let logins = Logins::open(Realm::Users, &config(), Arc::clone(&store)).unwrap();
        for _ in 0..3 {
            logins.begin(visitor("ann")).await.unwrap();
        }
        drop(logins);
        let bounds = config::Login { max_logins_per_user: 1, ..config() };
        drop(Logins::open(Realm::Users, &bounds, Arc::clone(&store)).unwrap());
        assert_eq!(store.logins("user").unwrap().len(), 1);
    }
}
