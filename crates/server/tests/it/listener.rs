//! The accept loop and the upgrade over real sockets.

use crate::ws::peer::{Peer, handshake, soon};
use crate::ws::server::{Server, Setting, Told};
use lychgate::ws::Ending;

#[tokio::test]
async fn a_header_that_never_ends_is_closed_at_the_header_deadline() {
    let server = Server::start(Setting::hasty());
    let mut silent = Peer::connect(server.address).await;
    let mut slow = Peer::connect(server.address).await;
    slow.write(b"GET / HTTP/1.1\r\nHost: te").await;
    silent.read_end().await.unwrap();
    slow.read_end().await.unwrap();
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let server = Server::start(Setting::default());
    let mut peer = Peer::connect(server.address).await;
    let long = "x".repeat(40_000);
    let head = peer.request("GET / HTTP/1.1", &[("X-Long", &long)]).await;
    assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
}

#[tokio::test]
async fn the_oldest_stranger_goes_when_the_pool_is_full() {
    let server = Server::start(Setting { max_unidentified: 2, ..Setting::default() });
    let mut first = Peer::connect(server.address).await;
    let _second = Peer::connect(server.address).await;
    let _third = Peer::open(server.address).await;
    first.read_end().await.unwrap();
    assert_eq!(server.pool.occupancy().strangers, 1, "the third one is identified");
}

#[tokio::test]
async fn what_is_no_handshake_is_told_what_would_be_right() {
    let server = Server::start(Setting::default());
    let mut no_key = handshake(&[]);
    no_key.retain(|(name, _)| *name != "Sec-WebSocket-Key");
    let mut short_key = no_key.clone();
    short_key.push(("Sec-WebSocket-Key", "c2hvcnQ="));
    let mut old = handshake(&[]);
    old.retain(|(name, _)| *name != "Sec-WebSocket-Version");
    old.push(("Sec-WebSocket-Version", "8"));
    let cases = [
        ("GET / HTTP/1.1", vec![], "426", "upgrade: websocket"),
        ("POST / HTTP/1.1", handshake(&[]), "405", "allow: GET"),
        ("GET / HTTP/1.1", old, "426", "sec-websocket-version: 13"),
        ("GET / HTTP/1.1", no_key, "400", "application/json"),
        ("GET / HTTP/1.1", short_key, "400", "application/json"),
    ];
    for (line, headers, status, says) in cases {
        let head = Peer::connect(server.address).await.request(line, &headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(says), "{head}");
    }
}

#[tokio::test]
async fn our_subprotocol_is_echoed_and_the_bearer_never() {
    let server = Server::start(Setting::default());
    let offer = [("Sec-WebSocket-Protocol", "chat, lychgate.bearer.a.b.c, lychgate.v1")];
    let head = Peer::connect(server.address).await.request("GET / HTTP/1.1", &handshake(&offer)).await;
    assert!(head.contains("sec-websocket-protocol: lychgate.v1\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(!head.contains("a.b.c"), "{head}");
}

#[tokio::test]
async fn what_is_no_subprotocol_is_refused_and_never_echoed() {
    let server = Server::start(Setting::default());
    for offer in ["chatHTTP/1.1 101 Switching", "chat, a/b, lychgate.v1"] {
        let headers = handshake(&[("Sec-WebSocket-Protocol", offer)]);
        let head = Peer::connect(server.address).await.request("GET / HTTP/1.1", &headers).await;
        assert!(head.starts_with("HTTP/1.1 400 ") && !head.contains("chat"), "{head}");
    }
    let headers = handshake(&[("Sec-WebSocket-Protocol", "chat,, ,lychgate.v1,")]);
    let head = Peer::connect(server.address).await.request("GET / HTTP/1.1", &headers).await;
    assert!(head.contains("sec-websocket-protocol: lychgate.v1\r\n"), "an empty element is none: {head}");
}

#[tokio::test]
async fn stopping_ends_upgraded_sockets_too_within_the_grace() {
    let mut server = Server::start(Setting::default());
    let mut peer = Peer::open(server.address).await;
    server.outbox().await;
    server.stop.cancel();
    soon(&mut server.task).await.unwrap();
    assert_eq!(server.told().await, Told::End(Ending::TaskEnded));
    assert_eq!(server.told().await, Told::Gone);
    peer.expect_close(1011).await;
    assert_eq!(server.pool.occupancy().connections, 0);
}
