//! Whatever a backend sends, in whatever pieces it arrives: the decoder gives the same events as in one piece, none longer
//! than it may be, and never panics.
//!
//! The first byte of an input decides the pieces, the rest is the body. The decoder is compiled in from its source, so
//! that nothing of it has to be public for this.

#![no_main]

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use libfuzzer_sys::fuzz_target;
use sse_stream::Sse;

#[path = "../../crates/server/src/agent/sse.rs"]
mod sse;

fuzz_target!(|input: &[u8]| {
    let Some((&pace, body)) = input.split_first() else { return };
    let whole = decoded([body].into_iter());
    assert_eq!(decoded(pieces(body, pace).into_iter()), whole);
    for data in whole.iter().flatten().filter_map(|event| event.data.as_ref()) {
        // A byte that is no UTF-8 becomes U+FFFD, which has three.
        assert!(data.len() <= 3 * sse::MAX_EVENT_BYTES);
    }
    if is_too_long(body) {
        assert_eq!(whole.last(), Some(&Err(sse::Broken::TooLong)));
    }
});

/// Whether a line, whatever it is, has more bytes than an event may have.
fn is_too_long(body: &[u8]) -> bool {
    body.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| line.len() > sse::MAX_EVENT_BYTES)
}

/// Two sizes in turn, each from 1 to 16 bytes.
fn pieces(mut body: &[u8], pace: u8) -> Vec<&[u8]> {
    let sizes = [usize::from(pace >> 4) + 1, usize::from(pace & 15) + 1];
    let mut pieces = Vec::new();
    for size in sizes.into_iter().cycle() {
        if body.is_empty() {
            break;
        }
        let (piece, rest) = body.split_at(size.min(body.len()));
        pieces.push(piece);
        body = rest;
    }
    pieces
}

/// What is decoded. Everything is there at once, so that nothing is ever waited for.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]> + Send) -> Vec<Result<Sse, sse::Broken>> {
    let body = stream::iter(pieces.map(|piece| Ok::<_, ()>(Bytes::copy_from_slice(piece))));
    Box::pin(sse::decode(body)).collect().now_or_never().expect("a body that is there is decoded at once")
}
