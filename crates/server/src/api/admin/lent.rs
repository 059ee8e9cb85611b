//! Limits that operators lent, on whichever node: which order about a user is the last one.
//!
//! ```text
//!  PUT, DELETE limits --Lendings::order--> gate of this node, and Elsewhere::lent --> board of all nodes
//!  board -------------Control::on_lent---> gate, where the order is later than what is known
//! ```
//!
//! Each order about a user has a number, and the highest counts. So all nodes end with the same limit, in whatever order they
//! hear of two that were given at once, and however often: a board that was lost is written anew by nodes of which one may
//! have heard less than another.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::UserId;

use super::Control;
use super::limits::MAX_SESSIONS;
use crate::driver::Driver;
use crate::wire::{millis, unix_ms};

/// Users of whom the last order is remembered; beyond it the oldest order is forgotten. It still counts on this node, which
/// tells nobody of it once more.
const MAX_REMEMBERED: usize = 8_192;

/// The longest that a limit may be lent, and that an order is worth knowing.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// An order about a user's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lending {
    /// Whose limit.
    pub user: UserId,
    /// Sessions that he may hold; none takes back what was lent.
    pub max_sessions: Option<usize>,
    /// Until when it counts, in milliseconds since 1970 by the clock of the node that was asked. Another node ends it by its own
    /// clock: clocks have to agree better than a limit lasts.
    pub until: u64,
    /// The highest number of a user counts. It is the time of the node that was asked, in milliseconds since 1970, and more than
    /// any number about this user that the node had heard of.
    pub number: u64,
}

impl Lending {
    /// What two orders are compared by: the number, and of two that were given in one millisecond the rest, which is the same
    /// for every node.
    fn rank(&self) -> (u64, Option<usize>, u64) {
        (self.number, self.max_sessions, self.until)
    }

    /// Until when it is worth knowing: no order that was given before it is in force any longer then.
    fn kept_until(&self) -> u64 {
        self.number.saturating_add(millis(LONGEST))
    }

    /// Whether it is one that an operator can give.
    fn is_sound(&self) -> bool {
        self.max_sessions.is_none_or(|sessions| (1..=MAX_SESSIONS).contains(&sessions))
    }
}

/// The last order about each user.
#[derive(Debug, Default)]
pub(super) struct Lendings(Mutex<BTreeMap<UserId, Lending>>);

impl Lendings {
    /// An order that is given on this node now: the last one, if `done` says that it is in force. Whoever else gives one, or
    /// hears of one, waits meanwhile, so that the gate has the order that is remembered.
    pub(super) fn order(
        &self,
        user: UserId,
        max_sessions: Option<usize>,
        until: u64,
        done: impl FnOnce(&Lending) -> bool,
    ) -> Option<Lending> {
        let mut known = self.known();
        let number = known.get(&user).map_or(0, |last| last.number.saturating_add(1)).max(unix_ms());
        let lending = Lending { user, max_sessions, until, number };
        done(&lending).then(|| {
            remember(&mut known, lending.clone());
            lending
        })
    }

    /// An order of which this node hears. If it is later than what is known, `act` is called with how long it lasts; with
    /// nothing if it is over, but what it replaced is in force. An order that is over is remembered all the same: the one
    /// that it replaced may last longer, and be heard of again.
    pub(super) fn hear(&self, lending: &Lending, now: u64, act: impl FnOnce(Duration)) {
        let mut known = self.known();
        let last = known.get(&lending.user);
        if last.is_some_and(|last| last.rank() >= lending.rank()) || lending.kept_until() <= now || !lending.is_sound()
        {
            return;
        }
        let lasting = Duration::from_millis(lending.until.saturating_sub(now)).min(LONGEST);
        if !lasting.is_zero() || last.is_some_and(|last| last.until > now) {
            act(lasting);
        }
        remember(&mut known, lending.clone());
    }

