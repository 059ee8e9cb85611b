//! The numbers of a scrape, as far as a check needs them.

use crate::telemetry::exposition::{Sample, samples};

/// The text of `/metrics`.
pub(super) struct Scrape<'a>(pub(super) &'a str);

impl<'a> Scrape<'a> {
    fn series(&self, name: &str) -> impl Iterator<Item = Sample<'a>> {
        samples(self.0).filter(move |sample| sample.name.strip_prefix("lychgate_") == Some(name))
    }

    /// The sum over all labels; none for a metric that this gateway does not have.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        self.sum_where(name, |_| true)
    }

    /// The same over series with such labels.
    pub(super) fn sum_where(&self, name: &str, is_so: impl Fn(&str) -> bool) -> Option<f64> {
        self.series(name)
            .filter(|sample| is_so(sample.labels()))
            .map(|sample| sample.value)
            .reduce(|sum, value| sum + value)
    }

    /// Labels of the series whose value is so.
    pub(super) fn labels_where(&self, name: &str, is_so: impl Fn(f64) -> bool) -> Vec<&'a str> {
        self.series(name).filter(|sample| is_so(sample.value)).map(|sample| sample.labels()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name_with_and_without_labels() {
        let scrape = Scrape(
            "# HELP lychgate_sessions Sessions.\nlychgate_sessions 7\nlychgate_sessions_lingering 2\n\
             lychgate_agent_up{agent=\"a\"} 1\nlychgate_agent_up{agent=\"b\"} 0\n",
        );
        assert_eq!(scrape.sum("sessions"), Some(7.0));
        assert_eq!((scrape.sum("agent_up"), scrape.sum("nothing")), (Some(1.0), None));
        assert_eq!(scrape.labels_where("agent_up", |up| up == 0.0), ["agent=\"b\""]);
    }
}
