//! The built-in evaluation: every alert of the node, judged over what was scraped.

use std::time::Duration;

use jiff::Timestamp;

use super::catalogue::Alert;
use super::history::History;
use super::{Change, State};

/// Judges a list of alerts. Feed it a scrape now and then; it never reads a clock.
#[derive(Debug)]
pub struct Watch {
    alerts: &'static [Alert],
    standings: Vec<Standing>,
    /// What each condition compared when it was judged last; no number where that is not known.
    values: Vec<f64>,
    history: History,
    /// What the longest window needs.
    keep: Duration,
    names: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Quiet,
    /// Its condition has held since then, which is not long enough yet.
    Pending(Duration, Timestamp),
    Firing(Timestamp),
}

/// Where an alert of the node stood when it was judged last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Which.
    pub alert: &'static Alert,
    /// Whether its condition has held for as long as the alert wants; none while it does not hold.
    pub is_firing: Option<bool>,
    /// Since when its condition has held, or the alert fired; of what does not hold, none.
    pub since: Option<Timestamp>,
    /// What the condition compared; none where that is not known.
    pub value: Option<f64>,
}

impl Watch {
    /// Nothing fires yet.
    #[must_use]
    pub fn new(alerts: &'static [Alert]) -> Self {
        let series: Vec<_> = alerts.iter().flat_map(|alert| alert.condition.series()).collect();
        Self {
            alerts,
            standings: vec![Standing::Quiet; alerts.len()],
            values: vec![f64::NAN; alerts.len()],
            history: History::default(),
            keep: series.iter().map(|(_, window)| *window).max().unwrap_or_default(),
            names: series.iter().map(|(series, _)| series.name).collect(),
        }
    }

    /// Takes in the text of a scrape and tells what began and what ended. `now` is monotonic, since any fixed moment;
    /// `wall` is the same moment for people.
    pub fn look(&mut self, now: Duration, wall: Timestamp, text: &str) -> Vec<Change> {
        let names = &self.names;
        self.history.take(now, text, self.keep, |name| names.contains(&name));
        let judge = |((alert, standing), last): ((&Alert, &mut Standing), &mut f64)| {
            let (value, holds) = self.history.judge(&alert.condition, now).unwrap_or((f64::NAN, false));
            *last = value;
            let begun = match (*standing, holds) {
                (Standing::Quiet, true) => Some((now, wall)),
                (Standing::Pending(begun, at), true) => Some((begun, at)),
                (Standing::Quiet | Standing::Pending(..), false) | (Standing::Firing(_), _) => None,
            };
            let change =
                |state, since| Change { alert: alert.name, severity: alert.severity, user: None, state, value, since };
            match (*standing, begun) {
                (Standing::Firing(_), _) if holds => None,
                (Standing::Firing(since), _) => {
                    *standing = Standing::Quiet;
                    Some(change(State::Resolved, since))
                }
                (Standing::Quiet | Standing::Pending(..), Some((begun, _))) if now - begun >= alert.holds_for => {
                    *standing = Standing::Firing(wall);
                    Some(change(State::Firing, wall))
                }
                (Standing::Quiet | Standing::Pending(..), begun) => {
                    *standing = begun.map_or(Standing::Quiet, |(begun, at)| Standing::Pending(begun, at));
                    None
                }
            }
        };
        self.alerts.iter().zip(&mut self.standings).zip(&mut self.values).filter_map(judge).collect()
    }

    /// Where every alert stands since the last look, in the order of the list.
    pub fn judged(&self) -> impl Iterator<Item = Judged> + '_ {
        self.alerts.iter().zip(&self.standings).zip(&self.values).map(|((alert, standing), value)| {
            let (is_firing, since) = match standing {
                Standing::Quiet => (None, None),
                Standing::Pending(_, at) => (Some(false), Some(*at)),
                Standing::Firing(at) => (Some(true), Some(*at)),
            };
            Judged { alert, is_firing, since, value: Some(*value).filter(|value| value.is_finite()) }
        })
    }
}
