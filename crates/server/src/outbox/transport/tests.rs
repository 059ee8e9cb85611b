use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use lychgate_core::WriteProgress;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::{Frame, Outbox, Sent};
use super::*;

/// For what comes by itself, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The smallest buffers that a kernel gives, so that a batch of records passes in many pieces.
const NARROW: u32 = 4_096;

/// An outbox over TLS, and the socket of a client who reads what he likes.
async fn over_a_narrow_link() -> (Arc<Outbox>, TcpStream) {
    let (outbox, peer) = over_tls().await;
    (outbox, peer.into_inner().0)
}

async fn over_tls() -> (Arc<Outbox>, TlsStream<TcpStream>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(client.with_no_client_auth()));
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = async { connector.connect("localhost".try_into().unwrap(), socket.connect(address).await?).await };
    let accept = async {
        let (socket, _) = listener.accept().await?;
        SockRef::from(&socket).set_send_buffer_size(NARROW as usize)?;
        acceptor.accept(socket).await
    };
    let (ours, theirs) = timeout(PATIENCE, async { tokio::try_join!(accept, connect) }).await.unwrap().unwrap();
    let (socket, session) = ours.into_inner();
    (Outbox::new(Transport::tls(socket, session), 1 << 20), theirs)
}

/// The next thing that the connection's task is told.
async fn progress(outbox: &Outbox) -> WriteProgress {
    poll_fn(|cx| outbox.poll_turn(cx).progress.map_or(Poll::Pending, Poll::Ready)).await
}

async fn read_for_ever(peer: TcpStream) -> io::Result<()> {
    loop {
        peer.readable().await?;
        // A readiness that is out of date is no news.
        let _read = peer.try_read(&mut [0; 1024]);
    }
}

#[tokio::test]
async fn a_slow_link_over_tls_is_told_to_move_although_its_batch_is_not_all_there() {
    let (outbox, peer) = over_a_narrow_link().await;
    assert_eq!(outbox.send(&Frame::binary(&[7; 60_000])), Sent::Accepted);
    assert_eq!(progress(&outbox).await, WriteProgress::Blocked);
    let told = timeout(PATIENCE, async {
        tokio::select! {
            told = progress(&outbox) => told,
            ended = read_for_ever(peer) => panic!("the peer's socket ended: {ended:?}"),
        }
    });
    assert_eq!((told.await, outbox.traffic().bytes), (Ok(WriteProgress::Moved), 0));
}

#[tokio::test]
async fn what_waits_over_tls_is_counted_once() {
    let (outbox, _peer) = over_a_narrow_link().await;
    let frame = Frame::binary(&[7; 60_000]);
    assert_eq!(outbox.send(&frame), Sent::Accepted);
    let waits = usize::try_from(outbox.backlog().queued_bytes).unwrap();
    // The end of the handshake may be on its way still.
    assert!(waits <= frame.wire_bytes() + 1_000, "{waits}");
}

#[tokio::test]
async fn what_a_buried_peer_had_said_over_tls_is_kept_in_the_clear() {
    let (outbox, mut peer) = over_tls().await;
    peer.write_all(b"here I am").await.unwrap();
    peer.flush().await.unwrap();
    // On loopback what was written has arrived.
    outbox.bury();
    assert_eq!(outbox.take_last_words(), b"here I am");
}
