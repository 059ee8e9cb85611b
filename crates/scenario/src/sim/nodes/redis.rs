//! What Redis holds, and the scripts, each of which is one step: `crates/server/src/cluster/redis/lua`, line by line.
//!
//! The model of the protocol (`crates/leases-model`) has scripts of its own and they do not fit here: it keeps a state in a few
//! bytes, so a lease there is one of fifteen bits, time is a tick that waits for whoever runs, and the choice of a victim is
//! free. Here real gates draw leases without end, clocks run apart, and their choice is what is tried.

use std::collections::{BTreeMap, BTreeSet};

use lychgate::cluster::{Incarnation, LeaseId};
use lychgate_core::{ThreadId, UserId};

use super::mistake::Mistake;

/// Names a data set.
pub(super) type Generation = u64;

/// Letters that a beat reads at most.
const LETTERS: usize = 256;

/// All keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    /// None since a flush.
    pub(super) generation: Option<Generation>,
    /// The server's run that it was made in.
    run: u64,
    since: i64,
    pub(super) table: BTreeMap<Incarnation, Entry>,
    /// When node leases run out.
    until: BTreeMap<Incarnation, i64>,
    mail: BTreeMap<Incarnation, Mail>,
    pub(super) users: BTreeMap<UserId, Places>,
}

/// What a node's entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The data set for which it has said everything that it holds.
    pub(super) settled: Option<Generation>,
    /// The process.
    pub(super) life: u64,
}

#[derive(Clone, Debug, Default)]
struct Mail {
    last: LetterId,
    letters: BTreeMap<LetterId, LeaseId>,
}

/// The name of an entry of a stream: milliseconds of the server's clock, and a number.
pub(super) type LetterId = (i64, u64);

/// A user's leases.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) held: BTreeMap<LeaseId, Held>,
    fence: BTreeMap<LeaseId, i64>,
    /// What is over in truth, whatever a mistake does to `fence`.
    pub(super) over: BTreeSet<LeaseId>,
}

/// A member, with its facts.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) owner: Incarnation,
    pub(super) generation: Generation,
    thread: ThreadId,
    since: i64,
}

/// Who speaks, for what.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) me: Incarnation,
    pub(super) generation: Generation,
    pub(super) user: UserId,
    pub(super) lease: LeaseId,
    pub(super) thread: ThreadId,
}

/// What an acquire says besides.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) gone: Vec<Gone>,
    /// Leases, and the nodes that the caller takes for theirs.
    pub(super) victims: Vec<(LeaseId, Incarnation)>,
}

/// Whose places count as free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Owner(Incarnation),
    Lease(LeaseId),
}

/// What a script about a lease gives.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Granted { used: usize, went: usize },
    Denied(Vec<(LeaseId, Incarnation)>),
    Taken,
    Fenced,
}

/// What a node says with each beat.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    pub(super) me: Incarnation,
    pub(super) joins: bool,
    pub(super) lease_ms: i64,
    pub(super) entry: Entry,
    pub(super) fresh: Generation,
    pub(super) run: u64,
    pub(super) after: LetterId,
}

/// What a beat gives; none for a stranger.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) generation: Generation,
    pub(super) age_ms: i64,
    pub(super) table: BTreeMap<Incarnation, Entry>,
    pub(super) letters: Vec<(LetterId, LeaseId)>,
}

/// What a script did to leases, for the oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is held now, and was not before; an acquire has a limit.
    Held { lease: LeaseId, user: UserId, limit: Option<usize> },
    /// It was held before as well.
    Confirmed { lease: LeaseId, user: UserId },
    /// Somebody else took it.
    Taken { lease: LeaseId, from: Incarnation, as_dead: bool },
    /// It was released.
    Released { lease: LeaseId },
    /// A hint for whoever listens as this incarnation.
    Hint(Incarnation),
}

/// A script at work: the data, the server's clock, what it does.
pub(super) struct Script<'a> {
    pub(super) data: &'a mut Data,
    pub(super) now: i64,
    pub(super) mistake: Option<Mistake>,
    pub(super) changes: Vec<Change>,
}

