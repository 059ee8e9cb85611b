//! Commands to a redis-server, and their answers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a command of ours may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The longest value that we ask for.
const MAX_BULK: usize = 1 << 20;

/// One command to the server at `address`, as [`super::Redis::ask`].
pub(super) async fn ask(address: SocketAddr, words: &[&str]) -> anyhow::Result<Vec<String>> {
    let asked = async { Line::open(address).await?.ask(words).await };
    timeout(ANSWERS_WITHIN, asked)
        .await
        .with_context(|| format!("Redis did not answer {words:?} in {ANSWERS_WITHIN:?}"))?
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A command and its answer, flat. The caller bounds the wait.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.write_all(command.as_bytes()).await?;
        answer(&mut self.0).await
    }
}

async fn answer(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Vec<String>> {
    let (mut parts, mut missing) = (Vec::new(), 1_usize);
    while missing > 0 {
        missing -= 1;
        let mut line = String::new();
        ensure!(reader.read_line(&mut line).await? > 0, "Redis hung up");
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).context("Redis sent an empty line")?;
        match kind {
            "+" | ":" => parts.push(rest.to_owned()),
            "-" => bail!("Redis says {rest}"),
            // -1 stands for nothing.
            "*" => missing += rest.parse::<usize>().unwrap_or_default(),
            "$" => match rest.parse::<usize>() {
                Ok(length) => {
                    ensure!(length <= MAX_BULK, "Redis sent {length} bytes, {MAX_BULK} are the most that we ask for");
                    let mut bytes = vec![0; length + 2];
                    reader.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    parts.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                Err(_) => parts.push(String::new()),
            },
            _ => bail!("`{line}` is no answer of Redis"),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_read_flat_and_errors_are_errors() {
        let mut text = &b"*3\r\n$2\r\nab\r\n*2\r\n:7\r\n$-1\r\n+OK\r\n"[..];
        assert_eq!(answer(&mut text).await.unwrap(), ["ab", "7", "", "OK"]);
        assert!(answer(&mut &b"-ERR no\r\n"[..]).await.unwrap_err().to_string().contains("ERR no"));
        assert!(answer(&mut &b"*1\r\n"[..]).await.is_err(), "it hung up in the middle");
    }
}
