//! Whom a configuration names: agents, issuers, who is told of alerts and who takes traces. Are they there, do they know us, and is their clock ours?

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap};
use reqwest::{Response, Url};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::agents::{AgentKind, Remote};
use crate::config::{Config, KeySource};
use crate::outbound::{self, Body, read_up_to};

/// From the question to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The largest set of keys that a gateway reads.
const MAX_BYTES: usize = 64 * 1_024;
/// What tokens tolerate by default; a clock that is further off refuses good ones or takes expired ones.
const TOLERATED: Duration = Duration::from_secs(30);

/// Asks everybody.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clocks = Vec::new();
    for (name, agent) in &config.agents.named {
        let (url, remote) = match &agent.kind {
            AgentKind::Demo(_) => continue,
            // Every server of this protocol lists its models, and costs nothing by it.
            AgentKind::OpenAi(openai) => (format!("{}/models", openai.base_url.as_str()), &openai.remote),
            AgentKind::Agui(agui) => (agui.url.as_str().to_owned(), &agui.remote),
        };
        findings.push(agent_answers(name, &url, remote, &mut clocks).await);
    }
    for issuer in &config.auth.issuers {
        if let KeySource::Jwks(url) = &issuer.keys {
            findings.push(keys_are_published(&issuer.name, url.as_str(), &mut clocks).await);
        }
    }
    for (name, provider) in &config.login.providers {
        let url = format!("{}/.well-known/openid-configuration", provider.issuer_url.trim_end_matches('/'));
        findings.push(provider_answers(name, &url, &mut clocks).await);
    }
    for (name, webhook) in &config.alerts.webhooks {
        findings.push(webhook_is_there(name, &webhook.url).await);
    }
    if let Some(collector) = &config.traces.collector {
        findings.push(collector_is_there(&collector.endpoint).await);
    }
    findings.extend(clock(&clocks));
    findings
}

/// Whether somebody listens there. Nothing is sent, because whatever is sent there calls somebody.
async fn webhook_is_there(name: &str, url: &Url) -> Finding {
    const CHECK: &str = "webhook";
    match listens(url).await {
        Ok(()) => Finding::ok(CHECK, format!("{name} can be reached")),
        Err(why) => Finding::wrong(
            CHECK,
            format!("{name}: it cannot be reached: {why}"),
            format!(
                "Mend its address in [alerts.webhooks.{name}], or let this machine through to it; nobody is called meanwhile."
            ),
        ),
    }
}

/// Users do not notice, so it is a warning.
async fn collector_is_there(url: &Url) -> Finding {
    const CHECK: &str = "collector";
    match listens(url).await {
        Ok(()) => Finding::ok(CHECK, "it can be reached"),
        Err(why) => Finding::warning(
            CHECK,
            format!("it cannot be reached: {why}"),
            "Start it, mend traces.endpoint, or let this machine through to it; every span is lost meanwhile.",
        ),
    }
}

