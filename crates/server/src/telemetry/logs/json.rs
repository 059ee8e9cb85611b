//! A log line as one JSON object, in our own shape or in the one that Google Cloud Logging reads.
//!
//! ```text
//! json  {"timestamp", "level", "fields": {"message", "event", ...}, "target", "trace_id", "span_id"}
//! gcp   {"severity", "time", "message", "logging.googleapis.com/labels": {"user", "thread", ...}, ...}
//! ```
//!
//! Whatever a field holds, quotes and line breaks included, is text within the object. The names of the second shape:
//! <https://cloud.google.com/logging/docs/structured-logging#special-payload-fields>.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::text::Causes;
use crate::telemetry::traces::{self, Context};

/// What a line of Google's has as labels, by which its lines are found: ids and fixed words.
const LABELS: [&str; 7] = ["event", "user", "thread", "isolation_key", "connection", "run", "agent"];

/// What Google gives a meaning to; a field of ours with such a name gets `field_` before it.
const RESERVED: [&str; 6] = ["severity", "message", "time", "timestamp", "httpRequest", "target"];

/// Writes lines in one of the two shapes.
pub(super) enum Json {
    /// Our own.
    Plain,
    /// Google's.
    Gcp {
        /// Before the id of a trace: `projects/ID/traces/`, or nothing.
        traces: String,
    },
}

impl Json {
    pub(super) fn gcp(project: Option<&str>) -> Self {
        Self::Gcp { traces: project.map(|project| format!("projects/{project}/traces/")).unwrap_or_default() }
    }

    fn line(&self, metadata: &Metadata<'_>, time: String, fields: Fields) -> Value {
        match self {
            Self::Plain => plain(metadata, time, fields),
            Self::Gcp { traces } => gcp(metadata, time, fields, traces),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        writeln!(writer, "{}", self.line(event.metadata(), time, fields))
    }
}

fn plain(metadata: &Metadata<'_>, time: String, fields: Fields) -> Value {
    let mut line = json!({
        "timestamp": time,
        "level": metadata.level().as_str(),
        "fields": fields.0,
        "target": metadata.target(),
    });
    if let Some(Context { trace, span, .. }) = traces::current() {
        line["trace_id"] = trace.to_string().into();
        line["span_id"] = span.to_string().into();
    }
    line
}

fn gcp(metadata: &Metadata<'_>, time: String, Fields(mut fields): Fields, traces: &str) -> Value {
    let mut line = Map::new();
    line.insert("severity".to_owned(), severity(metadata.level()).into());
    line.insert("time".to_owned(), time.into());
    line.insert("message".to_owned(), fields.shift_remove("message").unwrap_or_default());
    let mut labels = Map::new();
    for (name, value) in fields {
        match value {
            // A label is text.
            Value::String(text) if LABELS.contains(&&*name) => {
                labels.insert(name, text.into());
            }
            value if RESERVED.contains(&&*name) || name.starts_with("logging.googleapis.com") => {
                line.insert(format!("field_{name}"), value);
            }
            value => {
                line.insert(name, value);
            }
        }
    }
    line.insert("target".to_owned(), metadata.target().into());
    line.insert("logging.googleapis.com/labels".to_owned(), labels.into());
    if let (Some(file), Some(number)) = (metadata.file(), metadata.line()) {
        // Google's reference wants the line as text: it is an int64 in JSON.
        let place = json!({"file": file, "line": number.to_string(), "function": metadata.module_path()});
        line.insert("logging.googleapis.com/sourceLocation".to_owned(), place);
    }
    if let Some(Context { trace, span, sampled }) = traces::current() {
        line.insert("logging.googleapis.com/trace".to_owned(), format!("{traces}{trace}").into());
        line.insert("logging.googleapis.com/spanId".to_owned(), span.to_string().into());
        line.insert("logging.googleapis.com/trace_sampled".to_owned(), sampled.into());
    }
    line.into()
}

/// Google's words: <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSeverity>.
fn severity(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// What a line says, by name.
#[derive(Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    /// The error and what it came from.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, Causes(value).to_string());
    }
}
