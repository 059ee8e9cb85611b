//! One socket of a tab: a task that reads it, does as it is told, and writes down what it saw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::sightings::Sightings;
use crate::client::{Client, Mishap, PATIENCE};

/// What a socket is told to do.
#[derive(Debug)]
pub(super) enum Cue {
    /// Send a frame.
    Say(Value),
    /// Answer nothing any more.
    Mute,
    /// Answer the pings of the protocol alone.
    Freeze,
    /// Answer again.
    Wake,
    /// Read no more.
    StopReading,
    /// Read one frame, if one is there.
    ReadSome,
    /// Read again.
    ReadAgain,
    /// Never answer a close.
    Hang,
    /// End with a close 1000, and wait for the answer.
    Close,
    /// End with RST.
    Reset,
}

/// Cues that may wait; the one who gives them waits for each.
const CUES: usize = 1;

/// How long a tab that reads a little looks for something to read.
const A_LITTLE: Duration = Duration::from_millis(50);

/// The sightings of a user, shared by his sockets.
#[derive(Debug)]
pub(super) struct Shared {
    sightings: Mutex<Sightings>,
    changed: Notify,
}

impl Shared {
    pub(super) fn new(sightings: Sightings) -> Self {
        Self { sightings: Mutex::new(sightings), changed: Notify::new() }
    }

    /// The sightings; not to be held across an await.
    pub(super) fn sightings(&self) -> MutexGuard<'_, Sightings> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the sightings and wakes whoever waits for a change.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Sightings) -> T) -> T {
        let changed = change(&mut self.sightings());
        self.changed.notify_waiters();
        changed
    }

    /// Waits until something is true of the sightings; whether it was before `within` was over.
    pub(super) async fn comes_true(&self, within: Duration, is_true: impl Fn(&Sightings) -> bool) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look, so that a change between look and wait is not missed.
            changed.as_mut().enable();
            if is_true(&self.sightings()) {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return is_true(&self.sightings());
            }
        }
    }
}

/// A socket and the task behind it. Dropping it ends the socket.
#[derive(Debug)]
pub(super) struct Line {
    cues: mpsc::Sender<(Cue, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl Line {
    /// Has a task read `client`, which is number `line` of its user's sightings.
    pub(super) fn new(client: Client, line: usize, shared: Arc<Shared>) -> Self {
        let (cues, cued) = mpsc::channel(CUES);
        Self { cues, task: tokio::spawn(live(client, cued, line, shared)) }
    }

    /// Gives a cue and returns when it was obeyed; whether there was anybody to obey.
    pub(super) async fn obey(&self, cue: Cue) -> bool {
        let (done, is_done) = oneshot::channel();
        if self.cues.send((cue, done)).await.is_err() {
            return false;
        }
        matches!(timeout(PATIENCE, is_done).await, Ok(Ok(())))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Cues = mpsc::Receiver<(Cue, oneshot::Sender<()>)>;

async fn live(mut client: Client, mut cues: Cues, line: usize, shared: Arc<Shared>) {
    let mut reads = true;
    let mishap = loop {
        tokio::select! {
            biased;
            cue = cues.recv() => {
                let Some((cue, done)) = cue else { return };
                let obeyed = match cue {
                    // Both end the socket, and with it this task.
                    Cue::Close => {
                        let _ = client.close(1000).await;
                        let _ = done.send(());
                        return;
                    }
                    Cue::Reset => {
                        let _ = client.reset();
                        let _ = done.send(());
                        return;
                    }
                    cue => obey(&mut client, cue, &mut reads, line, &shared).await,
                };
                // Nobody listens where the plan went on meanwhile.
                let _ = done.send(());
                if let Err(mishap) = obeyed {
                    break mishap;
                }
            }
            frame = client.next(), if reads => match frame {
                Ok(frame) => shared.write(|sightings| sightings.on_frame(line, &frame, Instant::now())),
                Err(mishap) => break mishap,
            },
        }
    };
    shared.write(|sightings| sightings.on_ended(line, &mishap, Instant::now()));
    // The socket stays as it is until the plan lets it go: a close that hangs would end with it.
    while let Some((cue, done)) = cues.recv().await {
        drop((cue, done));
    }
}

async fn obey(client: &mut Client, cue: Cue, reads: &mut bool, line: usize, shared: &Shared) -> Result<(), Mishap> {
    match cue {
        Cue::Say(frame) => client.say(&frame).await?,
        Cue::Mute => client.mute(),
        Cue::Freeze => client.freeze(),
        Cue::Wake => client.wake().await?,
        Cue::StopReading => *reads = false,
        Cue::ReadSome => {
            if let Ok(frame) = timeout(A_LITTLE, client.next()).await {
                let frame = frame?;
                shared.write(|sightings| sightings.on_frame(line, &frame, Instant::now()));
            }
        }
        Cue::ReadAgain => *reads = true,
        Cue::Hang => client.hang(),
        Cue::Close | Cue::Reset => {}
    }
    Ok(())
}
