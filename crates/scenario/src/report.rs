//! What a plan found: numbers, broken promises, the table that shows them, and the page with plots.

use std::fmt::Display;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::live::metrics::Reclaims;

pub mod page;
mod plot;

/// Broken promises that are told in words; further ones are counted.
const TOLD: usize = 12;

/// Durations, kept to three digits from 1 microsecond to 2 minutes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Latency(Histogram<u64>);

/// Microseconds and how often.
impl From<Latency> for Vec<(u64, u64)> {
    fn from(latency: Latency) -> Self {
        latency.0.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
    }
}

impl From<Vec<(u64, u64)>> for Latency {
    fn from(counts: Vec<(u64, u64)>) -> Self {
        let mut latency = Self::new();
        counts.into_iter().for_each(|(micros, count)| latency.0.saturating_record_n(micros, count));
        latency
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram takes.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).expect("1 us to 120 s in three digits is a legal histogram"))
    }

    /// Adds one; what is longer than 2 minutes counts as 2 minutes.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all of another.
    pub fn absorb(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration that `quantile` (0 to 1) of them do not exceed; zero without any.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    /// Each duration that was recorded, to three digits, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.0.iter_recorded().map(|it| (Duration::from_micros(it.value_iterated_to()), it.count_at_value()))
    }

    /// The longest; zero without any.
    #[must_use]
    pub fn longest(&self) -> Duration {
        match self.count() {
            0 => Duration::ZERO,
            _ => Duration::from_micros(self.0.max()),
        }
    }
}

/// A user's sessions against his limit, as a frame told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the plan began.
    pub at: Duration,
    /// The user's number in the plan.
    pub user: u32,
    /// Sessions that he held.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
}

/// Everything that one call of `live` found.
#[derive(Debug, Default)]
pub struct Show {
    /// Each plan, in the order of the table.
    pub outcomes: Vec<Outcome>,
    /// Sessions that were reclaimed, by gateway; none where its admin listener is not known.
    pub reclaims: Vec<(String, Reclaims)>,
}

/// What one plan found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    plan: String,
    attempts: u64,
    admitted: u64,
    refused: u64,
    prevented: Option<u64>,
    wrongly_evicted: u64,
    admission: Latency,
    leaked: Option<u64>,
    broken: Vec<String>,
    untold: usize,
    notes: Vec<String>,
    /// Why it was not played.
    skipped: Option<String>,
    pressure: Vec<Sample>,
}

impl Outcome {
    /// Nothing found yet.
    #[must_use]
    pub fn new(plan: &str) -> Self {
        Self {
            plan: plan.to_owned(),
            attempts: 0,
            admitted: 0,
            refused: 0,
            prevented: None,
            wrongly_evicted: 0,
            admission: Latency::new(),
            leaked: None,
            broken: Vec::new(),
            untold: 0,
            notes: Vec::new(),
            skipped: None,
            pressure: Vec::new(),
        }
    }

    /// An open was answered with `opened` after so long.
    pub fn admitted(&mut self, after: Duration) {
        self.attempts += 1;
        self.admitted += 1;
        self.admission.record(after);
    }

    /// An open got its slot and lost it to a newer one before anybody could be told how long it took.
    pub fn admitted_untold(&mut self) {
        self.attempts += 1;
        self.admitted += 1;
    }

    /// Whether an open that was admitted had been sent while its user held as many sessions as he may: a gateway that checks
    /// and refuses would have locked him out.
    pub fn prevented(&mut self, a_lockout: bool) {
        self.prevented = Some(self.prevented.unwrap_or(0) + u64::from(a_lockout));
    }

    /// An open failed through our own fault: neither admitted nor refused. The plan bounds how many, and says so in a note.
    pub fn excused(&mut self) {
        self.attempts += 1;
    }

    /// An open was answered with anything else, or not at all: with limits that are per user alone that is a lockout.
    pub fn refused(&mut self, why: &dyn Display) {
        self.attempts += 1;
        self.refused += 1;
        self.broke(format!("somebody was not let in: {why}"));
    }

