//! Several gates that count a user's sessions together. `Nodes` plays what lies between them: a store of leases that can be
//! away, and messages that can be held up.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::*;
use crate::lease::{
    Answer, Counting, Either, ForeignLease, ForeignNode, ForeignReport, Holder, Lease, News, Room, Told, Wish,
};

struct Nodes {
    worlds: Vec<World>,
    /// Outputs of each node that were looked at.
    read: Vec<usize>,
    /// Who holds: lease and node.
    held: BTreeMap<ForeignLease, usize>,
    /// Leases that are over.
    over: BTreeSet<ForeignLease>,
    /// Nobody can be asked.
    away: bool,
    /// This node answers no question.
    mute: Option<usize>,
    /// Questions do not leave.
    cannot_ask: bool,
    /// So many swaps find that somebody else was quicker.
    too_late: u8,
    /// What is held up instead of told, while it is some.
    held_up: Option<Vec<(usize, News)>>,
    /// Sessions that were served at once, and leases that were held at once.
    most: usize,
    most_held: usize,
}

fn lease(node: usize, number: u64) -> ForeignLease {
    ForeignLease { life: node as u64, number }
}

impl Nodes {
    fn with(count: usize, spec: &LimitSpec) -> Self {
        let world = |node: usize| {
            let mut world = World::with(spec.clone());
            let first = NonZeroU64::new(1 + node as u64 * 1_000_000).unwrap();
            world.gate = Gate::new(Limits::new(spec.clone()).unwrap(), 7).counting(Counting::Shared(first));
            world
        };
        Self {
            worlds: (0..count).map(world).collect(),
            read: vec![0; count],
            held: BTreeMap::new(),
            over: BTreeSet::new(),
            away: false,
            mute: None,
            cannot_ask: false,
            too_late: 0,
            held_up: None,
            most: 0,
            most_held: 0,
        }
    }

    /// Two nodes with room for four sessions and none in reserve.
    fn two() -> Self {
        Self::with(2, &LimitSpec { max_sessions_per_user: 4, reserve_sessions: 0, ..LimitSpec::default() })
    }

    /// Runs something on a node, and everything that follows from it on all of them.
    fn on<T>(&mut self, node: usize, act: impl FnOnce(&mut World) -> T) -> T {
        let result = act(&mut self.worlds[node]);
        self.settle();
        result
    }

    fn settle(&mut self) {
        while let Some((node, wish)) = self.next_wish() {
            self.grant(node, wish);
        }
        let truth: usize = self.worlds.iter().map(|world| world.gate.session_keys(&user()).len()).sum();
        self.most = self.most.max(truth);
        self.most_held = self.most_held.max(self.held.len());
    }

    fn next_wish(&mut self) -> Option<(usize, Wish)> {
        for (node, world) in self.worlds.iter().enumerate() {
            while let Some(output) = world.seen.get(self.read[node]) {
                self.read[node] += 1;
                if let Output::Wish(wish) = output {
                    return Some((node, wish.clone()));
                }
            }
        }
        None
    }

    fn grant(&mut self, node: usize, wish: Wish) {
        match wish {
            Wish::Acquire { lease: asked, limit, instead_of, .. } => {
                let answer = self.acquire(node, asked.number(), limit, instead_of);
                self.tell(node, News::Answered { user: user(), lease: asked, answer });
            }
            Wish::Keep { lease: kept, .. } if self.over.contains(&lease(node, kept.number())) => {
                self.take(node, kept.number());
            }
            Wish::Keep { lease: kept, .. } => _ = self.held.insert(lease(node, kept.number()), node),
            Wish::Release { lease: free, .. } => {
                self.held.remove(&lease(node, free.number()));
                self.over.insert(lease(node, free.number()));
            }
            Wish::Supersede { connection, .. } => {
                for other in (0..self.worlds.len()).filter(|other| *other != node) {
                    self.tell(other, News::Superseded { user: user(), connection });
                }
            }
            Wish::Ask { node: asked, .. } => {
                let other = asked.0 as usize;
                let told = match self.mute {
                    _ if self.cannot_ask => Told::NotAsked,
                    Some(mute) if mute == other => Told::Silence,
                    Some(_) | None => Told::Reports(self.reports(other)),
                };
                self.tell(node, News::Reported { user: user(), node: asked, told });
            }
        }
    }

