//! Which room of `crates/server` may use which: one table, read by people and checked here.
//!
//! ```text
//! assemble   app cli                      everything; imported by nobody outside this row
//! edge in    listener ws api              handles of the middle, leaf, the auth trait; ws, api: the listener's seats; api: ws' sockets
//! middle     driver session run           leaf, core; the traits of the edge out
//! edge out   auth agent journal cluster   leaf, the ids of core; never each other
//! leaf       wire close error outbox outbound sink store config telemetry sync whereabouts
//!                                         core, and each other without a cycle
//! ```
//!
//! Code under `#[cfg(test)]` and the two crate roots (`lib.rs`, `main.rs`) may use everything.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Path, Source};
use super::{Finding, Tree};

/// What one row of the table allows its rooms, beside themselves.
struct Row {
    layer: &'static str,
    rooms: &'static [&'static str],
    core: Core,
    /// Rooms that may be used whole.
    whole: &'static [&'static str],
    /// Rooms of which only the trait and the types beside it may be used: named items of the room itself, nothing from
    /// the modules inside it.
    traits: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    Whole,
    /// The types of `core::id` alone.
    Ids,
}

const LEAF: [&str; 11] =
    ["wire", "close", "error", "outbox", "outbound", "sink", "store", "config", "telemetry", "sync", "whereabouts"];

const EDGE_IN: [&str; 13] = [
    "wire",
    "close",
    "error",
    "outbox",
    "outbound",
    "sink",
    "store",
    "config",
    "telemetry",
    "sync",
    "driver",
    "session",
    "run",
];

const TABLE: [Row; 10] = [
    // A server that tests start; no room uses it outside them.
    Row { layer: "tests", rooms: &["redis_server"], core: Core::Ids, whole: &[], traits: &[] },
    Row { layer: "leaf", rooms: &LEAF, core: Core::Whole, whole: &LEAF, traits: &[] },
    Row {
        layer: "edge out",
        rooms: &["auth", "agent", "journal", "cluster"],
        core: Core::Ids,
        whole: &LEAF,
        traits: &[],
    },
    Row { layer: "middle", rooms: &["driver"], core: Core::Whole, whole: &LEAF, traits: &["cluster"] },
    Row { layer: "middle", rooms: &["session"], core: Core::Whole, whole: &LEAF, traits: &["journal"] },
    Row { layer: "middle", rooms: &["run"], core: Core::Whole, whole: &LEAF, traits: &["agent", "journal"] },
    Row { layer: "edge in", rooms: &["listener"], core: Core::Whole, whole: &EDGE_IN, traits: &["auth"] },
    // A connection keeps the seat that the listener gave it, and gives it back when it ends.
    Row { layer: "edge in", rooms: &["ws"], core: Core::Whole, whole: &EDGE_IN, traits: &["auth", "listener"] },
    // The operators' socket is a handler of theirs on a connection of `ws`, which knows nothing of operators.
    Row { layer: "edge in", rooms: &["api"], core: Core::Whole, whole: &EDGE_IN, traits: &["auth", "listener", "ws"] },
    Row {
        layer: "assemble",
        rooms: &["app", "cli"],
        core: Core::Whole,
        whole: &[
            "wire",
            "close",
            "error",
            "outbox",
            "outbound",
            "sink",
            "store",
            "config",
            "telemetry",
            "sync",
            "auth",
            "agent",
            "journal",
            "cluster",
            "driver",
            "session",
            "run",
            "listener",
            "ws",
            "api",
            "app",
            "cli",
        ],
        traits: &[],
    },
];

/// What `core::id` exports.
const CORE_IDS: [&str; 11] = [
    "ClientId",
    "ConnectionId",
    "IdError",
    "Proof",
    "RequestId",
    "RunId",
    "SessionKey",
    "ThreadId",
    "Until",
    "UserId",
    "id",
];

