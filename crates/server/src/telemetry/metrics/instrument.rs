//! Counters, gauges and histograms with closed labels: every series is there from the start, in the order of the list.
//!
//! A series that appears with its first event hides that event from `rate()`; and what has no place here cannot be counted
//! under a label, so that no id can become one (hazard R25).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{self, Registry};

use super::spec::{Kind, Spec, Values};

pub(super) type Gauge = Series<gauge::Gauge>;
pub(super) type Level = Series<gauge::Gauge<f64, AtomicU64>>;
pub(super) type Counter = Series<counter::Counter>;
pub(super) type Sum = Series<counter::Counter<f64, AtomicU64>>;
pub(super) type Histogram = Series<histogram::Histogram>;

/// The words of one series, with the names of their labels.
type Labels = Vec<(&'static str, Arc<str>)>;

/// A metric of one kind, with all its series.
#[derive(Clone, Debug)]
pub(super) struct Series<M> {
    name: &'static str,
    /// Shared with the registry.
    cells: Arc<[(Labels, M)]>,
}

/// What a series is made of.
pub(super) trait Cell: EncodeMetric + TypedMetric + Clone + fmt::Debug + Send + Sync + 'static {
    fn of(kind: Kind) -> Self;
}

impl Cell for gauge::Gauge {
    fn of(_kind: Kind) -> Self {
        Self::default()
    }
}

impl Cell for gauge::Gauge<f64, AtomicU64> {
    fn of(_kind: Kind) -> Self {
        Self::default()
    }
}

impl Cell for counter::Counter {
    fn of(_kind: Kind) -> Self {
        Self::default()
    }
}

impl Cell for counter::Counter<f64, AtomicU64> {
    fn of(_kind: Kind) -> Self {
        Self::default()
    }
}

impl Cell for histogram::Histogram {
    fn of(kind: Kind) -> Self {
        let bounds = match kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Gauge | Kind::Level | Kind::Counter | Kind::Sum => &[],
        };
        Self::new(bounds.iter().copied())
    }
}

impl<M: Cell> Series<M> {
    /// Makes every series of a metric, and has the registry show them.
    pub(super) fn register(spec: &Spec, agents: &[Arc<str>], registry: &mut Registry) -> Self {
        let mut places: Vec<Labels> = vec![Labels::new()];
        for label in spec.labels {
            let values: Vec<Arc<str>> = match label.values {
                Values::Words(words) => words.iter().copied().map(Arc::from).collect(),
                Values::Agents => agents.to_vec(),
            };
            let with = |place: &Labels, value: &Arc<str>| {
                place.iter().cloned().chain([(label.name, Arc::clone(value))]).collect::<Labels>()
            };
            places = places.iter().flat_map(|place| values.iter().map(move |value| with(place, value))).collect();
        }
        let cells = places.into_iter().map(|place| (place, M::of(spec.kind))).collect();
        let series = Self { name: spec.name, cells };
        match spec.unit().and_then(|unit| Some((spec.stem(unit)?, unit))) {
            Some((stem, unit)) => {
                let unit = registry::Unit::Other(unit.as_str().to_owned());
                registry.register_with_unit(stem, spec.help, unit, series.clone());
            }
            None => registry.register(spec.name, spec.help, series.clone()),
        }
        series
    }

    /// The one series of a metric without labels.
    pub(super) fn only(&self) -> Option<&M> {
        self.of(&[])
    }

    /// The series with these words, in the order of the labels. A word that is not in the list is a defect of ours: it is
    /// told in the log and counted nowhere, because it may be anything.
    pub(super) fn of(&self, words: &[&str]) -> Option<&M> {
        let is_it = |(labels, _): &&(Labels, M)| {
            labels.len() == words.len() && labels.iter().zip(words).all(|((_, value), word)| **value == **word)
        };
        let found = self.cells.iter().find(is_it).map(|(_, cell)| cell);
        if found.is_none() {
            debug_assert!(false, "{} has no series {words:?}", self.name);
            tracing::error!(metric = self.name, "a metric has no series for what happened: this is a defect");
        }
        found
    }
}

impl<M: Cell> EncodeMetric for Series<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match &*self.cells {
            [(labels, only)] if labels.is_empty() => only.encode(encoder),
            cells => cells.iter().try_for_each(|(labels, cell)| cell.encode(encoder.encode_family(labels)?)),
        }
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl Gauge {
    pub(super) fn set(&self, value: usize) {
        self.set_of(&[], value);
    }

    pub(super) fn set_of(&self, words: &[&str], value: usize) {
        if let Some(gauge) = self.of(words) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

impl Level {
    pub(super) fn set(&self, value: f64) {
        if let Some(gauge) = self.only() {
            gauge.set(value);
        }
    }
}

impl Counter {
    pub(super) fn add(&self, count: u64) {
        if let Some(counter) = self.only() {
            counter.inc_by(count);
        }
    }

    pub(super) fn inc(&self) {
        self.add(1);
    }

    /// To a number that is counted elsewhere; it never falls.
    pub(super) fn raise_of(&self, words: &[&str], to: u64) {
        if let Some(counter) = self.of(words) {
            counter.inner().fetch_max(to, Ordering::Relaxed);
        }
    }

    pub(super) fn inc_of(&self, words: &[&str]) {
        if let Some(counter) = self.of(words) {
            counter.inc();
        }
    }
}

impl Histogram {
    pub(super) fn observe_of(&self, words: &[&str], seconds: f64) {
        if let Some(histogram) = self.of(words) {
            histogram.observe(seconds);
        }
    }
}
