//! One HTTP endpoint of a backend: a client that is built when it is first needed, one request, one checked answer.
//!
//! ```text
//! post --no connection--> agent_unavailable | agent_timeout
//!      --no 2xx---------> agent_http_<status> (+ Retry-After)
//!      --2xx------------> Reply { kind by Content-Type, body }
//! ```
//!
//! Redirects are not followed: a POST would carry the conversation, and on the same host the key, to an address that
//! nobody configured. Nothing is sent twice: whether a model was already at work cannot be known.

use std::error::Error as _;
use std::time::Duration;

use http::header::Entry;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, Url};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::failure::{Failure, Late};
use super::identity::Identity;
use super::secrets::Secrets;
use super::{AgentError, RunRequest};
use crate::config::agents::Remote;
use crate::outbound::{self, Body, read_up_to};
use crate::telemetry::traces::{Parent, TRACEPARENT, TRACESTATE};

/// Bytes of an error's body that are read at most, and for how long: enough for a sentence.
const MAX_ERROR_BYTES: usize = 16 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Unused connections that are kept per backend (R24: the library's default has no bound).
const MAX_IDLE_CONNECTIONS: usize = 64;
/// How long an unused connection is kept. Many servers close theirs after 5 s; a question that meets that close in flight
/// would be lost, and is not sent twice.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest `Retry-After` that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a backend listens, and how it is asked.
pub(super) struct Endpoint {
    url: Url,
    /// What is sent with every request.
    headers: HeaderMap,
    secrets: Secrets,
    identity: Identity,
    connect_timeout: Duration,
    client: OnceCell<Client>,
}

/// An address of the configuration that is no http or https URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an address like https://host/v1; write one that starts with http:// or https://")]
pub struct BadUrl;

/// A successful answer, not yet read.
pub(super) struct Reply {
    /// What the body claims to be.
    pub(super) kind: Kind,
    /// The answer itself.
    pub(super) response: Response,
}

/// What a body claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `text/event-stream`, or nothing said: small servers leave it out.
    Events,
    /// `application/json`: the server ignored that a stream was asked for.
    Json,
}

impl Endpoint {
    /// `base_url` with `path` added to it; a query of `base_url` is kept.
    pub(super) fn new(base_url: &str, path: &[&str], accept: &'static str, remote: &Remote) -> Result<Self, BadUrl> {
        let mut url = Url::parse(base_url).map_err(|_| BadUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadUrl);
        }
        if !path.is_empty() {
            url.path_segments_mut().map_err(|()| BadUrl)?.pop_if_empty().extend(path);
        }
        let mut headers = remote.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(key) = &remote.api_key {
            headers.insert(AUTHORIZATION, key.header().clone());
        }
        Ok(Self {
            url,
            headers,
            secrets: Secrets::new(remote),
            identity: Identity::new(&remote.identity),
            connect_timeout: remote.connect_timeout,
            client: OnceCell::new(),
        })
    }

    /// What is to be kept out of what people see.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Sends a JSON body and waits for the head of the answer, without a deadline of its own beyond connecting: the
    /// caller's deadline, or dropping the future, ends it. The agent hears for whom it works as configured.
    ///
    /// # Errors
    /// `agent_unavailable`, `agent_timeout` (connecting), `agent_http_<status>`, `agent_bad_stream`.
    pub(super) async fn post(&self, body: Vec<u8>, run: &RunRequest) -> Result<Reply, AgentError> {
        let mut headers = self.headers.clone();
        self.identity.sign(run, &mut headers)?;
        continue_trace(run, &mut headers);
        let request = self.client().await?.post(self.url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(not_sent)?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await.into());
        }
        let kind = kind(response.headers())?;
        Ok(Reply { kind, response })
    }

    /// Built on first use and off the runtime's threads, because it reads the machine's certificates from disk.
    async fn client(&self) -> Result<&Client, AgentError> {
        let build = || async {
            let (url, connect_timeout) = (self.url.clone(), self.connect_timeout);
            let idle = |builder: ClientBuilder| {
                builder.pool_max_idle_per_host(MAX_IDLE_CONNECTIONS).pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            };
            match tokio::task::spawn_blocking(move || outbound::client(&url, connect_timeout, idle)).await {
                Ok(Ok(client)) => Ok(client),
                Ok(Err(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no HTTP client for agents");
                    Err(Failure::Unreachable.into())
                }
                Err(_) => Err(Failure::Unreachable.into()),
            }
        };
        self.client.get_or_try_init(build).await
    }

    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), jiff::Timestamp::now());
        let body = tokio::time::timeout(ERROR_BODY_TIMEOUT, read_up_to(response, MAX_ERROR_BYTES)).await;
        let said = match body {
            Ok(Body::Whole(bytes)) => {
                serde_json::from_slice(&bytes).ok().and_then(|body: Value| self.secrets.plain(words(&body)?))
            }
            Ok(Body::TooLong | Body::Broken) | Err(_) => None,
        };
        tracing::debug!(host = self.url.host_str(), status, said, "an agent refused a request");
        Failure::Status { status, retry_after, said }
    }
}

