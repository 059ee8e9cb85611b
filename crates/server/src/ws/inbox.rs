//! Bytes from a client become messages: frames are unmasked in place and checked as they come.
//!
//! ```text
//!  bytes of one read ──► header ──► whole unfragmented frame? ── yes ──► item borrowed from the read buffer
//!                                            │ no
//!                                            ▼
//!                             Partial: owns what is incomplete, checks its UTF-8 so far; freed when complete
//! ```
//!
//! Lengths are compared with their bounds before a byte of payload is kept, and nothing is reserved for a length that
//! was only claimed (hazard R31).

use std::cell::Cell;
use std::ops::ControlFlow;

use smallvec::SmallVec;
use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};

use super::close_code::CloseFrame;
use super::violation::Violation;

#[cfg(test)]
mod tests;

/// The longest frame header.
const MAX_HEADER_BYTES: usize = 14;

/// Bounds of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageBounds {
    pub(super) bytes: usize,
    pub(super) fragments: usize,
}

/// Something complete from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(CloseFrame),
}

/// What is incomplete between two reads; nothing, most of the time.
#[derive(Debug, Default)]
pub(super) struct Inbox(Option<Box<Partial>>);

#[derive(Debug, Default)]
struct Partial {
    /// An incomplete header.
    head: SmallVec<[u8; MAX_HEADER_BYTES]>,
    /// The frame whose payload is still arriving.
    frame: Option<Header>,
    /// How much of that payload is here.
    taken: usize,
    /// The payload of an incomplete control frame, at most 125 bytes.
    control: Vec<u8>,
    /// The data message that is not complete.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    kind: Kind,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be whole characters.
    checked: usize,
    fragments: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Inbox {
    /// Takes the bytes of one read and hands over every item that they complete, until `sink` breaks.
    ///
    /// `sink` may change the bounds: they hold from the next frame on.
    ///
    /// After a break or an error the rest of the bytes is lost, and no further call makes sense.
    pub(super) fn feed(
        &mut self,
        mut bytes: &mut [u8],
        bounds: &Cell<MessageBounds>,
        sink: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        while let Some(header) = self.next_header(&mut bytes, bounds.get())? {
            let before = self.0.as_ref().map_or(0, |partial| partial.taken);
            let chunk = advance(&mut bytes, header.payload_len() - before);
            let taken = before + chunk.len();
            let complete = taken == header.payload_len();
            unmask(&header, before, chunk);
            let flow = match header.opcode().is_control() {
                true => self.take_control(header.opcode(), chunk, complete, sink)?,
                false => self.take_data(&header, chunk, complete, sink)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
            if !complete {
                let partial = self.0.get_or_insert_default();
                partial.frame = Some(header);
                partial.taken = taken;
                break;
            }
            self.end_frame();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The header of the frame whose payload comes next, if it is complete.
    fn next_header(&mut self, bytes: &mut &mut [u8], bounds: MessageBounds) -> Result<Option<Header>, Violation> {
        if let Some(frame) = self.0.as_ref().and_then(|partial| partial.frame.as_ref()) {
            return Ok(Some(frame.clone()));
        }
        let Some(header) = self.decode_header(bytes, bounds)? else {
            return Ok(None);
        };
        self.check(&header, bounds)?;
        Ok(Some(header))
    }

    fn decode_header(&mut self, bytes: &mut &mut [u8], bounds: MessageBounds) -> Result<Option<Header>, Violation> {
        let mut codec = Codec::new();
        codec.set_max_data_size(bounds.bytes);
        if let Some(partial) = &mut self.0
            && !partial.head.is_empty()
        {
            loop {
                match codec.decode_header(&partial.head)? {
                    Parsing::Done { value, .. } => {
                        partial.head.clear();
                        return Ok(Some(value));
                    }
                    Parsing::NeedMore(_) if bytes.is_empty() => return Ok(None),
                    Parsing::NeedMore(count) => partial.head.extend_from_slice(advance(bytes, count)),
                }
            }
        }
        match codec.decode_header(bytes)? {
            Parsing::Done { value, offset } => {
                advance(bytes, offset);
                Ok(Some(value))
            }
            Parsing::NeedMore(_) => {
                if !bytes.is_empty() {
                    let rest = advance(bytes, MAX_HEADER_BYTES);
                    self.0.get_or_insert_default().head.extend_from_slice(rest);
                }
                Ok(None)
            }
        }
    }

    /// What a header alone shows to be wrong.
    fn check(&self, header: &Header, bounds: MessageBounds) -> Result<(), Violation> {
        if !header.is_masked() {
            return Err(Violation::Protocol("a client masks its frames"));
        }
        let message = self.0.as_ref().and_then(|partial| partial.message.as_ref());
        match (header.opcode(), message) {
            (OpCode::Continue, None) => Err(Violation::Protocol("there is nothing to continue")),
            (OpCode::Continue, Some(message)) if message.bytes.len() + header.payload_len() > bounds.bytes => {
                Err(Violation::TooLarge)
            }
            (OpCode::Continue, Some(message)) if message.fragments >= bounds.fragments => {
                Err(Violation::TooManyFragments)
            }
            (OpCode::Text | OpCode::Binary, Some(_)) => Err(Violation::Protocol("a message starts inside another one")),
            // Control frames may stand anywhere, and the codec has refused reserved opcodes.
            _ => Ok(()),
        }
    }

    fn take_control(
        &mut self,
        opcode: OpCode,
        chunk: &[u8],
        complete: bool,
        sink: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let earlier = match &mut self.0 {
            Some(partial) => std::mem::take(&mut partial.control),
            None => Vec::new(),
        };
        if !complete {
            let control = &mut self.0.get_or_insert_default().control;
            *control = earlier;
            control.extend_from_slice(chunk);
            return Ok(ControlFlow::Continue(()));
        }
        let joined;
        let payload = match earlier.is_empty() {
            true => chunk,
            false => {
                joined = [&earlier[..], chunk].concat();
                &joined
            }
        };
        Ok(sink(match opcode {
            OpCode::Ping => Item::Ping(payload),
            OpCode::Close => Item::Close(CloseFrame::parse(payload)?),
            _ => Item::Pong,
        }))
    }

    fn take_data(
        &mut self,
        header: &Header,
        chunk: &[u8],
        complete: bool,
        sink: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let kind = Kind::of(header.opcode());
        let last = complete && header.is_fin();
        let begun = self.0.as_ref().is_some_and(|partial| partial.message.is_some());
        if last && !begun {
            return Ok(sink(kind.item(chunk)?));
        }
        let slot = &mut self.0.get_or_insert_default().message;
        let message = slot.get_or_insert_with(|| Message::new(kind));
        message.append(chunk)?;
        message.fragments += usize::from(complete);
        match slot.take_if(|_| last) {
            Some(message) => Ok(sink(message.kind.item(&message.bytes)?)),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// Frees what no longer waits for anything.
    fn end_frame(&mut self) {
        if let Some(partial) = &mut self.0 {
            partial.frame = None;
            partial.taken = 0;
            if partial.message.is_none() {
                self.0 = None;
            }
        }
    }
}

impl Kind {
    /// Of a message that a frame with this opcode starts. A continuation never starts one.
    fn of(opcode: OpCode) -> Self {
        match opcode {
            OpCode::Text => Self::Text,
            _ => Self::Binary,
        }
    }

    fn item(self, bytes: &[u8]) -> Result<Item<'_>, Violation> {
        match self {
            Self::Binary => Ok(Item::Binary(bytes)),
            Self::Text => std::str::from_utf8(bytes).map(Item::Text).map_err(|_| Violation::InvalidText),
        }
    }
}

impl Message {
    fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), checked: 0, fragments: 0 }
    }

    /// Fails with the first byte that no further byte can make UTF-8.
    fn append(&mut self, chunk: &[u8]) -> Result<(), Violation> {
        self.bytes.extend_from_slice(chunk);
        match self.kind {
            Kind::Binary => Ok(()),
            Kind::Text => match std::str::from_utf8(&self.bytes[self.checked..]) {
                Ok(_) => {
                    self.checked = self.bytes.len();
                    Ok(())
                }
                Err(error) if error.error_len().is_some() => Err(Violation::InvalidText),
                Err(error) => {
                    self.checked += error.valid_up_to();
                    Ok(())
                }
            },
        }
    }
}

/// Cuts at most `count` bytes off the front.
fn advance<'a>(bytes: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    let all = std::mem::take(bytes);
    let (front, rest) = all.split_at_mut(count.min(all.len()));
    *bytes = rest;
    front
}

/// Unmasks a part of a payload that starts `offset` bytes into it.
///
/// Eight bytes at a time: the codec's own loop over single bytes took a third of an echo's user time.
fn unmask(header: &Header, offset: usize, part: &mut [u8]) {
    let turn = match offset % 4 {
        0 => 0,
        1 => 8,
        2 => 16,
        _ => 24,
    };
    let key @ [a, b, c, d] = header.mask().rotate_left(turn).to_be_bytes();
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = part.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}
