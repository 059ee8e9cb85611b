//! A gateway, and users who were never seen before, each with a token and a source address of his own.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

use super::login::Provider;
use super::metrics::{self, Admin};
use crate::client::endpoint::Endpoint;
use crate::client::frame::{Limits, Welcome};
use crate::client::token::Tokens;
use crate::client::{Caller, Client, Credential, Heartbeat, Hello, Mishap};

/// Users of one plan who log in, where users log in. A provider in one process signs some fifty of them in a second.
pub(super) const MOST_LOGINS: usize = 500;

/// A gateway and everything that is needed to talk to it as many users.
#[derive(Debug)]
pub struct Scene {
    endpoint: Endpoint,
    tokens: Tokens,
    admin: Option<Admin>,
    /// Where users log in; none where tokens are all that they have.
    provider: Option<Provider>,
    prefix: String,
    users: Mutex<Vec<User>>,
    /// Users that were given a name.
    named: AtomicU32,
    /// Shared by all parts of a scene.
    addresses: Arc<AtomicU32>,
}

/// One simulated user.
#[derive(Debug, Clone)]
pub struct User {
    /// As the gateway will know him.
    pub name: String,
    /// His source address and what he shows.
    pub caller: Caller,
    token: String,
    endpoint: Endpoint,
}

/// Slots and sockets that a gateway says are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Sessions.
    pub sessions: u64,
    /// Connections.
    pub connections: u64,
}

/// What the clients of a plan are when the last has left: how long the gateway may take to have forgotten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// Every socket has ended and the gateway was told: sessions linger for 10 s, and a busy machine adds as much.
    Ended,
    /// Some sockets may look alive to the gateway: heartbeats find them within two minutes at most.
    HalfOpen,
}

impl Remains {
    fn settle_within(self) -> Duration {
        match self {
            Self::Ended => Duration::from_secs(20),
            Self::HalfOpen => Duration::from_secs(150),
        }
    }
}

/// Between two looks of one user at what he holds, and users who look at the same time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const ASKING: usize = 64;

impl Scene {
    /// A gateway whose tokens we can sign. With an admin listener leaks are looked for.
    #[must_use]
    pub fn new(endpoint: Endpoint, tokens: Tokens, admin: Option<Admin>) -> Self {
        // Users of an earlier play against the same gateway are other users.
        let prefix = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        Self {
            endpoint,
            tokens,
            admin,
            provider: None,
            prefix,
            users: Mutex::default(),
            named: AtomicU32::new(0),
            addresses: Arc::default(),
        }
    }

    /// The same, where users log in through a provider instead of bringing a token.
    #[must_use]
    pub fn with_provider(self, provider: Option<Provider>) -> Self {
        Self { provider, ..self }
    }

    /// Where the gateway is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where its users log in, if they do.
    #[must_use]
    pub fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    /// Its admin listener, if we may use it.
    #[must_use]
    pub fn admin(&self) -> Option<Admin> {
        self.admin
    }

    /// A user whom the gateway has never seen, with a source address of his own.
    ///
    /// # Errors
    /// When the token cannot be signed, or the login fails.
    ///
    /// # Panics
    /// On a runtime of one thread, where users log in.
    pub fn user(&self, role: &str) -> anyhow::Result<User> {
        self.nth_user(role, 0)
    }

