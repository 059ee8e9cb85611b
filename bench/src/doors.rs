//! What strangers cost a user: from `hello` to `opened`, alone and among 10,000 silent sockets and 200 slow ones.
//!
//! ```text
//! users, one after the other:   hello ─► opened        alone, among strangers, alone again  ─► two medians, one ratio
//! strangers, from 50 addresses: silent sockets, requests that come byte by byte; whoever is closed comes back
//! ```
//!
//! The gateway runs with its defaults, so that strangers are closed and turned out all the time, and come back all the
//! time: their churn is part of what is measured, and so is this process, which drives them on the same cores.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lychgate_scenario::client::{Client, Heartbeat, Hello, Open};
use lychgate_scenario::live::Scene;
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::report::{Latency, milliseconds, plain_table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Only the gateway's warnings: log lines are not what is measured.
const SETTINGS: [(&str, &str); 1] = [("LYCHGATE__LOG__LEVEL", "warn,lychgate::app=info")];

/// How long a stranger who was closed stays away: as long as the gateway bears with a silent one.
const AWAY: Duration = Duration::from_secs(5);

/// Between two bytes of somebody slow.
const DRIP: Duration = Duration::from_millis(100);

/// How long all strangers may take to come.
const ASSEMBLED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Silent sockets.
    #[arg(long, default_value_t = 10_000)]
    silent: usize,
    /// Requests that come byte by byte.
    #[arg(long, default_value_t = 200)]
    slow: usize,
    /// Addresses that strangers come from.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=250))]
    addresses: u8,
    /// Users in each phase.
    #[arg(long, default_value_t = 500)]
    users: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { silent: 10_000, slow: 200, addresses: 50, users: 500 }
    }
}

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let gateway = Gateway::start(binary, &SETTINGS).await?;
    let scene = gateway.scene();
    println!("{}", gateway.describe().await?);
    let mut alone = admissions(&scene, args.users).await?;
    let strangers = Strangers::come(scene.endpoint().address(), args);
    strangers.assembled(args).await?;
    let among = admissions(&scene, args.users).await?;
    let present = strangers.present.load(Ordering::Relaxed);
    strangers.leave()?;
    alone.absorb(&admissions(&scene, args.users).await?);
    gateway.stop().await?;

    let title = format!("hello to opened, {} users each", args.users);
    let mut table = plain_table(&[&title, "p50 ms", "p99 ms", "longest ms"]);
    let named = [("alone", &alone), ("among strangers", &among)];
    for (name, took) in named {
        let [p50, p99] = [0.5, 0.99].map(|quantile| milliseconds(took.quantile(quantile)));
        table.add_row([name.to_owned(), p50, p99, milliseconds(took.longest())]);
    }
    println!("{table}");
    let ratio = among.quantile(0.5).as_secs_f64() / alone.quantile(0.5).as_secs_f64();
    println!("{present} of {} strangers were connected at the end; ratio of the medians: {ratio:.2}\n", args.silent);
    Ok(())
}

/// Users one after the other, each of them new, until as many were admitted: nobody may be turned away.
async fn admissions(scene: &Scene, users: u32) -> anyhow::Result<Latency> {
    let mut took = Latency::new();
    for _ in 0..users {
        let user = scene.user("door")?;
        let mut client = Client::connect(scene.endpoint(), &user.caller).await.context("a user could not connect")?;
        let begin = Instant::now();
        client.hello(Hello { heartbeat: Some(Heartbeat::App), ..Hello::default() }).await?;
        client.open(Open { thread: Some("t1"), ..Open::default() }).await?;
        took.record(begin.elapsed());
        client.close(1000).await?;
    }
    Ok(took)
}

/// Whoever has nothing to say, on a thread of their own.
struct Strangers {
    present: Arc<AtomicUsize>,
    leave: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Strangers {
    fn come(address: SocketAddr, args: &Args) -> Self {
        let (present, leave) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (silent, slow, addresses) = (args.silent, args.slow, args.addresses);
        let (here, left) = (Arc::clone(&present), Arc::clone(&leave));
        let crowd = async move {
            let mut tasks = JoinSet::new();
            for number in 0..silent + slow {
                let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number % usize::from(addresses)).unwrap_or(0));
                tasks.spawn(haunt(source, address, Arc::clone(&here), number >= silent));
            }
            while !left.load(Ordering::Relaxed) {
                sleep(DRIP).await;
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(crowd);
            Ok(())
        });
        Self { present, leave, thread }
    }

    /// Waits until as many are connected as the gateway bears with: those that it turned out come back, and go again.
    async fn assembled(&self, args: &Args) -> anyhow::Result<()> {
        let deadline = Instant::now() + ASSEMBLED_WITHIN;
        while self.present.load(Ordering::Relaxed) < args.silent.min(4_000) {
            ensure!(Instant::now() < deadline, "the strangers did not come: {:?}", self.present);
            sleep(DRIP).await;
        }
        Ok(())
    }

    fn leave(self) -> anyhow::Result<()> {
        self.leave.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the strangers panicked"))?
    }
}

/// Connects, is silent or slow until it is closed, stays away for a while, and comes back.
async fn haunt(source: Ipv4Addr, address: SocketAddr, present: Arc<AtomicUsize>, is_slow: bool) {
    loop {
        if let Ok(mut stream) = connect(source, address).await {
            present.fetch_add(1, Ordering::Relaxed);
            linger(&mut stream, is_slow).await;
            present.fetch_sub(1, Ordering::Relaxed);
        }
        sleep(AWAY).await;
    }
}

async fn connect(source: Ipv4Addr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(address).await
}

/// Until the other side has enough of it.
async fn linger(stream: &mut TcpStream, is_slow: bool) {
    let mut heard = [0; 256];
    let request = b"GET /v1/ws HTTP/1.1\r\nX-A: ".iter().chain(std::iter::repeat(&b'a'));
    if is_slow {
        for byte in request {
            let sent = stream.write_all(std::slice::from_ref(byte)).await;
            if sent.is_err() || timeout(DRIP, stream.read(&mut heard)).await.is_ok() {
                return;
            }
        }
    }
    while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
}
