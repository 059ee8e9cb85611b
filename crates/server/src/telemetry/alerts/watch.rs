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
    history: History,
    /// What the longest window needs.
    keep: Duration,
    names: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Quiet,
    /// Its condition has held since then, which is not long enough yet.
    Pending(Duration),
    Firing(Timestamp),
}

impl Watch {
    /// Nothing fires yet.
    #[must_use]
    pub fn new(alerts: &'static [Alert]) -> Self {
        let series: Vec<_> = alerts.iter().flat_map(|alert| alert.condition.series()).collect();
        Self {
            alerts,
            standings: vec![Standing::Quiet; alerts.len()],
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
        let judge = |(alert, standing): (&Alert, &mut Standing)| {
            let (value, holds) = self.history.judge(&alert.condition, now).unwrap_or((f64::NAN, false));
            let begun = match (*standing, holds) {
                (Standing::Quiet, true) => Some(now),
                (Standing::Pending(begun), true) => Some(begun),
                (Standing::Quiet | Standing::Pending(_), false) | (Standing::Firing(_), _) => None,
            };
            let change =
                |state, since| Change { alert: alert.name, severity: alert.severity, user: None, state, value, since };
            match (*standing, begun) {
                (Standing::Firing(_), _) if holds => None,
                (Standing::Firing(since), _) => {
                    *standing = Standing::Quiet;
                    Some(change(State::Resolved, since))
                }
                (Standing::Quiet | Standing::Pending(_), Some(begun)) if now - begun >= alert.holds_for => {
                    *standing = Standing::Firing(wall);
                    Some(change(State::Firing, wall))
                }
                (Standing::Quiet | Standing::Pending(_), begun) => {
                    *standing = begun.map_or(Standing::Quiet, Standing::Pending);
                    None
                }
            }
        };
        self.alerts.iter().zip(&mut self.standings).filter_map(judge).collect()
    }
}
