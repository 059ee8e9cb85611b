//! Plays a plan of `crate::plan` over real sockets: the live driver of the one vocabulary.
//!
//! ```text
//! plan --steps--> stage --each user's, in order, users side by side--> actor --cues--> line (a socket's task)
//!                   |                                                                      |
//!                   |-- advance: real time passes                        frames and ends --'
//!                   |-- expect:  until it holds, or for 5 s                                v
//!                   '-- stall:   SIGSTOP, SIGCONT of the gateway            sightings > verdict --> Outcome
//! ```
//!
//! A step that does not wait takes as long as the machine needs, and a step's effect may need a moment to be seen: what a
//! plan expects has to come true within [`SETTLES_WITHIN`]. How long admissions took is shown;
//! only one that took longer than the 10 s of invariant I3 breaks its promise.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use lychgate_core::{Force, Mode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, sleep_until};

use super::Scene;
use super::scene::Remains;
use crate::plan::Plan;
use crate::report::Outcome;
use crate::step::{Expectation, Step, duration_to_text};

mod actor;
mod line;
pub(super) mod playable;
mod sightings;
mod silence;
mod verdict;

use actor::{Actor, Connections};
use sightings::Sightings;
pub(super) use silence::Silence;

/// What a plan expects has to come true within this time: an answer on its way, a close that the gateway has yet to
/// notice, on a machine that does other things as well.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks at what an expectation is about.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// So long the end of a plan waits for answers that are not there yet: the 10 s of invariant I3, and what a machine may
/// add. Whether an answer came in time is judged by its own clock, which began with the open.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(12);

/// A trip through two processes on a machine that does other things as well: no wait worth a note.
const A_MACHINE_TAKES: Duration = Duration::from_millis(250);

/// Between two looks whether a run has to be started again.
const RENEW_EVERY: Duration = Duration::from_millis(250);

/// Where a plan is played.
#[derive(Debug, Clone)]
pub(super) struct Venue {
    /// The gateway and how to reach it.
    pub(super) scene: Arc<Scene>,
    /// The process of the gateway, where it is ours.
    pub(super) process: Option<u32>,
    /// How tabs are made to fall silent.
    pub(super) silence: Silence,
}

/// Plays a plan and tells what was found. `bar` counts its steps.
///
/// # Errors
/// When the machinery fails; what the gateway does wrong stands in the outcome.
pub(super) async fn play(name: &str, plan: &Plan, venue: &Venue, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut stage = Stage::new(name, plan, venue)?;
    bar.set_length(plan.steps.len() as u64);
    let mut next = 0;
    while let Some(step) = plan.steps.get(next) {
        let together = plan.steps[next..].iter().take_while(|step| user_of(step).is_some()).count();
        match turn(step) {
            Turn::User(_) => stage.act(&plan.steps[next..next + together]).await?,
            Turn::Advance(by) => {
                bar.set_message(step.to_string());
                stage.advance(by).await?;
            }
            Turn::Stall(lag) => {
                bar.set_message(step.to_string());
                stage.actors.values().for_each(|actor| actor.shared.write(|it| it.stalls(lag)));
                stall(venue, lag).await?;
            }
            Turn::Expect(expectation) => stage.expect(next + 1, expectation).await?,
            Turn::Nobody => {}
        }
        next += together.max(1);
        bar.set_position(next as u64);
    }
    bar.set_message("everybody leaves");
    let mut outcome = stage.everybody_leaves().await?;
    playable::left_out(plan).into_iter().for_each(|sentence| outcome.note(sentence));
    Ok(outcome)
}

/// Whose turn a step is.
#[derive(Debug, Clone, Copy)]
enum Turn<'a> {
    /// A user's; the others need not wait for it.
    User(u32),
    /// Time's.
    Advance(Duration),
    /// The gateway's process'.
    Stall(Duration),
    /// The judge's.
    Expect(&'a Expectation),
    /// Nobody's: it cannot be played from outside.
    Nobody,
}

