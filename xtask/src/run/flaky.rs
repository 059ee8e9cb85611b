//! Which tests of a command passed only when they were tried again: what a run of all tests names at its end.

use std::sync::{Mutex, PoisonError};

/// Those of the commands since they were last asked for. Steps are taken one after the other.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what the last lines of a command tell.
pub(super) fn note(last: &[String]) {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).extend(named(last));
}

/// Those that nobody asked for yet.
pub(crate) fn take() -> Vec<String> {
    std::mem::take(&mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner))
}

/// nextest has a line for each: `FLAKY 2/2 [ 0.1s] crate test`. Playwright says how many, `1 flaky`, and names them in the lines
/// behind it: `[project] > file > test`.
fn named(lines: &[String]) -> Vec<String> {
    let mut is_list = false;
    let of_line = |line: &String| {
        let line = line.trim();
        let is_count = line.strip_suffix(" flaky").is_some_and(|count| count.parse::<u32>().is_ok());
        is_list = is_count || (is_list && line.starts_with('['));
        ((is_list && !is_count) || line.starts_with("FLAKY ")).then(|| line.to_owned())
    };
    lines.iter().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        named(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn whoever_needed_a_second_try_is_named() {
        let nextest = "     Summary [ 1.0s] 3 tests run: 3 passed (1 flaky), 0 skipped\n  FLAKY 2/2 [ 0.1s] (1/3) lychgate journal::is_slow\n";
        assert_eq!(of(nextest), ["FLAKY 2/2 [ 0.1s] (1/3) lychgate journal::is_slow"]);
        let playwright =
            "  1 flaky\n    [chat] a.spec.ts:3:1 it streams\n  104 passed (4.0m)\n[chat] not one of them\n";
        assert_eq!(of(playwright), ["[chat] a.spec.ts:3:1 it streams"]);
        assert!(of("    PASS [ 0.1s] xtask run::flaky::tests::whoever\n  105 passed (4.0m)\n").is_empty());
    }
}
