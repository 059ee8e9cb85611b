//! What the person sees: answers on one stream, remarks on the other.

use std::io::Write;

use crate::error::Error;

/// Answers go to `out`, remarks to `notes`; a script reads the first alone.
#[derive(Debug)]
pub struct Screen<O, N> {
    out: O,
    notes: N,
    in_line: bool,
}

impl<O: Write, N: Write> Screen<O, N> {
    /// Nothing written yet.
    pub fn new(out: O, notes: N) -> Self {
        Self { out, notes, in_line: false }
    }

    /// A part of an answer, shown at once.
    ///
    /// # Errors
    /// [`Error::OutputClosed`] when whoever read us has gone.
    pub(super) fn answer(&mut self, text: &str) -> Result<(), Error> {
        // An answer may hold anything; escape sequences would take the terminal over.
        let plain: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        if let Some(last) = plain.chars().last() {
            self.in_line = last != '\n';
        }
        self.out.write_all(plain.as_bytes()).and_then(|()| self.out.flush()).map_err(super::super::output_error)
    }

    /// Ends the line that an answer is in.
    ///
    /// # Errors
    /// As [`Screen::answer`].
    pub(super) fn end_line(&mut self) -> Result<(), Error> {
        match self.in_line {
            true => self.answer("\n"),
            false => Ok(()),
        }
    }

    /// A remark on a line of its own. Whether anybody can read it does not matter to the answer.
    pub(super) fn note(&mut self, text: &str) {
        let plain: String = text.chars().filter(|c| !c.is_control()).collect();
        let lead = if self.in_line { "\n" } else { "" };
        let _ = writeln!(self.notes, "{lead}[{plain}]");
        let _ = self.notes.flush();
    }
}
