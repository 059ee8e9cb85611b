//! What `lychgate threads` prints: for people a table and a page, for programs JSON lines.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::journal::sqlite::{Kept, Listed};
use crate::wire::Message;

/// Columns of a list.
const HEADS: [&str; 6] = ["USER", "THREAD", "LAST ACTIVE (UTC)", "MESSAGES", "RUN", "TITLE"];
/// A column is never wider, so that one long id does not push the others away.
const WIDEST: usize = 44;

pub(super) fn list_as_table(threads: &[Listed], more: bool) -> String {
    let row = |listed: &Listed| {
        let Listed { user, summary } = listed;
        [
            clipped(user.as_str()),
            clipped(summary.thread.as_str()),
            time(summary.written),
            summary.messages.to_string(),
            if summary.run.is_some() { "in flight".to_owned() } else { String::new() },
            clipped(summary.title.as_deref().unwrap_or_default()),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(HEADS.map(str::to_owned)).chain(threads.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    if more {
        text.push_str("There are more: --limit says how many are listed.\n");
    }
    text
}

pub(super) fn list_as_json(threads: &[Listed]) -> String {
    threads.iter().map(|listed| format!("{}\n", head(listed))).collect()
}

fn head(listed: &Listed) -> Value {
    let Listed { user, summary } = listed;
    json!({
        "user": user.as_str(),
        "thread": summary.thread.as_str(),
        "created": summary.created,
        "written": summary.written,
        "head": summary.head,
        "messages": summary.messages,
        "run": summary.run.as_ref().map(lychgate_core::RunId::as_str),
        "title": summary.title,
    })
}

/// A thread as JSON lines: what it is, its messages, its state, the events that it keeps.
pub(super) fn export(kept: &Kept, out: &mut impl Write) -> io::Result<()> {
    let mut first = head(&kept.listed);
    first["epoch"] = json!(kept.epoch);
    first["oldest"] = json!(kept.oldest);
    first["more"] = json!(kept.more);
    writeln!(out, "{first}")?;
    for message in &kept.messages {
        writeln!(out, "{}", json!({"message": message}))?;
    }
    if let Some(state) = &kept.state {
        writeln!(out, "{}", json!({"state": state}))?;
    }
    for entry in &kept.entries {
        // The event goes out as it came in, to the last space.
        writeln!(out, "{{\"offset\":{},\"event\":{}}}", entry.offset, entry.event.json())?;
    }
    out.flush()
}

/// A thread as people read it.
pub(super) fn show(kept: &Kept) -> String {
    let Listed { user, summary } = &kept.listed;
    let mut text = String::new();
    let _ = writeln!(text, "{} of {}", plain(summary.thread.as_str()), plain(user.as_str()));
    let _ = writeln!(text, "created {} UTC, last active {} UTC", time(summary.created), time(summary.written));
    let _ = writeln!(
        text,
        "last offset {}, {} events kept after {}, epoch {}",
        summary.head,
        kept.entries.len(),
        kept.oldest,
        kept.epoch
    );
    if let Some(run) = &summary.run {
        let _ = writeln!(text, "the run {} is in flight; its messages follow when it has ended", plain(run.as_str()));
    }
    if kept.more {
        text.push_str("older messages are gone\n");
    }
    for message in &kept.messages {
        let _ = write!(text, "\n{}:\n{}", plain(&message.role), indented(&body(message)));
    }
    text
}

fn body(message: &Message) -> String {
    let mut body = match message.rest.get("content") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    for call in message.rest.get("toolCalls").and_then(Value::as_array).into_iter().flatten() {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let function = &call["function"];
        let _ = write!(body, "\n-> {}({})", word(&function["name"]), word(&function["arguments"]));
    }
    body
}

fn indented(text: &str) -> String {
    let lines = text.trim_matches('\n').lines();
    lines.map(|line| format!("  {}\n", plain(line))).collect()
}

/// Text of users and models, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn clipped(text: &str) -> String {
    let text = plain(text);
    match text.chars().count() > WIDEST {
        true => text.chars().take(WIDEST - 3).chain("...".chars()).collect(),
        false => text,
    }
}

/// `2026-11-20 17:03:00`, in UTC.
fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
