//! TLS: a WebSocket over it keeps every promise, certificates are taken up while people are connected, and operators may
//! have to show one.

use std::sync::Arc;

use lychgate::outbox::{Frame, Sent};
use lychgate::ws::Ending;
use lychgate_core::{PingOutcome, WriteProgress};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Call, Doors, Gateway, soon};
use crate::ws::peer::{BINARY, CLOSE, FINAL, PING, TEXT, close_payload, frame};
use crate::ws::server::{Setting, Told};
use crate::ws::{fill, pair};

pub(crate) mod authority;

use authority::Authority;

fn encrypted() -> Setting {
    Setting { authority: Some(Arc::new(Authority::new())), ..Setting::default() }
}

async fn start(authority: &Authority, keys: &[&str]) -> Gateway {
    let tls = authority.keys("server.tls");
    Gateway::start(&[keys, &tls.each_ref().map(String::as_str)].concat()).await
}

#[tokio::test]
async fn the_golden_path_over_tls() {
    let authority = Authority::new();
    let gateway = start(&authority, &[]).await;
    let mut client = Call::with_token(&gateway.token("ann")).over(&authority).dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    assert_eq!(client.expect("hello").await["user"], "ann");
    client.open("t1").await;
    let events = client.ask("t1", "r1", "hello over TLS").await;
    assert_eq!(events.last().unwrap()["event"]["type"], "RUN_FINISHED");
    // In the clear nobody is served, and nobody is harmed.
    let mut plain = soon(TcpStream::connect(gateway.address)).await.unwrap();
    soon(plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).await.unwrap();
    let mut answer = Vec::new();
    let _ended = soon(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(client.ask("t1", "r2", "still here?").await.len(), 5);
}

#[tokio::test]
async fn big_messages_pass_over_tls_both_ways() {
    let mut setting = encrypted();
    setting.websocket.max_message_bytes = 4 << 20;
    let (mut server, mut peer, outbox) = pair(setting).await;
    let text = "y".repeat(3 << 20);
    peer.write(&frame(FINAL | TEXT, text.as_bytes())).await;
    assert_eq!(peer.read_text().await, text);
    assert_eq!(outbox.send(&Frame::binary(&vec![1; 8 << 20])), Sent::Accepted);
    assert_eq!(outbox.send(&Frame::binary(&[2; 100_000])), Sent::Full);
    assert_eq!(peer.read_frame().await.1, vec![1; 8 << 20]);
    while server.told().await != Told::Write(WriteProgress::Cleared) {}
}

#[tokio::test]
async fn what_is_sent_under_a_cork_leaves_as_one_batch_over_tls() {
    let (_server, mut peer, outbox) = pair(encrypted()).await;
    {
        let _cork = outbox.cork();
        for _ in 0..100 {
            assert_eq!(outbox.send(&Frame::text(b"event")), Sent::Accepted);
        }
        assert_eq!(outbox.traffic().bytes, 0);
    }
    assert_eq!(outbox.traffic().bytes, 700);
    assert_eq!(peer.read_once().await.len(), 700, "one record");
}

#[tokio::test]
async fn a_peer_over_tls_that_does_not_read_gets_a_bounded_queue_and_later_everything_once() {
    let (mut server, mut peer, outbox) = pair(encrypted()).await;
    let event = |number: usize| Frame::binary(&[&number.to_be_bytes()[..], &[7; 16_384]].concat());
    let taken = (0..100_000).find(|number| outbox.send(&event(*number)) == Sent::Full).unwrap();
    assert!(outbox.bytes_sent() - outbox.traffic().bytes <= 65_536);
    assert_eq!(outbox.ping(), PingOutcome::Queued);
    assert!(outbox.backlog().queued_bytes > 65_536, "what waits in the kernel is seen through TLS");
    assert_eq!(server.told().await, Told::Write(WriteProgress::Blocked));
    for number in 0..taken {
        let (first, payload) = peer.read_frame().await;
        assert_eq!((first, &payload[..8]), (FINAL | BINARY, &number.to_be_bytes()[..]));
    }
    while server.told().await != Told::PingWritten {}
    assert_eq!(peer.read_text().await, r#"{"type":"ping"}"#);
    assert_eq!(peer.read_frame().await, (FINAL | PING, Vec::new()));
    assert_eq!(outbox.bytes_sent(), outbox.traffic().bytes);
}

#[tokio::test]
async fn a_slow_peer_over_tls_is_closed_behind_what_was_encrypted_already() {
    let (mut server, mut peer, outbox) = pair(encrypted()).await;
    let answer = Frame::binary(&[7; 16_384]);
    fill(&outbox, &answer);
    let more = (0..100).position(|_| outbox.send_control(&answer) == Sent::Closed);
    assert!(more.is_some_and(|count| count <= 5), "{more:?}");
    assert_eq!(server.told().await, Told::End(Ending::ClosedByServer));
    loop {
        match peer.read_frame().await {
            (first, payload) if first == FINAL | BINARY => assert_eq!(payload, [7; 16_384]),
            (first, payload) => {
                assert_eq!((first, &payload[..2]), (FINAL | CLOSE, &4002_u16.to_be_bytes()[..]));
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_close_over_tls_is_echoed_and_followed_by_close_notify() {
    let (mut server, mut peer, _outbox) = pair(encrypted()).await;
    peer.write(&frame(FINAL | CLOSE, &close_payload(1000, "bye"))).await;
    peer.expect_close(1000).await;
    // The client's library calls the end of a connection without close_notify an error.
    peer.read_end().await.unwrap();
    server.expect_end(Ending::ClosedByClient(Some(1000))).await;
    let (mut server, mut peer, outbox) = pair(encrypted()).await;
    outbox.close(4001, "");
    peer.expect_close(4001).await;
    peer.write(&frame(FINAL | CLOSE, &close_payload(4001, ""))).await;
    peer.read_end().await.unwrap();
    server.expect_end(Ending::ClosedByServer).await;
}

#[tokio::test]
async fn a_violation_over_tls_is_told_and_half_closed() {
    let (_server, mut peer, _outbox) = pair(encrypted()).await;
    peer.write(&frame(FINAL | 0x3, b"")).await;
    assert_eq!(peer.read_text().await, "you are told first");
    peer.expect_close(1002).await;
    peer.read_end().await.unwrap();
}

#[tokio::test]
async fn an_abort_over_tls_resets_at_once_and_takes_no_leave() {
    let (mut server, mut peer, outbox) = pair(encrypted()).await;
    outbox.abort();
    assert_eq!(peer.read_end().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    server.expect_end(Ending::Lost).await;
}

#[tokio::test]
async fn fin_and_rst_without_a_close_frame_end_a_connection_over_tls() {
    for reset in [true, false] {
        let (mut server, peer, _outbox) = pair(encrypted()).await;
        match reset {
            true => peer.reset(),
            false => drop(peer),
        }
        server.expect_end(Ending::Lost).await;
    }
}

#[tokio::test]
async fn garbage_below_the_frames_ends_a_connection_over_tls_and_nobody_else() {
    let (mut server, mut peer, _outbox) = pair(encrypted()).await;
    peer.write_below(&[0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5]).await;
    server.expect_end(Ending::Lost).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_who_is_connected_stays() {
    let authority = Authority::new();
    let gateway = start(&authority, &[]).await;
    let mut early = Call::with_token(&gateway.token("ann")).over(&authority).dial(&gateway).await.unwrap();
    early.say(json!({"type": "hello"})).await;
    early.expect("hello").await;
    let renewed = authority.renew();
    gateway.process.line_with("a new certificate is in force").await;
    let stream = authority.connect(gateway.address).await;
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], renewed);
    early.open("t1").await;
    assert_eq!(early.ask("t1", "r1", "hello").await.len(), 5);

    // A broken one is told, once, and the old one stays.
    authority.write("key.pem", "no key");
    gateway.process.line_with("the old one stays in force").await;
    let stream = authority.connect(gateway.address).await;
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], renewed);
    let again = authority.renew();
    let is_new = async || authority.connect(gateway.address).await.get_ref().1.peer_certificates().unwrap()[0] == again;
    soon(async { while !is_new().await {} }).await;
    assert_eq!(gateway.process.count("the old one stays in force"), 1);
}

#[tokio::test]
async fn operators_show_a_certificate_or_are_not_let_in() {
    let authority = Authority::new();
    let [certificate, key] = authority.keys("server.admin_tls");
    let gateway = Gateway::start(&[&certificate, &key, &authority.operators_alone()]).await;
    assert_eq!(ready(&gateway, &authority, true).await.unwrap(), "ready");
    assert!(ready(&gateway, &authority, false).await.is_err());
    assert!(ready(&gateway, &Authority::new(), true).await.is_err(), "of another authority");
    gateway.connect("ann").await.open("users come in the clear").await;
}

/// The last line of what `/readyz` answers.
async fn ready(doors: &Doors, authority: &Authority, shows: bool) -> std::io::Result<String> {
    let socket = soon(TcpStream::connect(doors.admin)).await?;
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut stream = soon(authority.connector(shows).connect(name, socket)).await?;
    soon(stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}
