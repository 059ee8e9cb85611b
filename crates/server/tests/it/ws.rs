//! The WebSocket layer against a client that is made of bytes.

use std::io::{self, Write};
use std::sync::Arc;

use lychgate::outbox::{Frame, Outbox, Sent};
use lychgate::ws::{Ending, Violation};
use lychgate_core::{PingOutcome, WriteProgress};

mod kernel;
pub(crate) mod peer;
pub(crate) mod server;

use peer::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, Peer, TEXT, close_payload, frame, header};
use server::{PANIC, Server, Setting, Told};

pub(crate) async fn pair(setting: Setting) -> (Server, Peer, Arc<Outbox>) {
    let authority = setting.authority.clone();
    let mut server = Server::start(setting);
    let peer = match authority {
        None => Peer::open(server.address).await,
        Some(authority) => Peer::open_over(&authority, server.address).await,
    };
    let outbox = server.outbox().await;
    (server, peer, outbox)
}

/// Sends until the kernel takes no more and the bound is reached. Answers how many frames were taken.
pub(crate) fn fill(outbox: &Outbox, frame: &Frame) -> usize {
    (0..100_000).find(|_| outbox.send(frame) == Sent::Full).expect("a peer that does not read fills every bound")
}

#[tokio::test]
async fn fragments_with_a_ping_between_them_are_one_message() {
    let (mut server, mut peer, _outbox) = pair(Setting::default()).await;
    peer.write(&frame(TEXT, "h\u{fc}".as_bytes().split_at(2).0)).await;
    peer.write(&frame(FINAL | PING, b"there?")).await;
    peer.write(&frame(CONTINUATION, "\u{fc}".as_bytes().split_at(1).1)).await;
    peer.write(&frame(FINAL | CONTINUATION, b"!")).await;
    assert_eq!(peer.read_frame().await, (FINAL | PONG, b"there?".to_vec()));
    assert_eq!(peer.read_text().await, "h\u{fc}!");
    while server.told().await != Told::Pulse {}
}

#[tokio::test]
async fn the_answers_of_one_read_leave_in_one_write() {
    let (_server, mut peer, _outbox) = pair(Setting::default()).await;
    peer.write(&frame(FINAL | TEXT, b"hello").repeat(100)).await;
    assert_eq!(peer.read_once().await, [&[0x81, 5][..], b"hello"].concat().repeat(100));
}

#[tokio::test]
async fn what_is_sent_under_a_cork_leaves_in_one_write() {
    let (_server, mut peer, outbox) = pair(Setting::default()).await;
    {
        let _cork = outbox.cork();
        for _ in 0..100 {
            assert_eq!(outbox.send(&Frame::text(b"event")), Sent::Accepted);
        }
        assert_eq!(outbox.traffic().bytes, 0);
    }
    assert_eq!(outbox.traffic().bytes, 700);
    assert_eq!(peer.read_once().await.len(), 700);
}

#[tokio::test]
async fn a_clients_close_is_echoed_and_ends_the_connection_at_once() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    peer.write(&frame(FINAL | CLOSE, &close_payload(1000, "bye"))).await;
    peer.expect_close(1000).await;
    peer.read_end().await.unwrap();
    server.expect_end(Ending::ClosedByClient(Some(1000))).await;
    assert_eq!(outbox.send(&Frame::text(b"late")), Sent::Closed);
}

#[tokio::test]
async fn nothing_is_delivered_after_a_close_in_the_same_read() {
    let (mut server, mut peer, _outbox) = pair(Setting::default()).await;
    let bytes = [frame(FINAL | CLOSE, b""), frame(FINAL | TEXT, b"late")].concat();
    peer.write(&bytes).await;
    assert_eq!(peer.read_frame().await, (FINAL | CLOSE, Vec::new()));
    assert_eq!(server.told().await, Told::End(Ending::ClosedByClient(None)));
    assert_eq!(server.told().await, Told::Gone);
}

#[tokio::test]
async fn our_close_frees_the_slot_before_the_peer_answers() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    outbox.close(4001, r#"{"reason":"draining"}"#);
    assert_eq!(server.told().await, Told::End(Ending::ClosedByServer));
    peer.expect_close(4001).await;
    peer.write(&frame(FINAL | TEXT, b"crossed the close on its way")).await;
    peer.write(&frame(FINAL | CLOSE, &close_payload(4001, ""))).await;
    peer.read_end().await.unwrap();
    assert_eq!(server.told().await, Told::Gone);
}

#[tokio::test]
async fn a_peer_that_never_answers_a_close_is_reset_at_the_deadline() {
    let (mut server, mut peer, outbox) = pair(Setting::hasty()).await;
    outbox.close(4001, "");
    peer.expect_close(4001).await;
    let end = peer.read_end().await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    server.expect_end(Ending::ClosedByServer).await;
}

