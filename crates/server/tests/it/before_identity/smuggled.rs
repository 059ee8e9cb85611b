//! A second request inside a first one: what no two servers read alike is answered once and closed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, soon};

/// What would be answered if it were taken for a request of its own.
const INNER: &str = "GET / HTTP/1.1\r\nHost: inner\r\n\r\n";

/// Sends all of it and answers all that comes back before the connection ends.
async fn exchange(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    soon(stream.write_all(bytes)).await.unwrap();
    let mut answer = Vec::new();
    let _ended = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn smuggling_attempts_are_answered_once_and_the_second_request_never() {
    let gateway = Gateway::start(&[r#"server.header_timeout = "300ms""#]).await;
    let post =
        |headers: &str, body: &str| format!("POST /v1/threads/t/runs HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
    let get = |headers: &str| format!("GET /v1/threads HTTP/1.1\r\n{headers}\r\n{INNER}");
    let hidden = format!("0\r\n\r\n{INNER}");
    let attempts = [
        ("CL and TE", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &hidden)),
        ("TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &hidden)),
        ("two CL that differ", post(&format!("Content-Length: 0\r\nContent-Length: {}\r\n", INNER.len()), INNER)),
        ("a list of CL", post("Content-Length: 0, 5\r\n", INNER)),
        ("a CL with a sign", post("Content-Length: +0\r\n", INNER)),
        ("a CL that overflows", post("Content-Length: 99999999999999999999999\r\n", INNER)),
        ("a TE that is not chunked", post("Transfer-Encoding: chunked, identity\r\n", &hidden)),
        ("an unknown TE", post("Transfer-Encoding: xchunked\r\n", &hidden)),
        ("a chunk size of letters", post("Transfer-Encoding: chunked\r\n", &format!("zz\r\n{INNER}"))),
        (
            "a chunk size that overflows",
            post("Transfer-Encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{INNER}")),
        ),
        ("a folded header", get("Host: x\r\nX-A: b\r\n c: d\r\n")),
        ("a space before the colon", get("Host: x\r\nContent-Length : 5\r\n")),
        ("a bare CR", get("Host: x\r\nX-A: b\rContent-Length: 5\r\n")),
        ("a NUL", get("Host: x\r\nX-A: b\0c\r\n")),
        ("no colon", get("Host: x\r\nnonsense\r\n")),
    ];
    for (name, bytes) in attempts {
        println!("{name}");
        let answer = exchange(&gateway, bytes.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
        assert!(!answer.contains("Lychgate "), "{name}: the inner request was served: {answer}");
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_request_that_hides_behind_an_upgrade_is_never_served_as_http() {
    let gateway = Gateway::start(&[]).await;
    let upgrade = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    soon(stream.write_all(format!("{upgrade}{INNER}").as_bytes())).await.unwrap();
    let mut answer = Vec::new();
    let _ended = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    gateway.serves_others().await;
}
