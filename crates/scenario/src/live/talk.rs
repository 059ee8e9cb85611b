//! What plans say to a gateway again and again.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, timeout};

use crate::client::frame::{Event, Opened, Refused};
use crate::client::transcript::{Transcript, ends_run};
use crate::client::{Client, Mishap, Open, PATIENCE};
use crate::report::Outcome;

/// An answer, from `run` to its end, takes at most so long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Opens a thread for the table: an open that is not answered with `opened` is a refusal.
pub(super) async fn open(outcome: &mut Outcome, client: &mut Client, thread: &str) -> Result<Opened, Mishap> {
    let started = Instant::now();
    let opened = client.open(Open { thread: Some(thread), ..Open::default() }).await;
    match &opened {
        Ok(_) => outcome.admitted(started.elapsed()),
        Err(mishap) => outcome.refused(mishap),
    }
    opened
}

/// Everything of a thread after `after` up to the end of a run.
pub(super) async fn answer(client: &mut Client, thread: &str, after: u64) -> anyhow::Result<Transcript> {
    let mut transcript = Transcript::new(after);
    continue_answer(client, thread, &mut transcript).await?;
    Ok(transcript)
}

/// Everything that follows, up to the end of a run.
pub(super) async fn continue_answer(
    client: &mut Client,
    thread: &str,
    transcript: &mut Transcript,
) -> anyhow::Result<()> {
    let whole = async {
        loop {
            let event = next_event(client, thread).await?;
            let agui = transcript.take(&event).map_err(anyhow::Error::msg)?;
            if ends_run(&agui) {
                return Ok(());
            }
        }
    };
    timeout(ANSWERED_WITHIN, whole).await.context("the answer did not end")?
}

/// The next event of a thread; a refusal that names the thread, or none, comes as an error.
pub(crate) async fn next_event(client: &mut Client, thread: &str) -> Result<Event, Mishap> {
    let next = client.until(PATIENCE, |frame| {
        let refused = frame.refusal().filter(|refused| refused.thread.as_deref().is_none_or(|about| about == thread));
        let refused = refused.map(|refused| Err(Mishap::Refused(Box::new(refused.clone()))));
        refused.or_else(|| frame.event_of(thread).map(|event| Ok(event.clone())))
    });
    next.await?
}

/// The next refusal.
pub(super) async fn refusal(client: &mut Client) -> Result<Refused, Mishap> {
    client.until(PATIENCE, |frame| frame.refusal().cloned()).await
}
