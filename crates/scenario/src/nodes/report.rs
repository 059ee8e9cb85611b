//! The table of all faults, and below it what broke.

use std::time::Duration;

use super::history::Verdict;
use crate::report::plain_table;

/// The columns.
const HEADER: [&str; 11] = [
    "fault",
    "duration s",
    "admissions tried",
    "admitted",
    "refused",
    "over the limit by",
    "sessions wrongly closed",
    "events lost",
    "time to heal s",
    "longest admission s",
    "verdict",
];

/// What one fault came to.
#[derive(Debug, Clone)]
pub struct Row {
    fault: String,
    lasted: Option<Duration>,
    verdict: Verdict,
    lost: Option<u64>,
    notes: Vec<String>,
    healed: Option<Duration>,
    broken: Vec<String>,
}

impl Row {
    pub(super) fn new(fault: &str) -> Self {
        let (fault, verdict) = (fault.to_owned(), Verdict::default());
        Self { fault, lasted: None, verdict, lost: None, notes: Vec::new(), healed: None, broken: Vec::new() }
    }

    pub(super) fn lasted(&mut self, time: Duration) {
        self.lasted = Some(time);
    }

    pub(super) fn healed(&mut self, after: Duration) {
        self.healed = Some(after);
    }

    pub(super) fn saw(&mut self, verdict: &Verdict) {
        self.verdict = verdict.clone();
    }

    /// What a reader was given and the next one was not, in words.
    pub(super) fn lost(&mut self, what: Vec<String>) {
        self.lost = Some(what.len() as u64);
        self.broken.extend(what);
    }

    /// What happened that may happen, and is to be known.
    pub(super) fn noted(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    pub(super) fn broke(&mut self, story: String) {
        self.broken.push(story);
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    fn cells(&self) -> [String; HEADER.len()] {
        let seconds =
            |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |it| format!("{:.1}", it.as_secs_f64()));
        [
            self.fault.clone(),
            seconds(self.lasted),
            self.verdict.tried.to_string(),
            self.verdict.admitted.to_string(),
            self.verdict.refused.to_string(),
            self.verdict.over.to_string(),
            self.verdict.wrongly_closed.to_string(),
            self.lost.map_or_else(|| "-".to_owned(), |lost| lost.to_string()),
            seconds(self.healed),
            seconds(Some(self.verdict.longest)),
            if self.is_kept() { "kept" } else { "BROKEN" }.to_owned(),
        ]
    }
}

/// The table of all faults; below it what is to be known, and each broken promise with what happened around it.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = plain_table(&HEADER);
    table.add_rows(rows.iter().map(Row::cells));
    let notes = rows.iter().flat_map(|row| row.notes.iter().map(move |note| format!("\n{}: {note}", row.fault)));
    let stories = rows.iter().flat_map(|row| row.broken.iter().map(move |story| format!("\n{}: {story}", row.fault)));
    std::iter::once(table.to_string()).chain(notes).chain(stories).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_broke_a_promise_says_so_in_its_line_and_below() {
        let mut row = Row::new("redis-frozen");
        row.lasted(Duration::from_millis(4_040));
        let kept = table(&[row.clone()]);
        assert!(kept.contains("| redis-frozen") && kept.contains("4.0") && kept.contains(" kept |"), "{kept}");
        row.noted("3 answers were lost".to_owned());
        assert!(table(&[row.clone()]).ends_with("redis-frozen: 3 answers were lost"), "they may be, and it is told");
        row.lost(vec!["an answer is not there".to_owned()]);
        row.broke("user 3 was refused".to_owned());
        let broken = table(&[row]);
        assert!(broken.contains(" BROKEN |"), "{broken}");
        assert!(broken.ends_with("redis-frozen: user 3 was refused"), "{broken}");
    }
}