/// Connects and sends nothing. An error names no part of the address.
async fn listens(url: &Url) -> Result<(), String> {
    let place =
        (url.host_str().unwrap_or_default().trim_matches(['[', ']']), url.port_or_known_default().unwrap_or(443));
    match timeout(WITHIN, TcpStream::connect(place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer within 5 s".to_owned()),
    }
}

/// Who was asked, and how many seconds his clock is ahead of ours.
type Clocks = Vec<(String, i64)>;

async fn agent_answers(name: &str, url: &str, remote: &Remote, clocks: &mut Clocks) -> Finding {
    const CHECK: &str = "agent";
    let mut headers = remote.headers.clone();
    if let Some(key) = &remote.api_key {
        headers.insert(AUTHORIZATION, key.header().clone());
    }
    match ask(&format!("agent {name}"), url, headers, clocks).await {
        Err(why) => Finding::wrong(
            CHECK,
            format!("{name}: {why}"),
            format!("Start it, or mend the address in [agents.{name}]; runs end with agent_unavailable meanwhile."),
        ),
        Ok(response) => match response.status().as_u16() {
            status @ (401 | 403) => Finding::wrong(
                CHECK,
                format!("{name}: it answers with status {status}: it does not know the key"),
                format!("Mend api_key_env or api_key_file in [agents.{name}]."),
            ),
            status @ 500.. => Finding::warning(
                CHECK,
                format!("{name}: it answers with status {status}"),
                "Look at its log.".to_owned(),
            ),
            _ => Finding::ok(CHECK, format!("{name} answers")),
        },
    }
}

async fn keys_are_published(name: &str, url: &str, clocks: &mut Clocks) -> Finding {
    const CHECK: &str = "issuer";
    let fix = format!("Mend jwks_url in [auth.issuers.{name}], or its server; its users cannot come in without keys.");
    match ask(&format!("issuer {name}"), url, HeaderMap::new(), clocks).await {
        Err(why) => Finding::wrong(CHECK, format!("{name}: its keys cannot be had: {why}"), fix),
        Ok(response) if !response.status().is_success() => {
            let status = response.status().as_u16();
            Finding::wrong(CHECK, format!("{name}: its keys cannot be had: status {status}"), fix)
        }
        Ok(response) => match read_up_to(response, MAX_BYTES).await {
            Body::Whole(body) if holds_keys(&body) => Finding::ok(CHECK, format!("{name} publishes its keys")),
            Body::Whole(_) | Body::TooLong | Body::Broken => {
                Finding::wrong(CHECK, format!("{name}: what stands at jwks_url is no set of keys"), fix)
            }
        },
    }
}

fn holds_keys(body: &[u8]) -> bool {
    let set: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    set.is_some_and(|set| set["keys"].as_array().is_some_and(|keys| !keys.is_empty()))
}

async fn provider_answers(name: &str, url: &str, clocks: &mut Clocks) -> Finding {
    const CHECK: &str = "login";
    let fix = format!("Mend issuer_url in [login.providers.{name}]; nobody can log in there meanwhile.");
    match ask(&format!("provider {name}"), url, HeaderMap::new(), clocks).await {
        Err(why) => Finding::wrong(CHECK, format!("{name}: {why}"), fix),
        Ok(response) if !response.status().is_success() => {
            Finding::wrong(CHECK, format!("{name}: it answers with status {}", response.status().as_u16()), fix)
        }
        Ok(_) => Finding::ok(CHECK, format!("{name} answers")),
    }
}

/// One question. What is said of a failure names no part of the address: its query may hold a key.
async fn ask(who: &str, url: &str, headers: HeaderMap, clocks: &mut Clocks) -> Result<Response, String> {
    let url = Url::parse(url).map_err(|_| "its address is none".to_owned())?;
    let client = outbound::client(&url, WITHIN, |builder| builder).map_err(|_| "no client could be made".to_owned())?;
    let response = client.get(url).headers(headers).timeout(WITHIN).send().await.map_err(|error| {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        match error.is_timeout() {
            true => "it does not answer within 5 s".to_owned(),
            false => format!("it cannot be reached: {cause}"),
        }
    })?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    clocks.extend(date.and_then(ahead).map(|ahead| (who.to_owned(), ahead)));
    Ok(response)
}

/// How many seconds a `Date` is ahead of our clock.
pub(super) fn ahead(date: &str) -> Option<i64> {
    let theirs = rfc2822::parse(date).ok()?.timestamp();
    Some(theirs.as_second() - Timestamp::now().as_second())
}

/// Whose clock is wrong cannot be known from two; one that differs from several is it.
pub(super) fn clock(clocks: &[(String, i64)]) -> Option<Finding> {
    const CHECK: &str = "clock";
    let tolerated = TOLERATED.as_secs();
    let off: Vec<_> = clocks.iter().filter(|(_, ahead)| ahead.unsigned_abs() > tolerated).collect();
    match (clocks.is_empty(), off.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Finding::ok(CHECK, "as those of whom we asked")),
        (false, false) => {
            let tell = |(who, ahead): &&(String, i64)| match ahead {
                0.. => format!("{who} is {ahead} s ahead"),
                _ => format!("{who} is {} s behind", ahead.unsigned_abs()),
            };
            Some(Finding::wrong(
                CHECK,
                format!(
                    "{}: good tokens are refused, or expired ones taken",
                    off.iter().map(tell).collect::<Vec<_>>().join(", ")
                ),
                "Let NTP set the clocks of both machines (`timedatectl`).",
            ))
        }
    }
}
