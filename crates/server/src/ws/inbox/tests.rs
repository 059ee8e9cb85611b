use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;

const BOUNDS: MessageBounds = MessageBounds { bytes: 1024, fragments: 8 };

#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(0x80 | length),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What comes out when the bytes arrive in pieces of these sizes, over and over.
fn feed(bytes: &[u8], sizes: &[usize]) -> (Vec<Seen>, Result<(), Violation>, Inbox) {
    let mut inbox = Inbox::default();
    let mut seen = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let piece = advance(&mut rest, *sizes.next().unwrap());
        let fed = inbox.feed(piece, &Cell::new(BOUNDS), &mut |item| {
            seen.push(match item {
                Item::Text(text) => Seen::Text(text.to_owned()),
                Item::Binary(bytes) => Seen::Binary(bytes.to_owned()),
                Item::Ping(bytes) => Seen::Ping(bytes.to_owned()),
                Item::Pong => Seen::Pong,
                Item::Close(frame) => Seen::Close(frame.code),
            });
            ControlFlow::Continue(())
        });
        if let Err(violation) = fed {
            return (seen, Err(violation), inbox);
        }
    }
    (seen, Ok(()), inbox)
}

#[test]
fn nothing_is_owned_once_everything_is_complete() {
    let bytes =
        [frame(0x01, [1, 2, 3, 4], b"frag"), frame(0x8a, [5, 6, 7, 8], b""), frame(0x80, [9, 9, 9, 9], b"ment")]
            .concat();
    let (seen, result, inbox) = feed(&bytes, &[1]);
    assert_eq!(seen, [Seen::Pong, Seen::Text("fragment".to_owned())]);
    assert_eq!(result, Ok(()));
    assert!(inbox.0.is_none());
}

#[test]
fn text_fails_with_the_first_byte_that_cannot_become_utf8() {
    let mut bytes = frame(0x81, [0; 4], b"\xce\xba\xf4\x90\x80\x80 and more");
    bytes.truncate(2 + 4 + 4);
    assert_eq!(feed(&bytes, &[1]).1, Err(Violation::InvalidText));
    bytes.pop();
    assert_eq!(feed(&bytes, &[1]).1, Ok(()), "f4 alone may still become a character");
}

#[test]
fn text_that_ends_inside_a_character_fails() {
    for sizes in [1, 100] {
        assert_eq!(feed(&frame(0x81, [7; 4], b"\xce"), &[sizes]).1, Err(Violation::InvalidText));
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let header = [0x82, 0x80 | 126, 0x04, 0x00, 1, 2, 3, 4, 9];
    let (_, result, inbox) = feed(&header, &[9]);
    assert_eq!(result, Ok(()));
    let message = inbox.0.unwrap().message.unwrap();
    assert!(message.bytes.capacity() < 64, "{}", message.bytes.capacity());
}

#[test]
fn a_length_with_its_most_significant_bit_set_is_too_large() {
    let header = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4];
    assert_eq!(feed(&header, &[3]).1, Err(Violation::TooLarge));
}

fn any_frames() -> impl Strategy<Value = (Vec<u8>, Vec<Seen>)> {
    let text = ("[a-z\u{e4}\u{20ac}\u{1f600}]{0,60}", any::<[u8; 4]>())
        .prop_map(|(text, mask)| (frame(0x81, mask, text.as_bytes()), vec![Seen::Text(text)]));
    let payload = proptest::collection::vec(any::<u8>(), 0..300);
    let fragmented = (payload, any::<[u8; 4]>(), 0_usize..300).prop_map(|(payload, mask, cut)| {
        let (head, tail) = payload.split_at(cut.min(payload.len()));
        let bytes = [frame(0x02, mask, head), frame(0x89, mask, b"?"), frame(0x80, mask, tail)].concat();
        (bytes, vec![Seen::Ping(b"?".to_vec()), Seen::Binary(payload)])
    });
    let close = Just((frame(0x88, [1; 4], &[0x03, 0xe8]), vec![Seen::Close(Some(1000))]));
    proptest::collection::vec(prop_oneof![text, fragmented, close], 1..6).prop_map(|parts| {
        let (bytes, seen): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (bytes.concat(), seen.concat())
    })
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_into_reads_changes_nothing(
        (bytes, expected) in any_frames(),
        sizes in proptest::collection::vec(1_usize..200, 1..5),
    ) {
        let (seen, result, inbox) = feed(&bytes, &sizes);
        proptest::prop_assert_eq!(seen, expected);
        proptest::prop_assert_eq!(result, Ok(()));
        proptest::prop_assert!(inbox.0.is_none());
    }

    #[test]
    fn no_bytes_make_it_panic_or_own_more_than_the_bound(
        bytes in proptest::collection::vec(any::<u8>(), 1..400),
        sizes in proptest::collection::vec(1_usize..50, 1..5),
    ) {
        let (_, _, inbox) = feed(&bytes, &sizes);
        if let Some(message) = inbox.0.and_then(|partial| partial.message) {
            proptest::prop_assert!(message.bytes.len() <= BOUNDS.bytes);
        }
    }
}