fn turn(step: &Step) -> Turn<'_> {
    match step {
        Step::OpenTab { tab, .. }
        | Step::OpenThread { tab, .. }
        | Step::CloseTab { tab, .. }
        | Step::GoSilent(tab)
        | Step::Freeze(tab)
        | Step::WakeUp(tab)
        | Step::StopReading(tab)
        | Step::ReadSome(tab)
        | Step::ReadAgain(tab)
        | Step::Reconnect { tab, .. }
        | Step::Leave { tab, .. }
        | Step::Look(tab)
        | Step::CloseHangs(tab)
        | Step::Expire { tab, .. }
        | Step::Renew { tab, .. } => Turn::User(tab.user),
        Step::Prompt { user, .. } | Step::RunEnds { user, .. } => Turn::User(*user),
        Step::Advance(by) => Turn::Advance(*by),
        Step::StallRuntime(lag) => Turn::Stall(*lag),
        Step::Expect(expectation) => Turn::Expect(expectation),
        Step::CloseFails(_) | Step::PingsFail(_) | Step::Expel(_) | Step::Drain(_) => Turn::Nobody,
    }
}

/// The user whose turn a step is.
pub(super) fn user_of(step: &Step) -> Option<u32> {
    if let Turn::User(user) = turn(step) { Some(user) } else { None }
}

/// The users of a plan and what is known of them.
#[derive(Debug)]
struct Stage {
    outcome: Outcome,
    scene: Arc<Scene>,
    remains: Remains,
    actors: BTreeMap<u32, Actor>,
}

impl Stage {
    fn new(name: &str, plan: &Plan, venue: &Venue) -> anyhow::Result<Self> {
        let began = Instant::now();
        let connections = Connections::default();
        let scene = Arc::new(venue.scene.part());
        let may_refuse = plan.limits()?.force == Force::Never;
        let most_sessions = most_sessions(plan)?;
        let mut actors = BTreeMap::new();
        for user in plan.steps.iter().filter_map(user_of) {
            if let Entry::Vacant(place) = actors.entry(user) {
                let most_lines = plan.everybody.max_connections_per_user;
                let mut sightings = Sightings::new(name, user, most_lines, began);
                sightings.may_refuse = may_refuse;
                sightings.most_sessions = most_sessions;
                let (scene, connections) = (Arc::clone(&scene), Arc::clone(&connections));
                place.insert(Actor::new(user, scene, venue.silence, connections, sightings)?);
            }
        }
        Ok(Self { outcome: Outcome::new(name), scene, remains: venue.silence.remains(plan), actors })
    }

