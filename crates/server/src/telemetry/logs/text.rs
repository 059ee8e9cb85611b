//! Fields of a line for people: nothing that a field holds can begin a line of its own.

use std::error::Error;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// `message name=value name=value`. A line break, a control character or a mark that turns the direction of text round
/// is written as its escape: what a client or a backend sent must not look like a line of ours (log injection).
pub(super) struct Text;

impl<'a> FormatFields<'a> for Text {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut line = Line { plain: Plain(&mut writer), separator: "", result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

/// The fields that were written so far.
struct Line<W> {
    plain: Plain<W>,
    separator: &'static str,
    result: fmt::Result,
}

impl<W: Write> Visit for Line<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = std::mem::replace(&mut self.separator, " ");
        self.result = self.result.and_then(|()| match field.name() {
            "message" => write!(self.plain, "{separator}{value:?}"),
            name => write!(self.plain, "{separator}{name}={value:?}"),
        });
    }

    /// The error and what it came from.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &tracing::field::display(Causes(value)));
    }
}

/// An error and what it came from, on one line.
pub(super) struct Causes<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |cause| (*cause).source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match is_plain(char) {
                true => self.0.write_char(char)?,
                false => write!(self.0, "{}", char.escape_unicode())?,
            }
        }
        Ok(())
    }
}

/// Neither a control character nor one of the separators and direction marks of Unicode (its Annex 9, section 2).
fn is_plain(char: char) -> bool {
    let is_mark = matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !char.is_control() && !is_mark
}
