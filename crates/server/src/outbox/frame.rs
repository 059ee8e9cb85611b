//! Frames that a server writes: encoded once, unmasked, shared by every connection that they go to.

use bytes::Bytes;
use soketto::base::{Codec, Header, OpCode};

use crate::close::MAX_REASON_BYTES;

/// `{"type":"ping"}` as a text frame with an empty protocol ping behind it (protocol.md, rule 8).
const PING: &[u8] = b"\x81\x0f{\"type\":\"ping\"}\x89\x00";

/// One or more complete, unmasked WebSocket frames, ready to be written. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Frame(Bytes);

impl Frame {
    /// A text message in one frame. The caller vouches that `payload` is UTF-8.
    #[must_use]
    pub fn text(payload: &[u8]) -> Self {
        Self::encode(OpCode::Text, &[payload])
    }

    /// A binary message in one frame.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::encode(OpCode::Binary, &[payload])
    }

    /// Bytes on the wire, header included.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.0.len()
    }

    /// The application ping and the protocol ping, to be written together.
    pub(super) fn ping() -> Self {
        Self(Bytes::from_static(PING))
    }

    /// The answer to a protocol ping: the same payload, at most 125 bytes.
    pub(super) fn pong(payload: &[u8]) -> Self {
        Self::encode(OpCode::Pong, &[payload])
    }

    /// A close frame; a reason that is too long is cut where a character ends.
    pub(super) fn close(code: Option<u16>, reason: &str) -> Self {
        match code {
            None => Self::encode(OpCode::Close, &[]),
            Some(code) => {
                let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
                Self::encode(OpCode::Close, &[&code.to_be_bytes(), reason.as_bytes()])
            }
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// What a text frame carries, without its header. Cheap: the bytes are shared.
    pub(crate) fn payload(&self) -> Bytes {
        let header = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            Some(_) | None => 2,
        };
        self.0.slice(header.min(self.0.len())..)
    }

    fn encode(opcode: OpCode, payload: &[&[u8]]) -> Self {
        let length = payload.iter().map(|part| part.len()).sum();
        let mut header = Header::new(opcode);
        header.set_payload_len(length);
        let mut codec = Codec::new();
        let head = codec.encode_header(&header);
        let mut bytes = Vec::with_capacity(head.len() + length);
        bytes.extend_from_slice(head);
        for part in payload {
            bytes.extend_from_slice(part);
        }
        Self(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_is_cut_where_a_character_ends() {
        let frame = Frame::close(Some(4002), &"ü".repeat(100));
        let payload = &frame.bytes()[2..];
        assert_eq!(payload.len(), 2 + 122, "123 bytes would split the 62nd character");
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
    }

    #[test]
    fn lengths_take_the_shortest_form_that_holds_them() {
        let head = |length: usize| Frame::binary(&vec![0; length]).wire_bytes() - length;
        assert_eq!([head(125), head(126), head(65_535), head(65_536)], [2, 4, 4, 10]);
    }

    #[test]
    fn a_payload_is_found_behind_a_header_of_any_length() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            assert_eq!(&Frame::text(&payload).payload()[..], &payload[..]);
        }
    }

    #[test]
    fn the_ping_is_a_text_frame_and_a_protocol_ping() {
        let text = Frame::text(br#"{"type":"ping"}"#);
        assert_eq!(&Frame::ping().bytes()[..text.wire_bytes()], &text.bytes()[..]);
        assert_eq!(&Frame::ping().bytes()[text.wire_bytes()..], &[0x89, 0x00]);
    }
}