    /// A live session was ended although nothing asked for it.
    pub fn wrongly_evicted(&mut self, how: &dyn Display) {
        self.wrongly_evicted += 1;
        self.broke(format!("a live session was ended: {how}"));
    }

    /// So many slots were still taken when nobody was left to hold them.
    pub fn leaked(&mut self, slots: u64) {
        self.leaked = Some(self.leaked.unwrap_or(0) + slots);
        if slots > 0 {
            self.broke(format!("{slots} slots or connections were never given back"));
        }
    }

    /// A promise was broken: a sentence that says which and how.
    pub fn broke(&mut self, sentence: String) {
        if self.broken.len() < TOLD {
            self.broken.push(sentence);
        } else {
            self.untold += 1;
        }
    }

    /// Something worth knowing that breaks no promise: a sentence below the table.
    pub fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// It was not played, and this is why: it keeps no promise and breaks none.
    pub fn skipped(&mut self, why: String) {
        self.skipped = Some(why);
    }

    /// A frame told how many sessions a user holds. Of samples that say the same only the first and the last are kept,
    /// and none beyond `most`.
    pub fn pressure(&mut self, sample: Sample, most: usize) {
        let says_the_same = |it: &Sample| (it.user, it.used, it.limit) == (sample.user, sample.used, sample.limit);
        match self.pressure.as_mut_slice() {
            [.., before, last] if says_the_same(before) && says_the_same(last) => last.at = sample.at,
            kept if kept.len() < most => self.pressure.push(sample),
            _ => {}
        }
    }

    /// Adds what another part of the same plan found.
    pub fn absorb(&mut self, part: Self) {
        self.attempts += part.attempts;
        self.admitted += part.admitted;
        self.refused += part.refused;
        if let Some(prevented) = part.prevented {
            self.prevented = Some(self.prevented.unwrap_or(0) + prevented);
        }
        self.wrongly_evicted += part.wrongly_evicted;
        self.admission.absorb(&part.admission);
        if let Some(leaked) = part.leaked {
            self.leaked = Some(self.leaked.unwrap_or(0) + leaked);
        }
        self.untold += part.untold;
        self.notes.extend(part.notes);
        self.pressure.extend(part.pressure);
        part.broken.into_iter().for_each(|sentence| self.broke(sentence));
    }

    /// Which plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// What became of it, in one word: `kept`, `BROKEN`, `sim only` or `skipped`.
    #[must_use]
    pub fn verdict(&self) -> &str {
        match (&self.skipped, self.is_kept()) {
            (Some(why), _) => why.split(':').next().unwrap_or_default(),
            (None, true) => "kept",
            (None, false) => "BROKEN",
        }
    }

    /// How users stood against their limits, as frames told it; each user's samples in order.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.pressure
    }

    /// Every broken promise, every note and the reason why it was not played, in words.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let more = (self.untold > 0).then(|| format!("and {} more", self.untold));
        let notes = self.notes.iter().map(|sentence| format!("note: {sentence}"));
        self.skipped.iter().chain(&self.broken).cloned().chain(more).chain(notes).collect()
    }

    /// Its line of the table, under [`HEADER`].
    fn row(&self) -> [String; HEADER.len()] {
        let admission = &self.admission;
        let shown = |it: String| if self.skipped.is_some() { "-".to_owned() } else { it };
        [
            self.plan.clone(),
            shown(self.attempts.to_string()),
            shown(self.admitted.to_string()),
            shown(self.refused.to_string()),
            shown(self.prevented.map_or_else(|| "not seen".to_owned(), |prevented| prevented.to_string())),
            shown(self.wrongly_evicted.to_string()),
            shown(milliseconds(admission.quantile(0.5))),
            shown(milliseconds(admission.quantile(0.99))),
            shown(milliseconds(admission.longest())),
            shown(self.leaked.map_or_else(|| "not seen".to_owned(), |leaked| leaked.to_string())),
            self.verdict().to_owned(),
        ]
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    /// How long admissions took, from `open` to `opened`.
    #[must_use]
    pub fn admission(&self) -> &Latency {
        &self.admission
    }
}

