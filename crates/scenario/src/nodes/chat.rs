//! Readers of threads that are in Redis: each asks again and again, follows its answer from node to node, and is compared
//! with who reads the same thread afterwards.
//!
//! ```text
//! Chat --open (behind what it has), run--> node --events--> Heard: what was acknowledged to it
//!   '--socket or node gone: the next node                     '--compared--> reader.rs
//! ```

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::heard::{End, Heard};
use super::history::Step;
use super::stage::{NODES, Person, Stage};
use super::tab::{Phase, Seat, Tab, at, end_of, end_of_socket};
use crate::client::frame::{Frame, Notice, Opened};
use crate::client::{Client, Mishap, Open};

/// Each user has a thread that is at home on each node: fewer than his limit, so nobody ever makes room.
const USERS: usize = 2;

/// Answers of each thread that show that it goes on, and how long they may take: a node that is gone is believed so by the
/// journal after 10 s.
const SOME: usize = 3;
const SOME_WITHIN: Duration = Duration::from_secs(60);

/// A run that was refused is asked for again after so long, where the refusal names no other time.
const AGAIN: Duration = Duration::from_millis(200);

/// Between two looks at how many answers there are, and two tries to come in.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether opens may be refused while a fault lasts: a thread that is in Redis cannot be opened without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// They may.
    AreAway,
    /// They may not.
    AreThere,
    /// They may, and once each thread may lose the end of what was answered.
    LoseTheirEnd,
}

impl Threads {
    fn end(self) -> End {
        match self {
            Self::AreAway | Self::AreThere => End::IsKept,
            Self::LoseTheirEnd => End::MayBeLost,
        }
    }
}

/// How far a chat is.
#[derive(Debug, Default)]
struct Progress {
    answered: AtomicUsize,
    /// What it did or heard last, for whoever waits for it in vain.
    last: Mutex<String>,
}

