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
use tokio::time::{Instant, sleep, timeout};

use super::history::{Diary, Session, Step, What};
use super::stage::{NODES, Person, Stage, Standing};
use crate::client::frame::Frame;
use crate::client::{Client, Ended, Mishap, Open};
use crate::random::Random;

/// Tabs of a user who has far more than his limit, and of one who has fewer.
const CROWDED_TABS: usize = 14;
const COMING_TABS: usize = 3;
const COMING_USERS: usize = 2;

/// Admissions of each user that show that he gets in: so many are waited for, and how long they may take.
const SOME: usize = 12;
const SOME_WITHIN: Duration = Duration::from_secs(60);

/// A goodbye that is not answered: the node stands still.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Between two looks at the history.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the tabs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// They come and go.
    Play,
    /// Who is in stays, and nobody comes.
    Rest,
    /// All leave.
    Leave,
}

/// How a tab lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Stays,
    ComesAndGoes,
}

/// All tabs of a fault.
#[derive(Debug)]
pub(super) struct Crowd {
    phase: watch::Sender<Phase>,
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
    pub(super) fn gather(stage: &mut Stage, seed: u64) -> anyhow::Result<Self> {
        let (phase, phases) = watch::channel(Phase::Play);
        let mut crowd = Self {
            phase,
            tabs: JoinSet::new(),
            diary: Arc::clone(&stage.diary),
            people: Vec::new(),
            never_full: BTreeSet::new(),
        };
        let mut random = Random::new(seed);
        let mut come = |role: &str, count: usize, habit: Habit| {
            let person = stage.person(role)?;
            for _ in 0..count {
                let tab = Tab {
                    person: person.clone(),
                    habit,
                    diary: Arc::clone(&stage.diary),
                    standings: stage.standings(),
                    phases: phases.clone(),
                    random: Random::new(random.bits()),
                };
                crowd.tabs.spawn(tab.live());
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
    pub(super) fn never_full(&self) -> BTreeSet<usize> {
        self.never_full.clone()
    }

    pub(super) fn turn(&self, phase: Phase) {
        self.phase.send_replace(phase);
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

    /// Has all leave, and waits until they have.
    pub(super) async fn leave(mut self) {
        self.turn(Phase::Leave);
        while self.tabs.join_next().await.is_some() {}
    }
}

/// One tab.
struct Tab {
    person: Person,
    habit: Habit,
    diary: Arc<Diary>,
    standings: watch::Receiver<[Standing; NODES]>,
    phases: watch::Receiver<Phase>,
    random: Random,
}

/// A session that a tab holds.
struct Seat {
    client: Client,
    session: Session,
    node: usize,
    thread: String,
}

impl Tab {
    async fn live(mut self) {
        while self.phase_other_than(Phase::Rest).await == Phase::Play {
            let Some(node) = self.chosen() else {
                // Nobody to come to; the fault ends that.
                sleep(LOOK_EVERY).await;
                continue;
            };
            if let Some(seat) = self.enter(node).await {
                self.stay(seat).await;
            }
            let pause = match self.habit {
                Habit::Stays => self.random.between(300, 1_500),
                Habit::ComesAndGoes => self.random.between(50, 300),
            };
            tokio::select! {
                () = sleep(Duration::from_millis(pause.into())) => {}
                _ = self.phases.wait_for(|phase| *phase == Phase::Leave) => {}
            }
        }
    }

    /// The phase, once it is another one than this.
    async fn phase_other_than(&mut self, this: Phase) -> Phase {
        // Whoever set the phase is gone: so is the play.
        self.phases.wait_for(|phase| *phase != this).await.map_or(Phase::Leave, |phase| *phase)
    }

    /// A node that a load balancer would choose.
    fn chosen(&mut self) -> Option<usize> {
        let standings = *self.standings.borrow();
        let up: Vec<usize> = (0..NODES).filter(|node| standings[*node] == Standing::Up).collect();
        (!up.is_empty()).then(|| *self.random.pick(&up))
    }

    async fn enter(&mut self, node: usize) -> Option<Seat> {
        let session = self.diary.session();
        self.note(session, node, Step::Asked);
        let user = self.person.at(node);
        let thread = format!("s{session}");
        let asked = async {
            let (mut client, _) = user.connect().await?;
            client.open(Open { thread: Some(&thread), ..Open::default() }).await?;
            Ok::<_, Mishap>(client)
        };
        let answer = tokio::select! {
            biased;
            answer = asked => Some(answer),
            _ = self.standings.wait_for(|all| all[node] == Standing::Out) => None,
        };
        let Some(answer) = answer else {
            self.note(session, node, Step::GivenUp);
            return None;
        };
        let step = match &answer {
            Ok(_) => Step::Admitted,
            // It was open, and somebody needed its place before anybody could be told.
            Err(Mishap::Closed(closed)) if closed.reason == EVICTED => {
                self.note(session, node, Step::Admitted);
                Step::Evicted
            }
            Err(_) if self.standings.borrow()[node] == Standing::Out => Step::GivenUp,
            Err(mishap) => Step::Refused(mishap.to_string()),
        };
        self.note(session, node, step);
        Some(Seat { client: answer.ok()?, session, node, thread })
    }

    /// Answers heartbeats until the session ends, or the tab does.
    async fn stay(&mut self, mut seat: Seat) {
        let leaves_after = match self.habit {
            Habit::Stays => None,
            Habit::ComesAndGoes => Some(Instant::now() + Duration::from_millis(self.random.between(200, 1_200).into())),
        };
        let ended = loop {
            let phase = *self.phases.borrow_and_update();
            if phase == Phase::Leave {
                return self.release(seat).await;
            }
            let until = leaves_after.filter(|_| phase == Phase::Play);
            tokio::select! {
                biased;
                frame = seat.client.next() => match frame.as_ref().map(Frame::closed) {
                    Ok(Some(closed)) if closed.thread == seat.thread => break end_of(&closed.reason),
                    Ok(_) => {}
                    Err(mishap) => break end_of_socket(mishap),
                },
                () = at(until) => return self.release(seat).await,
                changed = self.phases.changed() => {
                    if changed.is_err() {
                        return self.release(seat).await;
                    }
                }
            }
        };
        self.note(seat.session, seat.node, ended);
    }

    async fn release(&self, Seat { mut client, session, node, thread }: Seat) {
        self.note(session, node, Step::Released);
        let goodbye = async {
            client.leave(&thread).await?;
            client.close(1000).await
        };
        // Where nobody answers the socket is closed all the same.
        let _ = timeout(GOODBYE_WITHIN, goodbye).await;
    }

    fn note(&self, session: Session, node: usize, step: Step) {
        self.diary.note(What::Session { user: self.person.number, session, node, step });
    }
}

/// What `closed` says of a session that made room.
const EVICTED: &str = "evicted";

/// How a session ended, by the reason that its client was told.
pub(super) fn end_of(reason: &str) -> Step {
    match reason {
        EVICTED => Step::Evicted,
        "draining" => Step::Moved,
        other => Step::Cut(other.to_owned()),
    }
}

/// How a session ended whose socket ended first.
pub(super) fn end_of_socket(mishap: &Mishap) -> Step {
    match mishap {
        Mishap::Ended(Ended { code: Some(4511), .. }) => Step::Evicted,
        Mishap::Ended(Ended { code: Some(4001), .. }) => Step::Moved,
        other => Step::Cut(other.to_string()),
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
