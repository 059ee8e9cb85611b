//! Who plays when, and on which gateway.
//!
//! ```text
//! patient plans: side by side, most of their time is waiting -+- default limits ---> the shared gateway (--url, or ours)
//!                                                             '- stall, own limits -> one of their own
//! busy plans:    one after the other, when the patient are done: a storm would starve the tabs of the others
//! ```
//!
//! A gateway at `--url` cannot be stopped, killed or given other limits by us: what needs that is played on one of our own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::catalogue::{Entry, Play, Written};
use super::gateway::Gateway;
use super::metrics::{Admin, Reclaims};
use super::scene::{MOST_LOGINS, Remains};
use super::script::{self, Silence, Venue, playable};
use super::targets::Targets;
use super::{Scene, drain, gateway_killed, golden_path, namespace, storm, twenty_zombies};
use lychgate_core::LimitSpec;

use crate::plan::Plan;
use crate::report::{Outcome, Show};

/// What is the same for all plans of one call.
#[derive(Debug)]
pub(super) struct Conductor {
    /// The shared gateway.
    pub(super) scene: Arc<Scene>,
    /// The program that gateways of our own are made from; none for the one beside this program.
    pub(super) binary: Option<PathBuf>,
    /// How often twenty-zombies repeats itself.
    pub(super) rounds: u32,
    /// Plans that have a gateway to themselves although they do not need one.
    alone: Vec<String>,
    /// Whom to tell of gateways of our own.
    targets: Option<Targets>,
    bars: MultiProgress,
}

/// What one plan gave.
#[derive(Debug)]
struct Played {
    outcome: Outcome,
    reclaims: Option<Reclaims>,
}

/// Plans of more users than this keep both cores busy.
const MANY_USERS: usize = 50;

impl Conductor {
    pub(super) fn new(scene: Arc<Scene>, binary: Option<PathBuf>, rounds: u32) -> Self {
        Self { scene, binary, rounds, alone: Vec::new(), targets: None, bars: MultiProgress::new() }
    }

    /// The same, where somebody scrapes the gateways.
    pub(super) fn watched(self, alone: Vec<String>, targets: Option<Targets>) -> Self {
        Self { alone, targets, ..self }
    }

    /// Plays all of them and returns what was found, in their order. A plan whose machinery fails has not been played,
    /// and says so: it keeps no promise.
    ///
    /// # Errors
    /// When the shared gateway's own account of itself cannot be read.
    pub(super) async fn play(&self, entries: Vec<Entry>) -> anyhow::Result<Show> {
        let admin = self.scene.admin();
        let (before, taken) = (Reclaims::of(admin).await?, self.scene.taken().await?);
        let mut played: BTreeMap<usize, Played> = BTreeMap::new();
        let mut patient = Vec::new();
        let mut busy = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            if is_busy(&entry) {
                busy.push((index, entry));
            } else {
                patient.push(async move { (index, self.one(&entry).await) });
            }
        }
        played.extend(join_all(patient).await);
        for (index, entry) in busy {
            played.insert(index, self.one(&entry).await);
        }
        let mut show = Show::default();
        if let (Some(admin), Some(before)) = (admin, before) {
            show.reclaims.push(("shared".to_owned(), Reclaims::read(admin).await?.since(&before)));
        }
        for Played { outcome, reclaims } in played.into_values() {
            show.reclaims.extend(reclaims.map(|reclaims| (outcome.plan().to_owned(), reclaims)));
            show.outcomes.push(outcome);
        }
        if let Some(taken) = taken {
            let mut gateway = Outcome::new("the gateway");
            gateway.leaked(self.scene.settle(taken, Remains::Ended).await?);
            show.outcomes.push(gateway);
        }
        Ok(show)
    }

    async fn one(&self, entry: &Entry) -> Played {
        let bar = self.bars.add(progress(&entry.name));
        let played = match entry.sim_only() {
            Some(why) => Ok(skipped(&entry.name, format!("sim only: {why}"))),
            None => self.perform(entry, &bar).await,
        };
        bar.finish_and_clear();
        self.bars.remove(&bar);
        played.unwrap_or_else(|error| {
            let mut outcome = Outcome::new(&entry.name);
            outcome.broke(format!("it could not be played to its end: {error:#}"));
            Played { outcome, reclaims: None }
        })
    }

    async fn perform(&self, entry: &Entry, bar: &ProgressBar) -> anyhow::Result<Played> {
        match &entry.play {
            Play::Script(plan) if needs_own_gateway(plan) || self.alone.contains(&entry.name) => {
                self.on_own_gateway(&entry.name, plan, bar).await
            }
            Play::Script(plan) => {
                let venue = Venue { scene: Arc::clone(&self.scene), process: None, silence: Silence::Mute };
                let outcome = script::play(&entry.name, plan, &venue, bar).await?;
                Ok(Played { outcome, reclaims: None })
            }
            Play::PacketsDropped(_) => match namespace::is_possible().await {
                Ok(way) => {
                    let outcome = namespace::play(way, &entry.name, self.binary.as_deref(), bar).await?;
                    Ok(Played { outcome, reclaims: None })
                }
                Err(why) => Ok(skipped(&entry.name, format!("skipped: {why:#}"))),
            },
            Play::Written(written) => {
                let outcome = self.write(*written, bar).await?;
                Ok(Played { outcome, reclaims: None })
            }
        }
    }

    async fn write(&self, written: Written, bar: &ProgressBar) -> anyhow::Result<Outcome> {
        let scene = self.scene.part();
        let mut outcome = match written {
            Written::GoldenPath => golden_path::play(&scene, bar).await?,
            Written::TwentyZombies => twenty_zombies::play(&scene, self.rounds, bar).await?,
            Written::KnownZombies => twenty_zombies::play_known(&scene, self.rounds, bar).await?,
            Written::Storm => storm::play(&scene, bar).await?,
            Written::Drain => drain::play(self.binary.as_deref(), self.scene.provider(), bar).await?,
            Written::GatewayKilled => gateway_killed::play(self.binary.as_deref(), self.scene.provider(), bar).await?,
        };
        bar.set_message("everybody has left");
        outcome.leaked(scene.left_behind(Remains::Ended).await?);
        Ok(outcome)
    }

    /// On a fresh gateway, in the production profile, with the limits that the plan names.
    async fn on_own_gateway(&self, name: &str, plan: &Plan, bar: &ProgressBar) -> anyhow::Result<Played> {
        let settings = settings(plan);
        let borrowed: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let gateway = Gateway::start_for(self.binary.as_deref(), &borrowed, self.scene.provider()).await?;
        let gateway = gateway.announce(self.targets.as_ref(), name)?;
        let (played, reclaims) = play_on(&gateway, name, plan, Silence::Mute, bar).await;
        let stopped = gateway.stop().await?;
        let mut outcome = played?;
        outcome.absorb(stopped);
        if !settings.is_empty() {
            let told: Vec<_> = plan.settings().into_iter().map(|(key, value)| format!("{key} {value}")).collect();
            outcome.note(format!("on a gateway with limits of its own, as the plan says: {}", told.join(", ")));
        }
        Ok(Played { outcome, reclaims })
    }
}

