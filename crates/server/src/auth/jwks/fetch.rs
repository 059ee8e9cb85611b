//! One round to an issuer: one GET, within a time, of so many bytes.

use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::{Client, Url};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::document::KeySet;
use crate::config;
use crate::outbound::{self, Body, read_up_to};

/// From the beginning of a round to its end.
const WITHIN: Duration = Duration::from_secs(3);

/// The largest set that is read: hundreds of keys (hazard R31).
const MAX_BYTES: usize = 64 * 1024;

/// How long keys are fresh where the issuer says nothing.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// What an issuer may say of that.
const SHORTEST_FRESH: Duration = Duration::from_secs(60);
const LONGEST_FRESH: Duration = Duration::from_secs(60 * 60);

/// How one issuer is asked.
pub(super) struct Fetch {
    pub(super) issuer: config::Issuer,
    address: config::Address,
    client: OnceCell<Client>,
}

/// What a round brought.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) fresh_for: Duration,
}

/// Why a round brought nothing. It names no part of the address: its query may hold a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it did not answer within 3 s")]
    Late,
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("its answer is longer than 64 KiB")]
    TooLong,
    #[error("its answer broke off")]
    Cut,
    #[error("its answer {0}")]
    NoKeys(&'static str),
    #[error("there is no HTTP client")]
    NoClient,
}

impl Fetch {
    pub(super) fn new(issuer: config::Issuer, address: config::Address) -> Self {
        Self { issuer, address, client: OnceCell::new() }
    }

    pub(super) async fn round(&self) -> Result<Fetched, Failure> {
        let url = Url::parse(self.address.as_str()).map_err(|_| Failure::NoClient)?;
        let client = self.client.get_or_try_init(|| build(url.clone())).await?;
        timeout(WITHIN, self.ask(client, url)).await.unwrap_or(Err(Failure::Late))
    }

    async fn ask(&self, client: &Client, url: Url) -> Result<Fetched, Failure> {
        let request = client.get(url).header(ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| Failure::Unreachable(error.without_url()))?;
        // A redirect is one, too: it would lead to an address that nobody configured.
        if !response.status().is_success() {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let fresh_for = fresh_for(response.headers());
        let document = match read_up_to(response, MAX_BYTES).await {
            Body::Whole(document) => document,
            Body::TooLong => return Err(Failure::TooLong),
            Body::Broken => return Err(Failure::Cut),
        };
        let keys = KeySet::parse(&document, &self.issuer).map_err(Failure::NoKeys)?;
        Ok(Fetched { keys, fresh_for })
    }
}

/// Off the runtime's threads, because it reads the machine's certificates from disk.
async fn build(url: Url) -> Result<Client, Failure> {
    let few = |builder: reqwest::ClientBuilder| builder.pool_max_idle_per_host(0);
    match tokio::task::spawn_blocking(move || outbound::client(&url, WITHIN, few)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no HTTP client for keys");
            Err(Failure::NoClient)
        }
        Err(_) => Err(Failure::NoClient),
    }
}

/// `max-age` (RFC 9111, section 5.2.2.1) within bounds: an issuer must not make us ask all the time, nor never again.
fn fresh_for(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(',')).map(str::trim);
    let max_age = directives.find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    max_age.map_or(FRESH, |seconds| Duration::from_secs(seconds).clamp(SHORTEST_FRESH, LONGEST_FRESH))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn keys_are_fresh_for_as_long_as_their_issuer_says_within_bounds() {
        for (said, seconds) in [
            ("public, max-age=300", 300),
            ("max-age=0", 60),
            ("max-age=999999999", 3_600),
            ("max-age=99999999999999999999999", 600),
            ("no-store", 600),
            ("", 600),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(said))]);
            assert_eq!(fresh_for(&headers), Duration::from_secs(seconds), "{said:?}");
        }
    }
}
