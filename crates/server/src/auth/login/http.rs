//! The HTTP client for providers: bounded in bytes and time, and never sent elsewhere by a redirect.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, ClientBuilder, Url};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::outbound::{self, Body, read_up_to};

/// The largest answer of a provider: its metadata and keys have a few kilobytes (hazard R31).
const MAX_BYTES: usize = 64 * 1024;

/// From the request to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Connections to a provider that are kept open.
const MAX_IDLE_CONNECTIONS: usize = 4;

/// Asks one provider.
#[derive(Debug)]
pub(super) struct Http {
    issuer: Url,
    client: OnceCell<Client>,
}

/// Why there is no answer. Addresses are left out: the code stands in one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no answer within {} s", WITHIN.as_secs())]
    Late,
    #[error("an answer of more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("an answer that broke off")]
    Cut,
    #[error("{0}")]
    Failed(String),
}

impl Http {
    pub(super) fn new(issuer: Url) -> Self {
        Self { issuer, client: OnceCell::new() }
    }

    /// One request, one answer.
    pub(super) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        timeout(WITHIN, self.exchange(request)).await.map_err(|_| NoAnswer::Late)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = self.client().await?.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        match read_up_to(response, MAX_BYTES).await {
            Body::Whole(body) => answer.body(body).map_err(|error| NoAnswer::Failed(error.to_string())),
            Body::TooLong => Err(NoAnswer::TooLong),
            Body::Broken => Err(NoAnswer::Cut),
        }
    }

    /// Built on first use and off the runtime's threads, because it reads the machine's certificates from disk.
    async fn client(&self) -> Result<&Client, NoAnswer> {
        let issuer = self.issuer.clone();
        let few = |builder: ClientBuilder| builder.pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
        let build = || async move {
            match tokio::task::spawn_blocking(move || outbound::client(&issuer, WITHIN, few)).await {
                Ok(client) => client.map_err(failed),
                Err(_) => Err(NoAnswer::Failed("there is no HTTP client".to_owned())),
            }
        };
        self.client.get_or_try_init(build).await
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

fn failed(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    let innermost = std::iter::successors(error.source(), |cause| (*cause).source()).last().map(ToString::to_string);
    NoAnswer::Failed(innermost.unwrap_or_else(|| error.to_string()))
}