    fn acquire(&mut self, node: usize, number: u64, limit: usize, instead_of: Option<Either>) -> Answer {
        let asked = lease(node, number);
        if self.away {
            return Answer::Unknown;
        }
        if self.over.contains(&asked) {
            return Answer::Over;
        }
        let victim = instead_of.map(|victim| match victim {
            Either::Own(own) => lease(node, own.number()),
            Either::Foreign(holder) => holder.lease,
        });
        let mut made_room = Room::Free;
        if self.held.len() >= limit {
            let late = victim.is_some() && self.too_late > 0;
            self.too_late -= u8::from(late);
            let Some(gone) = victim.filter(|_| !late).and_then(|victim| self.held.remove_entry(&victim)) else {
                let others = self.held.iter().filter(|(_, holder)| **holder != node);
                let holders = others.map(|(&lease, &holder)| Holder { lease, node: ForeignNode(holder as u64) });
                let own = self.held.iter().filter(|(_, holder)| **holder == node);
                let own = own.map(|(lease, _)| Lease::from_number(NonZeroU64::new(lease.number).unwrap()));
                return Answer::Denied { holders: holders.collect(), own: own.collect() };
            };
            made_room = Room::Made;
            self.over.insert(gone.0);
            if gone.1 != node {
                self.take(gone.1, gone.0.number);
            }
        }
        self.held.insert(asked, node);
        Answer::Granted { used: self.held.len(), made_room }
    }

    /// Tells a node that one of its leases was taken.
    fn take(&mut self, node: usize, number: u64) {
        let lease = Lease::from_number(NonZeroU64::new(number).unwrap());
        self.tell(node, News::Taken { user: user(), lease });
    }

    fn reports(&self, node: usize) -> Vec<ForeignReport> {
        let own = self.worlds[node].gate.own_reports(&user(), Time::ZERO);
        own.iter()
            .map(|own| ForeignReport {
                lease: lease(node, own.lease.number()),
                standing: own.standing,
                protected: own.protected,
                health: own.health,
                idle: own.idle,
            })
            .collect()
    }

    fn tell(&mut self, node: usize, news: News) {
        match &mut self.held_up {
            Some(held_up) => held_up.push((node, news)),
            None => self.worlds[node].input(Input::News(news)),
        }
    }

    /// What was held up arrives.
    fn deliver(&mut self) {
        for (node, news) in self.held_up.take().into_iter().flatten() {
            self.on(node, |world| world.input(Input::News(news)));
        }
    }

    /// A socket with a session of its own.
    fn open(&mut self, node: usize, n: u128) {
        self.on(node, |world| {
            world.connect(n);
            world.open(n, Some(&format!("t{n}")), None);
        });
        self.advance(Duration::from_millis(1));
    }

    fn advance(&mut self, by: Duration) {
        // In small steps, so that what one node does reaches the other in time.
        let step = Duration::from_millis(50).min(by);
        let mut left = by;
        while !left.is_zero() {
            let now = step.min(left);
            for node in 0..self.worlds.len() {
                self.on(node, |world| world.advance(now));
            }
            left -= now;
        }
    }

    /// The sessions that nodes serve, by their threads.
    fn served(&self) -> Vec<Vec<String>> {
        let keys = |world: &World| world.gate.session_keys(&user());
        self.worlds.iter().map(|world| keys(world).iter().map(|key| key.thread().to_string()).collect()).collect()
    }

    fn opened(&self, node: usize, n: u128) -> Option<AdmissionPath> {
        self.worlds[node].opened(&format!("t{n}"))
    }

    fn refused(&self) -> usize {
        self.worlds.iter().map(World::refused).sum()
    }

