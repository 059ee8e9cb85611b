//! What operators do on one node, on the others: told by a hint where it matters now, posted where it matters for good.
//!
//! ```text
//! Control --revoked--> board of all nodes --> on_revoked (each node, whenever it comes)
//!         --end------> hint to all -------->  on_ended   (each node that hears)
//! ```

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lychgate_core::{ConnectionId, EvictReason, SessionKey, ThreadId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::SetOnce;
use tokio::time::sleep;

use crate::api::{Control, Elsewhere, Withdrawal};
use crate::auth::{Revocation, RevokeError, Revoked};
use crate::cluster::{Answer, Audience, Cluster};

/// Tries to write down what another node revoked, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Keys in one hint at most.
const MAX_KEYS: usize = 256;

/// See the module.
pub(super) struct Peers {
    cluster: Arc<dyn Cluster>,
    runtime: tokio::runtime::Handle,
    shares_journal: bool,
    /// Comes with the listeners; what is on the board waits for it.
    control: SetOnce<Weak<Control>>,
}

/// A hint to all.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Hint {
    /// An operator ended these sessions.
    Ended { user: String, threads: Vec<String> },
    /// The tab that had this connection is somewhere else now.
    Superseded { user: String, connection: String },
}

/// A hint, read.
pub(super) enum Heard {
    /// Sessions are to end.
    Ended(Vec<SessionKey>),
    /// See [`lychgate_core::lease::News::Superseded`].
    Superseded { user: UserId, connection: ConnectionId },
}

/// None for what cannot be read.
pub(super) fn hint(what: Value) -> Option<Heard> {
    match serde_json::from_value(what).ok()? {
        Hint::Ended { user, threads } => {
            let user = UserId::parse(&user).ok()?;
            let threads = threads.iter().take(MAX_KEYS).filter_map(|thread| ThreadId::parse(thread).ok());
            Some(Heard::Ended(threads.map(|thread| SessionKey::new(user.clone(), thread)).collect()))
        }
        Hint::Superseded { user, connection } => {
            Some(Heard::Superseded { user: UserId::parse(&user).ok()?, connection: connection.parse().ok()? })
        }
    }
}

/// A note on the board.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Note {
    Revoked {
        what: What,
        issued_before: u64,
        until: u64,
        #[serde(default)]
        ends_all: bool,
        #[serde(default)]
        logged_out: bool,
    },
}

/// What is revoked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Token { jti: String, issuer: Option<String> },
    User(String),
    Everybody,
}

impl Peers {
    pub(super) fn new(cluster: Arc<dyn Cluster>, runtime: tokio::runtime::Handle, shares_journal: bool) -> Arc<Self> {
        Arc::new(Self { cluster, runtime, shares_journal, control: SetOnce::new() })
    }

    /// Begins.
    pub(super) fn attend(&self, control: &Arc<Control>) {
        let _ = self.control.set(Arc::downgrade(control));
    }

    /// Ends sessions that an operator of another node named.
    pub(super) fn ended(&self, keys: Vec<SessionKey>) {
        if let Some(control) = self.control.get().and_then(Weak::upgrade) {
            self.runtime.spawn(async move { control.on_ended(keys).await });
        }
    }

    /// Called under the lock of a shard; does not wait.
    pub(super) fn supersede(&self, user: &UserId, connection: ConnectionId) {
        self.hint(&Hint::Superseded { user: user.as_str().to_owned(), connection: connection.to_string() });
    }

    fn hint(&self, hint: &Hint) {
        self.cluster.tell(Audience::All, serde_json::to_value(hint).expect("text always serialises"));
    }

    pub(super) fn posted(self: &Arc<Self>, note: Value) -> Answer<()> {
        let withdrawal = serde_json::from_value(note).ok().and_then(withdrawal);
        let Some(withdrawal) = withdrawal else {
            tracing::warn!(
                "a note on the board of the nodes cannot be read: a node of a later version may have put it there"
            );
            return Answer::Now(());
        };
        let peers = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let control = peers.control.wait().await;
            for tried in 1..=TRIES {
                let Some(control) = control.upgrade() else { return };
                match control.on_revoked(withdrawal.clone()).await {
                    Ok(()) => return,
                    Err(error @ (RevokeError::Full | RevokeError::TooLong(_))) => return not_revoked(&error),
                    Err(error) if tried == TRIES => return not_revoked(&error),
                    Err(_) => sleep(PAUSE).await,
                }
            }
        }))
    }

    /// What was revoked while the others could not be told, or before the store lost its data.
    pub(super) fn caught_up(self: &Arc<Self>) {
        let peers = Arc::clone(self);
        self.runtime.spawn(async move {
            let Some(control) = peers.control.wait().await.upgrade() else { return };
            for revocation in control.revocations() {
                peers.revoked(Withdrawal { revocation, ends_all: false, reason: EvictReason::Revoked });
            }
        });
    }
}

fn not_revoked(error: &RevokeError) {
    tracing::error!(%error, "what was revoked on another node still counts on this one: revoke it here, too");
}

fn withdrawal(note: Note) -> Option<Withdrawal> {
    let Note::Revoked { what, issued_before, until, ends_all, logged_out } = note;
    let what = match what {
        What::Token { jti, issuer } => Revoked::Token { jti, issuer },
        What::User(user) => Revoked::User(UserId::parse(&user).ok()?),
        What::Everybody => Revoked::Everybody,
    };
    let revocation = Revocation { what, issued_before: Some(issued_before), until: Some(until) };
    let reason = if logged_out { EvictReason::LoggedOut } else { EvictReason::Revoked };
    Some(Withdrawal { revocation, ends_all, reason })
}

impl Elsewhere for Peers {
    fn revoked(&self, withdrawal: Withdrawal) {
        let Withdrawal { revocation: Revocation { what, issued_before, until }, ends_all, reason } = withdrawal;
        // With its times: without them it would be another revocation for each node.
        let (Some(issued_before), Some(until)) = (issued_before, until) else { return };
        let what = match what {
            Revoked::Token { jti, issuer } => What::Token { jti, issuer },
            Revoked::User(user) => What::User(user.as_str().to_owned()),
            Revoked::Everybody => What::Everybody,
        };
        let logged_out = reason == EvictReason::LoggedOut;
        let note = Note::Revoked { what, issued_before, until, ends_all, logged_out };
        self.cluster.post(serde_json::to_value(note).expect("text and numbers always serialise"));
    }

    fn end(&self, keys: &[SessionKey]) {
        let Some(user) = keys.first().map(SessionKey::user) else { return };
        let threads = keys.iter().take(MAX_KEYS).map(|key| key.thread().as_str().to_owned()).collect();
        self.hint(&Hint::Ended { user: user.as_str().to_owned(), threads });
    }

    fn shares_threads(&self) -> bool {
        self.shares_journal
    }

    fn threads(&self, user: UserId) -> Pin<Box<dyn Future<Output = Vec<ThreadId>> + Send>> {
        let (asked, me) = (self.cluster.holders(user), self.cluster.incarnation());
        Box::pin(async move {
            let holders = asked.wait().await.unwrap_or_default();
            holders.into_iter().filter(|holder| holder.node != me).map(|holder| holder.facts.thread).collect()
        })
    }
}