const SERVER: &str = "crates/server/src/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let sources: Vec<&Source> = tree.rust.iter().filter(|source| source.path.starts_with(SERVER)).collect();
    let modules: BTreeSet<Vec<String>> = sources.iter().map(|source| module(&source.path)).collect();
    let mut findings = Vec::new();
    let mut leaves = Uses::new();
    for source in sources {
        let own = module(&source.path);
        let Some(room) = own.first() else {
            continue;
        };
        let Some(row) = row_of(room) else {
            let text = format!("`{room}` stands in no row of the import table: give it one, or move the file");
            findings.push(Finding::error(&source.path, 0, text));
            continue;
        };
        for path in source.paths() {
            if source.is_test(path.at) {
                continue;
            }
            if let Err(text) = judge(room, row, &own, &path, &modules) {
                findings.push(Finding::error(&source.path, path.line, text));
            } else if let Some([target, ..]) = within_crate(&own, &path).as_deref()
                && target != room
                && is_leaf(room)
            {
                let place = (source.path.clone(), path.line);
                leaves.entry(room.clone()).or_default().entry(target.clone()).or_insert(place);
            }
        }
    }
    findings.extend(cycles(&leaves));
    findings
}

/// Room to the rooms that it uses, each with the first place.
type Uses = BTreeMap<String, BTreeMap<String, (String, usize)>>;

fn row_of(room: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.rooms.contains(&room))
}

fn is_leaf(room: &str) -> bool {
    LEAF.contains(&room)
}

/// Whether a path is allowed; if not, what was imported and what the table allows.
fn judge(room: &str, row: &Row, own: &[String], path: &Path, modules: &BTreeSet<Vec<String>>) -> Result<(), String> {
    let written = path.segments.join("::");
    if row.core == Core::Ids
        && let [crate_name, item, ..] = path.segments.as_slice()
        && crate_name == "lychgate_core"
        && !CORE_IDS.contains(&item.as_str())
    {
        return Err(format!("`{room}` ({}) uses `{written}`; of core it may use the ids alone", row.layer));
    }
    let Some(target) = within_crate(own, path) else {
        return Ok(());
    };
    let Some(target_room) = target.first() else {
        return Err(format!("`{written}` hides which room is used: name it"));
    };
    if target_room == room || row.whole.contains(&target_room.as_str()) {
        return Ok(());
    }
    if !row.traits.contains(&target_room.as_str()) {
        return Err(format!("`{room}` ({}) uses `{written}`; {}", row.layer, allowance(row)));
    }
    let names_an_item = target.get(1).is_some_and(|item| item != "*");
    let inside = target.get(..2).is_some_and(|start| modules.contains(start));
    if names_an_item && !inside {
        return Ok(());
    }
    Err(format!(
        "`{room}` ({}) uses `{written}`; of `{target_room}` it may use the trait and the types beside it, by name",
        row.layer
    ))
}

fn allowance(row: &Row) -> String {
    let mut text = format!("it may use {}", row.whole.join(", "));
    if !row.traits.is_empty() {
        text.push_str(", and the traits of ");
        text.push_str(&row.traits.join(", "));
    }
    text
}

/// `crates/server/src/ws/read.rs` -> `["ws", "read"]`; the crate's roots -> `[]`.
fn module(path: &str) -> Vec<String> {
    let inner = path.strip_prefix(SERVER).unwrap_or(path).trim_end_matches(".rs");
    let mut segments: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(segments.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        segments.pop();
    }
    segments
}

/// The path from the crate's root, if it leads to this crate and (for `super`) out of the file's own module.
fn within_crate(own: &[String], path: &Path) -> Option<Vec<String>> {
    let first = path.segments.first()?;
    if first == "crate" {
        return Some(path.segments[1..].to_vec());
    }
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    // An inline module swallows one `super` each.
    let climbed = supers.checked_sub(path.depth).filter(|&climbed| climbed > 0)?;
    let mut target = own.get(..own.len().checked_sub(climbed)?)?.to_vec();
    target.extend_from_slice(&path.segments[supers..]);
    Some(target)
}

/// Leaf rooms that use each other in a circle: none of them is a leaf.
fn cycles(uses: &Uses) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (room, targets) in uses {
        for (target, (file, line)) in targets {
            if reaches(uses, target, room, &mut BTreeSet::new()) {
                let text = format!("`{room}` uses `{target}`, which in turn uses `{room}`: leaves have no cycle");
                findings.push(Finding::error(file, *line, text));
            }
        }
    }
    findings
}

fn reaches(uses: &Uses, from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
    if from == to {
        return true;
    }
    if !seen.insert(from.to_owned()) {
        return false;
    }
    let Some(next) = uses.get(from) else {
        return false;
    };
    next.keys().any(|room| reaches(uses, room, to, seen))
}

#[cfg(test)]
mod tests;