    /// The store holds what the nodes serve, and nothing else.
    fn assert_settled(&self) {
        let served: usize = self.served().iter().map(Vec::len).sum();
        let leases: usize = self.worlds.iter().map(|world| world.gate.own_reports(&user(), Time::ZERO).len()).sum();
        assert_eq!((leases, self.held.len()), (served, served), "{:?}", self.served());
    }
}

#[test]
fn sessions_on_all_nodes_count_against_one_limit() {
    let mut nodes = Nodes::two();
    (1..=10).for_each(|n| nodes.open(n as usize % 2, n));
    nodes.assert_settled();
    assert_eq!((nodes.held.len(), nodes.most, nodes.refused()), (4, 4, 0));
    assert!((1..=10).all(|n| nodes.opened(n as usize % 2, n).is_some()), "everybody got in");
    assert_eq!(nodes.served(), [["t8", "t10"], ["t7", "t9"]], "the least recently used went, wherever they were");
}

#[test]
fn a_session_that_is_there_needs_no_lease() {
    let mut nodes = Nodes::two();
    nodes.open(0, 1);
    nodes.away = true;
    let before = nodes.worlds[0].seen.iter().filter(|output| matches!(output, Output::Wish(_))).count();
    nodes.on(0, |world| {
        world.connect(9);
        world.open(9, Some("t1"), None);
    });
    let after = nodes.worlds[0].seen.iter().filter(|output| matches!(output, Output::Wish(_))).count();
    assert_eq!((nodes.opened(0, 1), before), (Some(AdmissionPath::Attach), after));
}

#[test]
fn a_node_that_just_started_takes_the_least_recently_used_of_sessions_that_are_older_than_it() {
    let mut nodes = Nodes::two();
    // Longer than the other one is there, and long enough to be of equal health.
    let long = Duration::from_secs(2 * 3_600);
    for n in 1..=4 {
        nodes.open(1, n);
        nodes.on(1, |world| world.advance(long));
    }
    nodes.on(1, |world| world.open(1, Some("t1"), None));
    nodes.on(1, |world| world.advance(long));
    nodes.open(0, 5);
    assert_eq!(nodes.served(), [vec!["t5"], vec!["t1", "t3", "t4"]]);
}

#[test]
fn a_dead_session_on_another_node_goes_before_a_live_one_here() {
    let mut nodes = Nodes::two();
    (1..=2).for_each(|n| nodes.open(0, n));
    (3..=4).for_each(|n| nodes.open(1, n));
    nodes.on(1, |world| world.input(Input::Disconnect { user: user(), connection: socket(4), end: End::Lost }));
    nodes.open(0, 5);
    assert_eq!(nodes.served(), [vec!["t1", "t2", "t5"], vec!["t3"]]);
    assert_eq!(nodes.opened(0, 5), Some(AdmissionPath::Reclaimed(ReclaimLevel::Moderate)));
    nodes.assert_settled();
}

#[test]
fn a_run_on_another_node_is_protected_while_another_choice_is_left() {
    let mut nodes = Nodes::two();
    nodes.open(1, 1);
    let run = RunId::parse("r").unwrap();
    nodes.on(1, |world| world.input(Input::RunStarted { key: key("t1"), run }));
    (2..=4).for_each(|n| nodes.open(0, n));
    nodes.open(0, 5);
    assert_eq!(nodes.served(), [vec!["t3", "t4", "t5"], vec!["t1"]]);
}

#[test]
fn sessions_of_a_node_that_does_not_answer_are_suspects_and_go_first() {
    let mut nodes = Nodes::two();
    (1..=2).for_each(|n| nodes.open(0, n));
    (3..=4).for_each(|n| nodes.open(1, n));
    nodes.mute = Some(1);
    nodes.open(0, 5);
    assert_eq!(nodes.served(), [vec!["t1", "t2", "t5"], vec!["t4"]]);
    assert_eq!(nodes.opened(0, 5), Some(AdmissionPath::Reclaimed(ReclaimLevel::Moderate)));
}

