//! The state that agent and front end share: snapshots and patches in, the state out, within bounds of size and depth.
//!
//! ```text
//! STATE_SNAPSHOT --> the state anew        STATE_DELTA --> op by op (RFC 6902) --too much, too deep--> none
//! ```
//!
//! A patch of a few bytes can double a state again and again (`copy` of the whole into a part), so each operation is
//! weighed before it is done: afterwards would be too late (R24, R31).

use std::sync::Arc;

use json_patch::{Patch, PatchOperation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::event::Event;

/// Bytes of JSON, about, that a state may have; beyond it the state is let go.
pub const MAX_BYTES: usize = 256 * 1024;
/// Levels that a state may have. A reader of JSON takes 128, and what holds the state needs some.
pub const MAX_DEPTH: usize = 100;

/// What a value weighs.
#[derive(Clone, Copy)]
struct Weight {
    bytes: usize,
    depth: usize,
}

impl Weight {
    fn is_too_much(self) -> bool {
        self.bytes > MAX_BYTES || self.depth > MAX_DEPTH
    }
}

/// STATE_SNAPSHOT: the state anew.
pub(super) fn replace(state: &mut Option<Arc<Value>>, event: &Event) {
    #[derive(Deserialize)]
    struct Told {
        snapshot: Value,
    }
    if let Ok(Told { snapshot }) = serde_json::from_str(event.json().get()) {
        *state = (!weigh(&snapshot).is_too_much()).then(|| Arc::new(snapshot));
    }
}

/// STATE_DELTA: a patch that does not fit changes nothing: the client, which has the same state, will say the same.
pub(super) fn patch(state: &mut Option<Arc<Value>>, event: &Event) {
    #[derive(Deserialize)]
    struct Changed {
        delta: Patch,
    }
    let Ok(Changed { delta }) = serde_json::from_str::<Changed>(event.json().get()) else { return };
    let mut next = match state.take() {
        Some(known) => Arc::unwrap_or_clone(known),
        None => Value::Object(Map::new()),
    };
    // One operation undoes itself where it does not fit; of several the first ones would stay.
    let before = (delta.0.len() > 1).then(|| next.clone());
    let mut bytes = weigh(&next).bytes;
    for operation in &delta.0 {
        let added = added(&next, operation);
        bytes += added.bytes;
        if (Weight { bytes, ..added }).is_too_much() {
            return;
        }
        if json_patch::patch(&mut next, std::slice::from_ref(operation)).is_err() {
            *state = Some(Arc::new(before.unwrap_or(next)));
            return;
        }
    }
    *state = Some(Arc::new(next));
}

/// What an operation adds at most, and how deep the state is there.
fn added(state: &Value, operation: &PatchOperation) -> Weight {
    let (value, path) = match operation {
        PatchOperation::Add(add) => (Some(&add.value), &add.path),
        PatchOperation::Replace(replace) => (Some(&replace.value), &replace.path),
        PatchOperation::Copy(copy) => (state.pointer(copy.from.as_str()), &copy.path),
        PatchOperation::Move(r#move) => (state.pointer(r#move.from.as_str()), &r#move.path),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Weight { bytes: 0, depth: 0 },
    };
    let weight = value.map_or(Weight { bytes: 0, depth: 0 }, weigh);
    Weight { bytes: weight.bytes + path.as_str().len(), depth: weight.depth + path.tokens().count() }
}

/// Recursion is bounded by the depth of what JSON could be read from, or of a state.
fn weigh(value: &Value) -> Weight {
    let all = |values: &mut dyn Iterator<Item = (usize, &Value)>| {
        values.fold(Weight { bytes: 2, depth: 1 }, |sum, (name, value)| {
            let weight = weigh(value);
            Weight { bytes: sum.bytes + name + 1 + weight.bytes, depth: sum.depth.max(1 + weight.depth) }
        })
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Weight { bytes: 4, depth: 0 },
        Value::String(text) => Weight { bytes: text.len() + 2, depth: 0 },
        Value::Array(items) => all(&mut items.iter().map(|item| (0, item))),
        Value::Object(fields) => all(&mut fields.iter().map(|(name, value)| (name.len() + 3, value))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(events: &[Value]) -> Option<Value> {
        let mut state = None;
        for event in events {
            let event = Event::build(event);
            match event.kind() {
                "STATE_SNAPSHOT" => replace(&mut state, &event),
                _ => patch(&mut state, &event),
            }
        }
        state.map(|state| (*state).clone())
    }

    fn delta(operations: Vec<Value>) -> Value {
        json!({"type": "STATE_DELTA", "delta": operations})
    }

    fn snapshot(value: &Value) -> Value {
        json!({"type": "STATE_SNAPSHOT", "snapshot": value})
    }

    #[test]
    fn the_state_is_the_last_snapshot_with_every_patch_that_fits() {
        let state = told(&[
            snapshot(&json!({"step": 1, "todo": ["a"]})),
            delta(vec![json!({"op": "replace", "path": "/step", "value": 2})]),
            delta(vec![
                json!({"op": "add", "path": "/todo/-", "value": "b"}),
                json!({"op": "move", "from": "/todo/0", "path": "/done"}),
            ]),
            delta(vec![json!({"op": "replace", "path": "/no/where", "value": 3})]),
            json!({"type": "STATE_DELTA", "delta": "no patch"}),
        ]);
        assert_eq!(state, Some(json!({"step": 2, "todo": ["b"], "done": "a"})));
        let first = told(&[delta(vec![json!({"op": "add", "path": "/a", "value": 1})])]);
        assert_eq!(first, Some(json!({"a": 1})), "a delta before any snapshot changes the empty state");
    }

    #[test]
    fn a_patch_that_fits_only_in_part_changes_nothing() {
        let wrong = delta(vec![
            json!({"op": "replace", "path": "/step", "value": 2}),
            json!({"op": "test", "path": "/step", "value": 3}),
        ]);
        assert_eq!(told(&[snapshot(&json!({"step": 1})), wrong]), Some(json!({"step": 1})));
    }

    #[test]
    fn a_state_that_grows_beyond_its_bound_is_let_go_and_the_next_snapshot_counts() {
        let long = "x".repeat(150 * 1024);
        let add = |at: &str| delta(vec![json!({"op": "add", "path": at, "value": long})]);
        assert!(told(&[add("/a")]).is_some());
        assert!(told(&[add("/a"), add("/b")]).is_none());
        assert_eq!(told(&[add("/a"), add("/b"), snapshot(&json!(1))]), Some(json!(1)));
        assert!(told(&[snapshot(&json!(format!("{long}{long}")))]).is_none());
    }

    #[test]
    fn a_small_patch_that_doubles_the_state_again_and_again_is_stopped() {
        let doubling = (0..64).map(|n| json!({"op": "copy", "from": "", "path": format!("/k{n}")})).collect();
        assert!(told(&[snapshot(&json!({"a": 1})), delta(doubling)]).is_none());
    }

    #[test]
    fn a_state_that_no_reader_of_json_would_take_is_let_go() {
        let deepening = (0..120).map(|_| json!({"op": "copy", "from": "", "path": "/a"})).collect();
        assert!(told(&[snapshot(&json!({"a": {}})), delta(deepening)]).is_none());
        let mut deep = json!(1);
        for _ in 0..MAX_DEPTH {
            deep = json!([deep]);
        }
        let kept = told(&[snapshot(&deep)]).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&kept.to_string()).unwrap(), kept);
        assert!(told(&[snapshot(&json!([deep]))]).is_none());
    }
}
