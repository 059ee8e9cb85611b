//! Who plays in a fault: a crowd, chats, or both.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::chat::{Chats, Threads};
use super::crowd::Crowd;
use super::heard::Heard;
use super::stage::{Journal, Person, Stage};
use super::tab::Phase;

/// Who plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Tabs that come and go. Their threads are in each node's memory: what happens to Redis happens to leases alone.
    Crowd,
    /// Readers of threads that are in Redis.
    Chats(Threads),
    /// Both, with threads in Redis.
    Everybody,
}

impl Who {
    pub(super) fn journal(self) -> Journal {
        match self {
            Self::Crowd => Journal::Memory,
            Self::Chats(_) | Self::Everybody => Journal::Redis,
        }
    }
}

/// All who play in a fault.
#[derive(Debug)]
pub(super) struct Cast {
    phase: watch::Sender<Phase>,
    crowd: Option<Crowd>,
    chats: Option<Chats>,
}

impl Cast {
    /// They begin.
    ///
    /// # Errors
    /// When no token can be signed.
    pub(super) fn gather(stage: &mut Stage, who: Who, seed: u64) -> anyhow::Result<Self> {
        let (phase, phases) = watch::channel(Phase::Play);
        let threads = match who {
            Who::Crowd => None,
            Who::Chats(threads) => Some(threads),
            Who::Everybody => Some(Threads::AreThere),
        };
        let crowd = match who {
            Who::Crowd | Who::Everybody => Some(Crowd::gather(stage, &phases, seed)?),
            Who::Chats(_) => None,
        };
        let chats = threads.map(|threads| Chats::begin(stage, &phases, threads)).transpose()?;
        Ok(Self { phase, crowd, chats })
    }

    /// Users who never have to make room.
    pub(super) fn never_full(&self) -> BTreeSet<usize> {
        let crowd = self.crowd.iter().flat_map(Crowd::never_full);
        crowd.chain(self.chats.iter().flat_map(Chats::people)).copied().collect()
    }

    pub(super) fn turn(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until everybody was admitted, and answered, some times more.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub(super) async fn goes_on(&self) -> anyhow::Result<()> {
        if let Some(crowd) = &self.crowd {
            crowd.gets_in().await?;
        }
        match &self.chats {
            Some(chats) => chats.get_answers().await,
            None => Ok(()),
        }
    }

    /// Has all leave, and waits until they have. Answers what readers were given; none where nobody read.
    pub(super) async fn leave(self) -> Option<Vec<(Person, Heard)>> {
        self.turn(Phase::Leave);
        if let Some(crowd) = self.crowd {
            crowd.gone().await;
        }
        match self.chats {
            Some(chats) => Some(chats.gone().await),
            None => None,
        }
    }
}
