//! `[remediation]` and `[remediation.rules.NAME]`: what the gateway does by itself when an alert fires.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::ReclaimLevel;
use serde::{Deserialize, Serialize};

use super::agents::Agents;
use super::error::{Fault, in_range};
use super::value::Span;

/// Alerts of one user.
pub const USER_ALERTS: [&str; 4] = ["LychgateUserAt50", "LychgateUserAt60", "LychgateUserAt70", "LychgateUserAt100"];

/// Alerts that a rule may act on: those of the catalogue, which a test compares with it. The catalogue itself cannot be asked
/// here, because it asks the configuration.
pub const ALERTS: [&str; 20] = [
    "LychgateUserAt50",
    "LychgateUserAt60",
    "LychgateUserAt70",
    "LychgateUserAt100",
    "LychgateLimitsInSight",
    "LychgateNodeFullSoon",
    "LychgateLockout",
    "LychgateCleanupFailing",
    "LychgateWrongVerdict",
    "LychgateBreakerOpen",
    "LychgateAgentDown",
    "LychgateRuntimeStalled",
    "LychgateReaperLate",
    "LychgateJournalTrouble",
    "LychgateNotReady",
    "LychgateAdmissionSlow",
    "LychgateDescriptorsLow",
    "LychgateRepaired",
    "LychgateEyesImpaired",
    "LychgateClusterUnknown",
];

/// The alert that must not have newcomers turned away.
const LOCKOUT: &str = "LychgateLockout";

/// The longest that newcomers may be turned away at a time.
const MAX_SHED: Duration = Duration::from_secs(600);

/// More than anybody needs by mistake.
const MAX_SESSIONS: usize = 1_000;

/// How often a rule may act within an hour, at most.
const MAX_PER_HOUR: usize = 1_000;

const MAX_NAME_BYTES: usize = 64;

/// `[remediation]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remediation {
    /// In the order of their names.
    pub rules: Vec<Rule>,
}

/// Whether something is done, or only told. Ordered: [`Acting::On`] is the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Acting {
    /// Neither.
    #[default]
    Off,
    /// It is told, counted and written down, and not done.
    DryRun,
    /// It is done.
    On,
}

impl Acting {
    /// The word in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::On => "on",
        }
    }
}

/// `[remediation.rules.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// NAME.
    pub name: String,
    /// The alert that it acts on.
    pub when: String,
    /// For how long that has to fire. Default no time at all.
    pub holds_for: Duration,
    /// What is done.
    pub action: Action,
    /// The lesser of the rule's own mode and that of all rules.
    pub mode: Acting,
    /// Between two uses for the same user, or for the node. Default 10 min.
    pub cooldown: Duration,
    /// Uses within an hour, for all users together. Default 60 for what concerns one user, 6 for the node, 1 for a drain.
    pub at_most: usize,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reclaims sessions of the user; never at [`ReclaimLevel::Force`].
    Reclaim(ReclaimLevel),
    /// Lends the user another limit.
    LendLimit {
        /// Sessions.
        sessions: usize,
        /// For how long.
        lasting: Duration,
    },
    /// Turns away users who are not here yet, with a time to come back.
    Shed {
        /// For how long.
        lasting: Duration,
    },
    /// Drains the node and stops it.
    Drain,
    /// Has an agent asked again at once.
    RestartAgentBreaker {
        /// Its name.
        agent: String,
    },
}

