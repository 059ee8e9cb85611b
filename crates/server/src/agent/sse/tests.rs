//! The bounds and the tolerance of the decoder.

use futures_util::FutureExt;
use proptest::collection;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

async fn decoded(pieces: Vec<Vec<u8>>) -> Vec<Result<String, Broken>> {
    let body = stream::iter(pieces.into_iter().map(|piece| Ok::<_, ()>(Bytes::from(piece))));
    let events = decode(body).map(|event| event.map(|event| event.data.unwrap_or_default()));
    Box::pin(events).collect().await
}

async fn of(text: &str) -> Vec<Result<String, Broken>> {
    decoded(vec![text.as_bytes().to_vec()]).await
}

#[tokio::test]
async fn all_three_line_ends_and_a_byte_order_mark_are_read() {
    for text in [
        "data: a\n\ndata: b\n\n",
        "data: a\r\rdata: b\r\r",
        "data: a\r\n\r\ndata: b\r\n\r\n",
        "\u{FEFF}data: a\n\ndata:b\n\n",
        ": note\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\nwhat: ever\ndata: b\n\n",
    ] {
        assert_eq!(of(text).await, [Ok("a".to_owned()), Ok("b".to_owned())], "{text:?}");
    }
}

#[tokio::test]
async fn whole_lines_at_the_end_of_the_body_are_an_event_and_half_a_line_is_none() {
    assert_eq!(of("data: a\n").await, [Ok("a".to_owned())]);
    assert_eq!(of("data: a").await, []);
}

#[tokio::test]
async fn a_connection_that_breaks_is_told() {
    let body = stream::iter([Ok(Bytes::from("data: a\n\ndata: b\n")), Err(())]);
    let events: Vec<_> = Box::pin(decode(body)).collect().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].as_ref().unwrap_err(), &Broken::Cut);
}

#[tokio::test]
async fn a_line_is_bounded() {
    let fits = "x".repeat(MAX_EVENT_BYTES - "data: ".len());
    assert_eq!(of(&format!("data: {fits}\n\n")).await, [Ok(fits.clone())]);
    assert_eq!(of(&format!("data: {fits}y\n\n")).await, [Err(Broken::TooLong)]);
}

#[tokio::test]
async fn what_stands_before_a_line_that_is_too_long_counts_also_in_one_piece() {
    let long = format!("data: a\n\ndata: {}", "x".repeat(MAX_EVENT_BYTES));
    assert_eq!(of(&long).await, [Ok("a".to_owned()), Err(Broken::TooLong)]);
}

#[tokio::test]
async fn an_event_of_many_lines_is_bounded_and_many_events_are_not() {
    let line = format!("data: {}\n", "x".repeat(1000));
    assert_eq!(of(&line.repeat(2_000)).await, [Err(Broken::TooLong)]);
    assert_eq!(of(&format!("{line}\n").repeat(2_000)).await.len(), 2_000);
    assert_eq!(of(&": still here\n\n".repeat(200_000)).await, []);
}

#[tokio::test]
async fn no_more_than_one_event_is_ever_held() {
    let mut lines = Lines::default();
    let longest = (0..).map_while(|_| lines.push(&[b'x'; 10_000]).1.is_none().then_some(())).count();
    assert!(longest * 10_000 <= MAX_EVENT_BYTES);
    assert!(lines.partial.len() <= MAX_EVENT_BYTES);
}

proptest! {
    /// Any bytes, those that mean something here more often than others.
    #[test]
    fn the_same_bytes_in_any_pieces_are_the_same_events(
        body in collection::vec(
            prop_oneof![
                select(vec![b"data: ".to_vec(), b"data:{}\n\n".to_vec(), b"\r\n".to_vec(), b"\n".to_vec(), b"\r".to_vec()]),
                select(vec![b"event: x".to_vec(), b": note".to_vec(), b"id: 1".to_vec(), b"\xEF\xBB\xBF".to_vec()]),
                collection::vec(any::<u8>(), 0..8),
            ],
            0..32,
        ).prop_map(|parts| parts.concat()),
        sizes in collection::vec(1_usize..24, 1..16),
    ) {
        let mut rest = body.as_slice();
        let mut pieces = Vec::new();
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at(size.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        let in_pieces = decoded(pieces).now_or_never().unwrap();
        prop_assert_eq!(in_pieces, decoded(vec![body]).now_or_never().unwrap());
    }
}
