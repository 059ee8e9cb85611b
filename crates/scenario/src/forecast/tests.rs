//! The page says what the replay measures, and a recorded trace is read or its fault is named.

use super::*;

const PAGE: &str = include_str!("../../../../docs/forecast.md");

#[test]
fn the_page_tells_the_alarms_that_the_replay_finds() {
    for row in alarms(&generated()).lines() {
        assert!(PAGE.contains(row), "docs/forecast.md does not say:\n{row}\nrenew its tables with: {RENEW}");
    }
}

#[test]
fn the_page_tells_what_was_reclaimed() {
    for row in reclaims().lines() {
        assert!(PAGE.contains(row), "docs/forecast.md does not say:\n{row}\nrenew its tables with: {RENEW}");
    }
}

#[test]
fn a_recorded_trace_is_read_and_holds_until_it_changes() {
    let series = read("# sessions of u\n0 3\n2.5, 4\n\n3\t9 # now\n", 20).unwrap();
    assert_eq!(series.counts[..5], [3, 3, 4, 9, 9]);
    assert_eq!(series.counts.len(), 63);
}

#[test]
fn a_recorded_trace_that_is_none_names_the_line() {
    for (text, why) in [
        ("0 1\n1 x", "line 2: `x` is no number of sessions"),
        ("0 1\nsoon 4", "line 2: `soon` is no time in seconds"),
        ("7", "line 1: `7` is not a time in seconds and a number of sessions"),
        ("5 1\n4 1", "line 2: 4 is earlier than the line before"),
        ("1e30 1", "line 1: a trace lasts"),
        ("-1 1", "line 1: a trace lasts"),
        ("NaN 1", "line 1: a trace lasts"),
        ("# nothing", "there is nothing in it"),
    ] {
        let said = read(text, 20).unwrap_err().to_string();
        assert!(said.contains(why), "{text:?}: {said}");
    }
}