#[test]
fn sessions_of_a_node_that_was_not_asked_are_not_taken_for_dead() {
    let mut nodes = Nodes::two();
    (1..=2).for_each(|n| nodes.open(1, n));
    (3..=4).for_each(|n| nodes.open(0, n));
    nodes.cannot_ask = true;
    nodes.open(0, 5);
    assert_eq!(nodes.served(), [vec!["t4", "t5"], vec!["t1", "t2"]], "although they were used before");
    nodes.assert_settled();
}

#[test]
fn while_nobody_can_tell_nobody_is_refused_or_closed_and_the_nodes_own_count_decides() {
    let mut nodes = Nodes::two();
    (1..=4).for_each(|n| nodes.open(n as usize % 2, n));
    nodes.away = true;
    (5..=8).for_each(|n| nodes.open(n as usize % 2, n));
    assert!((5..=8).all(|n| nodes.opened(n as usize % 2, n).is_some()));
    assert_eq!((nodes.served().iter().map(Vec::len).sum::<usize>(), nodes.refused()), (8, 0));
    assert!(nodes.worlds.iter().all(|world| world.evicted().is_empty()));
    // Every node has its whole limit for itself, and no more.
    nodes.open(0, 9);
    assert_eq!(nodes.served()[0].len(), 4);
    nodes.away = false;
    nodes.assert_settled();
    // Afterwards an excess goes one by one, for those who come.
    nodes.open(1, 10);
    assert_eq!(nodes.held.len(), 8);
    nodes.assert_settled();
}

#[test]
fn a_place_that_is_granted_to_somebody_who_left_is_given_back() {
    let mut nodes = Nodes::two();
    nodes.held_up = Some(Vec::new());
    nodes.open(0, 1);
    nodes.on(0, |world| world.input(Input::Disconnect { user: user(), connection: socket(1), end: End::Lost }));
    assert_eq!(nodes.held.len(), 1);
    nodes.deliver();
    assert!(nodes.held.is_empty(), "{:?}", nodes.held);
}

#[test]
fn a_lease_that_was_taken_before_its_grant_was_heard_is_not_served() {
    let mut nodes = Nodes::two();
    nodes.held_up = Some(Vec::new());
    nodes.on(0, |world| {
        world.connect(1);
        world.open(1, Some("t1"), None);
    });
    let held = nodes.held_up.take().unwrap();
    let Some((_, News::Answered { lease: asked, .. })) = held.first().cloned() else { panic!("{held:?}") };
    nodes.held.remove(&lease(0, asked.number()));
    nodes.over.insert(lease(0, asked.number()));
    nodes.on(0, |world| world.input(Input::News(News::Taken { user: user(), lease: asked })));
    assert!(nodes.opened(0, 1).is_some(), "it asked for another one");
    nodes.held_up = Some(held);
    nodes.deliver();
    nodes.assert_settled();
    assert_eq!(nodes.held.len(), 1);
}

#[test]
fn nobody_who_lives_is_taken_for_an_open_that_waits_for_an_answer() {
    let mut nodes = Nodes::two();
    (1..=4).for_each(|n| nodes.open(0, n));
    nodes.held_up = Some(Vec::new());
    nodes.open(0, 5);
    assert!(nodes.worlds[0].evicted().is_empty(), "the record goes when the place is granted");
    assert_eq!(nodes.opened(0, 5), None);
    nodes.deliver();
    assert_eq!(nodes.worlds[0].evicted(), [("t1".to_owned(), ReclaimLevel::Force)]);
    nodes.assert_settled();
}

