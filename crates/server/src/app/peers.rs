//! What operators do on one node, on the others: told by a hint where it matters now, posted where it matters for good.
//!
//! ```text
//! Control --revoked, lent--> board of all nodes --> on_revoked, on_lent (each node, whenever it comes)
//!         --end------------> hint to all -------->  on_ended            (each node that hears)
//! ```

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lychgate_core::{ConnectionId, EvictReason, SessionKey, ThreadId, UserId};
use serde_json::Value;
use tokio::sync::SetOnce;
use tokio::time::sleep;

use self::said::Posted;
use crate::api::{Control, Elsewhere, Lending, Withdrawal};
use crate::auth::RevokeError;
use crate::cluster::{Answer, Audience, Cluster};

mod said;

pub(super) use said::{Heard, hint};

/// Tries to write down what another node revoked, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Peers {
    cluster: Arc<dyn Cluster>,
    runtime: tokio::runtime::Handle,
    shares_journal: bool,
    /// Comes with the listeners; what is on the board waits for it.
    control: SetOnce<Weak<Control>>,
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
        self.cluster.tell(Audience::All, said::superseded(user, connection));
    }

    pub(super) fn posted(self: &Arc<Self>, note: Value) -> Answer<()> {
        let Some(posted) = said::note(note) else {
            tracing::warn!(
                "a note on the board of the nodes cannot be read: a node of a later version may have put it there"
            );
            return Answer::Now(());
        };
        let peers = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let control = peers.control.wait().await;
            match posted {
                Posted::Revoked(withdrawal) => revoke(control, withdrawal).await,
                Posted::Lent(lending) => {
                    if let Some(control) = control.upgrade() {
                        control.on_lent(lending).await;
                    }
                }
            }
        }))
    }

    /// What was revoked or lent while the others could not be told, or before the store lost its data.
    pub(super) fn caught_up(self: &Arc<Self>) {
        let peers = Arc::clone(self);
        self.runtime.spawn(async move {
            let Some(control) = peers.control.wait().await.upgrade() else { return };
            for revocation in control.revocations() {
                peers.revoked(Withdrawal { revocation, ends_all: false, reason: EvictReason::Revoked });
            }
            control.lendings().iter().for_each(|lending| peers.lent(lending));
        });
    }
}

async fn revoke(control: &Weak<Control>, withdrawal: Withdrawal) {
    for tried in 1..=TRIES {
        let Some(control) = control.upgrade() else { return };
        match control.on_revoked(withdrawal.clone()).await {
            Ok(()) => return,
            Err(error @ (RevokeError::Full | RevokeError::TooLong(_))) => return not_revoked(&error),
            Err(error) if tried == TRIES => return not_revoked(&error),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn not_revoked(error: &RevokeError) {
    tracing::error!(%error, "what was revoked on another node still counts on this one: revoke it here, too");
}

impl Elsewhere for Peers {
    fn revoked(&self, withdrawal: Withdrawal) {
        said::revoked(withdrawal).into_iter().for_each(|note| self.cluster.post(note));
    }

    fn lent(&self, lending: &Lending) {
        self.cluster.post(said::lent(lending));
    }

    fn end(&self, keys: &[SessionKey]) {
        said::ended(keys).into_iter().for_each(|hint| self.cluster.tell(Audience::All, hint));
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
