//! Judges from the outside, with all nodes and Redis in view: what is served, where it was granted, who took it.
//!
//! ```text
//!  scripts  --held, taken, released--+
//!                                    +--> places: what is held in truth --> Rule
//!  gates    --created, ended, kept---'      known | lost by Redis | admitted without it
//! ```
//!
//! The slack of docs/cluster.md is in the marks of a place: one that Redis lost, or never heard of, does not count against a
//! grant until its node has told it; one that was taken does not count at all, and has to go as soon as its node can know.

use std::collections::{BTreeMap, BTreeSet};

use lychgate::cluster::LeaseId;
use lychgate_core::gate::io::Cause;
use lychgate_core::lease::Wish;
use lychgate_core::{ConnectionId, LimitSpec, RunId, SessionKey, Time, UserId};

use super::redis::{Change, Data};

mod calm;
mod heard;
mod rule;
mod runs;

pub use rule::{Rule, Tally, Violation};

/// A place that somebody holds in truth.
#[derive(Clone, Debug)]
struct Place {
    user: UserId,
    seat: usize,
    mark: Mark,
    /// Nobody holds it any more, and Redis was not told: its process is gone, or the release is on its way. It counts
    /// until somebody takes it, for Redis cannot tell.
    is_over: bool,
}

/// What Redis can know of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Known,
    /// It was granted in a data set that is lost, and not told since.
    Lost,
    /// It was admitted by its node's own count, and not told yet.
    Unheard,
}

/// A session as its gate tells of it.
#[derive(Clone, Debug)]
struct Session {
    lease: Option<LeaseId>,
    connections: Vec<ConnectionId>,
    /// Since when there is a tab.
    attended: Time,
    /// When it last was used, or a run began or ended.
    changed: Time,
}

/// An open that is not answered.
#[derive(Clone, Debug)]
struct Pending {
    seat: usize,
    since: Time,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Oracle {
    pub(super) tally: Tally,
    pub(super) violation: Option<Violation>,
    pub(super) step: usize,
    limit: usize,
    ceiling: usize,
    places: BTreeMap<LeaseId, Place>,
    released: BTreeSet<LeaseId>,
    ever_taken: BTreeSet<LeaseId>,
    /// Taken, and not heard of by its node.
    untold: BTreeMap<LeaseId, (usize, Time)>,
    /// Which process draws leases on which seat.
    lives: BTreeMap<u64, usize>,
    /// The lease that a session asks for, or has.
    leases: BTreeMap<(usize, SessionKey), LeaseId>,
    sessions: BTreeMap<(usize, SessionKey), Session>,
    /// Runs in flight, and since when.
    runs: BTreeMap<(usize, SessionKey), BTreeMap<RunId, Time>>,
    silent: BTreeSet<ConnectionId>,
    opens: BTreeMap<ConnectionId, Pending>,
    calm: calm::Calm,
}

impl Oracle {
    pub(super) fn new(spec: &LimitSpec) -> Self {
        let limit = spec.max_sessions_per_user;
        Self {
            tally: Tally { plans: 1, ..Tally::default() },
            violation: None,
            step: 0,
            limit,
            ceiling: limit + spec.reserve_sessions,
            places: BTreeMap::new(),
            released: BTreeSet::new(),
            ever_taken: BTreeSet::new(),
            untold: BTreeMap::new(),
            lives: BTreeMap::new(),
            leases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            runs: BTreeMap::new(),
            silent: BTreeSet::new(),
            opens: BTreeMap::new(),
            calm: calm::Calm::default(),
        }
    }