/// The columns.
const HEADER: [&str; 11] = [
    "plan",
    "attempts",
    "admitted",
    "refused",
    "lockouts prevented",
    "wrongly evicted",
    "p50 ms",
    "p99 ms",
    "max ms",
    "slots leaked",
    "verdict",
];

/// The table of all plans, and below it every broken promise and every note in words.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut table = plain_table(&HEADER);
    table.add_rows(outcomes.iter().map(Outcome::row));
    let told = |outcome: &Outcome| {
        let plan = outcome.plan.clone();
        outcome.sentences().into_iter().map(move |sentence| format!("{plan}: {sentence}")).collect::<Vec<_>>()
    };
    let words = outcomes.iter().flat_map(told);
    std::iter::once(table.to_string()).chain(words).collect::<Vec<_>>().join("\n")
}

/// A table in plain text whose first column is words and whose others are numbers.
#[must_use]
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).force_no_tty().set_header(header.to_vec());
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Milliseconds with as many digits as matter.
#[must_use]
pub fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1_000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_breaks_the_promise_and_is_told_in_words() {
        let mut outcome = Outcome::new("storm");
        outcome.admitted(Duration::from_millis(3));
        assert!(outcome.is_kept());
        outcome.refused(&"no_slot");
        assert!(!outcome.is_kept());
        let shown = table(&[outcome]);
        assert!(shown.contains("storm: somebody was not let in: no_slot"), "{shown}");
        assert!(shown.contains("BROKEN"), "{shown}");
    }

    #[test]
    fn broken_promises_are_bounded_and_none_is_forgotten() {
        let mut outcome = Outcome::new("storm");
        (0..TOLD + 5).for_each(|n| outcome.broke(format!("number {n}")));
        let mut whole = Outcome::new("storm");
        whole.absorb(outcome);
        assert!(table(&[whole]).contains("and 5 more"));
    }

    #[test]
    fn slots_that_nobody_counted_are_not_shown_as_none() {
        assert!(table(&[Outcome::new("storm")]).contains("not seen"));
    }

    #[test]
    fn lockouts_that_were_prevented_are_those_of_all_parts() {
        let mut whole = Outcome::new("storm");
        for prevented in [3, 2] {
            let mut part = Outcome::new("storm");
            (0..5).for_each(|n| part.prevented(n < prevented));
            whole.absorb(part);
        }
        assert_eq!(whole.prevented, Some(5));
    }

    #[test]
    fn a_plan_that_was_not_played_shows_no_numbers_and_says_why() {
        let mut outcome = Outcome::new("expelled");
        outcome.skipped("sim only: step 2 `expel u0 c0`: nobody can".to_owned());
        let shown = table(&[outcome.clone()]);
        assert!(outcome.is_kept() && shown.contains("| sim only |"), "{shown}");
        assert!(shown.contains("expelled: sim only: step 2"), "{shown}");
    }

    #[test]
    fn an_outcome_travels_between_processes_with_its_latencies() {
        let mut outcome = Outcome::new("tunnel");
        (1..=100).for_each(|ms| outcome.admitted(Duration::from_millis(ms)));
        outcome.broke("a promise".to_owned());
        let back: Outcome = serde_json::from_str(&serde_json::to_string(&outcome).unwrap()).unwrap();
        assert_eq!(table(&[back]), table(&[outcome]));
    }

    #[test]
    fn pressure_that_stays_the_same_is_two_samples() {
        let mut outcome = Outcome::new("slow-fill");
        for (second, used) in [(0, 1), (1, 2), (2, 2), (3, 2), (4, 3)] {
            outcome.pressure(Sample { at: Duration::from_secs(second), user: 0, used, limit: 20 }, 100);
        }
        let kept: Vec<_> = outcome.samples().iter().map(|it| (it.at.as_secs(), it.used)).collect();
        assert_eq!(kept, [(0, 1), (1, 2), (3, 2), (4, 3)]);
    }

    #[test]
    fn quantiles_of_nothing_are_zero() {
        let latency = Latency::new();
        assert_eq!((latency.quantile(0.99), latency.longest()), (Duration::ZERO, Duration::ZERO));
    }
}
