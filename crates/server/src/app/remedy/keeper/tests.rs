//! Rules by alerts and time: they act when they are due, and their bounds hold.

use jiff::Timestamp;
use lychgate_core::ReclaimLevel;

use super::*;
use crate::telemetry::alerts::{ALERTS, Severity};

fn rule(when: &str, action: Action) -> Rule {
    Rule {
        name: "r".to_owned(),
        when: when.to_owned(),
        holds_for: Duration::ZERO,
        action,
        mode: Acting::On,
        cooldown: Duration::from_secs(600),
        at_most: 60,
    }
}

fn reclaims() -> Rule {
    rule("LychgateUserAt70", Action::Reclaim(ReclaimLevel::Aggressive))
}

fn sheds() -> Rule {
    rule("LychgateNodeFullSoon", Action::Shed { lasting: Duration::from_secs(60) })
}

fn change(alert: &'static str, user: Option<&str>, state: State) -> Change {
    let user = user.map(|user| UserId::parse(user).unwrap());
    Change { alert, severity: Severity::Warning, user, state, value: 1.0, since: Timestamp::UNIX_EPOCH }
}

/// A keeper and the time.
struct Desk(Keeper, Instant);

impl Desk {
    fn with(rules: &[Rule]) -> Self {
        Self(Keeper::new(rules), Instant::now())
    }

    fn tell(&mut self, alert: &'static str, user: Option<&str>, state: State) -> Vec<Verdict> {
        self.0.changed(&change(alert, user, state), self.1);
        self.due()
    }

    fn after(&mut self, secs: u64) -> Vec<Verdict> {
        self.1 += Duration::from_secs(secs);
        self.due()
    }

    fn due(&mut self) -> Vec<Verdict> {
        self.0.due(self.1).into_iter().map(|due| due.verdict).collect()
    }
}

use State::{Firing, Resolved};
use Verdict::{Act, Hold, Tell};

const AT_70: &str = "LychgateUserAt70";
const FULL_SOON: &str = "LychgateNodeFullSoon";

#[test]
fn a_rule_acts_once_when_its_alert_fires_and_again_when_the_cooldown_did_not_help() {
    let mut desk = Desk::with(&[reclaims()]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Act]);
    assert_eq!(desk.after(599), []);
    assert_eq!(desk.0.next_at(), Some(desk.1 + Duration::from_secs(1)));
    assert_eq!(desk.after(1), [Act]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Resolved), []);
    assert_eq!(desk.after(10_000), []);
    assert_eq!(desk.0.next_at(), None);
}

#[test]
fn a_rule_that_flaps_is_held_by_its_cooldown_and_says_so_once_each_time() {
    let mut desk = Desk::with(&[reclaims()]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Act]);
    for _ in 0..5 {
        assert_eq!(desk.tell(AT_70, Some("ann"), Resolved), []);
        desk.after(5);
        assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Hold]);
        assert_eq!(desk.after(5), []);
    }
    assert_eq!(desk.tell(AT_70, Some("bob"), Firing), [Act], "the cooldown is each user's own");
}

#[test]
fn a_rule_waits_until_its_alert_has_fired_for_long_enough() {
    let mut desk = Desk::with(&[Rule { holds_for: Duration::from_secs(30), ..reclaims() }]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), []);
    assert_eq!(desk.after(29), []);
    assert_eq!(desk.tell(AT_70, Some("ann"), Resolved), []);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), []);
    assert_eq!(desk.after(29), []);
    assert_eq!(desk.after(1), [Act]);
}

#[test]
fn no_more_uses_than_allowed_lie_within_an_hour() {
    let mut desk = Desk::with(&[Rule { at_most: 2, ..reclaims() }]);
    let told: Vec<_> = ["a", "b", "c"].into_iter().flat_map(|user| desk.tell(AT_70, Some(user), Firing)).collect();
    assert_eq!(told, [Act, Act, Hold]);
    assert_eq!(desk.after(3_599), []);
    assert_eq!(desk.after(1).len(), 2, "an hour later two of the three may be acted on");
}