impl Data {
    /// Whether a lease counts: its node is in the table, and has said so in this data set.
    pub(super) fn counts(&self, held: &Held) -> bool {
        Some(held.generation) == self.generation && self.table.contains_key(&held.owner)
    }

    fn is_fenced(&self, speaker: &Speaker, now: i64) -> bool {
        let lives = self.until.get(&speaker.me).is_some_and(|until| *until > now);
        self.generation != Some(speaker.generation) || !lives
    }
}

impl Script<'_> {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// acquire.lua
    pub(super) fn acquire(&mut self, speaker: &Speaker, wanted: &Wanted) -> Reply {
        if let Some(reply) = self.known(speaker) {
            return reply;
        }
        let places = self.data.users.entry(speaker.user.clone()).or_default();
        if places.held.contains_key(&speaker.lease) {
            let used = places.held.len();
            self.changes.push(Change::Confirmed { lease: speaker.lease, user: speaker.user.clone() });
            return Reply::Granted { used, went: 0 };
        }
        let mut went = 0;
        if places.held.len() >= wanted.limit {
            match self.make_room(speaker, wanted) {
                Ok(victims) => went = victims,
                Err(holders) => return Reply::Denied(holders),
            }
        }
        let used = self.hold(speaker, Some(wanted.limit));
        Reply::Granted { used, went }
    }

    /// Ends as many leases as are needed: dead ones, then victims. Who holds the places, where there are none of these.
    fn make_room(&mut self, speaker: &Speaker, wanted: &Wanted) -> Result<usize, Vec<(LeaseId, Incarnation)>> {
        let ignores_generation = self.makes(Mistake::GenerationIsIgnored);
        let the_dead_make_room = self.makes(Mistake::TheDeadMakeRoom);
        let Some(places) = self.data.users.get_mut(&speaker.user) else { return Ok(0) };
        places.held.retain(|_, held| held.generation == speaker.generation || ignores_generation);
        let is_gone = |lease: &LeaseId, held: &Held| {
            wanted.gone.contains(&Gone::Owner(held.owner)) || wanted.gone.contains(&Gone::Lease(*lease))
        };
        let order = |held: &BTreeMap<LeaseId, Held>| {
            let mut all: Vec<_> = held.iter().map(|(lease, held)| (held.since, *lease, held.owner)).collect();
            all.sort_unstable();
            all
        };
        let all = order(&places.held);
        let (dead, living): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, lease, _)| is_gone(lease, &places.held[lease]));
        let is_there = |(lease, node): &&(LeaseId, Incarnation)| {
            living.iter().any(|(_, living, owner)| (living, owner) == (lease, node))
        };
        let victims: Vec<_> = wanted.victims.iter().filter(is_there).copied().collect();
        // The dead give way to those who live, and not to a newcomer beyond the limit.
        let takes_the_dead = the_dead_make_room && !dead.is_empty();
        let is_denied = victims.is_empty() && living.len() >= wanted.limit && !takes_the_dead;
        let used = living.len() + dead.len();
        let needed = (used + 1).saturating_sub(wanted.limit).min(dead.len() + victims.len());
        let count = dead.len();
        let dead = dead.into_iter().map(|(_, lease, owner)| (lease, owner));
        let ends: Vec<_> = dead.chain(victims).take(needed).collect();
        for (index, (lease, owner)) in ends.into_iter().enumerate() {
            self.take(&speaker.user, lease, owner, index < count);
        }
        match is_denied {
            true => Err(living.into_iter().map(|(_, lease, owner)| (lease, owner)).collect()),
            false => Ok(needed.saturating_sub(count)),
        }
    }

    fn take(&mut self, user: &UserId, lease: LeaseId, from: Incarnation, as_dead: bool) {
        self.finish(user, lease);
        self.changes.push(Change::Taken { lease, from, as_dead });
        // A dead node has no mail: it asks when it comes back.
        if as_dead || self.makes(Mistake::TakesWithoutALetter) {
            return;
        }
        let mail = self.data.mail.entry(from).or_default();
        mail.last = match mail.last {
            (ms, _) if self.now > ms => (self.now, 0),
            (ms, number) => (ms, number + 1),
        };
        mail.letters.insert(mail.last, lease);
        self.changes.push(Change::Hint(from));
    }

    /// assert.lua
    pub(super) fn assert(&mut self, speaker: &Speaker) -> Reply {
        if let Some(reply) = self.known(speaker) {
            return reply;
        }
        let used = self.hold(speaker, None);
        Reply::Granted { used, went: 0 }
    }

    /// release.lua
    pub(super) fn release(&mut self, user: &UserId, lease: LeaseId, thread: &ThreadId) {
        let places = self.data.users.entry(user.clone()).or_default();
        if self.mistake == Some(Mistake::ReleasesTheThread) {
            let of_thread = places.held.iter().find(|(_, held)| held.thread == *thread).map(|(lease, _)| *lease);
            of_thread.map(|other| places.held.remove(&other));
        }
        if !places.fence.contains_key(&lease) {
            self.finish(user, lease);
        }
        self.changes.push(Change::Released { lease });
    }

    /// Fenced, or over already.
    fn known(&self, speaker: &Speaker) -> Option<Reply> {
        if self.data.is_fenced(speaker, self.now) {
            return Some(Reply::Fenced);
        }
        let places = self.data.users.get(&speaker.user)?;
        places.fence.contains_key(&speaker.lease).then_some(Reply::Taken)
    }

    fn hold(&mut self, speaker: &Speaker, limit: Option<usize>) -> usize {
        let Speaker { me, generation, user, lease, thread } = speaker.clone();
        let places = self.data.users.entry(user.clone()).or_default();
        let held = Held { owner: me, generation, thread, since: self.now };
        let change = match places.held.insert(lease, held) {
            Some(_) => Change::Confirmed { lease, user },
            None => Change::Held { lease, user, limit },
        };
        self.changes.push(change);
        places.held.len()
    }

    /// `finish` of the prelude: a late command finds the tombstone.
    fn finish(&mut self, user: &UserId, lease: LeaseId) {
        let now = self.now;
        let leaves_no_tombstone = self.makes(Mistake::LeavesNoTombstone);
        let places = self.data.users.entry(user.clone()).or_default();
        places.held.remove(&lease);
        places.over.insert(lease);
        if !leaves_no_tombstone {
            let last = places.fence.values().max().copied().unwrap_or_default();
            places.fence.insert(lease, now.max(last + 1));
        }
    }

    /// beat.lua
    pub(super) fn beat(&mut self, beat: &Beat) -> Option<Here> {
        let ignores_run = self.makes(Mistake::GenerationIsIgnored) && self.data.generation.is_some();
        if self.data.generation.is_none() || (self.data.run != beat.run && !ignores_run) {
            (self.data.generation, self.data.run, self.data.since) = (Some(beat.fresh), beat.run, self.now);
        }
        let Data { generation, since, table, until, mail, .. } = &mut *self.data;
        let known = table.get(&beat.me).copied();
        if known.is_none() && !beat.joins {
            return None;
        }
        let left = until.get(&beat.me).map_or(0, |until| until - self.now);
        if known != Some(beat.entry) || left <= beat.lease_ms * 4 / 5 {
            until.insert(beat.me, self.now + beat.lease_ms);
            table.insert(beat.me, beat.entry);
        }
        until.retain(|_, until| *until > self.now);
        table.retain(|node, _| until.contains_key(node));
        let mut letters = Vec::new();
        if let Some(mail) = mail.get_mut(&beat.me) {
            let news = mail.letters.iter().filter(|(id, _)| **id > beat.after).take(LETTERS);
            letters = news.map(|(id, lease)| (*id, *lease)).collect();
            if letters.is_empty() {
                mail.letters.clear();
            }
        }
        let age_ms = (self.now - *since).max(0);
        Some(Here { generation: (*generation)?, age_ms, table: table.clone(), letters })
    }
}
