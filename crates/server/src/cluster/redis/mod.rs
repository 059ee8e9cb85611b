//! Leases in Redis: scripts that each are one step, and three tasks that keep node and store in agreement.
//!
//! ```text
//! acquire --admit--> acquire.lua                                   granted, denied, taken; else unknown
//! keep, release --ledger--> clerk --assert.lua, release.lua--> Redis
//! heart --beat.lua--> lease of this node, table of nodes, generation, mail
//! board --stream--> notes that every node reads
//! ear, talk --pub/sub--> other nodes
//! ```
//!
//! A session's place is its lease in the ZSET of its user; it is worth as much as the lease of its node, which the heart
//! renews for all of them. The design and its promises are in docs/cluster.md.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lychgate_core::UserId;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::admit::admit;
use self::board::Board;
use self::entrance::{Look, look};
use self::heart::Heart;
use self::keys::Keys;
use self::ledger::Ledger;
use self::link::{Dialer, Link, Unopened};
use self::scripts::{Beat, Intent, Scripts};
use self::state::{Card, State, Term};
use self::talk::{MAX_UNSAID, Questions, Unsaid};
use super::{
    Answer, Audience, Claim, Cluster, Follower, Health, Holder, Holders, Incarnation, LeaseId, Node, Outcome, Question,
    Report, Told, Trouble,
};
use crate::config;
use crate::wire::millis;

mod admit;
mod board;
mod clerk;
mod ear;
mod entrance;
mod heart;
mod keys;
pub mod ledger;
mod link;
mod scripts;
mod state;
mod talk;

pub use entrance::StartError;

/// How long a newcomer waits for the nodes to say what they hold, at most; a fifth of the node lease where that is less.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two beats at most; a tenth of the node lease where that is less. Twice that is less than a newcomer's patience:
/// all nodes notice a loss, and say what they hold, while he waits.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a node tells people about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// Its name.
    pub name: String,
    /// Where people find it.
    pub address: String,
    /// Its version of Lychgate.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    pub started: u64,
}

