//! Tells one webhook: gathers what comes together, posts it, tries again for a while, and gives up without losing it.
//!
//! ```text
//! changed -> desk --wake--> 1 s to gather -> news -> POST (10 s) --2xx--> told
//!                                             ^        |--500, hang, 429--> 1, 2, 4, 8 s or Retry-After -> POST
//!                                             |        '--400, 404--> refused, and on with the next message
//!                                             '------ a minute ------- given up
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::desk::Desk;
use super::message::messages;
use super::{Change, Delivery, Listener};
use crate::config::{Alerts, Webhook as Config};
use crate::outbound;
use crate::telemetry::Metrics;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Requests that one message is worth.
const ATTEMPTS: u32 = 5;
/// The longest wait that an answer may ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// What comes within this time of the first goes into one message.
    gather: Duration,
    /// A request and the head of its answer.
    post_within: Duration,
    /// Before the second request; doubled before each further one.
    retry: Duration,
    /// After one message was given up, until the next is tried.
    later: Duration,
}

const PACE: Pace = Pace {
    gather: Duration::from_secs(1),
    post_within: Duration::from_secs(10),
    retry: Duration::from_secs(1),
    later: Duration::from_secs(60),
};

/// One webhook. Whoever rings the bell only notes what there is to tell.
pub struct Webhook {
    name: String,
    node: String,
    config: Config,
    desk: Mutex<Desk>,
    news: Notify,
    metrics: Arc<Metrics>,
    pace: Pace,
}

/// What became of one message, or of all that there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Taken,
    /// The webhook is there and does not want it.
    Refused,
    /// The webhook is not there now.
    Absent,
}

/// What became of one request.
enum Posted {
    Taken,
    /// It may be taken later: after so long, if the answer said so.
    NotNow(String, Option<Duration>),
    /// It will not be.
    Refused(String),
}

impl Webhook {
    /// The webhook of this name, of a gateway that is called `node`. Nobody is told anything before [`Webhook::run`].
    #[must_use]
    pub fn new(name: &str, config: Config, alerts: &Alerts, node: &str, metrics: Arc<Metrics>) -> Self {
        let desk = Desk::new(config.min_severity, config.users, alerts.repeat_after);
        let (name, node) = (name.to_owned(), node.to_owned());
        Self { name, node, config, desk: Mutex::new(desk), news: Notify::new(), metrics, pace: PACE }
    }

    /// Tells what there is to tell, for ever; drop it to end it.
    pub async fn run(&self) {
        let began = Instant::now();
        let client = match self.client().await {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(webhook = self.name, error, "the TLS library does not start: nobody is told of alerts");
                return;
            }
        };
        loop {
            let repeats_at = self.desk().repeats_at().map(|at| began + at);
            tokio::select! {
                () = self.news.notified() => sleep(self.pace.gather).await,
                () = until(repeats_at) => {}
            }
            loop {
                match self.tell(&client, began.elapsed()).await {
                    Told::Taken => break,
                    // It may take the next one, which must not wait for those that it never takes.
                    Told::Refused => tokio::select! {
                        () = self.news.notified() => sleep(self.pace.gather).await,
                        () = sleep(self.pace.later) => {}
                    },
                    Told::Absent => sleep(self.pace.later).await,
                }
            }
        }
    }

    async fn client(&self) -> Result<Client, String> {
        let url = self.config.url.clone();
        // Certificates are read from files.
        let built = tokio::task::spawn_blocking(move || outbound::client(&url, CONNECT_WITHIN, |builder| builder));
        match built.await {
            Ok(built) => built.map_err(|error| error.without_url().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tells all that there is, and says what became of the worst of it.
    async fn tell(&self, client: &Client, now: Duration) -> Told {
        let reports = self.desk().news(now);
        let mut worst = Told::Taken;
        for (body, reports) in messages(&self.config.kind, &self.node, reports) {
            let told = match (worst, body) {
                // In an hour of silence each message would wait for its time.
                (Told::Absent, _) => Told::Absent,
                (Told::Taken | Told::Refused, Some(body)) => self.deliver(client, &body).await,
                (Told::Taken | Told::Refused, None) => Told::Taken,
            };
            let told_at = (told == Told::Taken).then_some(now);
            let mut desk = self.desk();
            reports.iter().for_each(|report| desk.settle(report, told_at));
            worst = worst.max(told);
        }
        worst
    }

    /// Whether the webhook took it, after some attempts.
    async fn deliver(&self, client: &Client, body: &Value) -> Told {
        for attempt in 0..ATTEMPTS {
            let (why, wait) = match self.post(client, body).await {
                Posted::Taken => {
                    self.metrics.on_webhook(Delivery::Delivered);
                    return Told::Taken;
                }
                Posted::NotNow(why, wait) if attempt + 1 < ATTEMPTS => (why, wait),
                Posted::NotNow(why, _) => return self.given_up(&why, Told::Absent),
                Posted::Refused(why) => return self.given_up(&why, Told::Refused),
            };
            self.metrics.on_webhook(Delivery::Retried);
            tracing::debug!(webhook = self.name, why, attempt, "trying again");
            sleep(wait.unwrap_or(self.pace.retry * (1 << attempt)).min(LONGEST_RETRY)).await;
        }
        Told::Absent
    }

    fn given_up(&self, why: &str, told: Told) -> Told {
        self.metrics.on_webhook(Delivery::Failed);
        tracing::warn!(webhook = self.name, why, "alerts were not told; they are part of the next message");
        told
    }

    /// One request. Its address is a secret: no text of an error holds it.
    async fn post(&self, client: &Client, body: &Value) -> Posted {
        match timeout(self.pace.post_within, client.post(self.config.url.clone()).json(body).send()).await {
            Err(_) => Posted::NotNow(format!("no answer within {:?}", self.pace.post_within), None),
            Ok(Err(error)) => Posted::NotNow(reason(&error.without_url()), None),
            Ok(Ok(response)) => judge(&response),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Webhook {
    fn changed(&self, change: &Change) {
        if self.desk().changed(change) {
            self.news.notify_one();
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

fn judge(response: &Response) -> Posted {
    let status = response.status();
    let why = format!("it answered {status}");
    match status {
        status if status.is_success() => Posted::Taken,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Posted::NotNow(why, retry_after(response)),
        status if status.is_server_error() => Posted::NotNow(why, retry_after(response)),
        _ => Posted::Refused(why),
    }
}

/// In seconds; the form with a date is as rare as it is useless without a common clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error and what caused it, in one line.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
