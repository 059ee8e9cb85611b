//! Tickets: what a browser shows where it can send no header and no JWT may stand in an address.
//!
//! ```text
//!  POST /v1/tickets, proven --issue--> ticket --GET /v1/ws?ticket=--> redeem: once, within 30 s --> the same identity
//! ```
//!
//! They live in memory: after a restart, or on another node, a page asks for a fresh one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lychgate_core::UserId;
use tokio::time::Instant;

use super::opaque::{Digest, Opaque};
use super::{AuthError, Identity};

/// From the issue to the last moment of use.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// Unused tickets of one user; the newest win. More than his connections (64).
const MAX_PER_USER: usize = 128;

/// Unused tickets of the node; the newest win.
const MAX_TICKETS: usize = 65_536;

/// The tickets that nobody has used.
#[derive(Debug)]
pub struct Tickets {
    issued: Mutex<Issued>,
    max_per_user: usize,
    max_tickets: usize,
}

#[derive(Debug, Default)]
struct Issued {
    by_digest: HashMap<Digest, (Identity, Instant)>,
    /// Oldest first; may name tickets that were used since.
    of_user: HashMap<UserId, VecDeque<Digest>>,
    /// Oldest first; may name tickets that were used since.
    order: VecDeque<(Digest, UserId)>,
}

impl Default for Tickets {
    fn default() -> Self {
        Self::bounded(MAX_PER_USER, MAX_TICKETS)
    }
}

impl Tickets {
    fn bounded(max_per_user: usize, max_tickets: usize) -> Self {
        Self { issued: Mutex::default(), max_per_user, max_tickets }
    }

    /// A ticket for whoever proved this identity; it carries all of it.
    #[must_use]
    pub fn issue(&self, identity: Identity) -> Opaque {
        let ticket = Opaque::random();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.drop_expired();
        let user = identity.user.clone();
        while issued.by_digest.len() >= self.max_tickets {
            issued.drop_oldest();
        }
        if issued.order.len() >= 2 * self.max_tickets {
            issued.forget_used();
        }
        let his = issued.of_user.entry(user.clone()).or_default();
        his.push_back(ticket.digest());
        if his.len() > self.max_per_user
            && let Some(oldest) = his.front().copied()
        {
            issued.forget(&user, &oldest);
        }
        issued.order.push_back((ticket.digest(), user));
        issued.by_digest.insert(ticket.digest(), (identity, Instant::now() + TICKET_LIFETIME));
        ticket
    }

    /// Whom a ticket speaks for. It never does again.
    ///
    /// # Errors
    /// [`AuthError::BadTicket`]: it is unknown, was used, or is too old.
    pub fn redeem(&self, text: &str) -> Result<Identity, AuthError> {
        let ticket = Opaque::parse(text).ok_or(AuthError::BadTicket)?;
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, expires) = issued.by_digest.remove(&ticket.digest()).ok_or(AuthError::BadTicket)?;
        issued.forget(&identity.user, &ticket.digest());
        match expires > Instant::now() {
            true => Ok(identity),
            false => Err(AuthError::BadTicket),
        }
    }
}

impl Issued {
    fn drop_expired(&mut self) {
        let now = Instant::now();
        while let Some((digest, _)) = self.order.front() {
            match self.by_digest.get(digest) {
                Some((_, expires)) if *expires > now => break,
                Some(_) | None => self.drop_oldest(),
            }
        }
    }

    /// Keeps the order from growing with tickets that were used, or gave way to newer ones of their user.
    fn forget_used(&mut self) {
        let Self { by_digest, order, .. } = self;
        order.retain(|(digest, _)| by_digest.contains_key(digest));
    }

    fn drop_oldest(&mut self) {
        if let Some((digest, user)) = self.order.pop_front() {
            self.forget(&user, &digest);
        }
    }

    fn forget(&mut self, user: &UserId, digest: &Digest) {
        self.by_digest.remove(digest);
        if let Some(his) = self.of_user.get_mut(user) {
            his.retain(|kept| kept != digest);
            if his.is_empty() {
                self.of_user.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::Proof;
    use tokio::time::advance;

    use super::*;

    fn identity(user: &str) -> Identity {
        Identity {
            user: UserId::parse(user).unwrap(),
            expires: Some(7),
            plan: Some("gold".into()),
            agents: None,
            groups: ["staff".into()].into(),
            proof: Proof { id: 5, issued: 6 },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_stands_for_the_whole_identity_once() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(identity("ann"));
        assert_eq!(tickets.redeem(ticket.as_str()), Ok(identity("ann")));
        assert_eq!(tickets.redeem(ticket.as_str()), Err(AuthError::BadTicket));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_too_old_after_30_s_and_takes_no_room_any_more() {
        let tickets = Tickets::default();
        let old = tickets.issue(identity("ann"));
        advance(TICKET_LIFETIME - Duration::from_millis(1)).await;
        let young = tickets.issue(identity("bob"));
        advance(Duration::from_millis(1)).await;
        assert_eq!(tickets.redeem(old.as_str()), Err(AuthError::BadTicket));
        assert!(tickets.redeem(young.as_str()).is_ok());
        drop(tickets.issue(identity("cid")));
        advance(TICKET_LIFETIME).await;
        drop(tickets.issue(identity("dan")));
        let issued = tickets.issued.lock().unwrap();
        assert_eq!((issued.by_digest.len(), issued.of_user.len(), issued.order.len()), (1, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_ticket_proves_nothing() {
        let tickets = Tickets::default();
        for text in ["", "x", Opaque::random().as_str(), &"A".repeat(100_000)] {
            assert_eq!(tickets.redeem(text), Err(AuthError::BadTicket));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_cannot_spend_the_room_of_others_and_the_newest_tickets_win() {
        let tickets = Tickets::bounded(2, 4);
        let bob = tickets.issue(identity("bob"));
        let anns: Vec<_> = (0..3).map(|_| tickets.issue(identity("ann"))).collect();
        assert_eq!(tickets.redeem(anns[0].as_str()), Err(AuthError::BadTicket), "the oldest of three made room");
        assert!(tickets.redeem(anns[1].as_str()).is_ok() && tickets.redeem(anns[2].as_str()).is_ok());
        assert!(tickets.redeem(bob.as_str()).is_ok());
        let many: Vec<_> = (0..6).map(|n| tickets.issue(identity(&format!("u{n}")))).collect();
        let is_good = |ticket: &Opaque| tickets.redeem(ticket.as_str()).is_ok();
        assert_eq!(many.iter().map(is_good).filter(|good| *good).count(), 4);
    }
}
