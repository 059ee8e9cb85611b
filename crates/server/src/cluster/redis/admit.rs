//! One admission: asks the store for a place until it grants, denies, or cannot be asked.
//!
//! ```text
//! ready (linked, settled, beaten lately) --acquire--> granted
//!   ^                                                 taken
//!   |--- fenced: the next beat says why --------------'
//!   '--- denied by dead nodes: again, and they are out
//!        denied by living ones: the holders
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::scripts::Reply;
use super::state::{Settled, State};
use crate::cluster::lease::{Claim, Holder, LeaseId, Outcome, Trouble};

/// Times that an admission asks at most. It asks again when it was fenced, and when dead nodes are among the holders.
const MAX_ASKS: u32 = 6;

/// A free place, or those of victims.
pub(super) async fn admit(shared: Arc<Shared>, claim: Claim, victims: Vec<Holder>) -> Outcome {
    let pending = Pending::new(&shared, &claim);
    let until = Instant::now() + shared.patience();
    let mut gone: Vec<String> = Vec::new();
    let mut fresh_after = None;
    for _ in 0..MAX_ASKS {
        let ready = match shared.ready(fresh_after, until).await {
            Ok(ready) => ready,
            Err(trouble) => return pending.unknown(trouble),
        };
        let (Some(link), Some(term)) = (&ready.link, &ready.term) else {
            continue;
        };
        shared.ledger().sent(claim.lease);
        match shared.scripts.acquire(link, term, &claim, &gone, &victims).await {
            Err(trouble) => {
                shared.suspect(trouble);
                return pending.unknown(trouble);
            }
            Ok(Reply::Granted { used, epoch, room }) => {
                if !shared.ledger().granted(claim.lease, term.number) {
                    // Newcomers of all nodes wait until it is told.
                    shared.clerk.notify_one();
                }
                return Outcome::Granted { used, epoch, room };
            }
            Ok(Reply::Taken { epoch }) => {
                shared.ledger().taken(claim.lease);
                return Outcome::Taken { epoch };
            }
            Ok(Reply::Fenced) => {
                shared.ledger().declined(claim.lease);
                shared.wake.notify_one();
                fresh_after = Some(Instant::now());
            }
            Ok(Reply::Denied { holders }) => {
                shared.ledger().declined(claim.lease);
                match shared.gone(&holders, until).await {
                    Err(trouble) => return pending.unknown(trouble),
                    Ok(found) if found.is_empty() => {
                        shared.ledger().denied(claim.lease);
                        return Outcome::Denied { holders };
                    }
                    Ok(found) => gone = found,
                }
            }
        }
    }
    pending.unknown(Trouble::Unsettled)
}

impl Shared {
    /// What of these holders is dead: owners that the table does not have any more, and leases of this node that it does
    /// not hold (their release was lost). A holder's node was in the table before it held anything, and nobody who is out
    /// of it comes back: so a table that was read after the holders decides.
    async fn gone(&self, holders: &[Holder], until: Instant) -> Result<Vec<String>, Trouble> {
        let mut state = self.state.borrow().clone();
        let is_known = |state: &State| holders.iter().all(|holder| state.table.contains_key(&holder.node));
        if !is_known(&state) {
            self.wake.notify_one();
            state = self.ready(Some(Instant::now()), until).await?;
        }
        let me = state.term.as_ref().map(|term| term.me);
        let ledger = self.ledger();
        let gone = holders.iter().filter_map(|holder| {
            let is_dead = !state.table.contains_key(&holder.node);
            let is_own = Some(holder.node) == me || holder.lease.life == self.life;
            match (is_own, is_dead) {
                // Also where it was told by this node under the name that it had before: what it holds is not dead.
                (true, _) => (!ledger.holds(holder.lease)).then(|| holder.lease.to_string()),
                (false, true) => Some(holder.node.to_string()),
                (false, false) => None,
            }
        });
        Ok(gone.collect())
    }

    /// The state in which scripts may be run: waits for it, until the time that a newcomer waits is over.
    pub(super) async fn ready(&self, after: Option<Instant>, until: Instant) -> Result<State, Trouble> {
        let mut state = self.state.subscribe();
        loop {
            let (until, is_fresh) = {
                let now = state.borrow_and_update();
                if let Some((_, trouble)) = now.trouble {
                    return Err(trouble);
                }
                let is_fresh = now.is_fresh(after.unwrap_or_else(|| now.beaten.unwrap_or(until)), self.lease());
                match now.settled {
                    Settled::Yes if is_fresh && now.link.is_some() => return Ok(now.clone()),
                    Settled::Until(settled) if now.term.is_some() => (settled.min(until), is_fresh),
                    Settled::Yes | Settled::Until(_) => (until, is_fresh),
                }
            };
            if until <= Instant::now() {
                return Err(Trouble::Unsettled);
            }
            // A node that was stopped learns first whether it is still in the table.
            if !is_fresh {
                self.wake.notify_one();
            }
            match tokio::time::timeout_at(until, state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Trouble::Unsettled),
            }
        }
    }

    fn lease(&self) -> Duration {
        self.settings.node_lease
    }
}

/// An acquire that somebody waits for. Dropped before its answer, it gives back what it may have taken.
struct Pending<'a> {
    shared: &'a Shared,
    lease: LeaseId,
}

impl<'a> Pending<'a> {
    fn new(shared: &'a Shared, claim: &Claim) -> Self {
        shared.ledger().begin(claim);
        Self { shared, lease: claim.lease }
    }

    fn unknown(self, trouble: Trouble) -> Outcome {
        self.shared.ledger().doubt(self.lease);
        Outcome::Unknown(trouble)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.shared.ledger().abandon(self.lease) {
            self.shared.clerk.notify_one();
        }
    }
}
