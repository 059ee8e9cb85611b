//! A socket and the tab behind it, as they really are.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate_core::{ConnectionId, Heartbeat, PlanId, Sign, ThreadId, UserId};

use super::reference_of;
use crate::model::Mood;
use crate::step::{Tab, Thread};

/// What goes wrong when a socket is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CloseFault {
    /// Nothing: it is confirmed.
    #[default]
    None,
    /// The driver says that it failed.
    Fails,
    /// The driver never says anything.
    Hangs,
}

/// One socket. Its number is that of the connection in the model.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) tab: Tab,
    /// One way there and back.
    pub(super) latency: Duration,
    pub(super) mood: Mood,
    pub(super) blocked: bool,
    /// No ping can be written to it.
    pub(super) unwritable: bool,
    /// Pings that wait behind a backlog.
    pub(super) pings_waiting: u32,
    pub(super) close_fault: CloseFault,
    /// Nothing comes from it any more, but for what the server itself reports.
    pub(super) ended: bool,
    id: ConnectionId,
    user: UserId,
    heartbeat: Heartbeat,
}

impl Socket {
    pub(super) fn new(id: ConnectionId, user: UserId, tab: Tab, heartbeat: Heartbeat, latency: Duration) -> Self {
        Self {
            tab,
            latency,
            mood: Mood::Live,
            blocked: false,
            unwritable: false,
            pings_waiting: 0,
            close_fault: CloseFault::None,
            ended: false,
            id,
            user,
            heartbeat,
        }
    }

    /// What every input about it names.
    pub(super) fn names(&self) -> (UserId, ConnectionId) {
        (self.user.clone(), self.id)
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat
    }

    /// What it answers a ping with.
    pub(super) fn answer(&self) -> Option<Sign> {
        match (self.mood, self.heartbeat) {
            (Mood::Live, Heartbeat::Protocol) | (Mood::Frozen, _) => Some(Sign::Pong),
            (Mood::Live, Heartbeat::Application) => Some(Sign::Data),
            (Mood::Silent, _) => None,
        }
    }

    /// Whether it answers a close.
    pub(super) fn answers(&self) -> bool {
        self.mood == Mood::Live && !self.blocked
    }
}

/// A thread that a tab wants to show.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) thread: Thread,
    /// Its id, once it was opened.
    pub(super) id: Option<ThreadId>,
    /// Whether it is open on the tab's socket now.
    pub(super) is_open: bool,
    /// The place in the queue that it was told last, while it waits.
    pub(super) position: Option<usize>,
}

/// One tab.
#[derive(Debug, Default)]
pub(super) struct TabState {
    pub(super) heartbeat: Heartbeat,
    /// What its token names.
    pub(super) plan: PlanId,
    /// Its socket, while it has one.
    pub(super) socket: Option<usize>,
    /// The last socket that it had, for `prev`.
    pub(super) last_socket: Option<usize>,
    pub(super) wishes: Vec<Wish>,
}

impl TabState {
    /// An open was answered.
    pub(super) fn opened(&mut self, reference: &str, thread: &ThreadId) {
        let asked = self.wishes.iter_mut().find(|wish| *reference_of(wish.thread) == *reference);
        if let Some(wish) = asked {
            wish.id = Some(thread.clone());
            wish.is_open = true;
            wish.position = None;
        }
    }

    /// An open stands in the queue.
    pub(super) fn queued(&mut self, reference: &str, position: usize) {
        let asked = self.wishes.iter_mut().find(|wish| *reference_of(wish.thread) == *reference);
        if let Some(wish) = asked {
            wish.position = Some(position);
        }
    }

    /// An open was refused: the tab gives it up.
    pub(super) fn refused(&mut self, reference: &str) {
        self.wishes.retain(|wish| *reference_of(wish.thread) != *reference);
    }

    /// The gateway closed a thread: the tab does not open it again by itself.
    pub(super) fn forget(&mut self, thread: &ThreadId) {
        self.wishes.retain(|wish| wish.id.as_ref() != Some(thread));
    }

    pub(super) fn wish(&mut self, thread: Thread) -> &mut Wish {
        let at = self.wishes.iter().position(|wish| wish.thread == thread);
        let at = at.unwrap_or_else(|| {
            self.wishes.push(Wish { thread, id: None, is_open: false, position: None });
            self.wishes.len() - 1
        });
        &mut self.wishes[at]
    }
}

/// All tabs that a plan ever named.
#[derive(Debug, Default)]
pub(super) struct Tabs(BTreeMap<Tab, TabState>);

impl Tabs {
    pub(super) fn entry(&mut self, tab: Tab) -> &mut TabState {
        self.0.entry(tab).or_default()
    }

    pub(super) fn known(&self, tab: Tab) -> Option<&TabState> {
        self.0.get(&tab)
    }
}
