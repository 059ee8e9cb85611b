//! The stories, each a handful of threads with a choice here and there that the schedule makes.

use std::sync::Arc;

use lychgate_core::explain::Filter;
use lychgate_core::{End, RunId};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicUsize, Ordering};

use super::super::ConnectionBounds;
use super::node::{Node, Setting};
use super::play;
use super::tab::{Manners, Tab};
use crate::outbox::{Frame, Sent};

fn chance(one_in: u32) -> bool {
    thread_rng().gen_ratio(1, one_in)
}

/// Opens a thread of its own, uses it for a while, and goes in one way or another.
fn visit(node: &Arc<Node>, user: &str, n: u128) {
    let thread = format!("{user}-{n}");
    let mut tab = node.connect(user, n, None);
    if chance(4) {
        tab.manners = Manners::Silent;
    }
    tab.open(&thread);
    node.check();
    tab.await_answer(&thread);
    tab.check();
    if chance(3) {
        busy(&mut tab, &thread);
    }
    for _ in 0..thread_rng().gen_range(0..4) {
        tab.turn();
        node.check();
    }
    tab.check();
    part(tab);
}

/// A run begins and ends; in between the session is protected.
fn busy(tab: &mut Tab, thread: &str) {
    let (key, run) = (tab.key(thread), RunId::parse("run").unwrap());
    let driver = tab.registration().driver.clone();
    driver.run_started(&key, &run);
    for _ in 0..thread_rng().gen_range(0..8) {
        tab.turn();
    }
    driver.run_ended(&key, &run);
}

/// A silent tab waits until it is closed; the others close in order, or are lost.
fn part(mut tab: Tab) {
    match tab.manners {
        Manners::Silent => {
            tab.live_while("a dead tab is never found", |tab| !tab.is_closed());
            tab.leave(End::Lost);
        }
        Manners::Answers => tab.leave(if chance(2) { End::ClientClosed } else { End::Lost }),
    }
}

#[test]
fn nobody_is_above_the_limit_or_unanswered_in_a_storm() {
    play("storm", || {
        let node = Node::start(Setting { reserve: usize::from(chance(2)), ..Setting::default() });
        let tabs = [("ann", 1), ("ann", 2), ("ann", 3), ("bob", 4)];
        let tabs = tabs.map(|(user, n)| node.spawn(move |node| visit(node, user, n)));
        tabs.into_iter().for_each(|tab| tab.join().unwrap());
        node.end();
    });
}

#[test]
fn a_frozen_process_loses_count_of_nobody() {
    play("freeze", || {
        let node = Node::start(Setting { sessions: 1, freezes: true, ..Setting::default() });
        let tabs = [1, 2, 3].map(|n| node.spawn(move |node| visit(node, "ann", n)));
        tabs.into_iter().for_each(|tab| tab.join().unwrap());
        node.end();
    });
}

#[test]
fn a_takeover_meets_the_end_of_the_tab_that_it_replaces() {
    play("takeover", || {
        let node = Node::start(Setting { sessions: 1, ..Setting::default() });
        let mut old = node.connect("ann", 1, None);
        old.open("ann-t");
        old.await_answer("ann-t");
        let old = node.spawn(move |node| {
            for _ in 0..thread_rng().gen_range(0..6) {
                old.turn();
                node.check();
            }
            old.leave(if chance(2) { End::ClientClosed } else { End::Lost });
        });
        let new = node.spawn(|node| {
            let mut tab = node.connect("ann", 2, Some((1, "ann-t")));
            node.check();
            tab.open("ann-t");
            tab.await_answer("ann-t");
            tab.check();
            part(tab);
        });
        let other = node.spawn(|node| visit(node, "ann", 3));
        [old, new, other].into_iter().for_each(|tab| tab.join().unwrap());
        node.end();
    });
}

