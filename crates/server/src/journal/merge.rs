//! Joins adjacent pieces of one text, so that a reader who is behind gets few large events instead of many small ones.
//!
//! ```text
//! 7 CONTENT m1 "Hel"   8 CONTENT m1 "lo"   9 TEXT_MESSAGE_END m1   ->   8 CONTENT m1 "Hello"   9 TEXT_MESSAGE_END m1
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Entry;
use crate::wire::event::Event;

/// TEXT_MESSAGE_CONTENT or TOOL_CALL_ARGS with nothing but its id, its piece of text, and perhaps when it was made: of
/// joined pieces the last one says when. An event with more in it (`metadata`, `rawEvent`) is never joined: what it
/// carries belongs to its own piece.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Piece<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a RawValue>,
}

/// Joins adjacent TEXT_MESSAGE_CONTENT of one message and TOOL_CALL_ARGS of one call; the joined event has the offset
/// of its last piece. No joined text is longer than `max_bytes` (a single piece that is longer stays as it is).
#[must_use]
pub fn merge(entries: Vec<Entry>, max_bytes: usize) -> Vec<Entry> {
    if !entries.windows(2).any(|pair| continues(&pair[0], &pair[1])) {
        return entries;
    }
    let mut merged = Vec::with_capacity(entries.len());
    for group in entries.chunk_by(continues) {
        join(group, max_bytes, &mut merged);
    }
    merged
}

fn continues(one: &Entry, next: &Entry) -> bool {
    let (one, next) = (one.event.head(), next.event.head());
    let same_id = match one.kind.as_str() {
        "TEXT_MESSAGE_CONTENT" => one.message_id == next.message_id,
        "TOOL_CALL_ARGS" => one.tool_call_id == next.tool_call_id,
        _ => false,
    };
    same_id && one.kind == next.kind
}

/// Pieces that have been joined so far, and the last of them.
struct Joined<'a> {
    last: &'a Entry,
    piece: Piece<'a>,
    pieces: usize,
}

impl Joined<'_> {
    fn into_entry(self) -> Entry {
        match self.pieces {
            1 => self.last.clone(),
            _ => Entry { offset: self.last.offset, event: Event::build(&self.piece) },
        }
    }
}

fn join(group: &[Entry], max_bytes: usize, merged: &mut Vec<Entry>) {
    let mut open: Option<Joined<'_>> = None;
    for entry in group {
        let Ok(piece) = serde_json::from_str::<Piece<'_>>(entry.event.json().get()) else {
            merged.extend(open.take().map(Joined::into_entry));
            merged.push(entry.clone());
            continue;
        };
        match &mut open {
            Some(joined) if joined.piece.delta.len() + piece.delta.len() <= max_bytes => {
                joined.piece.delta.to_mut().push_str(&piece.delta);
                joined.piece.timestamp = piece.timestamp;
                joined.last = entry;
                joined.pieces += 1;
            }
            Some(_) | None => {
                let next = Joined { last: entry, piece, pieces: 1 };
                merged.extend(open.replace(next).map(Joined::into_entry));
            }
        }
    }
    merged.extend(open.map(Joined::into_entry));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entries(events: &[Value]) -> Vec<Entry> {
        let entry = |(i, value): (usize, &Value)| Entry { offset: i as u64 + 1, event: Event::build(value) };
        events.iter().enumerate().map(entry).collect()
    }

    fn content(id: &str, delta: &str) -> Value {
        json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta})
    }

    fn shown(entries: &[Entry]) -> Vec<(u64, Value)> {
        let show = |entry: &Entry| (entry.offset, serde_json::from_str(entry.event.json().get()).unwrap());
        entries.iter().map(show).collect()
    }

    #[test]
    fn adjacent_pieces_of_one_id_become_one_with_the_offset_of_the_last() {
        let args = |delta: &str| json!({"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": delta});
        let end = json!({"type": "TEXT_MESSAGE_END", "messageId": "a"});
        let log = entries(&[
            content("a", "He\"l"),
            content("a", "lo\n"),
            content("b", "x"),
            end.clone(),
            args("{\"n\""),
            args(":1}"),
        ]);
        let expected = vec![(2, content("a", "He\"llo\n")), (3, content("b", "x")), (4, end), (6, args("{\"n\":1}"))];
        assert_eq!(shown(&merge(log, 1024)), expected);
    }

    #[test]
    fn a_joined_text_stays_within_its_bound() {
        let log = entries(&[content("a", "abcd"), content("a", "efgh"), content("a", "ij"), content("a", "long tail")]);
        let expected = vec![(1, content("a", "abcd")), (3, content("a", "efghij")), (4, content("a", "long tail"))];
        assert_eq!(shown(&merge(log, 7)), expected);
    }

    #[test]
    fn pieces_that_say_when_they_were_made_are_joined_and_the_last_one_says_when() {
        let at = |delta: &str, time: u64| json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": delta, "timestamp": time});
        let log = entries(&[at("a", 1), at("b", 2), content("a", "c"), at("d", 1_763_700_000_000)]);
        assert_eq!(shown(&merge(log, 1024)), [(4, at("abcd", 1_763_700_000_000))]);
    }

    #[test]
    fn a_piece_that_carries_more_than_text_is_left_alone() {
        let rich = json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": "b", "metadata": {"k": 1}});
        let log = entries(&[content("a", "a"), rich.clone(), content("a", "c"), content("a", "d")]);
        let expected = vec![(1, content("a", "a")), (2, rich), (4, content("a", "cd"))];
        assert_eq!(shown(&merge(log, 1024)), expected);
    }
}
