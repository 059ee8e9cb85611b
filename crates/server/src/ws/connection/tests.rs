use tokio::net::TcpStream;

use super::*;
use crate::listener::Pool;

struct Nothing;

impl Handler for Nothing {
    fn on_text(&mut self, _text: &str) {}
    fn on_binary(&mut self, _bytes: &[u8]) {}
    fn on_pulse(&mut self) {}
    fn on_write(&mut self, _progress: lychgate_core::WriteProgress) {}
    fn on_ping_written(&mut self) {}
    fn is_identified(&self) -> bool {
        true
    }
    fn on_hello_timeout(&mut self) {}
    fn on_violation(&mut self, _violation: Violation) {}
    fn on_end(&mut self, _ending: Ending) {}
}

/// Remembers the last words.
struct Listens(Arc<std::sync::Mutex<Vec<Sign>>>);

impl Handler for Listens {
    fn on_text(&mut self, text: &str) {
        panic!("nobody acts on what a buried peer had said: {text}");
    }
    fn on_binary(&mut self, _bytes: &[u8]) {}
    fn on_pulse(&mut self) {}
    fn on_write(&mut self, _progress: lychgate_core::WriteProgress) {}
    fn on_ping_written(&mut self) {}
    fn on_last_words(&mut self, sign: Sign) {
        self.0.lock().unwrap().push(sign);
    }
    fn is_identified(&self) -> bool {
        true
    }
    fn on_hello_timeout(&mut self) {}
    fn on_violation(&mut self, _violation: Violation) {}
    fn on_end(&mut self, _ending: Ending) {}
}

/// What the task of a connection finds in these bytes, which its peer had sent before it was buried.
async fn last_words(bytes: &[u8]) -> Vec<Sign> {
    let sockets = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (ours, peer) = tokio::join!(sockets.accept(), TcpStream::connect(sockets.local_addr().unwrap()));
    let (ours, mut peer) = (ours.unwrap().0, peer.unwrap());
    tokio::io::AsyncWriteExt::write_all(&mut peer, bytes).await.unwrap();
    if !bytes.is_empty() {
        ours.readable().await.unwrap();
    }
    let bounds = config::Config::from_toml("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"");
    let outbox = Outbox::new(ours, 4_096);
    let seat = Pool::new(10, 10).take_seat([127, 0, 0, 1].into()).unwrap();
    let heard = Arc::default();
    let (shared, bounds) = (Arc::clone(&outbox), Arc::new(bounds.unwrap().websocket));
    let connection = Connection::new(shared, bounds, &[], seat, Listens(Arc::clone(&heard)));
    outbox.bury();
    connection.await;
    let heard = heard.lock().unwrap();
    heard.clone()
}

#[tokio::test]
async fn whole_frames_that_came_before_the_burial_are_signs_and_nothing_else_is() {
    let text = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    let pong = [0x8a, 0x80, 1, 2, 3, 4];
    assert_eq!(last_words(&text).await, [Sign::Data]);
    assert_eq!(last_words(&pong).await, [Sign::Pong], "a browser answers it for a frozen page, too");
    assert_eq!(last_words(&[&pong[..], &text, &pong].concat()).await, [Sign::Data]);
    assert_eq!(last_words(&text[..5]).await, [], "half a frame");
    assert_eq!(last_words(&[]).await, []);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection<Nothing>>() <= 96, "{}", size_of::<Connection<Nothing>>());
    // With the two counts of its `Arc` it fills an allocation of 160 bytes, the next size above 128.
    let outbox = size_of::<Outbox>() + 2 * size_of::<usize>();
    assert!(outbox <= 160, "{outbox}");
}

#[tokio::test]
async fn whoever_was_told_to_go_stays_a_stranger_until_he_is_gone() {
    let sockets = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (ours, peer) = tokio::join!(sockets.accept(), TcpStream::connect(sockets.local_addr().unwrap()));
    let bounds = config::Config::from_toml("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"");
    let outbox = Outbox::new(ours.unwrap().0, 4_096);
    let pool = Pool::new(10, 10);
    let seat = pool.take_seat([127, 0, 0, 1].into()).unwrap();
    // As after a bad token: the dialogue has nothing more to ask, and the peer has not answered the close.
    outbox.close(4501, "");
    let mut connection = Connection::new(Arc::clone(&outbox), Arc::new(bounds.unwrap().websocket), &[], seat, Nothing);
    let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx))).await;
    assert!(polled.is_pending());
    assert_eq!(pool.occupancy().strangers, 1);
    drop((connection, peer));
    assert_eq!(pool.occupancy().strangers, 0);
}

#[tokio::test(start_paused = true)]
async fn pings_are_admitted_at_their_rate_and_a_second_of_them_at_once() {
    let mut next = None;
    let admitted = (0..100).filter(|_| admit_ping(&mut next, 10)).count();
    assert_eq!(admitted, 10);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(admit_ping(&mut next, 10));
    assert!(!admit_ping(&mut next, 10));
}
