//! What the kernels on both sides know of a connection, and what ours does by itself.

use std::time::{Duration, Instant};

use lychgate::outbox::{Frame, Outbox};
use lychgate::ws::Ending;
use lychgate_core::Backlog;
use tokio::task::yield_now;

use super::peer::{Peer, soon};
use super::server::{Server, Setting};
use super::{fill, pair};

/// Longer than a kernel that lives takes to answer on loopback, however busy the machine is.
const SILENCE: Duration = Duration::from_millis(500);

async fn until(outbox: &Outbox, is_right: impl Fn(Backlog) -> bool) {
    soon(async {
        while !is_right(outbox.backlog()) {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_living_peer_has_taken_is_no_backlog() {
    let (_server, mut peer, outbox) = pair(Setting::default()).await;
    assert_eq!(outbox.backlog(), Backlog::default());
    outbox.send(&Frame::binary(&[7; 40_000]));
    peer.read_frame().await;
    until(&outbox, |backlog| backlog == Backlog::default()).await;
    outbox.abort();
    assert_eq!(outbox.backlog(), Backlog::default());
}

#[tokio::test]
async fn a_peer_that_never_reads_has_a_backlog_and_a_kernel_that_answers() {
    let (_server, _peer, outbox) = pair(Setting::default()).await;
    fill(&outbox, &Frame::binary(&[7; 16_384]));
    let here = outbox.bytes_sent() - outbox.traffic().bytes;
    assert!(here > 0);
    let end = Instant::now() + SILENCE + SILENCE;
    while Instant::now() < end {
        let backlog = outbox.backlog();
        assert!(u64::from(backlog.queued_bytes) > here, "the kernel keeps some as well: {backlog:?}");
        assert!(backlog.unacked_for.is_none_or(|silent| silent < SILENCE), "{backlog:?}");
        yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_that_vanished_acknowledges_nothing_until_it_is_back() {
    let (_server, mut peer, outbox) = pair(Setting::default()).await;
    peer.vanish();
    outbox.ping();
    let first = outbox.backlog();
    assert!(first.unacked_for.is_none_or(|silent| silent < SILENCE), "written just now: {first:?}");
    until(&outbox, |backlog| backlog.unacked_for.is_some_and(|silent| silent >= SILENCE)).await;
    assert_eq!(u64::from(outbox.backlog().queued_bytes), outbox.bytes_sent());
    peer.return_from_nowhere();
    until(&outbox, |backlog| backlog == Backlog::default()).await;
    assert_eq!(peer.read_text().await, r#"{"type":"ping"}"#);
}

#[tokio::test]
async fn an_acknowledgement_between_two_looks_begins_the_silence_anew() {
    let (_server, mut peer, outbox) = pair(Setting::default()).await;
    peer.vanish();
    outbox.ping();
    until(&outbox, |backlog| backlog.unacked_for.is_some_and(|silent| silent >= SILENCE)).await;
    peer.return_from_nowhere();
    peer.read_text().await;
    peer.vanish();
    outbox.send(&Frame::text(b"into nowhere"));
    let backlog = outbox.backlog();
    assert!(backlog.unacked_for.is_none_or(|silent| silent < SILENCE), "{backlog:?}");
}

#[tokio::test]
async fn a_peer_that_vanished_after_it_had_stopped_reading_acknowledges_nothing() {
    let (_server, peer, outbox) = pair(Setting::default()).await;
    fill(&outbox, &Frame::binary(&[7; 16_384]));
    // The last corner of its window is filled late. From then on only questions are sent, whether there is room again.
    let (mut queued, mut since) = (0, Instant::now());
    while since.elapsed() < SILENCE + SILENCE {
        let now = outbox.backlog().queued_bytes;
        if now != queued {
            (queued, since) = (now, Instant::now());
        }
        yield_now().await;
    }
    peer.vanish();
    until(&outbox, |backlog| backlog.unacked_for.is_some_and(|silent| silent >= SILENCE)).await;
}

#[tokio::test]
async fn bytes_that_nobody_acknowledges_end_the_connection_at_the_user_timeout() {
    let mut setting = Setting::default();
    setting.liveness.tcp_user_timeout = SILENCE;
    let (mut server, peer, outbox) = pair(setting).await;
    peer.vanish();
    outbox.ping();
    server.expect_end(Ending::Lost).await;
}

#[tokio::test]
async fn an_idle_connection_is_asked_by_the_kernel_and_ends_when_nobody_is_there() {
    let mut setting = Setting::default();
    setting.liveness.tcp_keepalive = Duration::from_secs(1);
    setting.liveness.tcp_user_timeout = SILENCE;
    let mut server = Server::start(setting);
    let peer = Peer::open(server.address).await;
    peer.vanish();
    server.expect_end(Ending::Lost).await;
}