/// The nodes that meet in one Redis. Dropped without [`Cluster::leave`] it is dead to the others once its lease is over.
pub struct Redis {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the tasks share.
struct Shared {
    settings: config::Redis,
    keys: Keys,
    scripts: Scripts,
    dialer: Dialer,
    card: Card,
    /// What the ids of all leases of this process begin with.
    life: u64,
    number: AtomicU64,
    state: watch::Sender<State>,
    ledger: Mutex<Ledger>,
    /// The heart is to beat now.
    wake: Notify,
    /// The clerk has something to do.
    clerk: Notify,
    board: Mutex<Board>,
    /// The board has something to do.
    pin: Notify,
    questions: Questions,
    unsaid: mpsc::Sender<Unsaid>,
    follower: OnceLock<Arc<dyn Follower>>,
    /// The trouble that the follower was told of last.
    told: Mutex<Option<Trouble>>,
}

impl Redis {
    /// Looks at the server, joins, and keeps this node in the table from now on. Where nobody answers it starts all the
    /// same, as [`Health::Unknown`]: a gateway that was restarted while Redis is away serves by its own count (R15).
    ///
    /// # Errors
    /// [`StartError`] when something answers that cannot carry our leases, or must not.
    pub async fn start(settings: config::Redis, introduction: Introduction) -> Result<Self, StartError> {
        let keys = Keys::new(&settings.url.stem(&settings.prefix));
        let dialer = Dialer::new(&settings, &keys).map_err(|_| StartError::Forbidden(settings.url.clone()))?;
        let (unsaid, to_say) = mpsc::channel(MAX_UNSAID);
        let Introduction { name, address, version, started } = introduction;
        let shared = Arc::new(Shared {
            scripts: Scripts::new(keys.clone()),
            card: Card { name, address, version, started, sessions: 0 },
            life: random(),
            number: AtomicU64::new(0),
            state: watch::Sender::new(State::new()),
            ledger: Mutex::new(Ledger::new()),
            wake: Notify::new(),
            clerk: Notify::new(),
            board: Mutex::default(),
            pin: Notify::new(),
            questions: Questions::default(),
            unsaid,
            follower: OnceLock::new(),
            told: Mutex::new(None),
            settings,
            keys,
            dialer,
        });
        let link = shared.enter().await?;
        let mut heart = Heart::new(Arc::clone(&shared), link);
        if let Err(trouble) = heart.beat().await {
            shared.lost(trouble);
        }
        let tasks = vec![
            tokio::spawn(heart.run()),
            tokio::spawn(clerk::run(Arc::clone(&shared))),
            tokio::spawn(ear::run(Arc::clone(&shared))),
            tokio::spawn(talk::run(Arc::clone(&shared), to_say)),
            tokio::spawn(board::run(Arc::clone(&shared))),
        ];
        Ok(Self { shared, tasks })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Cluster for Redis {
    fn new_lease(&self) -> LeaseId {
        LeaseId { life: self.shared.life, number: self.shared.number.fetch_add(1, Ordering::Relaxed) }
    }

    fn acquire(&self, claim: Claim, victims: &[Holder]) -> Answer<Outcome> {
        let trouble = self.shared.state.borrow().trouble;
        match trouble {
            // Known to be away: nobody waits for a deadline.
            Some((_, trouble)) => {
                let mut ledger = self.shared.ledger();
                ledger.begin(&claim);
                ledger.doubt(claim.lease);
                Answer::Now(Outcome::Unknown(trouble))
            }
            None => Answer::Later(Box::pin(admit(Arc::clone(&self.shared), claim, victims.to_vec()))),
        }
    }

    fn keep(&self, claim: Claim) {
        self.shared.ledger().keep(claim);
        self.shared.clerk.notify_one();
    }

    fn release(&self, _: &UserId, lease: LeaseId) {
        self.shared.ledger().release(lease);
        self.shared.clerk.notify_one();
    }

    fn ask(&self, user: UserId, of: Incarnation) -> Answer<Told> {
        Answer::Later(Box::pin(Arc::clone(&self.shared).question(user, of)))
    }

    fn reply(&self, question: Question, reports: Vec<Report>) {
        self.shared.answer(question, reports);
    }

    fn tell(&self, audience: Audience, what: Value) {
        self.shared.say_to(audience, what);
    }

    fn post(&self, note: Value) {
        self.shared.post(&note);
    }

    fn holders(&self, user: UserId) -> Answer<Holders> {
        Answer::Later(Box::pin(Arc::clone(&self.shared).holders(user)))
    }

    fn health(&self) -> Health {
        self.shared.state.borrow().health()
    }

    fn nodes(&self) -> Vec<Node> {
        self.shared.state.borrow().nodes()
    }

    fn answered(&self) -> Option<Duration> {
        self.shared.state.borrow().answered()
    }

    fn leases(&self) -> usize {
        self.shared.ledger().len()
    }

    fn incarnation(&self) -> Incarnation {
        self.shared.state.borrow().term.as_ref().map_or(Incarnation(0), |term| term.me)
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        let _ = self.shared.follower.set(follower);
    }

    fn leave(&self) -> Answer<()> {
        // The heart first: a beat of it would join anew.
        self.tasks.iter().for_each(JoinHandle::abort);
        Answer::Later(Box::pin(Arc::clone(&self.shared).farewell()))
    }
}

impl Shared {
    /// The first connection, where there is one.
    async fn enter(&self) -> Result<Option<Link>, StartError> {
        let trouble = match self.dialer.open().await {
            Ok((link, server)) => match look(&link, &server, &self.settings, &self.keys).await {
                Look::Fine => return Ok(Some(link)),
                Look::Wrong(error) => return Err(error),
                Look::Away(trouble) => trouble,
            },
            Err(Unopened::Misplaced(what)) => {
                return Err(StartError::Misplaced { url: self.settings.url.clone(), what });
            }
            Err(Unopened::Away(Trouble::Forbidden)) => return Err(StartError::Forbidden(self.settings.url.clone())),
            Err(Unopened::Away(trouble)) => trouble,
        };
        self.lost(trouble);
        Ok(None)
    }

    async fn farewell(self: Arc<Self>) {
        let (link, term) = {
            let state = self.state.borrow();
            (state.link.clone(), state.term.clone())
        };
        let (Some(link), Some(term)) = (link, term) else {
            return;
        };
        let lease_ms = millis(self.settings.node_lease);
        let (name, intent) = (&self.settings.name, Intent::Leave);
        let (fresh, after) = (term.generation.as_str(), "0-0");
        let known = fresh;
        let beat = Beat { me: term.me, intent, lease_ms, entry: "", fresh, name, after, known };
        // Unheard, the node lease runs out.
        let _ = self.scripts.beat(&link, &beat).await;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interval(&self) -> Duration {
        INTERVAL.min(self.settings.node_lease / 10)
    }

    fn patience(&self) -> Duration {
        PATIENCE.min(self.settings.node_lease / 5)
    }

    fn random(&self) -> u64 {
        random()
    }

    /// A command failed: nobody else waits for its deadline, until a beat shows that the store is there.
    fn suspect(&self, trouble: Trouble) {
        self.lost(trouble);
        self.wake.notify_one();
    }

    fn lost(&self, trouble: Trouble) {
        self.state.send_modify(|state| {
            let since = state.trouble.map_or_else(Instant::now, |(since, _)| since);
            state.trouble = Some((since, trouble));
        });
        self.tell_health();
    }

    /// The store has it that this lease is over.
    fn taken(&self, lease: LeaseId, epoch: u64) {
        let user = self.ledger().taken(lease);
        if let (Some(user), Some(follower)) = (user, self.follower.get()) {
            tracing::debug!(%lease, epoch, "the place of a session is over: another node took it");
            follower.taken(&user, lease, epoch);
        }
    }

    fn tell_health(&self) {
        let health = self.state.borrow().health();
        let trouble = match health {
            Health::Healthy => None,
            Health::Unknown { trouble, .. } => Some(trouble),
        };
        let was = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), trouble);
        if was == trouble {
            return;
        }
        if let Some(follower) = self.follower.get() {
            follower.health(health);
        }
    }

    /// Waits, as long as it takes, for a connection that answers.
    async fn linked(&self) -> (Link, Arc<Term>) {
        let mut state = self.state.subscribe();
        loop {
            {
                let now = state.borrow_and_update();
                if let (None, Some(link), Some(term)) = (now.trouble, &now.link, &now.term) {
                    return (link.clone(), Arc::clone(term));
                }
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for a beat that left after this, or for trouble.
    async fn beaten_after(&self, after: Instant) {
        let mut state = self.state.subscribe();
        let is_due = |state: &State| state.trouble.is_some() || state.is_fresh(after, Duration::MAX);
        let _ = state.wait_for(is_due).await;
    }
}

/// # Panics
/// When the operating system has no randomness: no id would be safe.
fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests;