/// Plays a plan on a gateway that nobody else uses, and looks at what is left on it afterwards.
pub(super) async fn play_on(
    gateway: &Gateway,
    name: &str,
    plan: &Plan,
    silence: Silence,
    bar: &ProgressBar,
) -> (anyhow::Result<Outcome>, Option<Reclaims>) {
    let played = async {
        let scene = Arc::new(gateway.scene());
        let before = scene.taken().await?;
        let venue = Venue { scene: Arc::clone(&scene), process: Some(gateway.process()?), silence };
        let mut outcome = script::play(name, plan, &venue, bar).await?;
        if scene.provider().is_some() && users(plan) > MOST_LOGINS {
            outcome.note(format!("{MOST_LOGINS} of its {} users logged in, the others brought a token", users(plan)));
        }
        if let Some(before) = before {
            outcome.leaked(scene.settle(before, silence.remains(plan)).await?);
        }
        anyhow::Ok(outcome)
    }
    .await;
    let reclaims = Reclaims::read(gateway.admin()).await.ok();
    (played, reclaims)
}

fn skipped(name: &str, why: String) -> Played {
    let mut outcome = Outcome::new(name);
    outcome.skipped(why);
    Played { outcome, reclaims: None }
}

fn is_busy(entry: &Entry) -> bool {
    match &entry.play {
        Play::Script(plan) => users(plan) > MANY_USERS,
        Play::PacketsDropped(_) => false,
        Play::Written(Written::Storm | Written::TwentyZombies | Written::Drain) => true,
        Play::Written(Written::GoldenPath | Written::KnownZombies | Written::GatewayKilled) => false,
    }
}

fn users(plan: &Plan) -> usize {
    let mut users: Vec<u32> = plan.steps.iter().filter_map(script::user_of).collect();
    users.sort_unstable();
    users.dedup();
    users.len()
}

fn needs_own_gateway(plan: &Plan) -> bool {
    playable::needs_process(plan) || users(plan) > MANY_USERS || !settings(plan).is_empty()
}

/// What a plan wants otherwise than the defaults are, as variables of the gateway's environment.
fn settings(plan: &Plan) -> Vec<(String, String)> {
    let variable = |section: &str, key: &str| format!("LYCHGATE__{section}__{}", key.to_uppercase());
    let everybody = plan.settings().into_iter().map(|(key, value)| match key.strip_prefix("forecast_") {
        Some(key) => (variable("FORECAST", key), value),
        None => (variable("LIMITS", key), value),
    });
    let named = plan.named_settings().into_iter().flat_map(|(name, keys)| {
        let section = format!("PLANS__{}", name.to_uppercase());
        keys.into_iter().map(move |(key, value)| (variable(&section, key), value)).collect::<Vec<_>>()
    });
    let mut settings: Vec<_> = everybody.chain(named).collect();
    // Whoever may have few connections may not have more of them on one session.
    if let Ok(limits) = plan.limits()
        && limits.max_connections_per_user < LimitSpec::default().max_connections_per_session
    {
        let session = limits.max_connections_per_session.to_string();
        settings.push((variable("LIMITS", "max_connections_per_session"), session));
    }
    settings
}

/// A bar on standard error where that is a terminal, and nothing elsewhere.
pub(super) fn progress(plan: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>32} {bar:32} {pos}/{len} {wide_msg}");
    let bar = ProgressBar::new(1).with_prefix(plan.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The shared gateway's admin listener, where it is known.
impl Reclaims {
    async fn of(admin: Option<Admin>) -> anyhow::Result<Option<Self>> {
        match admin {
            Some(admin) => Ok(Some(Self::read(admin).await?)),
            None => Ok(None),
        }
    }
}
