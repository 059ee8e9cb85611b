//! The beat of this node: shows that it lives, learns who else does, and finds out what became of the store.
//!
//! ```text
//! every second --beat--> here      the table, mail: leases that are over     --> State, Ledger, Follower
//!                        stranger  buried, or the data set was lost: join anew under another incarnation
//!                        (none)    away: try again every 250 ms
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use super::link::Link;
use super::scripts::{Beat, BeatReply, Here, Intent};
use super::state::{Member, Settled, State, Term};
use crate::cluster::lease::Trouble;
use crate::cluster::node::Incarnation;
use crate::wire::millis;

/// Between two tries while the store is away.
const PROBE: Duration = Duration::from_millis(250);
/// Between two beats while newcomers wait for other nodes to say what they hold.
const HASTE: Duration = Duration::from_millis(50);
/// Beats in a row at most, each made necessary by the one before: joined anew, then told that everything was said.
const MAX_BEATS: u32 = 4;

/// The node's part of the protocol; one task runs it.
pub(super) struct Heart {
    shared: Arc<Shared>,
    link: Option<Link>,
    me: Incarnation,
    intent: Intent,
    /// The last letter that was read.
    after: String,
    /// What this node's entry says is settled.
    published: String,
    /// Nodes of the data set before this one, by their lives, that may still hold sessions.
    awaited: BTreeSet<u64>,
    /// When the store answered after a silence in which leases may have run out.
    heard_again: Option<Instant>,
    /// Who was in the table before that silence and is not in it yet, by their lives.
    missing: BTreeSet<u64>,
    /// Since when the others may know this node.
    joined: Instant,
    sessions: u64,
    counted: Instant,
}

impl Heart {
    pub(super) fn new(shared: Arc<Shared>, link: Option<Link>) -> Self {
        Self {
            me: Incarnation(shared.random()),
            shared,
            link,
            intent: Intent::Join,
            after: NO_LETTER.to_owned(),
            published: NOTHING.to_owned(),
            awaited: BTreeSet::new(),
            heard_again: None,
            missing: BTreeSet::new(),
            joined: Instant::now(),
            sessions: 0,
            counted: Instant::now(),
        }
    }