impl Action {
    /// The word in the configuration, in metrics and in the audit log.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reclaim(_) => "reclaim",
            Self::LendLimit { .. } => "lend_limit",
            Self::Shed { .. } => "shed",
            Self::Drain => "drain",
            Self::RestartAgentBreaker { .. } => "restart_agent_breaker",
        }
    }

    fn default_per_hour(&self) -> usize {
        match self {
            Self::Reclaim(_) | Self::LendLimit { .. } => 60,
            Self::Shed { .. } | Self::RestartAgentBreaker { .. } => 6,
            Self::Drain => 1,
        }
    }

    /// Whether it is about one user.
    #[must_use]
    pub fn is_of_user(&self) -> bool {
        match self {
            Self::Reclaim(_) | Self::LendLimit { .. } => true,
            Self::Shed { .. } | Self::Drain | Self::RestartAgentBreaker { .. } => false,
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRemediation {
    mode: Acting,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<String, RawRule>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    holds_for: Option<Span>,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    action: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Acting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasting: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_again: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Reclaim,
    LendLimit,
    Shed,
    Drain,
    RestartAgentBreaker,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Conservative,
    Moderate,
    Aggressive,
    Force,
}

impl RawRemediation {
    /// `limit`: sessions that a user may hold by `limits.max_sessions_per_user`.
    pub(super) fn check(&self, agents: &Agents, limit: usize) -> Result<Remediation, Fault> {
        let rules = self.rules.iter().map(|(name, raw)| At { name, raw, mode: self.mode, agents, limit }.check());
        Ok(Remediation { rules: rules.collect::<Result<_, Fault>>()? })
    }
}

/// The rule that is being checked.
struct At<'a> {
    name: &'a str,
    raw: &'a RawRule,
    mode: Acting,
    agents: &'a Agents,
    limit: usize,
}

impl At<'_> {
    fn key(&self, field: &str) -> String {
        format!("remediation.rules.{}.{field}", self.name)
    }

    fn fault(&self, field: &str, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault::value(self.key(field), what, remedy)
    }

    fn check(&self) -> Result<Rule, Fault> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.chars().all(is_plain) {
            return Err(Fault::value(
                "remediation.rules",
                format!("holds {:?}, which is no name of a rule", self.name),
                "A name has 1 to 64 letters, digits, dots, dashes and underscores: the audit log says which rule acted by it.",
            ));
        }
        let when = self.when()?;
        let action = self.action()?;
        self.stray_keys(&action)?;
        if action.is_of_user() && !USER_ALERTS.contains(&when.as_str()) {
            let what = format!("is {when:?}, which names no user, and `{}` is done to one", action.as_str());
            return Err(self.fault("when", what, format!("Choose one of {}.", USER_ALERTS.join(", "))));
        }
        if !action.is_of_user() && USER_ALERTS.contains(&when.as_str()) {
            let what = format!("is {when:?}: for the sake of one user nothing is done to the whole node");
            return Err(self.fault("when", what, "Choose an alert of the node; docs/alerts.md lists them."));
        }
        self.feeds_itself(&when, &action)?;
        let cooldown = self.raw.cooldown.map_or(Duration::from_secs(600), |span| span.0);
        if cooldown < Duration::from_secs(1) {
            return Err(self.fault("cooldown", "is shorter than a second", "Set it to \"1s\" or more."));
        }
        if let Action::Shed { lasting } = action
            && cooldown < lasting * 2
        {
            return Err(Fault::against(self.key("cooldown"), "must be at least twice as long as", self.key("lasting")));
        }
        let at_most = self.raw.at_most.unwrap_or_else(|| action.default_per_hour());
        in_range(&self.key("at_most"), at_most, 1, MAX_PER_HOUR)?;
        Ok(Rule {
            name: self.name.to_owned(),
            when,
            holds_for: self.raw.holds_for.map_or(Duration::ZERO, |span| span.0),
            action,
            mode: self.raw.mode.unwrap_or(Acting::On).min(self.mode),
            cooldown,
            at_most,
        })
    }

    /// Users who are turned away because of a lockout are locked out themselves.
    fn feeds_itself(&self, when: &str, action: &Action) -> Result<(), Fault> {
        match action {
            Action::Shed { .. } if when == LOCKOUT => Err(self.fault(
                "when",
                format!("is {LOCKOUT:?}, and `shed` answers a lockout with a larger one"),
                "Shed before it comes to that, by \"LychgateNodeFullSoon\", \"LychgateAdmissionSlow\" or \"LychgateDescriptorsLow\".",
            )),
            Action::Shed { .. }
            | Action::Reclaim(_)
            | Action::LendLimit { .. }
            | Action::Drain
            | Action::RestartAgentBreaker { .. } => Ok(()),
        }
    }

    fn when(&self) -> Result<String, Fault> {
        let all = || format!("The alerts are {}.", ALERTS.join(", "));
        match self.raw.when.as_deref() {
            None => Err(self.fault("when", "is not set", all())),
            Some(name) if ALERTS.contains(&name) => Ok(name.to_owned()),
            Some(name) => {
                let distance = |alert: &&&str| strsim::damerau_levenshtein(&alert.to_lowercase(), &name.to_lowercase());
                let nearest = ALERTS.iter().min_by_key(distance).copied().unwrap_or_default();
                let what = format!("is {name:?}, and there is no such alert");
                Err(self.fault("when", what, format!("Did you mean {nearest:?}? {}", all())))
            }
        }
    }

    fn action(&self) -> Result<Action, Fault> {
        let Some(word) = self.raw.action else {
            let remedy = "Set it to \"reclaim\", \"lend_limit\", \"shed\", \"drain\" or \"restart_agent_breaker\".";
            return Err(self.fault("do", "is not set", remedy));
        };
        Ok(match word {
            Word::Reclaim => Action::Reclaim(self.level()?),
            Word::LendLimit => {
                let Some(sessions) = self.raw.sessions else {
                    return Err(self.fault("sessions", "is not set", "Say how many sessions the user may hold then."));
                };
                in_range(&self.key("sessions"), sessions, 1, MAX_SESSIONS)?;
                self.lends_more(sessions)?;
                Action::LendLimit { sessions, lasting: self.lasting(Duration::MAX)? }
            }
            Word::Shed => Action::Shed { lasting: self.lasting(MAX_SHED)? },
            Word::Drain => self.drain()?,
            Word::RestartAgentBreaker => Action::RestartAgentBreaker { agent: self.agent()? },
        })
    }

    /// A limit that is lent to help must not be lower than the one that everybody has: it would shut out whom it is for.
    fn lends_more(&self, sessions: usize) -> Result<(), Fault> {
        let limit = self.limit;
        match sessions > limit {
            true => Ok(()),
            false => Err(self.fault(
                "sessions",
                format!(
                    "is {sessions}, which is not above limits.max_sessions_per_user = {limit}: nothing would be lent"
                ),
                format!("Set it to {} or more.", limit.saturating_add(1)),
            )),
        }
    }

    fn level(&self) -> Result<ReclaimLevel, Fault> {
        match self.raw.level {
            Some(Level::Conservative) => Ok(ReclaimLevel::Conservative),
            Some(Level::Moderate) => Ok(ReclaimLevel::Moderate),
            Some(Level::Aggressive) => Ok(ReclaimLevel::Aggressive),
            Some(Level::Force) => Err(self.fault(
                "level",
                "is \"force\", which takes a session that is alive, and no rule may",
                "Set it to \"aggressive\" or less; an admission that needs a slot uses force by itself.",
            )),
            None => {
                Err(self.fault("level", "is not set", "Set it to \"conservative\", \"moderate\" or \"aggressive\"."))
            }
        }
    }

    fn lasting(&self, most: Duration) -> Result<Duration, Fault> {
        match self.raw.lasting {
            None => Err(self.fault(
                "lasting",
                "is not set",
                "Say for how long, such as \"5m\": nothing is done without an end.",
            )),
            Some(Span(lasting)) if lasting.is_zero() => {
                Err(self.fault("lasting", "is no time at all", "Say for how long, such as \"5m\"."))
            }
            Some(Span(lasting)) if lasting > most => Err(self.fault(
                "lasting",
                "is longer than ten minutes: users who are turned away are locked out for so long",
                "Set it to \"10m\" or less.",
            )),
            Some(Span(lasting)) => Ok(lasting),
        }
    }

    /// A node that stops and that nobody starts again locks everybody out without an end.
    fn drain(&self) -> Result<Action, Fault> {
        match self.raw.starts_again {
            Some(true) => Ok(Action::Drain),
            Some(false) | None => Err(self.fault(
                "starts_again",
                "is not true, and a drain stops this gateway",
                "Set it to true if something starts the gateway again (systemd, Kubernetes); otherwise everybody would stay out.",
            )),
        }
    }

    fn agent(&self) -> Result<String, Fault> {
        let known = || self.agents.named.keys().cloned().collect::<Vec<_>>().join(", ");
        match self.raw.agent.as_deref() {
            Some(name) if self.agents.named.contains_key(name) => Ok(name.to_owned()),
            Some(name) => Err(self.fault(
                "agent",
                format!("is {name:?}, and no agent has this name"),
                format!("The agents are {}.", known()),
            )),
            None => Err(self.fault("agent", "is not set", format!("Name one of {}.", known()))),
        }
    }

    /// A parameter of another action is a mistake that would pass unseen.
    fn stray_keys(&self, action: &Action) -> Result<(), Fault> {
        let RawRule { level, sessions, lasting, agent, starts_again, .. } = self.raw;
        let set = [
            ("level", level.is_some()),
            ("sessions", sessions.is_some()),
            ("lasting", lasting.is_some()),
            ("agent", agent.is_some()),
            ("starts_again", starts_again.is_some()),
        ];
        let wanted: &[&str] = match action {
            Action::Reclaim(_) => &["level"],
            Action::LendLimit { .. } => &["sessions", "lasting"],
            Action::Shed { .. } => &["lasting"],
            Action::Drain => &["starts_again"],
            Action::RestartAgentBreaker { .. } => &["agent"],
        };
        match set.into_iter().find(|(key, is_set)| *is_set && !wanted.contains(key)) {
            Some((key, _)) => {
                let what = format!("means nothing to `{}`", action.as_str());
                Err(self.fault(key, what, format!("Leave it out; this action takes {}.", wanted.join(" and "))))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
