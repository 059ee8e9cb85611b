//! What an outbox finds out while it buries a peer. Everything else is tried with a connection's task: see `ws`.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// More than two kernels take for a peer that does not read.
const MUCH: usize = 16 * 1024 * 1024;

async fn pair() -> (TcpStream, TcpStream) {
    let sockets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (ours, theirs) = tokio::join!(sockets.accept(), TcpStream::connect(sockets.local_addr().unwrap()));
    (ours.unwrap().0, theirs.unwrap())
}

#[tokio::test]
async fn what_a_buried_peer_had_said_is_kept_once_and_its_socket_is_gone() {
    let (ours, mut peer) = pair().await;
    peer.write_all(b"here I am").await.unwrap();
    ours.readable().await.unwrap();
    let outbox = Outbox::new(ours, 4_096);
    assert!(!outbox.bury(), "nothing waits, so that it cannot have taken anything");
    assert!(!outbox.is_open());
    assert_eq!(outbox.take_last_words(), b"here I am");
    assert!(outbox.take_last_words().is_empty());
    assert!(peer.read(&mut [0; 8]).await.is_err(), "nobody waits for a dead peer: it is reset");
}

#[tokio::test]
async fn a_peer_that_was_silent_left_nothing() {
    let (ours, _peer) = pair().await;
    let outbox = Outbox::new(ours, 4_096);
    outbox.bury();
    assert!(outbox.take_last_words().is_empty());
}

#[tokio::test]
async fn a_peer_that_takes_bytes_again_is_told_from_one_that_does_not() {
    for reads in [false, true] {
        let (ours, mut peer) = pair().await;
        let outbox = Outbox::new(ours, MUCH);
        assert_eq!(outbox.send(&Frame::text(&vec![b'x'; MUCH])), Sent::Accepted);
        assert!(outbox.room() < MUCH, "the kernel has not taken all of it");
        if reads {
            // Nobody writes what waits: what arrives is what the kernel had.
            let mut bytes = vec![0; MUCH];
            while let Ok(Ok(1..)) =
                tokio::time::timeout(std::time::Duration::from_millis(200), peer.read(&mut bytes)).await
            {}
        }
        assert_eq!(outbox.bury(), reads);
    }
}
