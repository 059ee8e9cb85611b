//! Whoever has not said who he is: slow, silent, too many, too often, behind a proxy, or smuggling. Users come in all the
//! same.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::gateway::{Call, Doors, Gateway, Heard, claims, sign, soon};
use crate::ws::peer::{FINAL, TEXT, frame};

mod flooded;
mod proxied;
mod smuggled;

/// Between two bytes of somebody slow.
const DRIP: Duration = Duration::from_millis(5);

/// A TLS record header and the beginning of a ClientHello that never ends.
const CLIENT_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];

/// A connection from one of the addresses of loopback.
async fn connect_from(last: u8, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 1, last), 0).into())?;
    socket.connect(address).await
}

/// Sends a beginning byte by byte and then the same byte for ever, until the other side ends it. Answers all that it said.
async fn drip(stream: &mut TcpStream, beginning: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    for byte in beginning.iter().copied().chain(std::iter::repeat(b'a')) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        if let Ok(Ok(0) | Err(_)) = timeout(DRIP, stream.read_buf(&mut heard)).await {
            break;
        }
    }
    heard
}

async fn ends_whoever_drips(keys: &[&str], beginning: &[u8]) -> Vec<u8> {
    let gateway = Gateway::start(keys).await;
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    soon(drip(&mut stream, beginning)).await
}

