//! Behind a proxy: whose word about a client's address is taken, and whose is not.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use super::{SLOWEST, connect_from, soon};
use crate::gateway::{Call, Gateway};
use crate::tls::authority::Authority;

/// A PROXY header for a client at this address.
fn header(client: [u8; 4]) -> Vec<u8> {
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&fixed[..], &client, &[10, 0, 0, 1, 0x12, 0x34, 1, 187]].concat()
}

/// Sends bytes and then a request for a list of threads; answers all that comes back.
async fn ask(mut stream: TcpStream, before: &[u8], headers: &str) -> String {
    let request = format!("GET /v1/threads HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    // The other side may have closed already, which is then what is heard.
    let _sent = soon(stream.write_all(&[before, request.as_bytes()].concat())).await;
    let mut answer = Vec::new();
    let _ended = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_in_a_proxy_header_and_the_client_has_the_rate() {
    let keys = [SLOWEST, "server.proxy_protocol = true", r#"server.trusted_proxies = ["127.0.1.1"]"#];
    let gateway = Gateway::start(&keys).await;
    let from_proxy = async |before: &[u8]| ask(connect_from(1, gateway.address).await.unwrap(), before, "").await;
    let mut told = Vec::new();
    for _ in 0..25 {
        told.push(status(&from_proxy(&header([203, 0, 113, 9])).await).to_owned());
    }
    assert_eq!((told[0].as_str(), told[24].as_str()), ("401", "429"));
    assert_eq!(status(&from_proxy(&header([203, 0, 113, 10])).await), "401", "another client of the same proxy");
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(status(&from_proxy(local).await), "401", "the proxy's own health check");
}

#[tokio::test]
async fn a_proxy_header_is_required_of_trusted_proxies_and_taken_from_nobody_else() {
    let keys = ["server.proxy_protocol = true", r#"server.trusted_proxies = ["127.0.1.1"]"#];
    let gateway = Gateway::start(&keys).await;
    let from = async |last: u8| connect_from(last, gateway.address).await.unwrap();
    assert_eq!(ask(from(1).await, b"", "").await, "", "a proxy that says nothing of its client");
    gateway.process.line_with("does not begin with a PROXY header").await;
    let mut long = header([203, 0, 113, 9]);
    long[14..16].copy_from_slice(&9_000_u16.to_be_bytes());
    assert_eq!(ask(from(1).await, &long, "").await, "");
    gateway.process.line_with("9000 bytes follow").await;
    let mut wrong = header([203, 0, 113, 9]);
    wrong[12] = 0x31;
    assert_eq!(ask(from(1).await, &wrong, "").await, "");
    gateway.process.line_with("malformed").await;
    let answer = ask(from(2).await, &header([203, 0, 113, 9]), "").await;
    assert_eq!(status(&answer), "400", "from a stranger it is a bad request: {answer}");
    assert_eq!(status(&ask(from(2).await, b"", "").await), "401", "and nothing is asked of him");
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_proxy_that_names_nobody_makes_one_crowd_of_its_clients_and_their_headers_count_for_nothing() {
    let keys = [SLOWEST, "server.proxy_protocol = true", r#"server.trusted_proxies = ["127.0.1.1"]"#];
    let gateway = Gateway::start(&keys).await;
    let from_proxy = async |before: &[u8], client: u8| {
        let stream = connect_from(1, gateway.address).await.unwrap();
        status(&ask(stream, before, &format!("X-Forwarded-For: 203.0.113.{client}\r\n")).await).to_owned()
    };
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[7; 216]].concat();
    let mut told = Vec::new();
    for client in 0..13 {
        told.push(from_proxy(unspecified, 2 * client).await);
        told.push(from_proxy(&unix, 2 * client + 1).await);
    }
    assert_eq!((told[0].as_str(), told[25].as_str()), ("401", "429"), "{told:?}");
    // The proxy itself has no rate, and its word counts.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(from_proxy(local, 99).await, "401");
}

#[tokio::test]
async fn a_balancer_that_looks_whether_the_port_is_open_is_no_warning() {
    let keys = ["server.proxy_protocol = true", r#"server.trusted_proxies = ["127.0.1.1"]"#, r#"log.level = "debug""#];
    let gateway = Gateway::start(&keys).await;
    drop(connect_from(1, gateway.address).await.unwrap());
    let line = gateway.process.line_with("ended before it said anything").await;
    assert!(line.contains("DEBUG"), "{line}");
    assert_eq!(gateway.process.count("a connection of a proxy was closed"), 0);
    let cut = connect_from(1, gateway.address).await.unwrap();
    assert_eq!(cut.try_write(b"\r\n").unwrap(), 2);
    drop(cut);
    let line = gateway.process.line_with("a connection of a proxy was closed").await;
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn whoever_is_in_his_tls_handshake_behind_a_balancer_counts_where_he_comes_from() {
    let authority = Authority::new();
    let [certificate, key] = authority.keys("server.tls");
    let keys = [
        &certificate,
        &key,
        "server.proxy_protocol = true",
        r#"server.trusted_proxies = ["127.0.1.1"]"#,
        "server.max_unidentified = 3",
        r#"server.handshake_timeout = "60s""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let begin = async |client: [u8; 4]| {
        let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let mut session =
            rustls::ClientConnection::new(std::sync::Arc::clone(authority.connector(false).config()), name).unwrap();
        let mut said = header(client);
        session.write_tls(&mut said).unwrap();
        let mut stream = connect_from(1, gateway.address).await.unwrap();
        soon(stream.write_all(&said)).await.unwrap();
        // The gateway answers when it has read both, and waits for the rest of the handshake.
        assert_eq!(soon(stream.peek(&mut [0])).await.unwrap(), 1);
        (session, stream)
    };
    let (mut session, stream) = begin([203, 0, 113, 9]).await;
    let mut crowd = Vec::new();
    for _ in 0..6 {
        crowd.push(begin([203, 0, 113, 10]).await);
    }
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let ended = spawn_blocking(move || session.complete_io(&mut stream).map(|_| ()));
    soon(ended).await.unwrap().expect("the crowd is elsewhere, and pushes out itself");
}

#[tokio::test]
async fn slow_loris_on_the_proxy_header_is_closed_at_the_handshake_deadline() {
    let keys = [
        "server.proxy_protocol = true",
        r#"server.trusted_proxies = ["127.0.1.1"]"#,
        r#"server.handshake_timeout = "200ms""#,
        r#"server.header_timeout = "1h""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let mut stream = connect_from(1, gateway.address).await.unwrap();
    let mut long = header([1, 2, 3, 4]);
    long[14..16].copy_from_slice(&520_u16.to_be_bytes());
    assert_eq!(soon(super::drip(&mut stream, &long)).await, b"");
}

#[tokio::test]
async fn x_forwarded_for_counts_from_a_trusted_proxy_and_from_nobody_else() {
    let gateway = Gateway::start(&[SLOWEST, r#"server.trusted_proxies = ["127.0.1.1"]"#]).await;
    let ask_as = async |last: u8, client: &str| {
        let stream = connect_from(last, gateway.address).await.unwrap();
        let answer = ask(stream, b"", &format!("X-Forwarded-For: 198.51.100.1, {client}\r\n")).await;
        status(&answer).to_owned()
    };
    let mut told = Vec::new();
    for _ in 0..25 {
        told.push((ask_as(1, "203.0.113.9").await, ask_as(2, "203.0.113.77").await));
    }
    assert_eq!(told[0], ("401".to_owned(), "401".to_owned()));
    assert_eq!(told[24], ("429".to_owned(), "429".to_owned()), "one behind the proxy, one who only says that he is");
    assert_eq!(ask_as(1, "203.0.113.77").await, "401", "nobody else has to suffer for what he said");
    assert_eq!(ask_as(1, "203.0.113.10").await, "401");
}

#[tokio::test]
async fn the_connections_of_an_address_are_those_of_the_client_behind_the_proxy() {
    let keys = ["server.max_connections_per_address = 1", r#"server.trusted_proxies = ["127.0.0.1"]"#];
    let gateway = Gateway::start(&keys).await;
    let mut tabs = Vec::new();
    for (user, client) in [("ann", "203.0.113.1"), ("bob", "203.0.113.2"), ("cyd", "203.0.113.1")] {
        let call = Call::with_token(&gateway.token(user)).header("x-forwarded-for", client);
        let mut tab = call.dial(&gateway).await.unwrap();
        tab.say(json!({"type": "hello"})).await;
        tab.expect("hello").await;
        tabs.push(tab);
    }
    tabs[0].expect_close(4511).await;
    tabs[1].open("t1").await;
}
