//! Frames that are too long, too many or too often, from strangers and from users, against the gateway itself.

use serde_json::json;

use crate::gateway::{Gateway, soon};
use crate::ws::peer::{BINARY, CONTINUATION, FINAL, PING, PONG, Peer, TEXT, frame, handshake, header};

/// A socket that speaks bytes: a stranger's, or that of a user who has said hello.
async fn socket(gateway: &Gateway, is_user: bool) -> Peer {
    let mut peer = Peer::connect(gateway.address).await;
    let token = format!("Bearer {}", gateway.token("mallory"));
    let mut headers = vec![("Sec-WebSocket-Protocol", "lychgate.v1")];
    if is_user {
        headers.push(("Authorization", &token));
    }
    let head = peer.request("GET /v1/ws HTTP/1.1", &handshake(&headers)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    if is_user {
        peer.write(&frame(FINAL | TEXT, json!({"type": "hello"}).to_string().as_bytes())).await;
        assert!(peer.read_text().await.contains("hello"));
    }
    peer
}

/// Skips answers until the close frame, which has this code.
async fn closed_with(peer: &mut Peer, code: u16) {
    loop {
        match soon(peer.read_frame()).await {
            (first, _) if first == FINAL | PONG || first == FINAL | TEXT => {}
            (_, payload) => {
                assert_eq!(payload[..2], code.to_be_bytes());
                break;
            }
        }
    }
}

#[tokio::test]
async fn oversized_frames_are_refused_by_their_header_alone() {
    let gateway = Gateway::start(&[]).await;
    let huge = [FINAL | BINARY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    for (is_user, head) in [
        (false, header(FINAL | TEXT, 16_385)),
        (true, header(FINAL | TEXT, 262_145)),
        (false, huge.to_vec()),
        (true, huge.to_vec()),
    ] {
        let mut peer = socket(&gateway, is_user).await;
        peer.write(&head).await;
        closed_with(&mut peer, 1009).await;
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn fragmented_frames_are_bounded_in_number_and_in_sum() {
    let gateway = Gateway::start(&[]).await;
    for is_user in [false, true] {
        let mut peer = socket(&gateway, is_user).await;
        peer.write(&[frame(TEXT, b""), frame(CONTINUATION, b"").repeat(200)].concat()).await;
        closed_with(&mut peer, 1008).await;
        let mut peer = socket(&gateway, is_user).await;
        let (most, piece) = if is_user { (262_144, 4_096) } else { (16_384, 1_024) };
        let pieces = frame(CONTINUATION, &vec![b' '; piece]).repeat(most / piece - 1);
        peer.write(&[frame(TEXT, &vec![b' '; piece]), pieces, header(CONTINUATION, 1)].concat()).await;
        closed_with(&mut peer, 1009).await;
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn ping_floods_are_closed_and_disturb_nobody() {
    let gateway = Gateway::start(&[]).await;
    for is_user in [false, true] {
        let mut peer = socket(&gateway, is_user).await;
        peer.write(&frame(FINAL | PING, &[7; 125]).repeat(30)).await;
        closed_with(&mut peer, 1008).await;
    }
    gateway.serves_others().await;
}