impl Progress {
    fn note(&self, last: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

/// All chats of a fault.
#[derive(Debug)]
pub(super) struct Chats {
    chats: JoinSet<(Person, Heard)>,
    progress: Vec<Arc<Progress>>,
    people: BTreeSet<usize>,
}

impl Chats {
    /// Chats that begin.
    ///
    /// # Errors
    /// When no token can be signed.
    pub(super) fn begin(stage: &mut Stage, phases: &watch::Receiver<Phase>, threads: Threads) -> anyhow::Result<Self> {
        let mut chats = Self { chats: JoinSet::new(), progress: Vec::new(), people: BTreeSet::new() };
        for _ in 0..USERS {
            let person = stage.person("chat")?;
            chats.people.insert(person.number);
            for home in 0..NODES {
                let progress = Arc::<Progress>::default();
                let chat = Chat {
                    tab: Tab::new(stage, &person, phases, home as u64),
                    home,
                    threads,
                    heard: Heard::new(format!("chat{home}"), threads.end()),
                    run: None,
                    moves: false,
                    progress: Arc::clone(&progress),
                };
                chats.progress.push(progress);
                chats.chats.spawn(chat.live());
            }
        }
        Ok(chats)
    }

    pub(super) fn people(&self) -> &BTreeSet<usize> {
        &self.people
    }

    /// Waits until every thread has got some answers more.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub(super) async fn get_answers(&self) -> anyhow::Result<()> {
        let now = |of: &Progress| of.answered.load(Ordering::Relaxed);
        let before: Vec<_> = self.progress.iter().map(|of| (of, now(of))).collect();
        let deadline = Instant::now() + SOME_WITHIN;
        while let Some((of, _)) = before.iter().find(|(of, before)| now(of) < before + SOME) {
            let last = || of.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(Instant::now() < deadline, "a thread got no {SOME} answers within {SOME_WITHIN:?}; {}", last());
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until all have left, after their last answer.
    pub(super) async fn gone(self) -> Vec<(Person, Heard)> {
        self.chats.join_all().await
    }
}

/// One chat.
struct Chat {
    tab: Tab,
    home: usize,
    threads: Threads,
    heard: Heard,
    /// What was asked for and has not ended, and when it is asked for again.
    run: Option<(usize, Option<Instant>)>,
    /// Its node asked it to come to another one: it does, after its answer.
    moves: bool,
    progress: Arc<Progress>,
}

/// Why a chat no longer reads.
enum Stop {
    /// It is to leave, and nothing is owed to it.
    Leave,
    /// The same, and it goes to another node.
    Move,
    /// Its session ended like that.
    Ended(Step),
}

impl Chat {
    async fn live(mut self) -> (Person, Heard) {
        loop {
            let seat = match self.tab.chosen(Some(self.home)) {
                Some(node) => self.enter(node).await,
                None => None,
            };
            let Some(mut seat) = seat else {
                sleep(LOOK_EVERY).await;
                continue;
            };
            let step = match self.follow(&mut seat.client).await {
                Ok(Stop::Leave) => {
                    self.tab.release(seat).await;
                    return (self.tab.person, self.heard);
                }
                Ok(Stop::Move) => {
                    self.tab.release(seat).await;
                    continue;
                }
                Ok(Stop::Ended(step)) => step,
                Err(mishap) => end_of_socket(&mishap),
            };
            self.tab.note(seat.session, seat.node, step);
        }
    }

    /// Opens the thread behind what it has of it.
    async fn enter(&mut self, node: usize) -> Option<Seat> {
        let (thread, resume) = (self.heard.thread().to_owned(), self.heard.resume());
        let resume = resume.as_ref().map(|(after, epoch)| (*after, epoch.as_str()));
        let open = Open { thread: Some(&thread), resume, ..Open::default() };
        let session = self.tab.session();
        let seat = self.tab.enter(node, open, session, self.threads != Threads::AreThere).await?;
        self.on_opened(&seat.opened);
        self.moves = false;
        Some(seat)
    }

    fn on_opened(&mut self, opened: &Opened) {
        self.heard.on_opened(opened);
        // A run that is among the messages, and not in flight, is over. Of any other one nobody knows whether it was
        // accepted: it is asked for again, which is nothing where it is known.
        let is_over = |number: usize| opened.reset && opened.run.is_none() && Heard::has(&opened.messages, number);
        self.run = self.run.filter(|(number, _)| !is_over(*number)).map(|(number, _)| (number, Some(Instant::now())));
    }

    async fn follow(&mut self, client: &mut Client) -> Result<Stop, Mishap> {
        loop {
            match (self.tab.phase(), self.run) {
                (Phase::Leave, None) => return Ok(Stop::Leave),
                (Phase::Play, None) if self.moves => return Ok(Stop::Move),
                (Phase::Play, None) => self.run = Some((self.heard.next_run(), Some(Instant::now()))),
                (Phase::Rest, None) | (_, Some(_)) => {}
            }
            let again = self.run.and_then(|(_, again)| again);
            tokio::select! {
                biased;
                frame = client.next() => if let Some(ended) = self.on_frame(&frame?) {
                    return Ok(Stop::Ended(ended));
                },
                () = at(again) => if let Some((number, again)) = &mut self.run {
                    *again = None;
                    client.run(self.heard.thread(), &Heard::run(*number), &Heard::question(*number)).await?;
                },
                () = self.tab.phase_turns() => {}
            }
        }
    }

    /// How the session ended, if it did.
    fn on_frame(&mut self, frame: &Frame) -> Option<Step> {
        self.progress.note(format!("{} with run {:?} heard last {frame:?}", self.heard.thread(), self.run));
        match frame {
            Frame::Event(event) => {
                if let Some(ended) = self.heard.on_event(event) {
                    self.ends(&ended);
                }
            }
            // What was lost is told by another one.
            Frame::Opened(opened) => {
                self.on_opened(opened);
            }
            Frame::Closed(closed) if closed.thread == self.heard.thread() => return Some(end_of(&closed.reason)),
            Frame::Error(refused) => {
                let after = refused.retry_in.map_or(AGAIN, Duration::from_millis).clamp(AGAIN, 5 * AGAIN);
                self.run = self.run.map(|(number, _)| (number, Some(Instant::now() + after)));
            }
            // Its end was among the messages of a reset.
            Frame::Notice(Notice::Other(code)) if code == "run_ended" => self.run = None,
            Frame::Notice(Notice::Reconnect { .. }) => self.moves = true,
            Frame::Hello(_) | Frame::Closed(_) | Frame::Notice(_) | Frame::Ping | Frame::Unknown(_) => {}
        }
        None
    }

    fn ends(&mut self, run: &str) {
        if self.run.is_some_and(|(number, _)| Heard::run(number) == run) {
            self.run = None;
            self.progress.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