    pub(super) fn fail(&mut self, rule: Rule, at: Time, detail: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { rule, step: self.step, at, detail: detail() });
            self.tally.violations += 1;
        }
    }

    pub(super) fn lives(&mut self, life: u64, seat: usize) {
        self.lives.insert(life, seat);
    }

    /// A process is gone, with all that it held.
    pub(super) fn died(&mut self, seat: usize) {
        self.lives.retain(|_, of| *of != seat);
        self.places.retain(|_, place| place.seat != seat || place.mark == Mark::Known);
        self.places.values_mut().filter(|place| place.seat == seat).for_each(|place| place.is_over = true);
        self.untold.retain(|_, (of, _)| *of != seat);
        self.sessions.retain(|(of, _), _| *of != seat);
        self.leases.retain(|(of, _), _| *of != seat);
        self.runs.retain(|(of, _), _| *of != seat);
        self.opens.retain(|_, open| open.seat != seat);
        self.calm.stood_still(seat);
    }

    /// The data set is another one: what was granted has to be told again, and what was taken may not have been.
    pub(super) fn lost_data(&mut self, now: Time) {
        self.tally.lost += 1;
        self.calm.lost(now);
        self.places.retain(|_, place| !place.is_over);
        let known = self.places.values_mut().filter(|place| place.mark == Mark::Known);
        known.for_each(|place| place.mark = Mark::Lost);
        self.untold.clear();
    }

    /// What one script did.
    pub(super) fn changed(&mut self, now: Time, data: &Data, changes: &[Change]) {
        let granted = changes.iter().find_map(|change| match change {
            Change::Held { user, limit: Some(limit), lease } => Some((user, *limit, lease.life)),
            Change::Held { .. } | Change::Confirmed { .. } | Change::Taken { .. } => None,
            Change::Released { .. } | Change::Hint(_) => None,
        });
        // A place that a dead node had counts for nobody any more.
        let dead = changes
            .iter()
            .filter(|change| matches!(change, Change::Taken { lease, as_dead: true, .. } if self.is_known(*lease)));
        let dead = dead.count();
        let before = granted.map(|(user, ..)| self.known(user).saturating_sub(dead));
        for change in changes {
            match change {
                Change::Held { lease, user, .. } | Change::Confirmed { lease, user } => {
                    self.on_held(now, data, *lease, user);
                }
                Change::Taken { lease, from, as_dead } => {
                    if granted.is_none() && !as_dead {
                        self.fail(Rule::Swap, now, || format!("{lease} was taken for nobody"));
                    }
                    let is_own = granted.is_some_and(|(_, _, life)| life == lease.life);
                    let lives = data.table.contains_key(from) || is_own;
                    if *as_dead && lives && self.is_served(*lease) {
                        self.fail(Rule::Swap, now, || {
                            format!("{lease} of {from}, which lives, was taken as a dead one's")
                        });
                    }
                    self.on_taken(now, *lease, *as_dead);
                }
                Change::Released { lease } if self.places.get(lease).is_some_and(|it| !it.is_over) => {
                    self.fail(Rule::Swap, now, || format!("{lease} was ended, and nobody got its place in that step"));
                }
                Change::Released { lease } => _ = self.places.remove(lease),
                Change::Hint(_) => {}
            }
        }
        if let (Some((user, limit, _)), Some(before)) = (granted, before) {
            self.on_granted(now, user, limit.min(self.ceiling).max(before));
        }
    }

    fn is_served(&self, lease: LeaseId) -> bool {
        self.sessions.values().any(|session| session.lease == Some(lease))
    }

    fn on_held(&mut self, now: Time, data: &Data, lease: LeaseId, user: &UserId) {
        if data.users.get(user).is_some_and(|places| places.over.contains(&lease)) {
            self.fail(Rule::Over, now, || format!("{lease} was over, and is held again"));
        }
        // A late command of a process that is gone, or for somebody who is: nobody serves it.
        let seat = self.lives.get(&lease.life).copied();
        let is_over = seat.is_none() || self.released.contains(&lease);
        let seat = seat.unwrap_or(usize::MAX);
        self.places.insert(lease, Place { user: user.clone(), seat, mark: Mark::Known, is_over });
    }

    fn on_taken(&mut self, now: Time, lease: LeaseId, as_dead: bool) {
        match as_dead {
            true => self.tally.buried += 1,
            false => self.tally.swapped += 1,
        }
        self.ever_taken.insert(lease);
        self.judge_choice(now, lease);
        if let Some(place) = self.places.remove(&lease).filter(|place| !place.is_over) {
            self.untold.insert(lease, (place.seat, now));
        }
    }

    fn on_granted(&mut self, now: Time, user: &UserId, most: usize) {
        self.tally.granted += 1;
        let after = self.known(user);
        if after > most {
            self.fail(Rule::Limit, now, || format!("a grant raised {user} to {after} places of {most}"));
        }
        self.judge_told(now, user);
    }

    /// Places that Redis can know of.
    fn known(&self, user: &UserId) -> usize {
        self.places.values().filter(|place| place.user == *user && place.mark == Mark::Known).count()
    }

    fn is_known(&self, lease: LeaseId) -> bool {
        self.places.get(&lease).is_some_and(|place| place.mark == Mark::Known)
    }

    fn wished(&mut self, now: Time, seat: usize, life: u64, wish: &Wish) {
        match wish {
            Wish::Acquire { key, lease, .. } => {
                let lease = LeaseId { life, number: lease.number() };
                self.leases.insert((seat, key.clone()), lease);
            }
            Wish::Keep { key, lease } => {
                let lease = LeaseId { life, number: lease.number() };
                self.tally.alone += 1;
                self.judge_alone(now, seat, key);
                let place = Place { user: key.user().clone(), seat, mark: Mark::Unheard, is_over: false };
                if !self.ever_taken.contains(&lease) {
                    self.places.entry(lease).or_insert(place);
                }
                self.leases.insert((seat, key.clone()), lease);
                if let Some(session) = self.sessions.get_mut(&(seat, key.clone())) {
                    session.lease = Some(lease);
                }
            }
            Wish::Release { lease, .. } => self.is_over(LeaseId { life, number: lease.number() }),
            Wish::Ask { .. } | Wish::Supersede { .. } => {}
        }
    }

    /// Its node says so, or has heard it.
    fn is_over(&mut self, lease: LeaseId) {
        self.released.insert(lease);
        self.untold.remove(&lease);
        match self.places.get_mut(&lease) {
            Some(place) if place.mark == Mark::Known => place.is_over = true,
            Some(_) | None => _ = self.places.remove(&lease),
        }
    }

    fn on_created(&mut self, now: Time, seat: usize, key: &SessionKey) {
        let at = (seat, key.clone());
        let lease = self.leases.get(&at).copied();
        self.sessions.insert(at, Session { lease, connections: Vec::new(), attended: now, changed: now });
    }

    fn on_evicted(&mut self, now: Time, seat: usize, key: &SessionKey, cause: &Cause) {
        let Some(session) = self.sessions.remove(&(seat, key.clone())) else { return };
        let lives = session.connections.iter().any(|connection| !self.silent.contains(connection));
        let is_taken = session.lease.is_some_and(|lease| self.ever_taken.contains(&lease));
        let is_fair = match cause {
            Cause::Newcomer(_) => true,
            Cause::OtherNode => is_taken,
            Cause::Pressure | Cause::Order => !lives,
        };
        if !is_fair {
            self.fail(Rule::Closed, now, || format!("{key} on n{seat} was closed, for {cause:?}"));
        }
        session.lease.into_iter().for_each(|lease| self.is_over(lease));
    }

    fn on_ended(&mut self, seat: usize, key: &SessionKey) {
        let session = self.sessions.remove(&(seat, key.clone()));
        session.and_then(|session| session.lease).into_iter().for_each(|lease| self.is_over(lease));
    }

    pub(super) fn silenced(&mut self, connection: ConnectionId) {
        self.silent.insert(connection);
    }

    pub(super) fn found_silent(&mut self, now: Time, seat: usize, was_asked: bool) {
        if !was_asked {
            self.fail(Rule::Silence, now, || {
                format!("n{seat} finds a node silent that it did not ask, or could not hear")
            });
        }
    }
}