/// The backend hears which span asks (W3C Trace Context). What is configured for these headers comes first.
fn continue_trace(run: &RunRequest, headers: &mut HeaderMap) {
    let Some(Parent { context, state }) = &run.trace else { return };
    let mut set = |name: &'static str, text: &str| {
        // Hexadecimal digits, and what came in a header.
        if let (Entry::Vacant(header), Ok(value)) = (headers.entry(name), HeaderValue::from_str(text)) {
            header.insert(value);
        }
    };
    set(TRACEPARENT, &context.to_string());
    state.iter().for_each(|state| set(TRACESTATE, state));
}

/// The sentence in an error's body, in the shapes that compatible servers use: `error.message`, `error`, `message`,
/// `detail`.
pub(super) fn words(body: &Value) -> Option<&str> {
    let error = body.get("error");
    [error.and_then(|error| error.get("message")), error, body.get("message"), body.get("detail")]
        .into_iter()
        .flatten()
        .find_map(Value::as_str)
}

/// The error is logged without the address: its query may hold a key.
fn not_sent(error: reqwest::Error) -> AgentError {
    let error = error.without_url();
    tracing::debug!(error = &error as &dyn std::error::Error, "a request to an agent failed");
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let garbled = causes.any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse));
    let failure = match (error.is_connect(), error.is_timeout(), garbled) {
        (true, true, _) => Failure::Late(Late::Connect),
        (true, false, _) => Failure::Unreachable,
        (false, _, true) => Failure::BadStream("is not HTTP"),
        (false, _, false) => Failure::HungUp,
    };
    failure.into()
}

fn kind(headers: &HeaderMap) -> Result<Kind, AgentError> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    if encoded {
        return Err(Failure::BadStream("is compressed, which was not asked for").into());
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Kind::Events);
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "text/event-stream" => Ok(Kind::Events),
        "application/json" => Ok(Kind::Json),
        "text/html" => Err(Failure::BadStream("is a web page; the configured address may be wrong").into()),
        _ => Err(Failure::BadStream("is neither an event stream nor JSON").into()),
    }
}

/// `Retry-After` in seconds or as an HTTP date (RFC 9110, section 10.2.3); a date that has passed means now, more than a
/// day means a day.
fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone that are no number are too many digits.
        true if value.is_empty() => return None,
        true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
        false => {
            let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(then.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::agent::tests::request;

    /// Writes the log into memory.
    struct Pen(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Pen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_that_failed_is_logged_without_the_query_of_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1?key=geheim", listener.local_addr().unwrap());
        drop(listener);
        let log = Arc::new(Mutex::new(Vec::new()));
        let pen = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || Pen(pen.clone()))
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let endpoint = Endpoint::new(&url, &[], "*/*", &Remote::default()).unwrap();
        assert_eq!(endpoint.post(Vec::new(), &request("hello")).await.err().unwrap().code, "agent_unavailable");
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        let line = log.lines().find(|line| line.contains("a request to an agent failed")).unwrap();
        assert!(!line.contains("geheim"), "{line}");
    }

    fn headers(name: reqwest::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: jiff::Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Fri, 20 Nov 2026 12:01:30 GMT", Some(90)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            ("99999999999999999999999999", Some(86_400)),
            ("soon", None),
            ("", None),
            ("-3", None),
        ] {
            let seen = retry_after(&headers(RETRY_AFTER, value), now);
            assert_eq!(seen, expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn the_kind_of_an_answer_follows_its_content_type() {
        let kind_of = |value: &str| kind(&headers(CONTENT_TYPE, value)).map_err(|error| error.code);
        assert_eq!(kind_of("text/event-stream; charset=utf-8"), Ok(Kind::Events));
        assert_eq!(kind_of("Application/JSON"), Ok(Kind::Json));
        assert_eq!(kind_of("text/html"), Err("agent_bad_stream".to_owned()));
        assert_eq!(kind_of("image/png"), Err("agent_bad_stream".to_owned()));
        assert_eq!(kind(&HeaderMap::new()).map_err(|error| error.code), Ok(Kind::Events));
    }

    #[test]
    fn the_path_is_added_to_the_base_address_and_its_query_kept() {
        for (base_url, expected) in [
            ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/chat/completions"),
            ("http://127.0.0.1:1/v1/", "http://127.0.0.1:1/v1/chat/completions"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/chat/completions"),
            ("https://h/d?api-version=2", "https://h/d/chat/completions?api-version=2"),
        ] {
            let endpoint = Endpoint::new(base_url, &["chat", "completions"], "*/*", &Remote::default()).unwrap();
            assert_eq!(endpoint.url.as_str(), expected);
        }
    }
}
