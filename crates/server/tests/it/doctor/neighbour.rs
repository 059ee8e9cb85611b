//! Others that a gateway depends on or is reached through, real and broken as a test needs them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// An HTTP server that answers everything with this: status line and headers, then the body. Lives as long as the runtime of
/// the test.
pub(super) async fn answering(head: String, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer =
                format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            tokio::spawn(async move {
                if head_of(&mut socket).await.is_some() {
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

/// Now, as a `Date` header, moved by so many seconds.
pub(super) fn date(moved: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(moved);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
}

/// What a proxy does that was not made for WebSockets.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// It passes everything on.
    None,
    /// It drops hop-by-hop headers and passes none on.
    StripsUpgrade,
    /// It passes the upgrade on, and nothing that the client sends after it.
    SwallowsFrames,
}

/// A proxy of one request per connection.
pub(super) async fn proxy(to: SocketAddr, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, to, fault));
        }
    });
    address
}

async fn pass(mut client: TcpStream, to: SocketAddr, fault: Fault) -> Option<()> {
    let head = head_of(&mut client).await?;
    let is_hop = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("upgrade:") || line.starts_with("connection:")
    };
    let head = match fault {
        Fault::StripsUpgrade => head.split("\r\n").filter(|line| !is_hop(line)).collect::<Vec<_>>().join("\r\n"),
        Fault::None | Fault::SwallowsFrames => head,
    };
    let mut gateway = TcpStream::connect(to).await.ok()?;
    gateway.write_all(head.as_bytes()).await.ok()?;
    match fault {
        Fault::None | Fault::StripsUpgrade => {
            tokio::io::copy_bidirectional(&mut client, &mut gateway).await.ok()?;
        }
        Fault::SwallowsFrames => {
            let ((mut from_client, mut to_client), (mut from_gateway, _open)) = (client.split(), gateway.split());
            let mut nowhere = tokio::io::sink();
            let _ = tokio::join!(copy(&mut from_gateway, &mut to_client), copy(&mut from_client, &mut nowhere));
        }
    }
    Some(())
}

/// Everything up to the empty line.
async fn head_of(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
