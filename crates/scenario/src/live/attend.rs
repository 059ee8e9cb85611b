//! Keeps a client alive in the background: a task reads it, so that it answers pings while the plan does other things.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::frame::{Closed, Frame};
use crate::client::{Client, Mishap};

/// Frames that are kept while a client is attended; later ones are read, answered and dropped.
const KEPT: usize = 16_384;

/// A client that a task reads.
#[derive(Debug)]
pub struct Attended {
    recall: oneshot::Sender<()>,
    task: JoinHandle<Recalled>,
}

/// A client that came back, and what it heard meanwhile.
#[derive(Debug)]
pub struct Recalled {
    /// The client, where its socket is still open.
    pub client: Option<Client>,
    /// What it heard, in order.
    pub frames: Vec<Frame>,
    /// How its socket ended.
    pub ended: Option<Mishap>,
}

impl Attended {
    /// Has a task read `client` until it is recalled or its socket ends.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let (recall, recalled) = oneshot::channel();
        Self { recall, task: tokio::spawn(attend(client, recalled)) }
    }

    /// Takes the client back.
    ///
    /// # Errors
    /// When the task panicked.
    pub async fn recall(self) -> anyhow::Result<Recalled> {
        // The task may have ended by itself because the socket did; then nobody listens, and that is fine.
        let _ = self.recall.send(());
        Ok(self.task.await?)
    }
}

impl Recalled {
    /// The sessions that were closed under the client.
    pub fn closed(&self) -> impl Iterator<Item = &Closed> {
        self.frames.iter().filter_map(Frame::closed)
    }
}

async fn attend(mut client: Client, mut recalled: oneshot::Receiver<()>) -> Recalled {
    let mut frames = Vec::new();
    let ended = loop {
        tokio::select! {
            biased;
            _ = &mut recalled => break None,
            frame = client.next() => match frame {
                Ok(frame) if frames.len() < KEPT => frames.push(frame),
                Ok(_) => {}
                Err(mishap) => break Some(mishap),
            },
        }
    };
    Recalled { client: ended.is_none().then_some(client), frames, ended }
}