    /// Steps between two waits: each user's in order, the users side by side.
    async fn act(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let mut scripts: BTreeMap<u32, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            if let Some(user) = user_of(step) {
                scripts.entry(user).or_default().push(step);
            }
        }
        let acting = self.actors.iter_mut().filter_map(|(user, actor)| {
            let script = scripts.remove(user)?;
            Some(async move {
                for step in script {
                    actor.act(step).await?;
                }
                anyhow::Ok(())
            })
        });
        try_join_all(acting).await.map(drop)
    }

    /// Time passes. The demo agent's run is given up when it was silent for a minute: one that a plan wants in flight is
    /// started again.
    async fn advance(&mut self, by: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + by;
        while Instant::now() + RENEW_EVERY < end {
            sleep(RENEW_EVERY).await;
            for actor in self.actors.values_mut() {
                actor.renew_runs().await;
            }
        }
        sleep_until(end).await;
        Ok(())
    }

    async fn expect(&mut self, number: usize, expectation: &Expectation) -> anyhow::Result<()> {
        if let Expectation::Waited(most) = expectation {
            self.expect_waited(number, *most);
            return Ok(());
        }
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let Some(seen) = self.contradiction(expectation).await? else { return Ok(()) };
            if Instant::now() >= deadline {
                self.outcome.broke(format!("step {number} `expect {expectation}`: {seen}"));
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// A clock on the wall breaks no promise: a machine that does other things as well is late.
    fn expect_waited(&mut self, number: usize, most: Duration) {
        let waits = self.actors.values().map(|actor| actor.shared.sightings().outcome.admission().longest());
        let longest = waits.max().unwrap_or_default();
        if longest > most + A_MACHINE_TAKES {
            let longest =
                duration_to_text(Duration::from_millis(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)));
            let most = duration_to_text(most);
            self.outcome.note(format!("step {number} expects no wait above {most}; the longest was {longest}"));
        }
    }

    /// What is seen instead of what is expected, if it is not that.
    async fn contradiction(&self, expectation: &Expectation) -> anyhow::Result<Option<String>> {
        let is_open = |tab: &crate::step::Tab, thread| {
            let actor = self.actors.get(&tab.user)?;
            let line = actor.line(tab.number)?;
            Some(actor.shared.sightings().is_open(line, thread))
        };
        let told = |tab: &crate::step::Tab| {
            let actor = self.actors.get(&tab.user)?;
            let line = actor.line(tab.number)?;
            actor.shared.sightings().told(line).cloned()
        };
        let (holds, seen) = match expectation {
            Expectation::Sessions { user, count } => {
                let held = match self.actors.get(user) {
                    Some(actor) => actor.held().await?,
                    None => 0,
                };
                (held == *count as usize, format!("there are {held}"))
            }
            Expectation::Open { tab, thread } => (is_open(tab, *thread) == Some(true), "it is not open".to_owned()),
            Expectation::NotOpen { tab, thread } => (is_open(tab, *thread) != Some(true), "it is open".to_owned()),
            Expectation::Waited(_) => (true, String::new()),
            Expectation::Forced(count) => {
                let forced: u32 = self.actors.values().map(|actor| actor.shared.sightings().forced).sum();
                (forced == *count, format!("it took {forced}"))
            }
            Expectation::Queued { tab, thread, position } => {
                let actor = self.actors.get(&tab.user);
                let line = actor.and_then(|actor| Some((actor, actor.line(tab.number)?)));
                let place = line.and_then(|(actor, line)| actor.shared.sightings().position(line, *thread));
                (place == Some(u64::from(*position)), format!("it was told {place:?}"))
            }
            Expectation::Told { tab, level } => {
                let seen = told(tab).map(|limits| limits.level);
                (seen.as_deref() == Some(level.as_str()), format!("it was told {seen:?}"))
            }
            Expectation::Reserve { user, is_open } => {
                let seen = self.actors.get(user).and_then(|actor| actor.shared.sightings().newest().cloned());
                let open = seen.is_some_and(|limits| limits.reserve_until.is_some());
                (open == *is_open, format!("its connections were told it is {}", if open { "open" } else { "closed" }))
            }
            Expectation::Refused(count) => {
                let refused: u32 = self.actors.values().map(|actor| actor.shared.sightings().no_slots).sum();
                (refused == *count, format!("{refused} were"))
            }
            // What nobody was attached to goes without a word to anybody, and no client sees a breaker.
            Expectation::Evicted(_) | Expectation::Breaker { .. } => (true, String::new()),
        };
        Ok((!holds).then_some(seen))
    }

    /// Whoever still waits gets his answer, or is counted as refused; then everybody goes, and nothing may be left.
    async fn everybody_leaves(mut self) -> anyhow::Result<Outcome> {
        let patience = Instant::now() + LAST_ANSWERS_WITHIN;
        for actor in self.actors.values_mut() {
            let left = patience.saturating_duration_since(Instant::now());
            actor.shared.comes_true(left, |it| it.waiting() == 0).await;
            actor.shared.write(Sightings::give_up);
        }
        try_join_all(self.actors.values_mut().map(Actor::leave_all)).await?;
        let Self { mut outcome, actors, scene, remains } = self;
        for actor in actors.into_values() {
            outcome.absorb(actor.shared.write(|it| std::mem::replace(&mut it.outcome, Outcome::new(""))));
        }
        outcome.leaked(scene.left_behind(remains).await?);
        Ok(outcome)
    }
}

/// Sessions above which no admission may raise a user: the reserve is for those who have runs in flight or pinned sessions,
/// and a plan that has neither may not need it.
fn most_sessions(plan: &Plan) -> anyhow::Result<usize> {
    let everybody = plan.limits()?;
    let is_plain = plan.named.is_empty()
        && everybody.mode == Mode::Enforce
        && everybody.force == Force::Evict
        && everybody.pinned_sessions == 0;
    if is_plain && !plan.steps.iter().any(|step| matches!(step, Step::Prompt { .. })) {
        return Ok(everybody.max_sessions_per_user);
    }
    let named = plan.named.iter().map(|(_, spec)| spec.max_sessions_per_user.saturating_add(spec.reserve_sessions));
    Ok(named.fold(everybody.ceiling(), usize::max))
}

/// The gateway's process stands still for so long.
async fn stall(venue: &Venue, lag: Duration) -> anyhow::Result<()> {
    let process = venue.process.context("a stall needs a gateway that we started ourselves")?;
    let pid = Pid::from_raw(i32::try_from(process)?).context("a process id is positive")?;
    kill_process(pid, Signal::STOP)?;
    sleep(lag).await;
    Ok(kill_process(pid, Signal::CONT)?)
}