    /// Beats until the task is aborted.
    pub(super) async fn run(mut self) {
        loop {
            let pause = match self.beat().await {
                Ok(()) => self.pause(),
                Err(trouble) => {
                    self.link = None;
                    self.shared.lost(trouble);
                    sleep(PROBE).await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.wake.notified() => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let interval = self.shared.interval();
        match self.shared.state.borrow().settled {
            Settled::Yes => interval,
            Settled::Until(_) => interval.min(HASTE),
        }
    }

    /// Beats until the store and this node agree about each other.
    pub(super) async fn beat(&mut self) -> Result<(), Trouble> {
        for _ in 0..MAX_BEATS {
            let link = match &self.link {
                Some(link) => link.clone(),
                None => self.link.insert(self.shared.dialer.open().await.map_err(Trouble::from)?.0).clone(),
            };
            let entry = self.entry();
            let fresh = format!("{:016x}", self.shared.random());
            let term = self.shared.state.borrow().term.clone();
            let beat = Beat {
                me: self.me,
                intent: self.intent,
                lease_ms: millis(self.shared.settings.node_lease),
                entry: &entry,
                fresh: &fresh,
                name: &self.shared.settings.name,
                after: &self.after,
                known: term.as_ref().map_or("", |term| &term.generation),
            };
            let left = Instant::now();
            match self.shared.scripts.beat(&link, &beat).await? {
                BeatReply::Foreign => return Err(Trouble::Foreign),
                BeatReply::Stranger => {
                    self.me = Incarnation(self.shared.random());
                    self.intent = Intent::Join;
                    NO_LETTER.clone_into(&mut self.after);
                }
                BeatReply::Here(here) => {
                    self.intent = Intent::Stay;
                    let generation = here.generation.clone();
                    self.on_here(here, link, left);
                    if self.published == generation || !self.shared.ledger().is_told() {
                        return Ok(());
                    }
                    self.published = generation;
                }
            }
        }
        Ok(())
    }

    /// What the table says of this node. Its count of sessions is renewed as often as its lease: more would be a write for
    /// each beat.
    fn entry(&mut self) -> String {
        if self.counted.elapsed() >= self.shared.settings.node_lease / 5 {
            self.counted = Instant::now();
            self.sessions = self.shared.ledger().len() as u64;
        }
        let mut card = self.shared.card.clone();
        card.sessions = self.sessions;
        Member { settled: self.published.clone(), life: self.shared.life, card, left_ms: 0 }.to_text()
    }

    fn on_here(&mut self, here: Here, link: Link, left: Instant) {
        let before = self.shared.state.borrow().clone();
        let member = |(incarnation, (entry, left_ms)): (&Incarnation, &(String, u64))| {
            (*incarnation, Member::from_text(entry, *left_ms))
        };
        let table = here.entries.iter().map(member).collect();
        self.note_missing(&before, &table, left);
        let term = match &before.term {
            Some(term) if term.me == self.me && term.generation == here.generation => Arc::clone(term),
            _ => self.begin_term(&here.generation),
        };
        let is_complete = self.is_complete(&here, &table);
        self.shared.state.send_modify(|state| {
            state.settled = match (is_complete, before.settled) {
                (true, _) => Settled::Yes,
                (false, Settled::Until(until)) if before.term.as_ref() == Some(&term) => Settled::Until(until),
                (false, Settled::Yes | Settled::Until(_)) => Settled::Until(left + self.shared.patience()),
            };
            (state.link, state.term, state.beaten) = (Some(link), Some(term), Some(left));
            if state.trouble.take().is_some() {
                state.clear_since = Instant::now();
            }
            state.table = Arc::new(table);
        });
        for letter in here.letters {
            if let Some(lease) = letter.lease {
                self.shared.taken(lease, letter.epoch);
            }
            self.after = letter.id;
        }
        self.shared.tell_health();
    }

    /// Everything that this node holds has to be said anew.
    fn begin_term(&mut self, generation: &str) -> Arc<Term> {
        let (before, table, was_settled) = {
            let state = self.shared.state.borrow();
            (state.term.clone(), Arc::clone(&state.table), state.settled == Settled::Yes)
        };
        match &before {
            Some(term) if term.generation != generation => {
                let others = table.values().map(|member| member.life).filter(|life| *life != self.shared.life);
                // Lost twice in a row: whom the one before this waited for is waited for still.
                if was_settled {
                    self.awaited.clear();
                }
                self.awaited.extend(others.chain(self.missing.iter().copied()));
                // The clock of another server may be behind: its letters would count as read.
                NO_LETTER.clone_into(&mut self.after);
                NOTHING.clone_into(&mut self.published);
            }
            // It is new, or was buried: nobody waits for it, and the others have yet to see it.
            Some(_) | None => self.joined = Instant::now(),
        }
        let number = before.map_or(1, |term| term.number + 1);
        self.shared.ledger().begin_term(number);
        self.shared.clerk.notify_one();
        let term = Term { number, me: self.me, generation: generation.to_owned() };
        tracing::info!(incarnation = %term.me, generation, "this node counts with the others from now on");
        Arc::new(term)
    }

    /// Where the store was silent for so long that leases ran out, who is out of the table is on his way back for as long as a
    /// newcomer waits. Otherwise he has left, or is dead.
    fn note_missing(&mut self, before: &State, table: &BTreeMap<Incarnation, Member>, left: Instant) {
        if before.beaten.is_some_and(|beaten| left.duration_since(beaten) >= self.shared.settings.node_lease / 2) {
            self.heard_again = Some(left);
        }
        if self.heard_again.is_none_or(|since| since.elapsed() >= self.shared.patience()) {
            return self.missing.clear();
        }
        self.missing.extend(before.table.values().map(|member| member.life));
        let here: BTreeSet<u64> = table.values().map(|member| member.life).collect();
        self.missing.retain(|life| !here.contains(life));
    }

    /// Whether everybody who may hold a session has said so in this data set. A node of which nothing is heard for as long
    /// as its lease would have lasted is as dead as one whose lease ran out.
    fn is_complete(&self, here: &Here, table: &BTreeMap<Incarnation, Member>) -> bool {
        // Whom nobody has seen yet nobody would wait for if the data were lost now: he holds nothing before all others have
        // beaten once. It is less than the newcomer's patience.
        let is_seen = self.joined.elapsed() >= self.shared.patience() * 3 / 4;
        let is_settled = |member: &Member| member.settled == here.generation;
        let mut others = table.iter().filter(|(incarnation, _)| **incarnation != self.me);
        // Under which name it does not matter: one that it had before may be in the table still.
        let has_told = |life: &u64| table.values().any(|member| member.life == *life && is_settled(member));
        let is_back = |life: &u64| *life == self.shared.life || has_told(life);
        let are_back = here.age_ms >= millis(self.shared.settings.node_lease) || self.awaited.iter().all(is_back);
        is_seen && are_back && self.shared.ledger().is_told() && others.all(|(_, member)| is_back(&member.life))
    }
}

/// Before the first letter.
const NO_LETTER: &str = "0-0";
/// What a node's entry says before it has said anything.
const NOTHING: &str = "-";