#[tokio::test]
async fn slow_loris_on_the_request_line_is_closed_at_the_header_deadline() {
    ends_whoever_drips(&[r#"server.header_timeout = "200ms""#], b"GET /v1/").await;
}

#[tokio::test]
async fn slow_loris_on_the_headers_is_closed_at_the_header_deadline() {
    ends_whoever_drips(&[r#"server.header_timeout = "200ms""#], b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nX-A: ").await;
}

#[tokio::test]
async fn slow_loris_on_tls_is_closed_at_the_handshake_deadline() {
    let authority = crate::tls::authority::Authority::new();
    let [certificate, key] = authority.keys("server.tls");
    let keys = [certificate.as_str(), &key, r#"server.handshake_timeout = "200ms""#, r#"server.header_timeout = "1h""#];
    let heard = ends_whoever_drips(&keys, CLIENT_HELLO).await;
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}

#[tokio::test]
async fn slow_loris_on_the_first_frame_is_closed_at_the_hello_deadline_with_4005() {
    let gateway =
        Gateway::start(&[r#"websocket.hello_timeout = "200ms""#, r#"websocket.close_timeout = "100ms""#]).await;
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    let request = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let hello = frame(FINAL | TEXT, &[b' '; 10_000]);
    let heard = soon(drip(&mut stream, &hello)).await;
    assert!(heard.starts_with(b"HTTP/1.1 101 "), "{heard:?}");
    assert!(heard.windows(2).any(|bytes| bytes == 4005_u16.to_be_bytes()), "{heard:?}");
    gateway.serves_others().await;
}

#[tokio::test]
async fn slow_loris_on_a_body_ends_with_its_connection_and_holds_no_slot() {
    let gateway = Gateway::start(&[]).await;
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    let token = gateway.token("ann");
    let head = format!(
        "POST /v1/threads/t1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\n"
    );
    soon(stream.write_all(head.as_bytes())).await.unwrap();
    for byte in b"{\"run\":" {
        soon(stream.write_all(&[*byte])).await.unwrap();
    }
    assert_eq!(gateway.metric("lychgate_sessions").await, 0.0);
    gateway.serves_others().await;
}

/// Twice as many as the pool of strangers takes and more, from 50 addresses.
const SILENT: u16 = 10_000;
const SLOW: u8 = 200;
const ADDRESSES: u8 = 50;

/// As many descriptors as this process may have.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).unwrap();
    assert!(limit.maximum.is_none_or(|most| most >= 12_000), "10,000 sockets need 12,000 descriptors: ulimit -Hn");
}

#[tokio::test]
async fn ten_thousand_sockets_without_identity_and_two_hundred_slow_ones_keep_no_user_out() {
    raise_descriptor_limit();
    let gateway = Gateway::start(&[r#"server.header_timeout = "1h""#, r#"websocket.hello_timeout = "1h""#]).await;
    let address = gateway.address;
    let mut early = gateway.connect("ann").await;
    early.open("before").await;
    let mut newcomer = Call::without_token().dial(&gateway).await.unwrap();

    let mut silent = Vec::new();
    for number in 0..SILENT {
        let last = u8::try_from(number % u16::from(ADDRESSES)).unwrap();
        silent.push(soon(connect_from(last, address)).await.unwrap());
    }
    let slow = (0..SLOW).map(|number| {
        tokio::spawn(async move {
            let mut stream = soon(connect_from(number % ADDRESSES, address)).await.unwrap();
            drip(&mut stream, b"GET /v1/ws HTTP/1.1\r\nX-A: ").await
        })
    });
    let slow: Vec<_> = slow.collect();
    gateway.metric_becomes("lychgate_unidentified_sockets", |count| count == 4096.0).await;

    // Whoever came from elsewhere before them kept his seat, and whoever comes now gets one.
    newcomer.say(json!({"type": "hello", "token": gateway.token("bob")})).await;
    newcomer.expect("hello").await;
    let mut cyd = gateway.connect("cyd").await;
    let mut dan = Call::without_token().dial(&gateway).await.unwrap();
    dan.say(json!({"type": "hello", "token": gateway.token("dan")})).await;
    dan.expect("hello").await;
    for late in [&mut cyd, &mut dan] {
        late.open("t1").await;
        assert_eq!(late.ask("t1", "r1", "hello").await.len(), 5);
    }
    // From the very addresses of the flood, too.
    let mut neighbour =
        Call::with_token(&gateway.token("eve")).from(Ipv4Addr::new(127, 0, 1, 7)).dial(&gateway).await.unwrap();
    neighbour.say(json!({"type": "hello"})).await;
    neighbour.expect("hello").await;
    assert_eq!(early.ask("before", "r1", "still here?").await.len(), 5);
    assert_eq!(gateway.metric("lychgate_connections").await, 5.0, "nobody with an identity was turned out");
    for task in slow {
        task.abort();
    }
}

/// The smallest rate: one connect per second, twenty at once.
const SLOWEST: &str = "server.connects_per_second_per_address = 1";

/// Connects until the address is told to come back later; answers when.
async fn exhaust(gateway: &Doors) -> Value {
    loop {
        let mut stranger = Call::without_token().dial(gateway).await.unwrap();
        stranger.say(json!({"type": "hello"})).await;
        match stranger.hear().await {
            Heard::Frame(error) => assert_eq!(error["code"], "unauthorized"),
            Heard::Close(4006, reason) => return serde_json::from_str(&reason).unwrap(),
            end @ (Heard::Close(..) | Heard::End) => panic!("{end:?}"),
        }
    }
}

#[tokio::test]
async fn beyond_its_rate_an_address_is_told_when_to_come_back_and_a_valid_token_is_served() {
    let gateway = Gateway::start(&[SLOWEST]).await;
    let told = soon(exhaust(&gateway)).await;
    assert_eq!((&told["reason"], &told["reconnect"]), (&json!("overload"), &json!(true)));
    let mut pauses = vec![told["retry_in"].as_u64().unwrap()];
    while pauses.len() < 6 {
        pauses.push(soon(exhaust(&gateway)).await["retry_in"].as_u64().unwrap());
    }
    assert!(pauses.last() > pauses.first() && pauses.iter().all(|pause| (1..=60_000).contains(pause)), "{pauses:?}");
    // A stale tab is told so, once and for all; a valid token comes in, in the request's header and as a subprotocol.
    let mut stale = Call::with_token(&sign(&claims("ann"), "another secret, that is long enough as well"));
    stale = stale.header("x-stale", "1");
    stale.dial(&gateway).await.unwrap().expect_error("unauthorized").await;
    gateway.serves_others().await;
    let protocols = format!("lychgate.v1, lychgate.bearer.{}", gateway.token("ann"));
    let mut tab = Call::without_token().header("sec-websocket-protocol", &protocols).dial(&gateway).await.unwrap();
    tab.say(json!({"type": "hello"})).await;
    tab.expect("hello").await;
    // So does one that comes in `hello`, and one that is bad is told so there, too (hazard R20).
    let mut tab = Call::without_token().dial(&gateway).await.unwrap();
    tab.say(json!({"type": "hello", "token": gateway.token("ann")})).await;
    tab.expect("hello").await;
    let mut stale = Call::without_token().dial(&gateway).await.unwrap();
    stale
        .say(json!({"type": "hello", "token": sign(&claims("ann"), "another secret, that is long enough as well")}))
        .await;
    stale.expect_error("unauthorized").await;
    // Over HTTP the same.
    let (status, head) = get(&gateway, "").await;
    assert_eq!(status, 429, "{head}");
    assert!(head.contains("retry-after: ") && head.contains("connection: close"), "{head}");
    assert_eq!(get(&gateway, &format!("Authorization: Bearer {}\r\n", gateway.token("ann"))).await.0, 200);
    // Elsewhere nobody notices.
    let mut elsewhere = Call::without_token().from(Ipv4Addr::new(127, 0, 1, 9)).dial(&gateway).await.unwrap();
    elsewhere.say(json!({"type": "hello", "token": gateway.token("bob")})).await;
    elsewhere.expect("hello").await;
}

#[tokio::test]
async fn beyond_its_rate_an_address_that_never_says_hello_is_told_when_to_come_back() {
    let gateway = Gateway::start(&[SLOWEST, r#"websocket.hello_timeout = "200ms""#]).await;
    soon(exhaust(&gateway)).await;
    let told = Call::without_token().dial(&gateway).await.unwrap().expect_close(4006).await;
    assert!(told["retry_in"].as_u64().is_some_and(|pause| pause > 0), "{told}");
}

/// `GET /v1/threads` with these header lines: status, and all that was said.
async fn get(gateway: &Doors, headers: &str) -> (u16, String) {
    let mut stream = soon(TcpStream::connect(gateway.address)).await.unwrap();
    let request = format!("GET /v1/threads HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn a_token_that_fails_on_and_on_is_not_looked_at_and_locks_out_no_other_token() {
    let gateway = Gateway::start(&[]).await;
    let stale = sign(&claims("ann"), "another secret, that is long enough as well");
    let bearer = format!("Authorization: Bearer {stale}\r\n");
    let mut refused = Vec::new();
    for _ in 0..11 {
        refused.push(get(&gateway, &bearer).await.0);
    }
    assert_eq!(refused, [401; 11]);
    let failures = gateway.metric("lychgate_auth_failures_total").await;
    let (status, head) = get(&gateway, &bearer).await;
    assert_eq!(status, 429, "{head}");
    assert!(head.contains("retry-after: 1"), "{head}");
    assert!(!head.contains(&stale));
    assert_eq!(gateway.metric("lychgate_auth_failures_total").await, failures, "nobody looked at it");
    // On a WebSocket the same is told where a browser can read it; there and in `hello` it is counted apart.
    let told = Call::with_token(&stale).dial(&gateway).await.unwrap().expect_close(4006).await;
    assert_eq!(told["reconnect"], true);
    for round in 0..12 {
        let mut tab = Call::without_token().dial(&gateway).await.unwrap();
        tab.say(json!({"type": "hello", "token": stale})).await;
        match round {
            0..11 => {
                tab.expect_error("unauthorized").await;
            }
            _ => {
                tab.expect_close(4006).await;
            }
        }
    }
    // Hazard R20: the same address, another token.
    assert_eq!(get(&gateway, &format!("Authorization: Bearer {}\r\n", gateway.token("ann"))).await.0, 200);
    gateway.serves_others().await;
}
