//! Does what a rule wants: the audit log first, then the deed, then what became of it.

use std::sync::Arc;
use std::time::Duration;

use lychgate_core::UserId;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::keeper::{Use, Verdict};
use crate::agent::Agents;
use crate::config::{Action, Rule};
use crate::driver::Driver;
use crate::store::Store;
use crate::store::answers::Begun;
use crate::store::audit::{Deed, Keep, Outcome, Wanted};
use crate::telemetry::Metrics;
use crate::wire::{millis, unix_ms};

/// Entries of the audit log among which an earlier drain is looked for.
const LOOKED_BACK: usize = 500;

/// What rules act on.
pub(crate) struct Hands {
    pub(crate) driver: Arc<Driver>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keep: Keep,
    /// Cancelled by whoever has the node drain.
    pub(crate) drain: CancellationToken,
}

impl Hands {
    /// Whether somebody told the node to stop.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Does one thing, or tells that it would have been done.
    pub(super) async fn take(&self, wanted: Use) {
        let Use { rule, user, verdict } = wanted;
        let (outcome, why) = match verdict {
            Verdict::Hold => ("held", None),
            Verdict::Tell => (self.tell(&rule, user.as_ref()).await, None),
            Verdict::Act if rule.action == Action::Drain && self.drained_lately(&rule).await => ("held", None),
            Verdict::Act => self.act(&rule, user.as_ref()).await,
        };
        let (action, mode) = (rule.action.as_str(), rule.mode.as_str());
        self.metrics.on_remediation(action, mode, outcome);
        let user = user.as_ref().map(UserId::as_str);
        tracing::warn!(rule = rule.name, alert = rule.when, action, mode, outcome, why, user, "a rule of remediation");
    }

