//! Whatever a backend sends, in whatever pieces it arrives: the decoder gives the same events as in one piece, none longer
//! than it may be, and never panics.
//!
//! The first byte of an input decides the pieces, the rest is the body. The decoder is compiled in from its source, so
//! that nothing of it has to be public for this.

#![no_main]

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/server/src/agent/sse.rs"]
mod sse;

fuzz_target!(|input: &[u8]| {
    let Some((&pace, body)) = input.split_first() else { return };
    let whole = decoded([body].into_iter());
    assert_eq!(decoded(pieces(body, pace).into_iter()), whole);
    for event in whole.iter().flatten() {
        assert!(event.len() <= 4 * sse::MAX_EVENT_BYTES);
    }
});

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

/// What is decoded, as text that can be compared. Everything is there at once, so that nothing is ever waited for.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]> + Send) -> Vec<Result<String, sse::Broken>> {
    let body = stream::iter(pieces.map(|piece| Ok::<_, ()>(Bytes::copy_from_slice(piece))));
    let events = sse::decode(body).map(|event| event.map(|event| format!("{event:?}")));
    Box::pin(events).collect().now_or_never().expect("a body that is there is decoded at once")
}
