//! How good an alarm was: whether it came before the limit did, how long before, and how often it came for nothing.

use std::fmt;

use super::detect::Detector;
use super::replay::Series;

/// An alarm that is off for a shorter time than this never ended: alerts wait as well before they resolve.
const SETTLES: usize = 60;

/// An alarm that ended was right all the same if the limit was reached so soon after it.
const RIGHT_WITHIN: usize = 600;

/// A user who comes back to his limit was gone from it only if he was below 60 % in between.
const GONE_BELOW: usize = 60;

/// What became of one detector on one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Score {
    /// Seconds of warning, for each time that the limit was reached; none where nobody warned.
    leads: Vec<Option<usize>>,
    false_alarms: usize,
    false_seconds: usize,
    hours: f64,
}

impl Score {
    pub(super) fn of(series: &Series, detector: &mut dyn Detector) -> Self {
        let alarms: Vec<bool> =
            series.counts.iter().enumerate().map(|(second, count)| detector.look(second, *count)).collect();
        let episodes = episodes(&alarms);
        let hits = hits(series);
        let lead = |hit: &usize| {
            let warned = episodes.iter().find(|(start, end)| start < hit && hit <= end);
            warned.map(|(start, _)| hit - start)
        };
        let is_false =
            |(start, end): &&(usize, usize)| !hits.iter().any(|hit| start <= hit && *hit <= end + RIGHT_WITHIN);
        let wrong: Vec<_> = episodes.iter().filter(is_false).collect();
        Self {
            leads: hits.iter().map(lead).collect(),
            false_alarms: wrong.len(),
            false_seconds: wrong.iter().map(|(start, end)| end - start).sum(),
            hours: series.hours(),
        }
    }

    /// How often the limit was reached.
    pub(super) fn hits(&self) -> usize {
        self.leads.len()
    }

    /// The median of the warnings.
    fn lead(&self) -> Option<usize> {
        let mut leads: Vec<_> = self.leads.iter().flatten().copied().collect();
        leads.sort_unstable();
        leads.get(leads.len() / 2).copied()
    }
}

/// When the limit was reached by a user who had been away from it.
fn hits(series: &Series) -> Vec<usize> {
    let mut hits = Vec::new();
    let mut was_away = true;
    for (second, count) in series.counts.iter().enumerate() {
        if *count >= series.limit && was_away {
            hits.push(second);
            was_away = false;
        }
        was_away |= count * 100 < series.limit * GONE_BELOW;
    }
    hits
}

/// When the alarm was on: from a second up to and without another one.
fn episodes(alarms: &[bool]) -> Vec<(usize, usize)> {
    let mut episodes: Vec<(usize, usize)> = Vec::new();
    for second in (0..alarms.len()).filter(|second| alarms[*second]) {
        match episodes.last_mut() {
            Some((_, end)) if second < *end + SETTLES => *end = second + 1,
            Some(_) | None => episodes.push((second, second + 1)),
        }
    }
    episodes
}

impl fmt::Display for Score {
    /// Four cells of a table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.leads.iter().flatten().count();
        match self.leads.is_empty() {
            true => write!(f, "-")?,
            false => write!(f, "{seen} of {}", self.leads.len())?,
        }
        match self.lead() {
            Some(lead) if lead >= 60 => write!(f, " | {} min {:02} s", lead / 60, lead % 60)?,
            Some(lead) => write!(f, " | {lead} s")?,
            None => write!(f, " | -")?,
        }
        let hours = self.hours.max(f64::MIN_POSITIVE);
        write!(f, " | {:.1} | {:.1}", self.false_alarms as f64 / hours, self.false_seconds as f64 / 60.0 / hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Above(usize);

    impl Detector for Above {
        fn look(&mut self, _: usize, count: usize) -> bool {
            count > self.0
        }
    }

    fn series(counts: &[(usize, usize)]) -> Series {
        let counts = counts.iter().flat_map(|(count, secs)| std::iter::repeat_n(*count, *secs)).collect();
        Series { counts, limit: 20 }
    }

    #[test]
    fn an_alarm_before_the_limit_has_a_lead_and_one_without_the_limit_is_false() {
        let series = series(&[(2, 100), (12, 30), (20, 50), (2, 2_000), (12, 90), (2, 1_330)]);
        let score = Score::of(&series, &mut Above(10));
        assert_eq!((score.leads.as_slice(), score.false_alarms, score.false_seconds), (&[Some(30)][..], 1, 90));
        assert_eq!(score.to_string(), "1 of 1 | 30 s | 1.0 | 1.5");
    }

    #[test]
    fn an_alarm_at_the_limit_itself_comes_too_late() {
        let score = Score::of(&series(&[(2, 100), (20, 50)]), &mut Above(10));
        assert_eq!(score.leads, [None]);
    }

    #[test]
    fn who_stays_near_his_limit_reaches_it_once() {
        assert_eq!(hits(&series(&[(20, 5), (19, 5), (20, 5), (3, 5), (20, 5)])), [0, 20]);
    }
}
