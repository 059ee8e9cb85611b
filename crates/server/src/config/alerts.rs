//! `[alerts]` and `[alerts.webhooks.NAME]`: who is told when something is wrong, where no Prometheus tells them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::secret::Outside;
use super::server::is_safe;
use super::value::{Secret, Span};

/// The bounds of `interval`: below a second the history of the conditions would not reach back over their windows, above a
/// minute those that hold for seconds are missed.
const INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Whoever is told of the same thing more often than that does not listen any more.
const LEAST_REPEAT: Duration = Duration::from_secs(60);

/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// `[alerts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// How often every condition is looked at. Default 10 s, from 1 s to 1 min.
    pub interval: Duration,
    /// An alert that still fires is told again after so long. Default 4 h, at least 1 min.
    pub repeat_after: Duration,
    /// Who is told, by name.
    pub webhooks: BTreeMap<String, Webhook>,
}

/// `[alerts.webhooks.NAME]`
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it understands.
    pub kind: WebhookKind,
    /// Where messages are posted. A secret: whoever knows it can post there.
    pub url: Url,
    /// What matters less is not told. Default `info`.
    pub min_severity: Severity,
    /// Whether alerts of users name them. Default yes.
    pub users: bool,
}

/// What a webhook understands.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookKind {
    /// Our own JSON; docs/alerts.md describes it.
    Generic,
    /// An incoming webhook of Slack, or of whoever takes the same `{"text": ..}`.
    Slack,
    /// The Events API v2 of PagerDuty.
    PagerDuty {
        /// Of the integration. A secret.
        routing_key: String,
    },
}

/// How much an alert matters. Ordered: [`Severity::Critical`] is the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the gateway deals with it by itself.
    #[default]
    Info,
    /// Somebody should look at it in working hours.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// The word in rules, messages and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAlerts {
    interval: Span,
    repeat_after: Span,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    webhooks: BTreeMap<String, RawWebhook>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawWebhook {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Generic,
    Slack,
    PagerDuty,
}

impl RawAlerts {
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Alerts, Fault> {
        let [least, most] = INTERVAL;
        if !(least..=most).contains(&self.interval.0) {
            let remedy = "Set it to something from \"1s\" to \"1m\", or leave it out for the default.";
            return Err(Fault::value("alerts.interval", "is out of range", remedy));
        }
        if self.repeat_after.0 < LEAST_REPEAT {
            let remedy = "Set it to \"1m\" or more, or leave it out for the default.";
            return Err(Fault::value("alerts.repeat_after", "is shorter than a minute", remedy));
        }
        let mut webhooks = BTreeMap::new();
        for (name, raw) in &self.webhooks {
            webhooks.insert(name.clone(), At { name, raw, outside }.check()?);
        }
        Ok(Alerts { interval: self.interval.0, repeat_after: self.repeat_after.0, webhooks })
    }
}

/// The table that is being checked.
struct At<'a> {
    name: &'a str,
    raw: &'a RawWebhook,
    outside: &'a Outside<'a>,
}

impl At<'_> {
    fn key(&self, field: &str) -> String {
        format!("alerts.webhooks.{}.{field}", self.name)
    }

    fn check(&self) -> Result<Webhook, Fault> {
        let RawWebhook { kind, url, url_env, url_file, routing_key, routing_key_env, routing_key_file, .. } = self.raw;
        let Some(kind) = kind else {
            let remedy = "Set kind = \"generic\", \"slack\" or \"pagerduty\".";
            return Err(Fault::value(self.key("kind"), "is not set", remedy));
        };
        let url = self.secret(["url", "url_env", "url_file"], (url, url_env, url_file))?;
        let routing_key = self.secret(
            ["routing_key", "routing_key_env", "routing_key_file"],
            (routing_key, routing_key_env, routing_key_file),
        )?;
        let (kind, url) = match (kind, url, routing_key) {
            (Kind::Generic | Kind::Slack, _, Some((key, _))) => {
                return Err(Fault::value(key, "is a key of `pagerduty` alone", "Leave it out, or change kind."));
            }
            (Kind::Generic | Kind::Slack, None, None) => {
                let remedy = "Set url, url_env or url_file to where messages are posted.";
                return Err(Fault::value(self.key("url"), "is not set", remedy));
            }
            (Kind::PagerDuty, _, None) => {
                let remedy = "Set routing_key, routing_key_env or routing_key_file to the key of the integration.";
                return Err(Fault::value(self.key("routing_key"), "is not set", remedy));
            }
            (Kind::Generic, Some(url), None) => (WebhookKind::Generic, url),
            (Kind::Slack, Some(url), None) => (WebhookKind::Slack, url),
            (Kind::PagerDuty, url, Some((_, routing_key))) => {
                (WebhookKind::PagerDuty { routing_key }, url.unwrap_or_else(|| (self.key("url"), PAGERDUTY.to_owned())))
            }
        };
        Ok(Webhook {
            url: address(url, &kind)?,
            kind,
            min_severity: self.raw.min_severity.unwrap_or_default(),
            users: self.raw.users.unwrap_or(true),
        })
    }

    /// A secret that may stand here, in a variable or in a file, and the key that said it.
    fn secret(
        &self,
        keys: [&str; 3],
        said: (&Option<Secret>, &Option<String>, &Option<PathBuf>),
    ) -> Result<Option<(String, String)>, Fault> {
        let [here, variable, file] = keys.map(|key| self.key(key));
        let excludes = |one, other| Err(Fault::against(one, "must not be set together with", other));
        let (key, secret) = match said {
            (None, None, None) => return Ok(None),
            (Some(_), Some(_), _) => return excludes(here, variable),
            (Some(_), _, Some(_)) => return excludes(here, file),
            (None, Some(_), Some(_)) => return excludes(variable, file),
            (Some(Secret(secret)), None, None) => (here, secret.clone()),
            (None, Some(name), None) => (variable.clone(), self.outside.variable(&variable, name)?),
            (None, None, Some(path)) => (file.clone(), self.outside.file(&file, path)?),
        };
        Ok(Some((key, secret)))
    }
}

