//! The reference of all metrics, made from the list. `cargo test` fails when `docs/metrics.md` no longer says the same.

use std::fmt::Write;

use super::list::METRICS;
use super::spec::{Kind, Spec};

/// How the page is renewed.
pub const RENEW: &str = "cargo run -q -p lychgate -- metrics > docs/metrics.md";

/// What stands before the tables.
const OPENING: &str = "\
`GET /metrics` on the admin listener answers in the OpenMetrics text format. Gauges are counted from the records when somebody
asks; counters begin at zero with the process, and every series is there from the start.

No metric tells one user from another: the values of every label are closed lists, which stand below. Who asks about one user
asks `GET /v1/admin/users/USER/explain`. What every metric has to do with the others is drawn in
[the dashboard](../deploy/grafana/lychgate.json), which is imported as it is.

Of a cluster each node tells what it sees itself ([cluster.md](cluster.md)): to add `lychgate_cluster_nodes` up means nothing.
";

/// `docs/metrics.md`: every metric with its kind, its unit, its labels and its meaning.
#[must_use]
pub fn markdown() -> String {
    let mut page = format!(
        "# Metrics\n\n<!-- Made from the list in crates/server/src/telemetry/metrics/list.rs by: {RENEW} -->\n\n{OPENING}"
    );
    let mut theme = "";
    for spec in METRICS {
        if spec.theme != theme {
            theme = spec.theme;
            let _ = write!(page, "\n## {theme}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
        }
        let _ = writeln!(page, "| `{}` | {} | {} | {}. |", spec.full_name(), kind(spec), labels(spec), spec.help);
    }
    page
}

fn kind(spec: &Spec) -> String {
    let unit = spec.unit().map_or_else(String::new, |unit| format!(", {}", unit.as_str()));
    match spec.kind {
        Kind::Gauge | Kind::Level | Kind::Counter | Kind::Sum => format!("{}{unit}", spec.kind.as_str()),
        Kind::Histogram(bounds) => {
            let bounds: Vec<_> = bounds.iter().map(f64::to_string).collect();
            format!("histogram{unit}: {}", bounds.join(", "))
        }
    }
}

fn labels(spec: &Spec) -> String {
    let labels: Vec<_> = spec.labels.iter().map(ToString::to_string).collect();
    labels.join("; ")
}