    /// The last order about each user, for as long as one that it replaced may be found again.
    pub(super) fn lasting(&self, now: u64) -> Vec<Lending> {
        let mut known = self.known();
        known.retain(|_, lending| lending.kept_until() > now);
        known.values().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<UserId, Lending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(known: &mut BTreeMap<UserId, Lending>, lending: Lending) {
    if known.len() >= MAX_REMEMBERED && !known.contains_key(&lending.user) {
        let oldest = known.values().min_by_key(|lending| lending.rank()).map(|lending| lending.user.clone());
        oldest.and_then(|user| known.remove(&user));
    }
    known.insert(lending.user.clone(), lending);
}

/// Until when a limit is to be known that is lent for so long. What is taken back is worth knowing for as long as anything may
/// be lent: a node that was away may have heard of the limit alone.
pub(super) fn until(lasting: Option<Duration>) -> u64 {
    unix_ms().saturating_add(millis(lasting.unwrap_or(LONGEST)))
}

impl Control {
    /// An operator of another node lent a limit, or took it back; or this node reads what it posted itself. What is over, or
    /// older than what is known about this user, changes nothing.
    pub async fn on_lent(&self, lending: Lending) {
        let lendings = std::sync::Arc::clone(&self.lendings);
        let heard =
            move |driver: &Driver| lendings.hear(&lending, unix_ms(), |lasting| adopt(driver, &lending, lasting));
        // Only a node that ends does not come to it.
        let _ = self.steer(heard).await;
    }

    /// The last orders about limits that are still worth knowing, also those that take one back or are over.
    #[must_use]
    pub fn lendings(&self) -> Vec<Lending> {
        self.lendings.lasting(unix_ms())
    }
}

fn adopt(driver: &Driver, lending: &Lending, lasting: Duration) {
    let user = &lending.user;
    // What is over takes back what it replaced.
    let max_sessions = lending.max_sessions.filter(|_| !lasting.is_zero());
    let limit = driver.lend_limit(user, max_sessions, lasting);
    let action = if max_sessions.is_some() { "lend_limit" } else { "restore_limit" };
    tracing::info!(
        event = "operator.elsewhere", action, %user, max_sessions,
        "an operator of another node lent a limit, or took it back"
    );
    if max_sessions.is_some_and(|wanted| wanted != limit) {
        // What was lent before is over all the same.
        let limit = driver.lend_limit(user, None, Duration::ZERO);
        tracing::warn!(
            %user, max_sessions, limit,
            "a limit that an operator of another node lent contradicts other limits of this node, or too many are lent: it does not count here"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lending(max_sessions: Option<usize>, number: u64) -> Lending {
        Lending { user: UserId::parse("ann").unwrap(), max_sessions, until: 1_000, number }
    }

    /// What counts after these were heard in this order.
    fn after(heard: &[&Lending]) -> Option<usize> {
        let lendings = Lendings::default();
        let mut counts = None;
        heard.iter().for_each(|lending| lendings.hear(lending, 0, |_| counts = lending.max_sessions));
        counts
    }

    #[test]
    fn of_two_orders_that_are_given_at_once_the_same_one_counts_in_whatever_order_they_are_heard() {
        let pairs = [
            [lending(Some(40), 7), lending(Some(30), 8)],
            [lending(Some(40), 7), lending(Some(30), 7)],
            [lending(Some(40), 7), lending(None, 8)],
        ];
        for [one, other] in &pairs {
            let counts = after(&[one, other]);
            assert_eq!(after(&[other, one]), counts);
            assert_eq!(after(&[one, other, one]), counts, "it is read again after a loss of the board");
        }
        assert_eq!(after(&[&pairs[2][1], &pairs[2][0]]), None, "what was taken back stays so");
    }

    #[test]
    fn an_order_is_later_than_any_that_the_node_had_heard_of_even_from_a_node_whose_clock_is_ahead() {
        let lendings = Lendings::default();
        let ahead = Lending { until: u64::MAX, number: unix_ms() + 3_600_000, ..lending(Some(40), 0) };
        lendings.hear(&ahead, unix_ms(), |_| {});
        let later = lendings.order(ahead.user.clone(), Some(30), u64::MAX, |_| true).unwrap();
        assert_eq!(later.number, ahead.number + 1);
        lendings.hear(&ahead, unix_ms(), |_| panic!("it is older"));
        lendings.hear(&later, unix_ms(), |_| panic!("it is this node's own"));
        assert_eq!(lendings.lasting(unix_ms()), [later]);
    }

    #[test]
    fn what_is_over_or_makes_no_sense_is_no_news_and_what_is_read_late_lasts_for_the_rest() {
        let lendings = Lendings::default();
        lendings.hear(&lending(Some(40), 1), 1_000, |_| panic!("over"));
        lendings.hear(&lending(Some(0), 2), 0, |_| panic!("nothing is no limit"));
        lendings.hear(&lending(Some(MAX_SESSIONS + 1), 2), 0, |_| panic!("more than anybody needs"));
        let mut lasts = None;
        lendings.hear(&lending(Some(40), 2), 900, |lasting| lasts = Some(lasting));
        assert_eq!(lasts, Some(Duration::from_millis(100)));
        assert_eq!(lendings.lasting(2 + millis(LONGEST)), []);
    }

    #[test]
    fn a_limit_that_a_shorter_one_replaced_does_not_come_back() {
        let long = Lending { until: 10_000, ..lending(Some(40), 1) };
        let short = lending(Some(30), 2);
        let now = 2_000;
        let heard = |orders: &[&Lending]| {
            let lendings = Lendings::default();
            let mut acted = Vec::new();
            for order in orders {
                lendings.hear(order, now, |lasting| acted.push((order.number, lasting.as_secs())));
                lendings.lasting(now);
            }
            acted
        };
        assert_eq!(heard(&[&long, &short, &long]), [(1, 8), (2, 0)], "what is over takes back what it replaced");
        assert_eq!(heard(&[&short, &long]), []);
    }

    #[test]
    fn an_order_that_is_not_in_force_is_none_and_what_is_remembered_is_bounded() {
        let lendings = Lendings::default();
        let user = |n: usize| UserId::parse(&format!("u{n}")).unwrap();
        assert_eq!(lendings.order(user(0), Some(40), u64::MAX, |_| false), None);
        assert_eq!(lendings.lasting(0), []);
        for n in 0..=MAX_REMEMBERED {
            let lending = Lending { user: user(n), ..lending(Some(40), 1 + n as u64) };
            lendings.hear(&lending, 0, |_| {});
        }
        let known = lendings.lasting(0);
        assert_eq!(known.len(), MAX_REMEMBERED);
        assert!(known.iter().all(|lending| lending.user != user(0)), "the oldest is forgotten");
    }
}
