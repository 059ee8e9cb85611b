//! How the sessions of one user move: days that were, and days that must not be taken for trouble. Each is made from a
//! seed of its own and is the same every time.

use std::time::Duration;

use lychgate_core::{End, Heartbeat};

use crate::random::Random;
use crate::step::{Step, Tab, Thread, Way};

/// Makes a trace.
type Make = fn() -> Vec<Step>;

/// Names, and how each is made.
pub(super) const TRACES: [(&str, Make); 8] = [
    ("slow fill", slow_fill),
    ("storm", storm),
    ("tabs that die", dying_tabs),
    ("leaving tabs behind", leaving_tabs_behind),
    ("sawtooth of reloads", sawtooth),
    ("flapping network", flapping),
    ("steady at 55 %", steady),
    ("a day's curve", day),
];

/// Writes a trace down.
struct Scribe {
    steps: Vec<Step>,
    random: Random,
    /// Tabs that are open, oldest first.
    open: Vec<u32>,
    next: u32,
}

impl Scribe {
    fn new(seed: u64) -> Self {
        Self { steps: Vec::new(), random: Random::new(seed), open: Vec::new(), next: 0 }
    }

    fn wait(&mut self, secs: u64) {
        self.steps.push(Step::Advance(Duration::from_secs(secs)));
    }

    fn wait_about(&mut self, secs: u32) {
        self.wait_about_ms(secs * 1_000);
    }

    fn wait_about_ms(&mut self, millis: u32) {
        let millis = self.random.between(millis * 7 / 10, millis * 13 / 10);
        self.steps.push(Step::Advance(Duration::from_millis(u64::from(millis))));
    }

    /// A new tab with a conversation of its own.
    fn open(&mut self) {
        let number = self.next;
        self.next += 1;
        self.open.push(number);
        let (tab, thread) = (tab(number), Thread::Named(number));
        self.steps.push(Step::OpenTab { tab, thread, heartbeat: Heartbeat::Protocol, plan: None });
    }

    /// One of the open tabs goes.
    fn close(&mut self, place: usize, end: End) {
        if place < self.open.len() {
            let number = self.open.remove(place);
            self.steps.push(Step::CloseTab { tab: tab(number), end });
        }
    }

    fn any(&mut self) -> usize {
        let open = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        self.random.below(open.max(1)) as usize
    }

    /// The oldest open tab answers nothing from now on, and nobody is told.
    fn die(&mut self) {
        if !self.open.is_empty() {
            let number = self.open.remove(0);
            self.steps.push(Step::GoSilent(tab(number)));
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close(0, End::ClientClosed);
            self.wait_about(1);
        }
    }
}

fn tab(number: u32) -> Tab {
    Tab { user: 0, number }
}

/// A conversation about every minute and none is closed, up to the limit and beyond; then everything is. Four times.
fn slow_fill() -> Vec<Step> {
    let mut scribe = Scribe::new(1);
    for _ in 0..4 {
        for _ in 0..24 {
            scribe.open();
            scribe.wait_about(60);
        }
        scribe.close_all();
        scribe.wait(1_200);
    }
    scribe.steps
}

/// Twenty-four at once, as when a browser restores its windows. Six times.
fn storm() -> Vec<Step> {
    let mut scribe = Scribe::new(2);
    for _ in 0..6 {
        for _ in 0..24 {
            scribe.open();
            scribe.steps.push(Step::Advance(Duration::from_millis(80)));
        }
        scribe.wait_about(120);
        scribe.close_all();
        scribe.wait_about(900);
    }
    scribe.steps
}

/// A tab every two seconds or so, while the one before the last three is a lid that was closed: nothing tells the server.
/// Four minutes of it, then half an hour of peace. Four times.
fn dying_tabs() -> Vec<Step> {
    let mut scribe = Scribe::new(3);
    for _ in 0..4 {
        for _ in 0..120 {
            scribe.open();
            scribe.wait_about_ms(2_200);
            if scribe.open.len() > 3 {
                scribe.die();
            }
        }
        scribe.close_all();
        scribe.wait(1_800);
    }
    scribe.steps
}

/// A user opens a conversation every half minute; every second time an older one loses its socket, and lingers. Four times.
fn leaving_tabs_behind() -> Vec<Step> {
    let mut scribe = Scribe::new(4);
    for _ in 0..4 {
        for turn in 0..60 {
            if turn % 2 == 1 {
                let place = scribe.any();
                scribe.close(place, End::Lost);
            }
            scribe.open();
            scribe.wait_about(30);
        }
        scribe.close_all();
        scribe.wait(1_200);
    }
    scribe.steps
}

/// Seven tabs that are loaded again about every minute, each time as new conversations: the old ones linger beside them.
fn sawtooth() -> Vec<Step> {
    let mut scribe = Scribe::new(5);
    (0..7).for_each(|_| scribe.open());
    for _ in 0..180 {
        scribe.wait_about(60);
        for _ in 0..7 {
            scribe.close(0, End::Lost);
            scribe.open();
        }
    }
    scribe.steps
}

/// Eleven tabs in a train: all sockets are lost together, and come back after a while, some of them too late.
fn flapping() -> Vec<Step> {
    let mut scribe = Scribe::new(6);
    (0..11).for_each(|_| scribe.open());
    for _ in 0..240 {
        scribe.wait_about(35);
        let tabs = scribe.open.clone();
        tabs.iter().for_each(|number| scribe.steps.push(Step::CloseTab { tab: tab(*number), end: End::Lost }));
        scribe.wait_about(8);
        tabs.iter().for_each(|number| scribe.steps.push(Step::Reconnect { tab: tab(*number), way: Way::Fresh }));
    }
    scribe.steps
}

/// Eleven conversations at all times; now and then one is closed for another one.
fn steady() -> Vec<Step> {
    let mut scribe = Scribe::new(7);
    (0..11).for_each(|_| scribe.open());
    for _ in 0..60 {
        scribe.wait_about(240);
        let place = scribe.any();
        match scribe.random.below(2) {
            0 => scribe.close(place, End::ClientClosed),
            _ => scribe.open(),
        }
        scribe.wait_about(20);
        match scribe.open.len() {
            len if len > 11 => scribe.close(place, End::ClientClosed),
            len if len < 11 => scribe.open(),
            _ => {}
        }
    }
    scribe.steps
}

/// Ten hours: few conversations in the morning, about fourteen at noon, few in the evening.
fn day() -> Vec<Step> {
    let mut scribe = Scribe::new(8);
    let hours = 10.0;
    let mut at = 0.0;
    while at < hours {
        let wanted = 1.0 + 13.0 * (std::f64::consts::PI * at / hours).sin();
        let wanted = wanted.round() as usize + scribe.random.below(2) as usize;
        while scribe.open.len() > wanted {
            let place = scribe.any();
            let end = *scribe.random.pick(&[End::Lost, End::ClientClosed]);
            scribe.close(place, end);
        }
        if scribe.open.len() < wanted {
            scribe.open();
        }
        scribe.wait_about(60);
        at += 60.0 / 3600.0;
    }
    scribe.steps
}
