//! What an alert waits for: a small algebra over the metrics of the exposition, written as PromQL by its `Display`.

use std::fmt;
use std::time::Duration;

/// Which time series: those of a metric whose labels have one of the listed words each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// As it stands in the exposition, with its suffix: `lychgate_refusals_total`.
    pub name: &'static str,
    /// Label and the words of which it has one; without a label any word is right.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

impl Series {
    /// Every series of a metric.
    #[must_use]
    pub const fn all(name: &'static str) -> Self {
        Self { name, labels: &[] }
    }
}

/// A number that is made from series; none where no series is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// The sum of what the series say now.
    Sum(Series),
    /// The greatest of what they say now.
    Max(Series),
    /// The least of what they say now.
    Min(Series),
    /// By how much counters rose within the time before now, all together; as Prometheus' `increase`.
    Increase(Series, Duration),
    /// One by the other. By zero it is no number, and no condition holds of that.
    Ratio(&'static Self, &'static Self),
}

/// What has to hold. Never of a value that is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// The value is greater.
    Above(Value, f64),
    /// The value is smaller.
    Below(Value, f64),
    /// Both hold; the value of the first is the one that is told.
    Both(&'static Self, &'static Self),
    /// At least one of them holds; the value of the first that does is the one that is told.
    Any(&'static [Self]),
}

impl Value {
    /// The series that it is made from, and how far back of each.
    fn series(&self) -> Vec<(Series, Duration)> {
        match self {
            Self::Sum(series) | Self::Max(series) | Self::Min(series) => vec![(*series, Duration::ZERO)],
            Self::Increase(series, window) => vec![(*series, *window)],
            Self::Ratio(part, whole) => [part.series(), whole.series()].concat(),
        }
    }
}

impl Condition {
    /// The series that it is about, and how far back it looks at each.
    #[must_use]
    pub fn series(&self) -> Vec<(Series, Duration)> {
        match self {
            Self::Above(value, _) | Self::Below(value, _) => value.series(),
            Self::Both(one, other) => [one.series(), other.series()].concat(),
            Self::Any(all) => all.iter().flat_map(Self::series).collect(),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for (index, (label, words)) in self.labels.iter().enumerate() {
            let (before, sign) = (if index == 0 { "{" } else { "," }, if words.len() == 1 { "=" } else { "=~" });
            write!(f, "{before}{label}{sign}\"{}\"", words.join("|"))?;
        }
        f.write_str(if self.labels.is_empty() { "" } else { "}" })
    }
}

impl fmt::Display for Value {
    /// One number for each gateway: `job` and `instance` stay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum(series) => write!(f, "sum by (job, instance) ({series})"),
            Self::Max(series) => write!(f, "max by (job, instance) ({series})"),
            Self::Min(series) => write!(f, "min by (job, instance) ({series})"),
            Self::Increase(series, window) => {
                write!(f, "sum by (job, instance) (increase({series}[{}]))", Promql(*window))
            }
            Self::Ratio(part, whole) => write!(f, "{part} / {whole}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(value, bound) => write!(f, "{value} > {bound}"),
            Self::Below(value, bound) => write!(f, "{value} < {bound}"),
            Self::Both(one, other) => write!(f, "{one} and {other}"),
            // In parentheses: `and` binds closer.
            Self::Any(all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                write!(f, "({})", all.join(" or "))
            }
        }
    }
}

/// A duration as PromQL writes it, in whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Promql(pub Duration);

impl fmt::Display for Promql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds > 0 && seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}
