//! The HTTP client for providers: bounded in bytes and time, and never sent elsewhere by a redirect.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, redirect};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// The largest answer of a provider: its metadata and keys have a few kilobytes.
const MAX_BYTES: usize = 64 * 1024;

/// From the request to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Connections to a provider that are kept open.
const MAX_IDLE_CONNECTIONS: usize = 4;

/// Asks one provider.
#[derive(Debug)]
pub(super) struct Http {
    is_loopback: bool,
    client: OnceCell<Client>,
}

/// Why there is no answer. Addresses are left out: the code stands in one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no answer within {} s", WITHIN.as_secs())]
    Late,
    #[error("an answer of more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("{0}")]
    Failed(String),
}

impl Http {
    pub(super) fn new(issuer: &reqwest::Url) -> Self {
        let is_loopback = matches!(issuer.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        Self { is_loopback, client: OnceCell::new() }
    }

    /// One request, one answer.
    pub(super) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        timeout(WITHIN, self.exchange(request)).await.map_err(|_| NoAnswer::Late)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut response = self.client().await?.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        answer.body(body).map_err(|error| NoAnswer::Failed(error.to_string()))
    }

    /// Built on first use and off the runtime's threads, because it reads the machine's certificates from disk.
    async fn client(&self) -> Result<&Client, NoAnswer> {
        let is_loopback = self.is_loopback;
        let build = || async move {
            match tokio::task::spawn_blocking(move || build(is_loopback)).await {
                Ok(client) => client.map_err(failed),
                Err(_) => Err(NoAnswer::Failed("no HTTP client".to_owned())),
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

/// With the machine's certificates or, on a machine that has none, with those of Mozilla that are built in.
fn build(is_loopback: bool) -> reqwest::Result<Client> {
    let builder = || {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .user_agent(concat!("lychgate/", env!("CARGO_PKG_VERSION")));
        match is_loopback {
            // A proxy of the environment cannot reach our own loopback.
            true => builder.no_proxy(),
            false => builder,
        }
    };
    builder().build().or_else(|_| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: Vec<_> = roots.map(|certificate| Certificate::from_der(certificate)).collect::<Result<_, _>>()?;
        builder().tls_certs_only(roots).build()
    })
}

fn failed(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let innermost = causes.last().map(ToString::to_string);
    NoAnswer::Failed(innermost.unwrap_or_else(|| error.to_string()))
}