#[test]
fn the_address_and_the_node_keep_their_bounds_when_many_arrive_at_once() {
    play("bounds", || {
        let bounds = match chance(2) {
            true => ConnectionBounds { per_address: 2, per_node: 100 },
            false => ConnectionBounds { per_address: 100, per_node: 2 },
        };
        let node = Node::start(Setting { bounds, ..Setting::default() });
        let arrived = Arc::new(AtomicUsize::new(0));
        let tabs = ["ann", "bob", "cid", "dan"].into_iter().zip(1..).map(|(user, n)| {
            let arrived = arrived.clone();
            node.spawn(move |node| {
                let mut tab = node.connect(user, n, None);
                arrived.fetch_add(1, Ordering::SeqCst);
                tab.live_while("somebody never arrives", |_| arrived.load(Ordering::SeqCst) < 4);
                let counted = node.connections();
                assert!(counted <= 2, "{counted} connections where 2 are allowed");
                node.check();
                tab.leave(End::Lost);
            })
        });
        let tabs: Vec<_> = tabs.collect();
        tabs.into_iter().for_each(|tab| tab.join().unwrap());
        node.end();
    });
}

#[test]
fn the_reaper_sleeps_over_no_deadline_that_was_set_while_it_planned() {
    play("deadlines", || {
        let node = Node::start(Setting { sessions: 4, ..Setting::default() });
        let tabs = [("ann", 1), ("bob", 2)].map(|(user, n)| {
            node.spawn(move |node| {
                let mut tab = node.connect(user, n, None);
                tab.manners = Manners::Silent;
                tab.open(&format!("{user}-{n}"));
                tab
            })
        });
        let tabs = tabs.map(|tab| tab.join().unwrap());
        // Heartbeats, missed answers, dead tabs and lingers, one after the other.
        node.be_quiet_while("the dead are never found", |node| node.connections() > 0);
        tabs.into_iter().for_each(|tab| tab.leave(End::Lost));
        node.end();
    });
}

#[test]
fn nothing_follows_the_close_of_a_tab_whose_events_come_from_elsewhere() {
    play("events", || {
        let node = Node::start(Setting { sessions: 1, ..Setting::default() });
        let mut tab = node.connect("ann", 1, None);
        let outbox = tab.outbox.clone();
        let events = node.spawn(move |_| {
            let event = Frame::text(br#"{"type":"event"}"#);
            while outbox.send(&event) == Sent::Accepted && outbox.send_control(&event) == Sent::Accepted {
                shuttle::thread::yield_now();
            }
        });
        tab.open("ann-1");
        tab.await_answer("ann-1");
        let gone = Arc::new(AtomicUsize::new(0));
        let other = node.spawn({
            let gone = gone.clone();
            move |node| {
                visit(node, "ann", 2);
                gone.store(1, Ordering::SeqCst);
            }
        });
        tab.live_while("the other never goes", |tab| !tab.is_closed() && gone.load(Ordering::SeqCst) == 0);
        tab.leave(End::Lost);
        [events, other].into_iter().for_each(|part| part.join().unwrap());
        node.end();
    });
}

#[test]
fn whoever_looks_on_stops_nobody() {
    play("eyes", || {
        let node = Node::start(Setting::default());
        let tabs = [("ann", 1), ("bob", 2)].map(|(user, n)| node.spawn(move |node| visit(node, user, n)));
        let eyes = node.spawn(|node| {
            for _ in 0..3 {
                let census = node.driver.census();
                let everything = Filter::default();
                let seen = node.driver.decisions(0, 8, &everything).told.len();
                let newest = node.driver.last_decisions(8, &everything).told.len();
                let (bytes, _) = node.driver.explained();
                assert!(census.sessions <= 4 && seen <= 8 && newest <= 8 && (seen == 0 || bytes > 0));
                shuttle::thread::yield_now();
            }
        });
        tabs.into_iter().for_each(|tab| tab.join().unwrap());
        eyes.join().unwrap();
        node.end();
    });
}

#[test]
fn a_drain_answers_those_who_are_just_arriving() {
    play("drain", || {
        let node = Node::start(Setting::default());
        let tabs = [("ann", 1), ("ann", 2), ("bob", 3)].map(|(user, n)| {
            node.spawn(move |node| {
                let mut tab = node.connect(user, n, None);
                let thread = format!("{user}-{n}");
                if !tab.is_closed() {
                    tab.open(&thread);
                    tab.await_answer(&thread);
                }
                tab.check();
                tab.leave(End::Lost);
            })
        });
        node.driver.drain(std::time::Duration::from_secs(1));
        node.driver.close_all(lychgate_core::EvictReason::Draining);
        node.check();
        tabs.into_iter().for_each(|tab| tab.join().unwrap());
        node.end();
    });
}
