//! Server-sent events from a stream of bytes, every buffer bounded.
//!
//! ```text
//! bytes --> Lines (whole lines, LF, UTF-8, at most 1 MiB per line and per event) --> decoder --> (event, data)
//! ```
//!
//! The decoder has no bound of its own, so a line or event that never ends would grow until memory does (R24, R31).
//! [`Lines`] therefore stands before it: it lets only complete lines through, and counts.

use std::fmt;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sse_stream::{Error, Sse, SseByteStream};

/// Bytes of one line, and of all lines of one event, at most.
///
/// Few while fuzzing: what libFuzzer tries has 4 KiB, and must reach beyond the bound.
pub(super) const MAX_EVENT_BYTES: usize = if cfg!(fuzzing) { 256 } else { 1024 * 1024 };

/// Why no more events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A line or an event is longer than [`MAX_EVENT_BYTES`].
    TooLong,
    /// The connection ended before the body did.
    Cut,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "an event has more than {MAX_EVENT_BYTES} bytes"),
            Self::Cut => f.write_str("the connection ended before the body did"),
        }
    }
}

impl std::error::Error for Broken {}

/// Decodes events. A byte order mark, lone carriage returns and invalid UTF-8 (replaced by U+FFFD) are survived. An event
/// whose lines are complete but whose empty line is missing at the end of the body counts; half a line does not. Yields
/// nothing after an error.
pub(super) fn decode<S, E>(body: S) -> impl Stream<Item = Result<Sse, Broken>> + Send
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Send,
{
    let lines = stream::unfold(Some((body, Lines::default())), |state| async move {
        let (mut body, mut lines) = state?;
        let (whole, broken) = match body.next().await {
            Some(Ok(chunk)) => lines.push(&chunk),
            Some(Err(_)) => (Bytes::new(), Some(Broken::Cut)),
            None => return Some(((Bytes::from_static(b"\n"), None), None)),
        };
        let next = broken.is_none().then_some((body, lines));
        Some(((whole, broken), next))
    });
    // What is whole counts, also where the same piece holds what is too long.
    let lines =
        lines.flat_map(|(whole, broken)| stream::iter([Some(Ok(whole)), broken.map(Err)].into_iter().flatten()));
    SseByteStream::new(Box::pin(lines)).map(|event| {
        event.map_err(|error| match error {
            Error::Body(cause) => cause.downcast_ref().copied().unwrap_or(Broken::Cut),
            // Cannot happen: Lines lets only valid UTF-8 through, and the decoder ignores unknown fields.
            _ => Broken::Cut,
        })
    })
}

/// Cuts bytes into whole lines.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Bytes since the last empty line.
    event_bytes: usize,
    /// The last byte was a carriage return, so a line feed now belongs to it.
    after_cr: bool,
}

impl Lines {
    /// Takes what came and gives the lines that are complete now, each ended by one LF, and why no more follow.
    fn push(&mut self, chunk: &[u8]) -> (Bytes, Option<Broken>) {
        let mut whole = Vec::with_capacity(chunk.len());
        let broken = self.cut(chunk, &mut whole).err();
        (Bytes::from(whole), broken)
    }

    fn cut(&mut self, chunk: &[u8], whole: &mut Vec<u8>) -> Result<(), Broken> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.grow(&rest[..end])?;
            self.end_line(whole);
            let crlf = rest[end..].starts_with(b"\r\n");
            self.after_cr = rest[end..] == *b"\r";
            rest = &rest[end + 1 + usize::from(crlf)..];
        }
        self.grow(rest)
    }

    fn grow(&mut self, part: &[u8]) -> Result<(), Broken> {
        self.event_bytes += part.len();
        if self.event_bytes > MAX_EVENT_BYTES {
            return Err(Broken::TooLong);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, whole: &mut Vec<u8>) {
        if self.partial.is_empty() {
            self.event_bytes = 0;
        }
        whole.extend_from_slice(String::from_utf8_lossy(&self.partial).as_bytes());
        whole.push(b'\n');
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests;
