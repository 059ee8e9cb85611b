//! What a metric is: its line in the list, from which it is registered, documented, drawn and checked.

use std::fmt;

/// What every name begins with.
pub const PREFIX: &str = "lychgate";

/// One metric, as the list has it.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What it is about: a chapter of the reference, a row of the dashboard.
    pub theme: &'static str,
    /// Its name, without the prefix and, for a counter, without `_total`. It ends with its unit, if it has one.
    pub name: &'static str,
    /// What it counts or shows, in one sentence without a full stop.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What tells its series apart.
    pub labels: &'static [Label],
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number that goes up and down.
    Gauge,
    /// A number with a fraction that goes up and down.
    Level,
    /// A number that only rises, until the process ends.
    Counter,
    /// A number with a fraction that only rises.
    Sum,
    /// How long things took, by upper bounds in seconds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// What Prometheus calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge | Self::Level => "gauge",
            Self::Counter | Self::Sum => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A label with all the values that it can have.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values: the list is closed, so that no user, thread, session or connection can be among them (hazard R25).
    pub values: Values,
}

/// Where the values of a label come from.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Fixed words of the program.
    Words(&'static [&'static str]),
    /// The names of the agents in the configuration, which is read at the start.
    Agents,
}

/// A unit of OpenMetrics; the name of a metric ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share, from 0 to 1.
    Ratio,
}

impl Unit {
    /// How names end with it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

impl Spec {
    /// The unit that its name ends with; none for what is counted in pieces.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        let ends_with = |unit: &Unit| self.stem(*unit).is_some();
        [Unit::Seconds, Unit::Bytes, Unit::Ratio].into_iter().find(ends_with)
    }

    /// The name without its unit.
    pub(super) fn stem(&self, unit: Unit) -> Option<&'static str> {
        self.name.strip_suffix(unit.as_str())?.strip_suffix('_')
    }

    /// The name of its samples, for a histogram without `_bucket`, `_sum` or `_count`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.kind {
            Kind::Counter | Kind::Sum => format!("{PREFIX}_{}_total", self.name),
            Kind::Gauge | Kind::Level | Kind::Histogram(_) => format!("{PREFIX}_{}", self.name),
        }
    }

    /// The names that a scrape has of it, with the labels of each.
    #[must_use]
    pub fn samples(&self) -> Vec<(String, Vec<&'static str>)> {
        let labels: Vec<_> = self.labels.iter().map(|label| label.name).collect();
        let with = |suffix, labels| (format!("{}{suffix}", self.full_name()), labels);
        match self.kind {
            Kind::Gauge | Kind::Level | Kind::Counter | Kind::Sum => vec![with("", labels)],
            Kind::Histogram(_) => {
                let mut of_buckets = labels.clone();
                of_buckets.push("le");
                vec![with("_bucket", of_buckets), with("_sum", labels.clone()), with("_count", labels)]
            }
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.values {
            Values::Words(words) => write!(f, "`{}`: {}", self.name, words.join(", ")),
            Values::Agents => write!(f, "`{}`: the names in `[agents]`", self.name),
        }
    }
}