    /// The same for the `n`th of a crowd, counted from 0: only the first 500 log in, the others bring a token.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub fn nth_user(&self, role: &str, n: usize) -> anyhow::Result<User> {
        let name = format!("{}-{role}-{}", self.prefix, self.named.fetch_add(1, Ordering::Relaxed));
        let token = self.tokens.mint(&name)?;
        let source = self.address();
        let credential = match self.provider.as_ref().filter(|_| n < MOST_LOGINS) {
            None => Credential::Subprotocol(token.clone()),
            // Users are made before they are looked at: nobody's time is measured meanwhile.
            Some(provider) => block_in_place(|| log_in_apart(provider, &self.endpoint, source, &name))?,
        };
        let caller = Caller { source, credential };
        let user = User { name, caller, token, endpoint: self.endpoint.clone() };
        self.users.lock().unwrap_or_else(PoisonError::into_inner).push(user.clone());
        Ok(user)
    }

    /// The same gateway with nobody on it: the users of one plan, so that it can be told what that plan left behind.
    #[must_use]
    pub fn part(&self) -> Self {
        let addresses = Arc::clone(&self.addresses);
        let part = Self { addresses, ..Self::new(self.endpoint.clone(), self.tokens.clone(), self.admin) };
        part.with_provider(self.provider.clone())
    }

    /// What all users of this scene still hold once they have left and their sessions no longer linger, as the gateway
    /// tells them one by one. Needs no admin listener; returns as soon as nothing is left.
    ///
    /// # Errors
    /// When a user cannot connect to ask.
    pub(super) async fn left_behind(&self, remains: Remains) -> anyhow::Result<u64> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + remains.settle_within();
        let asking = Arc::new(Semaphore::new(ASKING));
        let mut asked = JoinSet::new();
        for user in users {
            asked.spawn(user.left_behind(deadline, Arc::clone(&asking)));
        }
        let mut left = 0;
        while let Some(held) = asked.join_next().await {
            left += held?? as u64;
        }
        Ok(left)
    }

    /// A source address that nobody else has; none where the gateway sees us as we are.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.endpoint.source(self.addresses.fetch_add(1, Ordering::Relaxed))
    }

    /// A token of `user` that lives for so long, in whole seconds.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, user: &User, plan: Option<&str>, lifetime: Duration) -> anyhow::Result<String> {
        self.tokens.mint_on_plan(&user.name, plan, lifetime)
    }

    /// What a user shows who is on this plan: his login, unless only a token can name the plan.
    ///
    /// # Errors
    /// When a token cannot be signed.
    pub fn credential(&self, user: &User, plan: Option<&str>, lifetime: Duration) -> anyhow::Result<Credential> {
        match (&user.caller.credential, plan) {
            (Credential::Cookie { .. }, None) => Ok(user.caller.credential.clone()),
            (_, plan) => self.token(user, plan, lifetime).map(Credential::Subprotocol),
        }
    }

    /// What the gateway says is taken; none without an admin listener.
    ///
    /// # Errors
    /// When it does not answer, or answers without the two gauges.
    pub async fn taken(&self) -> anyhow::Result<Option<Taken>> {
        let Some(admin) = self.admin else { return Ok(None) };
        let scrape = admin.scrape().await?;
        let gauge =
            |name| scrape.sum(name).with_context(|| format!("/metrics has no {name}")).map(|value| value as u64);
        Ok(Some(Taken { sessions: gauge(metrics::SESSIONS)?, connections: gauge(metrics::CONNECTIONS)? }))
    }

    /// Waits until no more is taken than `before`; what is still taken at the deadline has leaked.
    ///
    /// # Errors
    /// When the admin listener does not answer.
    pub(super) async fn settle(&self, before: Taken, remains: Remains) -> anyhow::Result<u64> {
        let deadline = Instant::now() + remains.settle_within();
        loop {
            let now = self.taken().await?.context("the admin listener was there before")?;
            let leaked =
                now.sessions.saturating_sub(before.sessions) + now.connections.saturating_sub(before.connections);
            if leaked == 0 || Instant::now() >= deadline {
                return Ok(leaked);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Logs in on a thread and a runtime of their own: waiting for it on this thread, inside of whatever waits here already,
/// would swallow the wake-ups of the others.
fn log_in_apart(
    provider: &Provider,
    gateway: &Endpoint,
    source: Option<Ipv4Addr>,
    name: &str,
) -> anyhow::Result<Credential> {
    std::thread::scope(|scope| {
        let login = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(provider.log_in(gateway, source, name))
        });
        login.join().map_err(|_| anyhow::anyhow!("the login of {name} panicked"))?
    })
}

impl User {
    /// The same user, who comes to another node: one that takes the same tokens.
    #[must_use]
    pub fn at(&self, endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.clone(), ..self.clone() }
    }

    /// His token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How many sessions he holds, asked on a connection that goes again.
    ///
    /// # Errors
    /// When he cannot connect to ask.
    pub async fn limits(&self) -> Result<Limits, Mishap> {
        let (client, welcome) = self.connect().await?;
        client.close(1000).await?;
        Ok(welcome.limits)
    }

    async fn left_behind(self, deadline: Instant, asking: Arc<Semaphore>) -> anyhow::Result<usize> {
        loop {
            let held = {
                let _turn = asking.acquire().await?;
                self.limits().await.with_context(|| format!("{} could not ask what he holds", self.name))?.used
            };
            if held == 0 || Instant::now() >= deadline {
                return Ok(held);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Connects and says hello as the SDK does: pings are answered by `ack`.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn connect(&self) -> Result<(Client, Welcome), Mishap> {
        self.replace(None).await
    }

    /// Connects in place of an earlier connection.
    ///
    /// # Errors
    /// What the gateway answered instead.
    pub async fn replace(&self, prev: Option<&str>) -> Result<(Client, Welcome), Mishap> {
        let mut client = Client::connect(&self.endpoint, &self.caller).await?;
        let heartbeat = Some(Heartbeat::App);
        let welcome = client.hello(Hello { heartbeat, prev, ..Hello::default() }).await?;
        Ok((client, welcome))
    }
}
