//! Reads a gateway's own account of itself: `GET /metrics` on its admin listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use lychgate_core::ReclaimLevel;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The gauge of sessions.
pub const SESSIONS: &str = "lychgate_sessions";

/// The gauge of connections.
pub const CONNECTIONS: &str = "lychgate_connections";

/// The counter of reclaimed sessions.
const EVICTIONS: &str = "lychgate_evictions_total";

/// The levels of reclaim, from the mildest on.
const LEVELS: [ReclaimLevel; 4] =
    [ReclaimLevel::Conservative, ReclaimLevel::Moderate, ReclaimLevel::Aggressive, ReclaimLevel::Force];

/// How long a scrape may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 4 << 20;

/// A gateway's admin listener.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub SocketAddr);

impl Admin {
    /// Scrapes all metrics.
    ///
    /// # Errors
    /// When there is no answer 200 within 5 s, or one of more than 4 MiB.
    pub async fn scrape(self) -> anyhow::Result<Scrape> {
        let (status, text) = self.fetch("/metrics").await?;
        ensure!(status == 200, "/metrics answered {status}");
        Ok(Scrape(text))
    }

    /// Fetches a path: status and body.
    ///
    /// # Errors
    /// As [`Self::scrape`], any status being fine.
    pub async fn fetch(self, path: &str) -> anyhow::Result<(u16, String)> {
        let exchange = async {
            let stream = TcpStream::connect(self.0).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let request = Request::get(path).header("Host", self.0.to_string()).body(Empty::<Bytes>::new())?;
            let answer = async {
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
                let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
                Ok::<_, anyhow::Error>((status, String::from_utf8(body.into())?))
            };
            tokio::pin!(connection);
            tokio::select! {
                answer = answer => answer,
                ended = &mut connection => Err(anyhow::anyhow!("the admin listener hung up: {ended:?}")),
            }
        };
        timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{path} was not answered within {PATIENCE:?}"))?
            .with_context(|| format!("could not read {path} of {}", self.0))
    }
}

/// One scrape in the text format of Prometheus.
#[derive(Debug, Clone)]
pub struct Scrape(String);

impl Scrape {
    /// The sum over all label sets of a metric; none where there is no such metric.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.samples(name).map(|(_, value)| value).reduce(|a, b| a + b)
    }

    /// The sum over the label sets that hold `label="value"`.
    #[must_use]
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let wanted = format!("{label}=\"{value}\"");
        self.samples(name).filter(|(labels, _)| labels.contains(&wanted)).map(|(_, v)| v).reduce(|a, b| a + b)
    }

    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            Some((labels, value.split_whitespace().next()?.parse().ok()?))
        })
    }
}

/// Sessions that were reclaimed, by level.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reclaims(BTreeMap<&'static str, f64>);

impl Reclaims {
    /// What a gateway counted since its start.
    ///
    /// # Errors
    /// As [`Admin::scrape`].
    pub async fn read(admin: Admin) -> anyhow::Result<Self> {
        let scrape = admin.scrape().await?;
        let count = |level: ReclaimLevel| scrape.sum_where(EVICTIONS, "level", level.as_str()).unwrap_or(0.0);
        Ok(Self(LEVELS.map(|level| (level.as_str(), count(level))).into()))
    }

    /// What was added since an earlier reading.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |level: &str| before.0.get(level).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(level, count)| (*level, count - earlier(level))).collect())
    }

    /// Level and count, from the mildest on.
    pub fn by_level(&self) -> impl Iterator<Item = (&'static str, f64)> {
        LEVELS.into_iter().map(|level| (level.as_str(), self.0.get(level.as_str()).copied().unwrap_or(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reclaims_are_what_was_added() {
        let count = |force: f64| Reclaims([("force", force), ("moderate", 1.0)].into());
        let added: Vec<_> = count(5.0).since(&count(2.0)).by_level().collect();
        assert_eq!(added, [("conservative", 0.0), ("moderate", 0.0), ("aggressive", 0.0), ("force", 3.0)]);
    }

    #[test]
    fn samples_are_summed_and_longer_names_are_other_metrics() {
        let scrape = Scrape(
            "# TYPE sessions gauge\nsessions{band=\"ok\"} 3\nsessions{band=\"full\"} 4\nsessions_total 90\nplain 1.5\n"
                .to_owned(),
        );
        assert_eq!(scrape.sum("sessions"), Some(7.0));
        assert_eq!(scrape.sum_where("sessions", "band", "full"), Some(4.0));
        assert_eq!(scrape.sum("plain"), Some(1.5));
        assert_eq!(scrape.sum("absent"), None);
    }
}