/// Never quotes what it is given: the address of a webhook is its password.
fn address((key, text): (String, String), kind: &WebhookKind) -> Result<Url, Fault> {
    let wants_safety = match kind {
        WebhookKind::Generic => false,
        WebhookKind::Slack | WebhookKind::PagerDuty { .. } => true,
    };
    let wrong = |what: &str| {
        Fault::value(
            &key,
            what.to_owned(),
            "Write the whole address that messages are posted to, beginning with https://.",
        )
    };
    match Url::parse(&text) {
        Err(_) => Err(wrong("is no address (it is a secret and not shown)")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Err(wrong("is no http or https address (it is a secret and not shown)"))
        }
        Ok(url) if wants_safety && !is_safe(&url) => Err(wrong("is not https, and carries a secret")),
        Ok(url) => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Loaded};

    const SECRET: &str = "auth.jwt.secret = \"a secret of the tests, long enough for HS256\"\n";

    fn webhook(table: &str) -> Result<Webhook, String> {
        let text = format!("{SECRET}[alerts.webhooks.ops]\n{table}");
        let checked = Config::from_toml(&text).map(|config| config.alerts.webhooks["ops"].clone());
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_has_a_kind_an_address_and_what_it_wants_to_hear() {
        let slack =
            webhook("kind = \"slack\"\nurl = \"https://hooks.example/T0/B0/x\"\nmin_severity = \"warning\"\n").unwrap();
        assert!(slack.kind == WebhookKind::Slack && slack.min_severity == Severity::Warning && slack.users);
        let pager = webhook("kind = \"pagerduty\"\nrouting_key = \"abc\"\nusers = false\n").unwrap();
        assert!(pager.url.as_str() == PAGERDUTY && !pager.users);
        assert!(webhook("kind = \"generic\"\nurl = \"http://alerts.internal:9\"\n").is_ok());
    }

    #[test]
    fn a_webhook_that_cannot_be_meant_says_which_key() {
        for (table, key) in [
            ("url = \"https://x.example/\"", "ops.kind"),
            ("kind = \"slack\"", "ops.url"),
            ("kind = \"slack\"\nurl = \"http://hooks.example/secret-path\"", "ops.url"),
            ("kind = \"generic\"\nurl = \"ftp://x.example/secret-path\"", "ops.url"),
            ("kind = \"generic\"\nurl = \"not an address: secret-path\"", "ops.url"),
            ("kind = \"generic\"\nurl = \"https://x.example\"\nurl_env = \"X\"", "ops.url_env"),
            ("kind = \"generic\"\nurl = \"https://x.example\"\nrouting_key = \"secret-path\"", "ops.routing_key"),
            ("kind = \"pagerduty\"", "ops.routing_key"),
            ("kind = \"generic\"\nurl_env = \"NO_SUCH_VARIABLE\"", "ops.url_env"),
            ("kind = \"smoke\"\nurl = \"https://x.example\"", "ops.kind"),
        ] {
            let error = webhook(table).unwrap_err();
            assert!(error.contains(key), "{table}: {error}");
            assert!(!error.contains("secret-path"), "{error}");
        }
    }

    #[test]
    fn the_address_of_a_webhook_and_its_key_are_printed_by_nothing() {
        let text = format!(
            "{SECRET}[alerts.webhooks.ops]\nkind = \"pagerduty\"\nurl = \"https://x.example/geheim\"\nrouting_key = \"geheim\"\n"
        );
        let loaded = Loaded::from_toml(&text).unwrap();
        assert!(!format!("{:?}{:?}{}", loaded, loaded.check().unwrap(), loaded.to_toml()).contains("geheim"));
    }

    #[test]
    fn times_that_cannot_be_meant_are_refused() {
        for (line, key) in [
            ("interval = \"0s\"", "interval"),
            ("interval = \"2m\"", "interval"),
            ("repeat_after = \"5s\"", "repeat_after"),
        ] {
            let error = Config::from_toml(&format!("{SECRET}[alerts]\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(&format!("alerts.{key}")), "{error}");
        }
    }
}
