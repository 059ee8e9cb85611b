//! The panels of the dashboard: a few that were thought about, on top, and one for every metric of the list below them, so
//! that none is forgotten.

use super::list::METRICS;
use super::spec::{Kind, Spec, Unit};

/// One drawing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What it shows, and what to make of it.
    pub(super) description: String,
    pub(super) shape: Shape,
    /// As Grafana calls it.
    pub(super) unit: &'static str,
    /// What is asked, and how each answer is called.
    pub(super) queries: Vec<(String, String)>,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One number.
    Stat,
    /// Lines over time.
    Lines,
    /// Lines over time that add up.
    Stack,
}

/// What restricts every query to the gateways that were chosen on top of the dashboard.
const HERE: &str = r#"job=~"$job",instance=~"$instance""#;

fn panel(title: &str, description: &str, shape: Shape, unit: &'static str, queries: &[(&str, &str)]) -> Panel {
    let here = |query: &str| query.replace("HERE", HERE);
    let queries = queries.iter().map(|(query, legend)| (here(query), (*legend).to_owned())).collect();
    Panel { title: title.to_owned(), description: description.to_owned(), shape, unit, queries }
}

/// What to look at first.
#[rustfmt::skip]
pub(super) fn overview() -> Vec<Panel> {
    use Shape::{Lines, Stack, Stat};
    vec![
        panel("Lockouts prevented", "Opens of the shown time that a gateway which only checks and refuses would have refused.", Stat, "short",
            &[("sum(increase(lychgate_lockouts_prevented_total{HERE}[$__range]))", "")]),
        panel("Refused", "Opens of the shown time that got no session. Anything but zero is a lockout: a node that is full, draining, or forbidden to take live sessions.", Stat, "short",
            &[(r#"sum(increase(lychgate_refusals_total{HERE,reason!="not_connected"}[$__range]))"#, "")]),
        panel("Wrong verdicts", "Connections of the shown time that were called dead and were not.", Stat, "short",
            &[("sum(increase(lychgate_verdicts_disproved_total{HERE}[$__range]))", "")]),
        panel("Nodes ready", "Nodes that can deliver and are not being drained.", Stat, "short",
            &[("sum(lychgate_ready{HERE})", "")]),
        panel("Users near their limit", "Users by the band of their limit: from 50 % somebody is watched, from 60 % reclaim runs in the background, at 100 % the next open climbs the ladder.", Stack, "short",
            &[(r#"sum by (band) (lychgate_users{HERE,band!="ok"})"#, "{{band}}")]),
        panel("The way to a session", "Opens a second, by the way in which they got their session. Below `free`, `attach` and `takeover` every one is a lockout that was prevented.", Stack, "ops",
            &[("sum by (path) (rate(lychgate_admissions_total{HERE}[$__rate_interval]))", "{{path}}")]),
        panel("How long an open waits", "From the open to its answer. With dead sockets in the way it is 1.5 s, and never more than 10 s.", Lines, "s",
            &[("histogram_quantile(0.5, sum by (le) (rate(lychgate_admission_wait_seconds_bucket{HERE}[$__rate_interval])))", "half of them"),
              ("histogram_quantile(0.99, sum by (le) (rate(lychgate_admission_wait_seconds_bucket{HERE}[$__rate_interval])))", "99 of 100")]),
        panel("Reclaim that works", "The share of attempts of a level that freed a session. Conservative and moderate find nobody as long as nobody is dead: that is no failure.", Lines, "percentunit",
            &[("sum by (level) (rate(lychgate_cleanup_successes_total{HERE}[$__rate_interval])) / sum by (level) (rate(lychgate_cleanup_attempts_total{HERE}[$__rate_interval]))", "{{level}}")]),
    ]
}

/// The panel of a metric: a level as it is, a counter by its rate, a histogram by half and by 99 of 100.
pub(super) fn of(spec: &Spec) -> Panel {
    let name = spec.full_name();
    let labels: Vec<_> = spec.labels.iter().map(|label| label.name).collect();
    let by = match labels.as_slice() {
        [] => String::new(),
        labels => format!(" by ({})", labels.join(", ")),
    };
    let legend = labels.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
    let legend = if legend.is_empty() { spec.name.replace('_', " ") } else { legend };
    let rate = |name: &str| format!("rate({name}{{{HERE}}}[$__rate_interval])");
    let (queries, unit) = match spec.kind {
        // A lag, a share or a time of two nodes has no sum, and neither has what each of them sees of all.
        // Grafana's dates are in milliseconds.
        Kind::Level if is_date(spec) => {
            (vec![(format!("{name}{{{HERE}}} * 1000"), "{{instance}}".to_owned())], shown(spec))
        }
        Kind::Level => (vec![(format!("{name}{{{HERE}}}"), "{{instance}}".to_owned())], shown(spec)),
        Kind::Gauge => (vec![(format!("sum{by} ({name}{{{HERE}}})"), legend)], shown(spec)),
        Kind::Sum => (vec![(format!("sum ({})", rate(&name)), legend)], "percentunit"),
        Kind::Counter if spec.name.starts_with("bytes_") => {
            (vec![(format!("sum{by} ({})", rate(&name)), legend)], "Bps")
        }
        Kind::Counter => (vec![(format!("sum{by} ({})", rate(&name)), legend)], "ops"),
        Kind::Histogram(_) => {
            let by_le = [labels.as_slice(), &["le"]].concat().join(", ");
            let bucket = rate(&format!("{name}_bucket"));
            let quantile = |share: f64| format!("histogram_quantile({share}, sum by ({by_le}) ({bucket}))");
            let called = |said: &str| match labels.is_empty() {
                true => said.to_owned(),
                false => format!("{legend}, {said}"),
            };
            (vec![(quantile(0.5), called("half of them")), (quantile(0.99), called("99 of 100"))], "s")
        }
    };
    Panel { title: title(spec), description: format!("{}.", spec.help), shape: Shape::Lines, unit, queries }
}

/// The chapters of the list with the panels of their metrics.
pub(super) fn chapters() -> Vec<(&'static str, Vec<Panel>)> {
    let chapters = METRICS.chunk_by(|one, next| one.theme == next.theme);
    chapters.map(|chapter| (chapter[0].theme, chapter.iter().map(of).collect())).collect()
}

/// The name in words; what is a rate says so.
fn title(spec: &Spec) -> String {
    let stem = spec.unit().and_then(|unit| spec.stem(unit)).unwrap_or(spec.name);
    let words = stem.replace('_', " ");
    let words = match words.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => words,
    };
    match spec.kind {
        Kind::Counter => format!("{words}, per second"),
        // Seconds per second.
        Kind::Sum => format!("{words}, of one processor"),
        Kind::Gauge if spec.help.ends_with("since the start") => format!("{words}, since the start"),
        Kind::Gauge | Kind::Level | Kind::Histogram(_) => words,
    }
}

/// Whether it is a moment, in seconds since 1970.
fn is_date(spec: &Spec) -> bool {
    spec.name.ends_with("_time_seconds")
}

fn shown(spec: &Spec) -> &'static str {
    match spec.unit() {
        Some(Unit::Seconds) if is_date(spec) => "dateTimeAsIso",
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "bytes",
        Some(Unit::Ratio) => "percentunit",
        None => "short",
    }
}
