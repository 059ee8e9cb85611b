//! Journal, sessions and outboxes as in the gateway, in this process, and somebody who reads at the other ends.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use lychgate::config::{Sources, load};
use lychgate::journal::Journal as _;
use lychgate::journal::memory::Memory;
use lychgate::outbox::Outbox;
use lychgate::session::{Attach, Sessions};
use lychgate::wire::event::Event;
use lychgate_core::{ConnectionId, Heartbeat, Pressure, SessionKey, ThreadId, Usage, UserId};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinSet, yield_now};

use crate::{allocations, cpu};

/// Events between two looks whether everything has arrived: fewer than the kernel has room for.
const BATCH: u32 = 25;

/// No look takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything of a thread that many tabs have open.
pub(super) struct Hall {
    journal: Arc<Memory>,
    sessions: Arc<Sessions>,
    key: SessionKey,
    outboxes: Vec<Arc<Outbox>>,
    /// Bytes that arrived at the other ends.
    arrived: Arc<AtomicU64>,
}

/// What the appending thread needed.
pub(super) struct Seen {
    pub(super) allocations: u64,
    pub(super) cpu: Duration,
}

impl Hall {
    /// Appends `events` events to a thread with `tabs` tabs, all on this thread, and tells what that took of it.
    pub(super) fn measure(tabs: u32, events: u32) -> anyhow::Result<Seen> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let hall = Self::open(tabs).await?;
            // What is made once, such as the log of the thread, is made before.
            hall.append(pieces(BATCH)).await?;
            let mut seen = Seen { allocations: 0, cpu: Duration::ZERO };
            for batch in 0..events / BATCH {
                let pieces = pieces(BATCH);
                let (allocations, cpu) = (allocations::of_this_thread(), cpu::of_this_thread());
                for event in pieces {
                    hall.journal.append(&hall.key, vec![event]).await?;
                }
                seen.cpu += cpu::of_this_thread() - cpu;
                seen.allocations += allocations::of_this_thread() - allocations;
                // The vector of each append is ours.
                seen.allocations -= u64::from(BATCH);
                hall.everything_arrived().await?;
                let taken = u64::from(BATCH * (batch + 2) + 1);
                ensure!(hall.outboxes.iter().all(|outbox| outbox.traffic().events == taken), "a tab was left behind");
            }
            Ok(seen)
        })
    }

    async fn open(tabs: u32) -> anyhow::Result<Self> {
        let arguments = [("LYCHGATE__AUTH__JWT__SECRET".into(), "a secret of sufficient length, unused".into())];
        let config = load(Sources { environment: arguments.into(), ..Sources::default() })?.check()?;
        let journal = Arc::new(Memory::new(&config.journal, "epoch"));
        let sessions = Sessions::new(journal.clone(), Handle::current(), 512);
        journal.follow(sessions.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let arrived = Arc::new(AtomicU64::new(0));
        thread::spawn({
            let arrived = arrived.clone();
            move || drain(&listener, tabs, &arrived)
        });
        let key = SessionKey::new(UserId::parse("ann")?, ThreadId::parse("t1")?);
        let mut outboxes = Vec::new();
        for n in 0..tabs {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let outbox = Outbox::new(socket, 64 * 1024);
            sessions.attach(Attach {
                key: key.clone(),
                connection: ConnectionId::from_random(u128::from(n)),
                sink: outbox.clone(),
                heartbeat: Heartbeat::Protocol,
                resume: None,
                reference: None,
                usage: Usage { used: 1, limit: 20, level: Pressure::Ok, reserve_left: None },
            });
            outboxes.push(outbox);
        }
        let hall = Self { journal, sessions, key, outboxes, arrived };
        hall.soon(|hall| hall.outboxes.iter().all(|outbox| outbox.traffic().events == 1)).await?;
        hall.everything_arrived().await?;
        Ok(hall)
    }

    async fn append(&self, events: Vec<Event>) -> anyhow::Result<()> {
        for event in events {
            self.journal.append(&self.key, vec![event]).await?;
        }
        self.everything_arrived().await
    }

    async fn everything_arrived(&self) -> anyhow::Result<()> {
        let sent: u64 = self.outboxes.iter().map(|outbox| outbox.bytes_sent()).sum();
        self.soon(|hall| hall.arrived.load(Ordering::Relaxed) == sent).await
    }

    async fn soon(&self, holds: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !holds(self) {
            ensure!(begin.elapsed() < PATIENCE, "it did not arrive within {PATIENCE:?}");
            yield_now().await;
        }
        Ok(())
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        for n in 0..self.outboxes.len() {
            self.sessions.detach(&self.key, ConnectionId::from_random(n as u128));
        }
    }
}

fn pieces(count: u32) -> Vec<Event> {
    let piece = |n| {
        let event =
            serde_json::json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": format!("word {n} ")});
        Event::build(&event)
    };
    (0..count).map(piece).collect()
}

/// Reads everything from so many sockets until the last one ends. A runtime of its own, on a thread of its own: what it
/// allocates and computes is nobody else's.
fn drain(listener: &TcpListener, tabs: u32, arrived: &Arc<AtomicU64>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut readers = JoinSet::new();
    for _ in 0..tabs {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        let arrived = Arc::clone(arrived);
        let _entered = runtime.enter();
        let mut socket = TcpStream::from_std(socket)?;
        readers.spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                arrived.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
    }
    runtime.block_on(async { while readers.join_next().await.is_some() {} });
    Ok(())
}