#[test]
fn a_dry_run_tells_and_is_bounded_as_the_deed_would_be() {
    let mut desk = Desk::with(&[Rule { mode: Acting::DryRun, ..reclaims() }]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Tell]);
    desk.tell(AT_70, Some("ann"), Resolved);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Hold]);
}

#[test]
fn a_rule_that_is_off_does_nothing_until_a_reload_puts_it_on() {
    let mut desk = Desk::with(&[Rule { mode: Acting::Off, ..reclaims() }]);
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), []);
    assert_eq!(desk.0.next_at(), None);
    desk.0.renew(&[reclaims()]);
    assert_eq!(desk.due(), [Act]);
    desk.0.renew(&[Rule { cooldown: Duration::from_secs(700), ..reclaims() }]);
    assert_eq!(desk.after(650), [], "a reload gives a rule no use that it had before");
}

#[test]
fn a_user_is_nobody_to_shed_for_and_the_node_is_nobody_to_reclaim_from() {
    let mut desk = Desk::with(&[reclaims(), sheds()]);
    assert_eq!(desk.tell(AT_70, None, Firing), []);
    assert_eq!(desk.tell(FULL_SOON, Some("ann"), Firing), []);
    assert_eq!(desk.tell(FULL_SOON, None, Firing), [Act]);
}

#[test]
fn a_node_drains_once_and_does_nothing_else_then() {
    let drain = |name: &str| Rule { name: name.to_owned(), ..rule(FULL_SOON, Action::Drain) };
    let mut desk = Desk::with(&[drain("first"), drain("second"), reclaims()]);
    assert_eq!(desk.tell(FULL_SOON, None, Firing), [Act, Hold]);
    desk.0.drains();
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Hold]);
    assert_eq!(desk.after(100_000), []);
}

/// It was held, or failed: nobody stopped the node, which needs its rules.
#[test]
fn a_drain_that_was_not_done_holds_no_rule_any_longer() {
    let mut desk = Desk::with(&[rule(FULL_SOON, Action::Drain), sheds(), reclaims()]);
    assert_eq!(desk.tell(FULL_SOON, None, Firing), [Act, Hold]);
    assert_eq!(desk.due(), [Act], "what stood behind the drain");
    assert_eq!(desk.tell(AT_70, Some("ann"), Firing), [Act]);
    assert!(desk.0.next_at().is_some());
}

#[test]
fn a_rule_that_a_reload_brings_acts_on_what_fires_already() {
    let mut desk = Desk::with(&[]);
    assert!(!desk.0.changed(&change(AT_70, Some("ann"), Firing), desk.1), "there is nothing to do");
    assert_eq!(desk.tell(AT_70, Some("bob"), Firing), []);
    assert_eq!(desk.tell(AT_70, Some("bob"), Resolved), []);
    desk.0.renew(&[sheds()]);
    desk.0.renew(&[Rule { holds_for: Duration::from_secs(30), ..reclaims() }]);
    assert_eq!(desk.due(), []);
    assert_eq!(desk.after(30), [Act], "for ann, since it began to fire");
}

#[test]
fn an_operators_drain_holds_every_rule() {
    let mut desk = Desk::with(&[rule(FULL_SOON, Action::Drain)]);
    desk.0.drains();
    assert_eq!(desk.tell(FULL_SOON, None, Firing), [Hold]);
}

#[test]
fn the_configuration_knows_every_alert_and_no_other() {
    let mut known = crate::config::ALERTS.to_vec();
    let mut all: Vec<_> = ALERTS.iter().map(|alert| alert.name).collect();
    known.sort_unstable();
    all.sort_unstable();
    assert_eq!(known, all, "config/remediation.rs names the alerts of the catalogue");
}
