//! The load of a fault: users whose tabs come, go, make room for each other and come back, over all nodes.
//!
//! ```text
//! crowded: 14 tabs, a limit of 4: each stays until it is evicted, waits, and comes back on any node
//! coming:   3 tabs, a limit of 4: each comes and goes; nobody ever has to make room
//! ```
//!
//! Tabs answer heartbeats all the time. Nobody of the crowded ones leaves by himself: so every session that ends there has
//! made room, and the history can be told exactly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::history::Diary;
use super::stage::Stage;
use super::tab::{Phase, Seat, Tab, at, end_of, end_of_socket};
use crate::client::Open;
use crate::client::frame::Frame;
use crate::random::Random;

/// Tabs of a user who has far more than his limit, and of one who has fewer.
const CROWDED_TABS: usize = 14;
const COMING_TABS: usize = 3;
const COMING_USERS: usize = 2;

/// Admissions of each user that show that he gets in: so many are waited for, and how long they may take.
const SOME: usize = 12;
const SOME_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at the history, and two tries where no node is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a tab lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Stays,
    ComesAndGoes,
}

/// All tabs of a fault.
#[derive(Debug)]
pub(super) struct Crowd {
    tabs: JoinSet<()>,
    diary: Arc<Diary>,
    people: Vec<usize>,
    never_full: BTreeSet<usize>,
}

impl Crowd {
    /// Tabs that begin to come.
    ///
    /// # Errors
    /// When no token can be signed.
    pub(super) fn gather(stage: &mut Stage, phases: &watch::Receiver<Phase>, seed: u64) -> anyhow::Result<Self> {
        let diary = Arc::clone(&stage.diary);
        let mut crowd = Self { tabs: JoinSet::new(), diary, people: Vec::new(), never_full: BTreeSet::new() };
        let mut random = Random::new(seed);
        let mut come = |role: &str, count: usize, habit: Habit| {
            let person = stage.person(role)?;
            for _ in 0..count {
                let tab = Tab::new(stage, &person, phases, random.bits());
                crowd.tabs.spawn(live(tab, habit));
            }
            crowd.people.push(person.number);
            anyhow::Ok(person.number)
        };
        come("crowded", CROWDED_TABS, Habit::Stays)?;
        let coming = (0..COMING_USERS).map(|_| come("coming", COMING_TABS, Habit::ComesAndGoes));
        crowd.never_full = coming.collect::<anyhow::Result<_>>()?;
        Ok(crowd)
    }

    /// Users who never have to make room.
    pub(super) fn never_full(&self) -> &BTreeSet<usize> {
        &self.never_full
    }

    /// Waits until every user was admitted some times more.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub(super) async fn gets_in(&self) -> anyhow::Result<()> {
        let before: Vec<_> = self.people.iter().map(|person| (*person, self.diary.admissions(*person))).collect();
        let deadline = Instant::now() + SOME_WITHIN;
        while let Some((person, _)) = before.iter().find(|(who, had)| self.diary.admissions(*who) < had + SOME) {
            ensure!(Instant::now() < deadline, "user {person} was not admitted {SOME} times within {SOME_WITHIN:?}");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until all have left.
    pub(super) async fn gone(mut self) {
        while self.tabs.join_next().await.is_some() {}
    }
}

async fn live(mut tab: Tab, habit: Habit) {
    while tab.phase_other_than(Phase::Rest).await == Phase::Play {
        let Some(node) = tab.chosen(None) else {
            // Nobody to come to; the fault ends that.
            sleep(LOOK_EVERY).await;
            continue;
        };
        let session = tab.session();
        let thread = format!("s{session}");
        if let Some(seat) = tab.enter(node, Open { thread: Some(&thread), ..Open::default() }, session, false).await {
            stay(&mut tab, habit, seat).await;
        }
        let pause = match habit {
            Habit::Stays => tab.random.between(300, 1_500),
            Habit::ComesAndGoes => tab.random.between(50, 300),
        };
        let over = Instant::now() + Duration::from_millis(pause.into());
        while tab.phase() != Phase::Leave && Instant::now() < over {
            tokio::select! {
                () = at(Some(over)) => {}
                () = tab.phase_turns() => {}
            }
        }
    }
}

/// Answers heartbeats until the session ends, or the tab does.
async fn stay(tab: &mut Tab, habit: Habit, mut seat: Seat) {
    let leaves_at = match habit {
        Habit::Stays => None,
        Habit::ComesAndGoes => Some(Instant::now() + Duration::from_millis(tab.random.between(200, 1_200).into())),
    };
    let ended = loop {
        let phase = tab.phase();
        if phase == Phase::Leave {
            return tab.release(seat).await;
        }
        tokio::select! {
            biased;
            frame = seat.client.next() => match frame.as_ref().map(Frame::closed) {
                Ok(Some(closed)) if closed.thread == seat.opened.thread => break end_of(&closed.reason),
                Ok(_) => {}
                Err(mishap) => break end_of_socket(mishap),
            },
            () = at(leaves_at.filter(|_| phase == Phase::Play)) => return tab.release(seat).await,
            () = tab.phase_turns() => {}
        }
    };
    tab.note(seat.session, seat.node, ended);
}
