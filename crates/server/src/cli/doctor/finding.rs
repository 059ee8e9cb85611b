//! What a check found, and how that is told.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::cli::operator::printable;

/// Columns where the output is no terminal.
const USUAL_COLUMNS: u16 = 120;

/// How bad it is; the worst of all is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Ok,
    Warning,
    Wrong,
}

impl Grade {
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Wrong => 2,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at; the same word whatever is found.
    pub(super) check: &'static str,
    #[serde(rename = "result")]
    pub(super) grade: Grade,
    /// What is the case.
    pub(super) what: String,
    /// What to do; empty where nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, grade: Grade::Ok, what: what.into(), fix: String::new() }
    }

    pub(super) fn warning(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, grade: Grade::Warning, what: what.into(), fix: fix.into() }
    }

    pub(super) fn wrong(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, grade: Grade::Wrong, what: what.into(), fix: fix.into() }
    }
}

/// For people: the worst first, what is in order at the end.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut ordered: Vec<_> = findings.iter().collect();
    ordered.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(USUAL_COLUMNS);
    }
    table.set_header(["check", "result", "what", "fix"]);
    for Finding { check, grade, what, fix } in ordered {
        let lines = |text: &str| text.lines().map(|line| printable(line.trim())).collect::<Vec<_>>().join(" ");
        table.add_row([(*check).to_owned(), grade.as_str().to_owned(), lines(what), lines(fix)]);
    }
    for (column, width) in [(0, 20), (1, 9)] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
        }
    }
    let rows: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let end = match (count(Grade::Wrong), count(Grade::Warning)) {
        (0, 0) => "Nothing to mend.".to_owned(),
        (wrong, warnings) => format!("{wrong} wrong, {warnings} warnings."),
    };
    format!("{rows}\n{end}\n")
}

/// For programs: one line each.
pub(super) fn json(findings: &[Finding]) -> String {
    let line = |finding| serde_json::to_string(finding).map_or_else(|_| String::new(), |line| line + "\n");
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_first_with_its_fix_and_fits_the_width() {
        let findings = [
            Finding::ok("ready", "it can deliver"),
            Finding::warning("clock", "it is 40 s off ".repeat(8), "Run NTP."),
            Finding::wrong("key", "line one\n  line\u{1b}[2J two", "Make one."),
        ];
        let text = table(&findings);
        let at = |word: &str| text.find(word).unwrap();
        assert!(at("WRONG") < at("warning") && at("warning") < at("it can deliver"), "{text}");
        assert!(text.ends_with("1 wrong, 1 warnings.\n") && !text.contains('\u{1b}'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(USUAL_COLUMNS)), "{text}");
        assert_eq!(findings.iter().map(|finding| finding.grade).max().map(Grade::exit_code), Some(2));
    }
}
