//! `[traces]`: to which collector traces go, and how many of them.

use std::fmt;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::error::{Fault, in_range};
use super::secret::Outside;
use super::value::{MASK, Span};

/// `[traces]`
#[derive(Clone, Debug)]
pub struct Traces {
    /// Where they go; none: nothing is traced. Default none.
    pub collector: Option<Collector>,
    /// Which part of all connections is traced, 0 to 1. Default 1.
    pub ratio: f64,
    /// What a client's `traceparent` means. Default [`Parents::Link`].
    pub parents: Parents,
    /// Spans that wait for the collector, those on their way included. Default 2,048.
    pub max_queued_spans: usize,
    /// From the first attempt of a delivery to its end. Default 5 s.
    pub timeout: Duration,
    /// Between two deliveries of what has gathered. Default 2 s.
    pub every: Duration,
    /// `service.name`. Default `lychgate`.
    pub service: String,
    /// `service.instance.id`; none: one that is made up at the start. Default none.
    pub instance: Option<String>,
}

/// Who takes traces.
#[derive(Clone)]
pub struct Collector {
    /// The whole address, path included.
    pub endpoint: Url,
    /// Sent with every delivery; each is marked as sensitive.
    pub headers: HeaderMap,
}

impl fmt::Debug for Collector {
    /// An address may hold a key in its path or query, and a header may be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("host", &self.endpoint.host_str()).field("headers", &MASK).finish()
    }
}

/// What a `traceparent` means that a client sends (W3C Trace Context).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parents {
    /// Nothing.
    Ignore,
    /// Our own trace refers to the client's. Whether it is traced, he has no say in.
    #[default]
    Link,
    /// Ours is a part of his, and traced exactly when his is.
    Follow,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTraces {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_env: Option<String>,
    ratio: f64,
    parents: Parents,
    max_queued_spans: usize,
    timeout: Span,
    every: Span,
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

impl RawTraces {
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Traces, Fault> {
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(Fault::value(
                "traces.ratio",
                format!("is {}, which is no part of a whole", self.ratio),
                "Write a number from 0 to 1, such as 0.05 for one connection of twenty.",
            ));
        }
        in_range("traces.max_queued_spans", self.max_queued_spans, 1, 65_536)?;
        let (timeout, every) = (self.timeout.0, self.every.0);
        within("traces.timeout", timeout, Duration::from_millis(100))?;
        within("traces.every", every, Duration::from_millis(10))?;
        for (key, text) in [("traces.service", Some(&self.service)), ("traces.instance", self.instance.as_ref())] {
            if text.is_some_and(|text| text.is_empty() || text.len() > 255 || text.chars().any(char::is_control)) {
                return Err(Fault::value(key, "is empty, too long, or has a control character", "Write a short name."));
            }
        }
        Ok(Traces {
            collector: self.collector(outside)?,
            ratio: self.ratio,
            parents: self.parents,
            max_queued_spans: self.max_queued_spans,
            timeout,
            every,
            service: self.service.clone(),
            instance: self.instance.clone(),
        })
    }

    fn collector(&self, outside: &Outside<'_>) -> Result<Option<Collector>, Fault> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let wrong = |what: &str| {
            let remedy = "Write the collector's whole address, such as http://127.0.0.1:4318/v1/traces.";
            Err(Fault::value("traces.endpoint", what, remedy))
        };
        if cfg!(not(feature = "otlp")) {
            return wrong("is set, and this program was built without `otlp`");
        }
        let endpoint = match Url::parse(endpoint.as_str()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            Ok(_) | Err(_) => return wrong("is no address that starts with http:// or https://"),
        };
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return wrong("holds a user or a password; `headers_env` is for them");
        }
        // A collector answers 404 or 405 there, and every span would be lost.
        if endpoint.path() == "/" {
            return wrong("has no path, and no collector takes traces there");
        }
        let headers = match &self.headers_env {
            Some(name) => headers(&outside.variable("traces.headers_env", name)?)?,
            None => HeaderMap::new(),
        };
        Ok(Some(Collector { endpoint, headers }))
    }
}

fn within(key: &str, span: Duration, least: Duration) -> Result<(), Fault> {
    let most = Duration::from_secs(60);
    match (least..=most).contains(&span) {
        true => Ok(()),
        false => Err(Fault::value(key, format!("is {span:?}"), format!("Write a time from {least:?} to {most:?}."))),
    }
}

/// `name=value,name=value`, as `OTEL_EXPORTER_OTLP_HEADERS` is written. An error names no value: they are keys.
fn headers(text: &str) -> Result<HeaderMap, Fault> {
    let wrong = |what: String| {
        Fault::value("traces.headers_env", what, "Write `name=value`, several with commas between them.")
    };
    let mut headers = HeaderMap::new();
    for (at, pair) in text.split(',').enumerate() {
        let pair = pair.trim();
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(format!("has no `=` in its part {}", at + 1)))?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| wrong(format!("has a name that no header has in its part {}", at + 1)))?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| wrong(format!("has a value for {name} that no header can carry")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_other_exporters_read_them_and_shown_to_nobody() {
        let headers = headers("x-key = a%20b, authorization=Basic%20cGE6c3M=,x=100%").unwrap();
        assert_eq!(
            (&headers["x-key"], &headers["authorization"], &headers["x"]),
            (
                &HeaderValue::from_static("a b"),
                &HeaderValue::from_static("Basic cGE6c3M="),
                &HeaderValue::from_static("100%"),
            )
        );
        let collector = Collector { endpoint: Url::parse("http://h/v1/traces?key=geheim").unwrap(), headers };
        let shown = format!("{collector:?}");
        assert!(!shown.contains("geheim") && !shown.contains("cGE6"), "{shown}");
    }

    #[test]
    fn headers_that_no_request_can_carry_are_refused_without_their_values() {
        for text in ["geheim", "a b=geheim", "x=geheim%0d%0aevil: 1", "x=1,,y=geheim"] {
            let fault = headers(text).unwrap_err();
            assert!(!format!("{} {}", fault.what, fault.remedy).contains("geheim"), "{text}");
        }
    }
}
