//! One line with ranges, as many steps.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::PlanErrorReason;
use crate::step::{Step, StepError, duration_from_text};

/// A word of a line: as it stands, or a prefix with a range of numbers.
enum Word<'a> {
    Plain(&'a str),
    Range(&'a str, RangeInclusive<u32>),
}

/// Gives every step of a line to `push`, in order, and stops at its first error: nothing is collected, so that a line
/// of a billion steps ends at the limit and not with the memory.
pub(super) fn expand(
    line: &str,
    mut push: impl FnMut(Step) -> Result<(), PlanErrorReason>,
) -> Result<(), PlanErrorReason> {
    let (line, pause) = split_pause(line)?;
    let words = line.split_whitespace().map(read).collect::<Result<Vec<_>, _>>()?;
    let lengths = |of_users: bool| words.iter().filter_map(move |word| length(word, of_users));
    let side_by_side = lengths(false).max().unwrap_or(1);
    if lengths(false).any(|length| length != side_by_side) {
        return Err(PlanErrorReason::Range);
    }
    let users = lengths(true).max().unwrap_or(1);
    for user in 0..users {
        for number in 0..side_by_side {
            push(one_step(&words, user, number)?)?;
            if let Some(pause) = pause {
                push(Step::Advance(pause))?;
            }
        }
    }
    Ok(())
}

fn split_pause(line: &str) -> Result<(&str, Option<Duration>), PlanErrorReason> {
    match line.split_once(" every ") {
        None => Ok((line, None)),
        Some((line, pause)) => match duration_from_text(pause.trim()) {
            Some(pause) => Ok((line, Some(pause))),
            None => Err(PlanErrorReason::Step(StepError::Malformed {
                wanted: "a time such as 200ms or 10s",
                word: pause.trim().to_owned(),
            })),
        },
    }
}

fn read(word: &str) -> Result<Word<'_>, PlanErrorReason> {
    let prefix = ["u", "c", "t", "new"].into_iter().find(|prefix| word.strip_prefix(prefix).is_some_and(is_range));
    let Some(prefix) = prefix else {
        return Ok(Word::Plain(word));
    };
    let bounds = word[prefix.len()..].split_once('-');
    match bounds.map(|(low, high)| (low.parse(), high.parse())) {
        Some((Ok(low), Ok(high))) if low <= high => Ok(Word::Range(prefix, low..=high)),
        Some(_) | None => Err(PlanErrorReason::Range),
    }
}

fn is_range(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('-').is_some_and(|(low, high)| is_number(low) && is_number(high))
}

fn length(word: &Word<'_>, of_users: bool) -> Option<u64> {
    match word {
        Word::Plain(_) => None,
        Word::Range(prefix, range) => {
            ((*prefix == "u") == of_users).then(|| u64::from(*range.end()) - u64::from(*range.start()) + 1)
        }
    }
}

fn one_step(words: &[Word<'_>], user: u64, number: u64) -> Result<Step, PlanErrorReason> {
    let mut line = String::new();
    for word in words {
        match word {
            Word::Plain(word) => line.push_str(word),
            Word::Range(prefix, range) => {
                let offset = if *prefix == "u" { user } else { number };
                line.push_str(prefix);
                line.push_str(&(u64::from(*range.start()) + offset).to_string());
            }
        }
        line.push(' ');
    }
    line.parse().map_err(PlanErrorReason::Step)
}
