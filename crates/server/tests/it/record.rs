//! What the tests leave for `cargo xtask test` to search: the log of every gateway at `trace`, and every secret that was used.
//!
//! ```text
//! LYCHGATE_TEST_RECORD=DIR: DIR/it-<process>-<n>.log       what a gateway wrote to standard error
//!                           DIR/it-<process>.secrets       one JSON string per line: tokens, keys, cookies, message texts
//! ```
//!
//! Without the variable nothing is recorded, and nothing costs anything.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Shorter ones stand in many lines by chance.
const SHORTEST: usize = 12;

/// Fields of frames and bodies that hold what somebody said.
const SAID: [&str; 6] = ["content", "delta", "text", "token", "value", "ticket"];

static LOGS: AtomicU32 = AtomicU32::new(0);

fn directory() -> Option<PathBuf> {
    std::env::var_os("LYCHGATE_TEST_RECORD").map(PathBuf::from)
}

/// Whether what gateways log is recorded; then they log everything.
pub(crate) fn is_on() -> bool {
    directory().is_some()
}

/// Where a gateway's log goes as well.
pub(crate) fn log() -> Option<File> {
    let name = format!("it-{}-{}.log", std::process::id(), LOGS.fetch_add(1, Ordering::Relaxed));
    directory().map(|directory| File::create(directory.join(name)).unwrap())
}

/// Notes what must be in no log.
pub(crate) fn secret(text: &str) {
    let Some(directory) = directory().filter(|_| text.len() >= SHORTEST) else { return };
    let file = directory.join(format!("it-{}.secrets", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{}\n", Value::from(text)).as_bytes()).unwrap();
}

/// What a frame or a body says.
pub(crate) fn said(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if SAID.contains(&name.as_str()) => secret(text),
                    other => said(other),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(said),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a header proves: a token, cookies, a token as subprotocol.
pub(crate) fn header(name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "authorization" => secret(value.split_once(' ').map_or(value, |(_, proof)| proof)),
        "cookie" => value.split(';').filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| secret(value)),
        "sec-websocket-protocol" => {
            value.split(',').filter_map(|item| item.trim().strip_prefix("lychgate.bearer.")).for_each(secret);
        }
        _ => {}
    }
}

/// What the query of an address proves.
pub(crate) fn address(path: &str) {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if ["ticket", "access_token", "token", "key", "code", "state"].contains(&name) {
            secret(value);
        }
    }
}