    /// A dry run: written down, and not done.
    async fn tell(&self, rule: &Rule, user: Option<&UserId>) -> &'static str {
        let (store, keep, deed) = (Arc::clone(&self.store), self.keep, deed(rule, user));
        let told = spawn_blocking(move || store.note(&deed, Outcome::DryRun, None, unix_ms(), keep));
        match told.await {
            Ok(Ok(())) => "told",
            Ok(Err(error)) => unwritten(rule, &error.to_string()),
            Err(error) => unwritten(rule, &error.to_string()),
        }
    }

    /// Writes it down, does it, and writes down what became of it, and why it was not done. What cannot be written down is not
    /// done.
    async fn act(&self, rule: &Rule, user: Option<&UserId>) -> (&'static str, Option<&'static str>) {
        let (store, keep, deed) = (Arc::clone(&self.store), self.keep, deed(rule, user));
        let begun = spawn_blocking(move || store.begin(&deed, None, unix_ms(), keep));
        let entry = match begun.await {
            Ok(Ok(Begun::New(entry))) => entry,
            // Without a claim there is nothing that could be known.
            Ok(Ok(Begun::Answered { .. } | Begun::Other | Begun::Unanswered(_))) => return ("failed", None),
            Ok(Err(error)) => return (unwritten(rule, &error.to_string()), None),
            Err(error) => return (unwritten(rule, &error.to_string()), None),
        };
        let done = self.deed(rule, user).await;
        let (outcome, result) = match &done {
            Ok(result) => (Outcome::Done, result.to_string()),
            Err(NotDone::Held(why)) => (Outcome::Held, json!({"why": why}).to_string()),
            Err(NotDone::Failed(why)) => (Outcome::Failed, json!({"why": why}).to_string()),
        };
        let store = Arc::clone(&self.store);
        if let Ok(Err(error)) = spawn_blocking(move || store.finish(entry, outcome, &result, None)).await {
            tracing::error!(%error, "what a rule did is in the audit log as begun, and not as done");
        }
        match done {
            Ok(_) => ("done", None),
            Err(NotDone::Held(why)) => ("held", Some(why)),
            Err(NotDone::Failed(why)) => ("failed", Some(why)),
        }
    }

    async fn deed(&self, rule: &Rule, user: Option<&UserId>) -> Result<Value, NotDone> {
        match (&rule.action, user.cloned()) {
            (Action::Reclaim(level), Some(user)) => {
                let level = *level;
                let gone = self.steer(move |driver| driver.reclaim(&user, level)).await?;
                let gone: Vec<_> = gone.iter().map(|(key, _)| key.to_string()).collect();
                Ok(json!({"evicted": gone}))
            }
            (Action::LendLimit { sessions, lasting }, Some(user)) => {
                let (sessions, lasting) = (*sessions, *lasting);
                match self.steer(move |driver| driver.raise_limit(&user, sessions, lasting)).await? {
                    None => Err(NotDone::Held("the limit of this user is as high already, or higher")),
                    Some(limit) if limit == sessions => Ok(json!({"limit": limit})),
                    Some(_) => Err(NotDone::Failed("the limit contradicts the other limits of this user")),
                }
            }
            (Action::Reclaim(_) | Action::LendLimit { .. }, None) => Err(NotDone::Failed("the alert names no user")),
            (Action::Shed { lasting }, _) => {
                self.driver.shed_for(*lasting);
                Ok(json!({}))
            }
            (Action::Drain, _) => {
                self.drain.cancel();
                Ok(json!({"draining": true}))
            }
            (Action::RestartAgentBreaker { agent }, _) => Ok(json!({"was_open": self.agents.restart_breaker(agent)})),
        }
    }

    /// The driver waits for locks; the runtime must not.
    async fn steer<T: Send + 'static>(&self, act: impl FnOnce(&Driver) -> T + Send + 'static) -> Result<T, NotDone> {
        let driver = Arc::clone(&self.driver);
        spawn_blocking(move || act(&driver)).await.map_err(|_| NotDone::Failed("it panicked"))
    }

    /// Whether a rule drained this node within its cooldown, before it was started again: what it knew of that died with the
    /// process, and a node that drains at each start would keep everybody out.
    async fn drained_lately(&self, rule: &Rule) -> bool {
        let store = Arc::clone(&self.store);
        let since = unix_ms().saturating_sub(millis(rule.cooldown));
        let looked = spawn_blocking(move || store.audit(&Wanted::Newest(None), None, LOOKED_BACK)).await;
        match looked {
            Ok(Ok(entries)) => entries.iter().any(|entry| {
                entry.at >= since
                    && entry.action == Action::Drain.as_str()
                    && entry.outcome != Outcome::DryRun.as_str()
                    && entry.operator.starts_with(BY)
            }),
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

/// Why a rule that was due did nothing.
#[derive(Clone, Copy)]
enum NotDone {
    /// It would have done the opposite of what it is there for.
    Held(&'static str),
    /// It could not be done.
    Failed(&'static str),
}

/// Before the name of a rule, where the audit log says who it was.
const BY: &str = "remediation:";

fn deed(rule: &Rule, user: Option<&UserId>) -> Deed {
    let secs = |lasting: &Duration| json!(lasting.as_secs());
    let mut parameters = match &rule.action {
        Action::Reclaim(level) => json!({"level": level.as_str()}),
        Action::LendLimit { sessions, lasting } => json!({"max_sessions": sessions, "for_secs": secs(lasting)}),
        Action::Shed { lasting } => json!({"for_secs": secs(lasting)}),
        Action::Drain => json!({}),
        Action::RestartAgentBreaker { agent } => json!({"agent": agent}),
    };
    parameters["alert"] = json!(rule.when);
    Deed {
        // Many of them must not push out what people did.
        routine: rule.action.is_of_user(),
        request: String::new(),
        operator: format!("{BY}{}", rule.name),
        action: rule.action.as_str().into(),
        user: user.map(|user| user.as_str().to_owned()),
        thread: None,
        parameters: parameters.to_string(),
    }
}

fn unwritten(rule: &Rule, error: &str) -> &'static str {
    tracing::error!(rule = rule.name, error, "the audit log cannot be used, so that rules cannot act");
    "failed"
}
