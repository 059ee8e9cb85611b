//! An agent behind the gateway, in this process: an endpoint of the OpenAI protocol whose every word is the time at which
//! it was said.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lychgate_scenario::report::Latency;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

/// What times are counted from.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Longest request that is read.
const REQUEST_BYTES: usize = 1 << 20;

/// How every answer is streamed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Pieces of text.
    pub(crate) pieces: u32,
    /// Between two of them.
    pub(crate) every: Duration,
}

/// A running endpoint; it ends with the program.
pub(crate) struct Backend {
    pub(crate) address: String,
    base_url: String,
}

impl Backend {
    pub(crate) async fn start(pace: Pace) -> anyhow::Result<Self> {
        LazyLock::force(&BEGIN);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, pace));
            }
        });
        Ok(Self { base_url: format!("http://{address}/v1"), address })
    }

    /// Makes this endpoint the default agent of a gateway, which logs warnings alone.
    pub(crate) fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("LYCHGATE__LOG__LEVEL", "warn,lychgate::app=info"),
            ("LYCHGATE__AGENTS__DEFAULT", "bench"),
            ("LYCHGATE__AGENTS__BENCH__KIND", "openai"),
            ("LYCHGATE__AGENTS__BENCH__MODEL", "m"),
            ("LYCHGATE__AGENTS__BENCH__BASE_URL", &self.base_url),
        ]
    }
}

/// Answers one request; whoever hangs up is answered no further.
async fn answer(mut socket: TcpStream, pace: Pace) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    read_request(&mut socket).await?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n").await?;
    let mut ticks = interval(pace.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..pace.pieces {
        ticks.tick().await;
        let said = BEGIN.elapsed().as_nanos();
        let chunk = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{said} \"}}}}]}}\n\n");
        socket.write_all(chunk.as_bytes()).await?;
    }
    socket.write_all(b"data: [DONE]\n\n").await?;
    Ok(())
}

/// To the end of its body: an answer to half a request would be a reset to whoever still writes.
async fn read_request(socket: &mut TcpStream) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let count = socket.read_buf(&mut bytes).await?;
        anyhow::ensure!(count > 0 && bytes.len() < REQUEST_BYTES, "half a request");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.context("a request without a length")?.trim().parse()? {
            return Ok(());
        }
    }
}

/// Records how old every word of a text is; there are several where pieces were joined.
pub(crate) fn record(text: &str, ages: &mut Latency) {
    let now = BEGIN.elapsed();
    for said in text.split_whitespace().filter_map(|word| word.parse().ok()) {
        ages.record(now.saturating_sub(Duration::from_nanos(said)));
    }
}
