//! The built-in alerts, on a thread and a runtime of their own: they tell of a runtime that does not run.
//!
//! ```text
//!  thread "alerts": every alerts.interval: count, or after 5 s recall -> Watch -> Bell, Board -> webhooks, metrics, whoever listens
//!                   webhooks: POST
//!  driver: Event::Pressure -----------------------------------------------> Bell
//! ```

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::error::Error;
use crate::telemetry::Metrics;
use crate::telemetry::alerts::{ALERTS, Bell, Board, Watch, Webhook};

/// How long it may take to count. After that what is known without counting has to do.
const COUNT_WITHIN: Duration = Duration::from_secs(5);

/// Threads that may wait: one that counts, and those that look names up.
const BLOCKING_THREADS: usize = 4;

/// Where the alerts look: two ways to the text of a scrape.
pub(super) struct Sight {
    /// Counts everything anew; may wait for locks.
    pub(super) count: Arc<dyn Fn() -> String + Send + Sync>,
    /// What is known without counting: counters, whether the node is ready, and the rest as it was counted last. Must not
    /// wait for what is being counted.
    pub(super) recall: Box<dyn Fn() -> String + Send + Sync>,
}

/// The running thread; dropping it stops it. Nobody waits for its end: it may be in the middle of a request.
#[derive(Debug)]
pub(super) struct Alarm {
    stop: CancellationToken,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Alarm {
    /// Evaluates what is in sight, and tells everybody who listens to `bell`, and the webhooks of the
    /// configuration; `board` shows where every alert stands.
    ///
    /// # Errors
    /// [`Error::System`] when the system denies a runtime or a thread.
    pub(super) fn start(
        config: &config::Alerts,
        bell: Arc<Bell>,
        board: Arc<Board>,
        metrics: &Arc<Metrics>,
        sight: Sight,
    ) -> Result<Self, Error> {
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let webhook = |(name, webhook): (&String, &config::Webhook)| {
            Arc::new(Webhook::new(name, webhook.clone(), config, &node, Arc::clone(metrics)))
        };
        let webhooks: Vec<Arc<Webhook>> = config.webhooks.iter().map(webhook).collect();
        bell.listen(Arc::clone(metrics) as _);
        bell.listen(Arc::clone(&board) as _);
        webhooks.iter().for_each(|webhook| bell.listen(Arc::clone(webhook) as _));
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(|source| Error::System { what: "start the runtime for alerts", source })?;
        let stop = CancellationToken::new();
        let (stopped, every) = (stop.clone(), config.interval);
        // Owned by its thread; one that the system denies drops it without waiting.
        let mut runtime = Unwaited(Some(runtime));
        let run = move || {
            let Some(runtime) = runtime.0.take() else { return };
            for webhook in webhooks {
                runtime.spawn(async move { webhook.run().await });
            }
            runtime.block_on(async {
                tokio::select! {
                    () = evaluate(every, (&bell, &board), &sight) => {}
                    () = stopped.cancelled() => {}
                }
            });
            runtime.shutdown_background();
        };
        std::thread::Builder::new()
            .name("alerts".to_owned())
            .spawn(run)
            .map_err(|source| Error::System { what: "start the thread for alerts", source })?;
        Ok(Self { stop })
    }
}

/// Looks at every condition, for ever.
async fn evaluate(every: Duration, (bell, board): (&Bell, &Board), sight: &Sight) {
    let mut watch = Watch::new(&ALERTS);
    let began = Instant::now();
    let mut ticks = interval(every);
    // After a machine that slept the history has a gap; to look often in a row would not fill it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangs = None;
    loop {
        let now = ticks.tick().await;
        let text = see(sight, &mut hangs).await;
        let changes = watch.look(now.duration_since(began), Timestamp::now(), &text);
        board.post(watch.judged());
        bell.ring(&changes);
        bell.look();
    }
}

/// What there is to see. While somebody who counts hangs, because what he counts is locked, nobody else is sent after him:
/// each would take a thread, until none is left to look the name of a webhook up. And an alert that the node is not
/// ready must not wait for the very lock that makes it so.
async fn see(sight: &Sight, hangs: &mut Option<JoinHandle<String>>) -> String {
    let mut counting = match hangs.take().filter(|it| !it.is_finished()) {
        Some(counting) => counting,
        None => {
            let count = Arc::clone(&sight.count);
            spawn_blocking(move || count())
        }
    };
    match timeout(COUNT_WITHIN, &mut counting).await {
        Ok(Ok(text)) => return text,
        Ok(Err(error)) => tracing::error!(%error, "the metrics could not be read for the alerts"),
        Err(_) => {
            tracing::warn!("the metrics were not counted in time; alerts are evaluated over what was counted last");
            *hangs = Some(counting);
        }
    }
    (sight.recall)()
}

/// A runtime whose end nobody waits for.
struct Unwaited(Option<Runtime>);

impl Drop for Unwaited {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