#[test]
fn the_reserve_opens_once_for_all_nodes_and_then_they_queue() {
    let spec = LimitSpec { max_sessions_per_user: 2, reserve_sessions: 1, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    for n in 1..=2 {
        let node = n as usize % 2;
        nodes.open(node, n);
        let run = RunId::parse(&format!("r{n}")).unwrap();
        nodes.on(node, |world| world.input(Input::RunStarted { key: key(&format!("t{n}")), run }));
    }
    nodes.open(0, 3);
    nodes.advance(Duration::from_secs(2));
    assert_eq!(nodes.opened(0, 3), Some(AdmissionPath::Reserve));
    let run = RunId::parse("r3").unwrap();
    nodes.on(0, |world| world.input(Input::RunStarted { key: key("t3"), run }));
    nodes.open(1, 4);
    nodes.advance(Duration::from_secs(3));
    assert_eq!((nodes.opened(1, 4), nodes.most), (None, 3), "it waits");
    nodes.advance(Duration::from_secs(7));
    assert_eq!((nodes.opened(1, 4), nodes.most), (Some(AdmissionPath::Queue), 3));
    nodes.assert_settled();
}

#[test]
fn who_waits_gets_a_place_that_comes_free_on_another_node_within_seconds() {
    let spec = LimitSpec { max_sessions_per_user: 1, reserve_sessions: 0, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    nodes.open(0, 1);
    let run = RunId::parse("r1").unwrap();
    nodes.on(0, |world| world.input(Input::RunStarted { key: key("t1"), run }));
    nodes.open(1, 2);
    nodes.advance(Duration::from_secs(2));
    assert_eq!(nodes.opened(1, 2), None);
    nodes.on(0, |world| world.input(Input::Leave { user: user(), connection: socket(1), thread: thread("t1") }));
    nodes.advance(Duration::from_millis(1_100));
    assert_eq!(nodes.opened(1, 2), Some(AdmissionPath::Queue));
    nodes.assert_settled();
}

#[test]
fn who_comes_too_late_for_a_place_again_and_again_does_not_wait_as_if_everybody_were_protected() {
    let spec = LimitSpec { max_sessions_per_user: 2, reserve_sessions: 0, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    nodes.open(0, 1);
    nodes.open(0, 2);
    nodes.too_late = 4;
    nodes.open(1, 3);
    for n in 4..7 {
        // Others come and go there meanwhile: whoever holds a place has it since a moment ago.
        nodes.advance(Duration::from_millis(500));
        nodes.open(0, n);
    }
    nodes.advance(Duration::from_millis(500));
    assert_eq!(nodes.opened(1, 3), Some(AdmissionPath::Reclaimed(ReclaimLevel::Force)));
    nodes.assert_settled();
}

/// What happens next in a story of chance, by the next numbers of SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}

/// Three nodes, a user with few places, and everything that can happen, for a while; then calm.
fn story(seed: u64, steps: usize, can_be_away: bool) -> Nodes {
    let spec = LimitSpec { max_sessions_per_user: 3, reserve_sessions: 1, ..LimitSpec::default() };
    let mut nodes = Nodes::with(3, &spec);
    let mut chance = Chance(seed);
    let mut sockets = 0;
    for _ in 0..steps {
        let node = chance.below(3) as usize;
        let n = chance.below(sockets.max(1) as u64) as u128 + 1;
        let run = RunId::parse("r").unwrap();
        match chance.below(12) {
            0..=3 => {
                sockets += 1;
                nodes.open(node, sockets);
            }
            4 => nodes.on(node, |world| {
                world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::Lost });
            }),
            5 => nodes.on(node, |world| {
                world.input(Input::Leave { user: user(), connection: socket(n), thread: thread(&format!("t{n}")) });
            }),
            6 => nodes.on(node, |world| world.input(Input::RunStarted { key: key(&format!("t{n}")), run })),
            7 => nodes.on(node, |world| world.input(Input::RunEnded { key: key(&format!("t{n}")), run })),
            8 if nodes.held_up.is_none() => nodes.held_up = Some(Vec::new()),
            8 | 9 => nodes.deliver(),
            10 => match chance.below(3) {
                0 => nodes.mute = Some(node),
                1 if can_be_away => nodes.away = !nodes.away,
                _ => nodes.mute = None,
            },
            _ => nodes.advance(Duration::from_millis(chance.below(900))),
        }
        // Every question is answered in bounded time.
        if nodes.held_up.as_ref().is_some_and(|held_up| held_up.len() > 4) {
            nodes.deliver();
        }
    }
    nodes.deliver();
    (nodes.away, nodes.mute) = (false, None);
    nodes.advance(Duration::from_secs(20));
    nodes
}

#[test]
fn whatever_happens_the_leases_are_the_sessions_in_the_end_and_nobody_is_refused_or_left_waiting() {
    for seed in 0..100 {
        let nodes = story(seed, 60, seed % 2 == 0);
        nodes.assert_settled();
        assert_eq!(nodes.refused(), 0, "seed {seed}");
        let waits = |world: &World| world.gate.user(&user()).is_some_and(|user| !user.waiting.is_empty());
        assert!(!nodes.worlds.iter().any(waits), "seed {seed}: somebody waits still");
        assert!(seed % 2 == 0 || nodes.most_held <= 4, "seed {seed}: {} places of 4 were held", nodes.most_held);
    }
}

#[test]
fn a_session_that_an_operator_ends_gives_its_place_back() {
    let mut nodes = Nodes::two();
    nodes.open(0, 1);
    nodes.on(0, |world| world.input(Input::End { key: key("t1"), reason: EvictReason::ByAdmin }));
    assert!(nodes.held.is_empty(), "{:?}", nodes.held);
}

#[test]
fn a_place_that_counts_as_ours_and_is_nobodys_here_is_given_back_and_used() {
    let mut nodes = Nodes::two();
    (1..=3).for_each(|n| nodes.open(0, n));
    nodes.held.insert(lease(0, 999), 0);
    nodes.open(0, 5);
    nodes.advance(Duration::from_secs(2));
    assert!(nodes.opened(0, 5).is_some());
    assert_eq!(nodes.worlds[0].evicted(), []);
    nodes.assert_settled();
}

#[test]
fn nobody_goes_for_a_place_that_came_free_while_it_was_asked_for() {
    let mut nodes = Nodes::two();
    (1..=3).for_each(|n| nodes.open(0, n));
    nodes.open(1, 4);
    nodes.held_up = Some(Vec::new());
    nodes.open(0, 5);
    nodes.on(1, |world| world.input(Input::Leave { user: user(), connection: socket(4), thread: thread("t4") }));
    nodes.deliver();
    nodes.advance(Duration::from_secs(1));
    assert!(nodes.opened(0, 5).is_some());
    assert_eq!(nodes.worlds[0].evicted(), []);
    nodes.assert_settled();
}

#[test]
fn who_waits_without_an_answer_and_goes_leaves_no_place_behind() {
    let spec = LimitSpec { max_sessions_per_user: 1, reserve_sessions: 0, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    nodes.open(0, 1);
    let run = RunId::parse("r1").unwrap();
    nodes.on(0, |world| world.input(Input::RunStarted { key: key("t1"), run }));
    nodes.away = true;
    nodes.open(0, 2);
    // It arrived all the same.
    let asked = nodes.worlds[0].gate.user(&user()).unwrap().waiting[0].lease.unwrap();
    nodes.held.insert(lease(0, asked.number()), 0);
    nodes.on(0, |world| world.input(Input::Disconnect { user: user(), connection: socket(2), end: End::Lost }));
    nodes.assert_settled();
}

#[test]
fn a_lease_that_is_granted_and_not_yet_heard_of_is_not_taken_for_a_dead_one() {
    let mut nodes = Nodes::two();
    (1..=3).for_each(|n| nodes.open(0, n));
    nodes.held_up = Some(Vec::new());
    nodes.open(1, 4);
    let held = nodes.held_up.take();
    nodes.open(0, 5);
    nodes.held_up = held;
    nodes.deliver();
    assert!(nodes.opened(1, 4).is_some() && nodes.worlds[1].evicted().is_empty());
    nodes.assert_settled();
}

#[test]
fn while_nobody_can_tell_no_session_here_goes_for_a_place_that_this_node_has() {
    let mut nodes = Nodes::two();
    (1..=2).for_each(|n| nodes.open(0, n));
    (3..=4).for_each(|n| nodes.open(1, n));
    nodes.held_up = Some(Vec::new());
    nodes.open(0, 5);
    // Denied, and then nobody answers any more.
    let held = nodes.held_up.take();
    nodes.away = true;
    nodes.held_up = held;
    nodes.deliver();
    nodes.advance(Duration::from_secs(2));
    assert!(nodes.opened(0, 5).is_some());
    assert!(nodes.worlds.iter().all(|world| world.evicted().is_empty()));
}

#[test]
fn tabs_that_come_over_from_a_silent_node_wait_for_it_once_and_not_one_after_the_other() {
    let spec = LimitSpec { max_sessions_per_user: 8, reserve_sessions: 0, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    (1..=8).for_each(|n| nodes.open(1, n));
    nodes.mute = Some(1);
    (11..=18).for_each(|n| nodes.open(0, n));
    let asks = |world: &World| world.seen.iter().filter(|it| matches!(it, Output::Wish(Wish::Ask { .. }))).count();
    assert_eq!(asks(&nodes.worlds[0]), 1);
    assert!((11..=18).all(|n| nodes.opened(0, n).is_some()));
}

#[test]
fn a_tab_that_comes_back_on_another_node_takes_its_own_place_and_nobody_elses() {
    let mut nodes = Nodes::two();
    (1..=4).for_each(|n| nodes.open(0, n));
    nodes.on(1, |world| world.connect_after(9, Some(3)));
    nodes.on(1, |world| world.open(9, Some("t3"), None));
    assert_eq!(nodes.served(), [vec!["t1", "t2", "t4"], vec!["t3"]]);
    assert!(nodes.worlds.iter().all(|world| world.evicted().is_empty()));
    nodes.assert_settled();
}

#[test]
fn a_connection_that_another_user_names_as_his_former_one_stays() {
    let mut nodes = Nodes::two();
    nodes.open(0, 1);
    let stranger = UserId::parse("stranger").unwrap();
    nodes.on(0, |world| world.input(Input::News(News::Superseded { user: stranger, connection: socket(1) })));
    assert_eq!(nodes.served()[0], ["t1"]);
}

#[test]
fn a_grant_that_comes_before_the_word_that_a_place_here_was_taken_is_served() {
    let spec = LimitSpec { max_sessions_per_user: 1, reserve_sessions: 0, ..LimitSpec::default() };
    let mut nodes = Nodes::with(2, &spec);
    nodes.open(0, 1);
    // Another node took it and gave it back, and this one has yet to hear.
    let (taken, _) = nodes.held.pop_first().unwrap();
    nodes.over.insert(taken);
    nodes.open(0, 2);
    assert!(nodes.opened(0, 2).is_some());
    nodes.take(0, taken.number);
    nodes.settle();
    assert_eq!(nodes.served()[0], ["t2"]);
    nodes.assert_settled();
}

#[test]
fn an_order_to_reclaim_takes_one_of_this_node_although_a_newcomer_knows_of_a_better_one_elsewhere() {
    let mut nodes = Nodes::two();
    nodes.open(1, 1);
    (2..=4).for_each(|n| nodes.open(0, n));
    nodes.advance(Duration::from_secs(1));
    let order = |level| Input::Reclaim { user: user(), level };
    // It tells that node the time.
    nodes.on(1, |world| world.input(order(ReclaimLevel::Conservative)));
    nodes.worlds[0].silent.insert(socket(2));
    nodes.open(0, 5);
    assert_eq!(nodes.opened(0, 5), None, "it waits for the probe, and knows who holds the places");
    nodes.on(0, |world| world.input(order(ReclaimLevel::Force)));
    assert_eq!(nodes.served(), [vec!["t3", "t4", "t5"], vec!["t1"]], "t1 was used least recently");
    assert_eq!(nodes.worlds[0].evicted().len(), 1);
}
