//! `lychgate doctor` finds what is planted, one fault at a time and that one alone, and nothing where nothing is.
//!
//! Half of the faults are in configurations, half in gateways that run with something really broken: see `configurations` and
//! `gateways`.

mod configurations;
mod gateways;
mod neighbour;

use crate::command::Said;

/// What was found that is not in order: `check: what`.
fn found(said: &Said) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let is_mendable = |line: &serde_json::Value| {
        let is_ok = line["result"] == "ok";
        assert!(is_ok || !text(&line["fix"]).is_empty(), "a finding names its fix: {line}");
        !is_ok
    };
    let lines = said.lines().into_iter().filter(is_mendable);
    lines.map(|line| format!("{}: {}", text(&line["check"]), text(&line["what"]))).collect()
}

/// That this one was found, and nothing else. How late a shared machine runs is no fault that somebody planted.
fn only(said: &Said, check: &str, says: &str) {
    let is_of_the_machine = |line: &String| line.starts_with("runtime: ") || line.starts_with("reaper: ");
    let found: Vec<_> = found(said).into_iter().filter(|line| !is_of_the_machine(line)).collect();
    assert_eq!(found.len(), 1, "{check}, {says}: {said:?}");
    assert!(found[0].starts_with(&format!("{check}: ")) && found[0].contains(says), "{check}, {says}: {found:?}");
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
}

fn nothing(said: &Said) {
    let is_of_the_machine = |line: &String| line.starts_with("runtime: ") || line.starts_with("reaper: ");
    let found: Vec<_> = found(said).into_iter().filter(|line| !is_of_the_machine(line)).collect();
    assert_eq!(found, [""; 0], "{said:?}");
}