#[tokio::test]
async fn a_blocked_peer_does_not_hold_up_its_close() {
    let (mut server, _peer, outbox) = pair(Setting::hasty()).await;
    fill(&outbox, &Frame::binary(&[0; 16_384]));
    outbox.close(4003, "");
    server.expect_end(Ending::ClosedByServer).await;
}

#[tokio::test]
async fn an_abort_resets_at_once_whoever_holds_the_outbox() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    outbox.abort();
    let end = peer.read_end().await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    server.expect_end(Ending::Lost).await;
    assert_eq!(outbox.ping(), PingOutcome::Failed);
}

#[tokio::test]
async fn fin_and_rst_without_a_close_frame_end_the_connection() {
    for reset in [true, false] {
        let (mut server, peer, _outbox) = pair(Setting::default()).await;
        match reset {
            true => peer.reset(),
            false => drop(peer),
        }
        server.expect_end(Ending::Lost).await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_gets_a_bounded_queue_and_later_everything() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    let event = Frame::binary(&[7; 16_384]);
    let taken = fill(&outbox, &event);
    assert!(outbox.bytes_sent() - outbox.traffic().bytes <= 65_536);
    assert!(outbox.room() < event.wire_bytes());
    assert_eq!(server.told().await, Told::Write(WriteProgress::Blocked));
    for _ in 0..taken {
        assert_eq!(peer.read_frame().await, (FINAL | BINARY, vec![7; 16_384]));
    }
    while server.told().await != Told::Write(WriteProgress::Cleared) {}
    assert_eq!(outbox.bytes_sent(), outbox.traffic().bytes);
    assert_eq!(outbox.send(&event), Sent::Accepted);
}

#[tokio::test]
async fn answers_beyond_twice_the_bound_close_a_peer_as_slow() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    let answer = Frame::binary(&[7; 16_384]);
    fill(&outbox, &answer);
    let more = (0..100).position(|_| outbox.send_control(&answer) == Sent::Closed);
    assert!(more.is_some_and(|count| count <= 5), "{more:?}");
    assert_eq!(server.told().await, Told::End(Ending::ClosedByServer));
    loop {
        match peer.read_frame().await {
            (first, _) if first == FINAL | BINARY => {}
            (first, payload) => {
                assert_eq!((first, &payload[..2]), (FINAL | CLOSE, &4002_u16.to_be_bytes()[..]));
                break;
            }
        }
    }
}

#[tokio::test]
async fn one_frame_above_the_bound_is_taken_while_nothing_waits() {
    let (_server, mut peer, outbox) = pair(Setting::default()).await;
    let large = Frame::binary(&vec![1; 8 << 20]);
    assert_eq!(outbox.send(&large), Sent::Accepted);
    assert_eq!(outbox.send(&large), Sent::Full);
    assert_eq!(peer.read_frame().await.1.len(), 8 << 20);
}

