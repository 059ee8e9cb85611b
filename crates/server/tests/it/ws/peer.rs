//! A WebSocket client made of bytes, so that it can do everything wrong.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::socket::Socket;
use crate::tls::authority::Authority;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Any mask will do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
pub(crate) const FINAL: u8 = 0x80;

/// Waits, but not for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// A masked frame; `first` is the first byte: flags and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len());
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The header of a masked frame that claims `length` bytes.
pub(crate) fn header(first: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A client's side of one TCP connection.
pub(crate) struct Peer {
    socket: Socket,
    unread: Vec<u8>,
}

impl Peer {
    /// A TCP connection and nothing more.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::on(Socket::Plain(soon(TcpStream::connect(address)).await.unwrap()))
    }

    fn on(socket: Socket) -> Self {
        Self { socket, unread: Vec::new() }
    }

    /// Through the handshakes of TLS and WebSocket.
    pub(crate) async fn open_over(authority: &Authority, address: SocketAddr) -> Self {
        let mut peer = Self::on(Socket::Tls(Box::new(authority.connect(address).await)));
        let head = peer.request("GET / HTTP/1.1", &handshake(&[])).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Through the handshake.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address).await;
        let head = peer.request("GET / HTTP/1.1", &handshake(&[])).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Sends a request and answers the head of the response.
    pub(crate) async fn request(&mut self, line: &str, headers: &[(&str, &str)]) -> String {
        let mut request = format!("{line}\r\nHost: test\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.write(request.as_bytes()).await;
        loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill().await.unwrap() > 0, "the connection ended in mid-response");
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon(self.socket.write_all(bytes)).await.unwrap();
        soon(self.socket.flush()).await.unwrap();
    }

    /// Bytes that no TLS has seen.
    pub(crate) async fn write_below(&mut self, bytes: &[u8]) {
        soon(self.socket.tcp().writable()).await.unwrap();
        assert_eq!(self.socket.tcp().try_write(bytes).unwrap(), bytes.len());
    }

    /// What one `recv` with a large buffer brings.
    pub(crate) async fn read_once(&mut self) -> Vec<u8> {
        assert!(self.unread.is_empty());
        self.fill().await.unwrap();
        std::mem::take(&mut self.unread)
    }

    /// The next frame: its first byte and its payload.
    pub(crate) async fn read_frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((frame, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return frame;
            }
            assert!(self.fill().await.unwrap() > 0, "the connection ended in mid-frame");
        }
    }

    pub(crate) async fn read_text(&mut self) -> String {
        let (first, payload) = self.read_frame().await;
        assert_eq!(first, FINAL | TEXT);
        String::from_utf8(payload).unwrap()
    }

    /// The next frame is a close with this code.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.read_frame().await;
        assert_eq!((first, &payload[..2]), (FINAL | CLOSE, &code.to_be_bytes()[..]));
    }

    /// Nothing follows: how the connection ends.
    pub(crate) async fn read_end(&mut self) -> io::Result<()> {
        match self.fill().await {
            Ok(0) => Ok(()),
            Ok(_) => panic!("the connection should have ended, but this came: {:?}", self.unread),
            Err(error) => Err(error),
        }
    }

    /// From now on its kernel drops whatever comes, before it is looked at, and so acknowledges nothing: as a machine
    /// that lost its power or its network.
    pub(crate) fn vanish(&self) {
        // One instruction of the classic packet filter: BPF_RET, and zero bytes to be kept.
        SockRef::from(self.socket.tcp()).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
    }

    /// The network is there again.
    pub(crate) fn return_from_nowhere(&self) {
        SockRef::from(self.socket.tcp()).detach_filter().unwrap();
    }

    /// Goes with RST.
    pub(crate) fn reset(self) {
        SockRef::from(self.socket.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// For a thread that blocks.
    pub(crate) fn into_std(self) -> std::net::TcpStream {
        let Socket::Plain(socket) = self.socket else { panic!("a thread that blocks knows no TLS") };
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        socket
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = vec![0; 1 << 20];
        let count = soon(self.socket.read(&mut buffer)).await?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// The headers of a good handshake, and some more.
pub(crate) fn handshake<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(more);
    headers
}

fn parse(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server never masks");
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap()),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some(((first, payload), head + length))
}
