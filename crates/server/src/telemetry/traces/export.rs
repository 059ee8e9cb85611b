//! Spans to a collector, by OTLP over HTTP (protobuf): <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! ```text
//! Span -> room? -> BatchSpanProcessor (own thread) -> OTLP exporter -> Post (own runtime on that thread) -> collector
//!           '- dropped, counted                            '- fails: counted, one warning per episode
//! ```
//!
//! The libraries' own HTTP clients are not used: the one for async programs panics on the processor's thread, and the
//! blocking one cannot be built on a machine without certificates.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response};
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
};
use reqwest::Url;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::{Context, Kind, Outlet, Span, Tally, TracesError, Value};
use crate::config;
use crate::outbound::{self, Body};

/// Spans of one delivery, at most.
const BATCH: usize = 512;
/// Bytes of an answer that are read at most: it says how many spans were refused, and nothing else.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Starts the thread that delivers.
///
/// # Errors
/// The exporter cannot be built, or the system gives no thread.
pub(super) fn start(
    collector: &config::Collector,
    config: &config::Traces,
    tally: Arc<Tally>,
) -> Result<Box<dyn Outlet>, TracesError> {
    let failed = |error: &dyn fmt::Display| TracesError(error.to_string());
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Post::new(collector, config.timeout))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.endpoint.as_str())
        .with_timeout(config.timeout)
        .build()
        .map_err(|error| failed(&error))?;
    let queued = Arc::<AtomicUsize>::default();
    let told = Told { exporter, queued: Arc::clone(&queued), tally: Arc::clone(&tally), is_failing: false.into() };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.max_queued_spans)
        .with_max_export_batch_size(BATCH.min(config.max_queued_spans))
        .with_scheduled_delay(config.every);
    let mut processor = BatchSpanProcessor::new(told, batches.build());
    processor.set_resource(&resource(config));
    let scope = InstrumentationScope::builder("lychgate").with_version(env!("CARGO_PKG_VERSION")).build();
    Ok(Box::new(Queue { processor, scope, queued, most: config.max_queued_spans, tally }))
}

fn resource(config: &config::Traces) -> Resource {
    let instance = config.instance.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .build()
}

/// Bounds what waits. The processor has a bound too, but does not say what it dropped.
struct Queue {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    /// Spans that the exporter is not done with.
    queued: Arc<AtomicUsize>,
    most: usize,
    tally: Arc<Tally>,
}

impl Outlet for Queue {
    fn take(&self, span: Span) {
        let room = |queued: usize| (queued < self.most).then_some(queued + 1);
        match self.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, room) {
            Ok(_) => self.processor.on_end(convert(span, self.scope.clone())),
            Err(_) => {
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn close(&self, within: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(within) {
            tracing::debug!(%error, "the last spans were not delivered");
        }
    }
}

/// Counts what becomes of deliveries, and tells when they begin to fail and when they succeed again.
struct Told<E> {
    exporter: E,
    queued: Arc<AtomicUsize>,
    tally: Arc<Tally>,
    is_failing: AtomicBool,
}

impl<E> fmt::Debug for Told<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let delivered = self.exporter.export(batch).await;
        self.queued.fetch_sub(spans, Ordering::AcqRel);
        let was_failing = self.is_failing.swap(delivered.is_err(), Ordering::Relaxed);
        match &delivered {
            Ok(()) => {
                self.tally.delivered.fetch_add(spans as u64, Ordering::Relaxed);
                if was_failing {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.tally.failed.fetch_add(spans as u64, Ordering::Relaxed);
                if !was_failing {
                    tracing::warn!(%error, spans, "the collector takes no traces (traces.endpoint); what it does not take is lost");
                }
            }
        }
        delivered
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// One request at a time, on the thread that asks.
struct Post {
    runtime: OnceLock<Runtime>,
    endpoint: Url,
    headers: HeaderMap,
    timeout: Duration,
    client: OnceCell<reqwest::Client>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("host", &self.endpoint.host_str()).finish_non_exhaustive()
    }
}

impl Post {
    fn new(collector: &config::Collector, timeout: Duration) -> Self {
        Self {
            runtime: OnceLock::new(),
            endpoint: collector.endpoint.clone(),
            headers: collector.headers.clone(),
            timeout,
            client: OnceCell::new(),
        }
    }

    /// Of the processor's thread, which makes it, uses it and drops it: one that was dropped on a thread of another
    /// runtime would panic.
    fn runtime(&self) -> std::io::Result<&Runtime> {
        match self.runtime.get() {
            Some(runtime) => Ok(runtime),
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(self.runtime.get_or_init(|| runtime))
            }
        }
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let build = || async { outbound::client(&self.endpoint, self.timeout, |builder| builder) };
        let client = self.client.get_or_try_init(build).await?;
        let (mut parts, body) = request.into_parts();
        parts.headers.extend(self.headers.clone());
        let post = client.post(self.endpoint.clone()).headers(parts.headers).body(body);
        // The address stays out of errors: its query may hold a key.
        let response = post.send().await.map_err(reqwest::Error::without_url)?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        match outbound::read_up_to(response, MAX_ANSWER_BYTES).await {
            Body::Whole(bytes) => Ok(answer.body(bytes.into())?),
            Body::TooLong => Err("the collector's answer is too long".into()),
            Body::Broken => Err("the collector's answer ended in the middle".into()),
        }
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The processor's thread belongs to no runtime. The deadline holds from here to the end of the answer.
        self.runtime()?.block_on(async { tokio::time::timeout(self.timeout, self.post(request)).await? })
    }
}

fn convert(span: Span, scope: InstrumentationScope) -> SpanData {
    let Span { name, kind, context, parent, is_parent_remote, start, end, attributes, moments, links, failed } = span;
    let mut events = SpanEvents::default();
    events.events = moments.into_iter().map(|(name, at)| Event::new(name, at, Vec::new(), 0)).collect();
    let mut related = SpanLinks::default();
    related.links = links.into_iter().map(|link| Link::new(span_context(link, true), Vec::new(), 0)).collect();
    SpanData {
        span_context: span_context(context, false),
        parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.0)),
        parent_span_is_remote: is_parent_remote,
        span_kind: match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        },
        name: name.into(),
        start_time: start,
        end_time: end,
        attributes: attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        dropped_attributes_count: 0,
        events,
        links: related,
        status: failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope,
    }
}

fn span_context(Context { trace, span, sampled }: Context, is_remote: bool) -> SpanContext {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    SpanContext::new(TraceId::from(trace.0), SpanId::from(span.0), flags, is_remote, TraceState::default())
}

fn attribute(name: &'static str, value: Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
        Value::Flag(flag) => KeyValue::new(name, flag),
    }
}