#[tokio::test]
async fn a_ping_behind_waiting_bytes_counts_only_when_it_was_written() {
    let (mut server, mut peer, outbox) = pair(Setting::default()).await;
    assert_eq!(outbox.ping(), PingOutcome::Written);
    let event = Frame::binary(&[7; 16_384]);
    let taken = fill(&outbox, &event);
    assert_eq!(outbox.ping(), PingOutcome::Queued);
    assert_eq!(outbox.ping(), PingOutcome::Queued);
    assert_eq!(server.told().await, Told::Write(WriteProgress::Blocked));
    for _ in 0..taken + 2 {
        peer.read_frame().await;
    }
    while server.told().await != Told::PingWritten {}
    assert_eq!(peer.read_text().await, r#"{"type":"ping"}"#);
    assert_eq!(peer.read_frame().await, (FINAL | PING, Vec::new()));
    outbox.close(1000, "");
    peer.expect_close(1000).await;
}

#[tokio::test]
async fn violations_are_told_to_the_handler_and_then_closed_with_their_code() {
    let unmasked = [&[FINAL | TEXT, 2][..], b"hi"].concat();
    let too_large = header(FINAL | TEXT, 65_537);
    let huge = [FINAL | TEXT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff].to_vec();
    let grown = [frame(BINARY, &[0; 65_000]), header(CONTINUATION, 537)].concat();
    let split = frame(BINARY, b"").into_iter().chain(frame(CONTINUATION, b"").repeat(16)).collect();
    let cases = [
        (1002, unmasked),
        (1002, frame(FINAL | 0x3, b"")),
        (1002, frame(FINAL | 0x40 | TEXT, b"")),
        (1002, frame(FINAL | CONTINUATION, b"")),
        (1002, frame(PING, b"")),
        (1002, header(FINAL | PING, 126)),
        (1002, [frame(TEXT, b"a"), frame(FINAL | TEXT, b"b")].concat()),
        (1002, frame(FINAL | CLOSE, &[3])),
        (1007, frame(FINAL | TEXT, b"\xff")),
        (1007, frame(TEXT, b"\xc3\x28")),
        (1007, frame(FINAL | CLOSE, b"\x03\xe8\xff")),
        (1009, too_large),
        (1009, huge),
        (1009, grown),
        (1008, split),
        (1008, frame(FINAL | PING, b"").repeat(30)),
    ];
    for (code, bytes) in cases {
        let (mut server, mut peer, _outbox) = pair(Setting::default()).await;
        peer.write(&bytes).await;
        let frame = loop {
            match peer.read_frame().await {
                (first, _) if first == FINAL | PONG => {}
                frame => break frame,
            }
        };
        assert_eq!(frame, (FINAL | TEXT, b"you are told first".to_vec()));
        peer.expect_close(code).await;
        peer.read_end().await.unwrap();
        let violation = loop {
            if let Told::Violation(violation) = server.told().await {
                break violation;
            }
        };
        assert_eq!(violation.code(), code);
        assert_eq!(server.told().await, Told::End(Ending::Failed(violation)));
        drop(peer);
        assert_eq!(server.told().await, Told::Gone);
    }
}

#[tokio::test]
async fn a_peer_that_goes_on_sending_after_a_violation_is_reset_at_the_deadline() {
    let (mut server, mut peer, _outbox) = pair(Setting::hasty()).await;
    peer.write(&frame(FINAL | 0x3, b"")).await;
    assert_eq!(peer.read_text().await, "you are told first");
    peer.expect_close(1002).await;
    peer.write(&frame(FINAL | TEXT, b"never mind")).await;
    server.expect_end(Ending::Failed(Violation::Protocol("the opcode is reserved"))).await;
}

#[tokio::test]
async fn a_panic_in_a_callback_ends_the_connection_exactly_once() {
    let (mut server, mut peer, _outbox) = pair(Setting::default()).await;
    peer.write(&frame(FINAL | TEXT, PANIC.as_bytes())).await;
    peer.expect_close(1011).await;
    server.expect_end(Ending::TaskEnded).await;
    let mut other = Peer::open(server.address).await;
    other.write(&frame(FINAL | TEXT, b"still here?")).await;
    assert_eq!(other.read_text().await, "still here?");
}

#[tokio::test]
async fn a_peer_that_never_says_who_it_is_is_closed_at_the_hello_deadline() {
    let (mut server, mut peer, _outbox) = pair(Setting { identified: false, ..Setting::hasty() }).await;
    peer.expect_close(4005).await;
    assert_eq!(server.told().await, Told::HelloTimeout);
    server.expect_end(Ending::ClosedByServer).await;
}

#[tokio::test]
async fn identity_frees_the_hello_deadline_and_the_place_among_strangers() {
    let (server, mut peer, outbox) = pair(Setting { identified: false, ..Setting::default() }).await;
    assert_eq!(server.pool.occupancy().strangers, 1);
    peer.write(&frame(FINAL | TEXT, b"it is me")).await;
    peer.read_text().await;
    assert_eq!(server.pool.occupancy().strangers, 0);
    assert_eq!(server.pool.occupancy().connections, 1);
    assert!(outbox.is_open());
}

#[tokio::test]
async fn a_stranger_may_say_hello_but_not_fill_our_memory() {
    let setting = Setting { identified: false, ..Setting::default() };
    let (_server, mut peer, _outbox) = pair(setting.clone()).await;
    peer.write(&header(FINAL | TEXT, 20_000)).await;
    assert_eq!(peer.read_text().await, "you are told first");
    peer.expect_close(1009).await;
    let (_server, mut peer, _outbox) = pair(setting).await;
    let long = "x".repeat(20_000);
    let bytes = [frame(FINAL | TEXT, b"it is me"), frame(FINAL | TEXT, long.as_bytes())].concat();
    peer.write(&bytes).await;
    assert_eq!(peer.read_text().await, "it is me");
    assert_eq!(peer.read_text().await, long);
}

#[tokio::test]
async fn a_busy_socket_does_not_starve_the_others_of_its_thread() {
    let (server, peer, _outbox) = pair(Setting::default()).await;
    let mut busy = peer.into_std();
    let flood = std::thread::spawn(move || {
        let bytes = frame(FINAL | BINARY, b"more").repeat(10_000);
        while busy.write_all(&bytes).is_ok() {}
    });
    for _ in 0..5 {
        let mut other = Peer::open(server.address).await;
        other.write(&frame(FINAL | TEXT, b"my turn")).await;
        assert_eq!(other.read_text().await, "my turn");
    }
    server.stop.cancel();
    server.task.await.unwrap();
    flood.join().unwrap();
}
