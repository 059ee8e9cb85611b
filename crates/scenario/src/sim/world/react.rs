//! What the server and the peers do about an output, at once or later.

use std::time::Duration;

use lychgate_core::{Backlog, ConnectionId, End, Input, Manner, Output, PingOutcome, ThreadId, WriteProgress};

use super::peer::CloseFault;
use super::{Later, Subject, World};

/// How long a socket's close handshake with a peer that does not answer takes before the driver tears it down.
const CLOSE_HANDSHAKE: Duration = Duration::from_secs(2);

impl<S: Subject> World<S> {
    /// What the server and the peers do about an output.
    pub(super) fn react(&mut self, output: &Output) {
        match output {
            Output::Opened { context, reference, .. } => {
                self.on_opened(context.connection(), context.thread(), reference.as_deref())
            }
            Output::Closed { key, connection, .. } => {
                if let Some(socket) = self.oracle.model.connection_number(*connection) {
                    let tab = self.sockets[socket].tab;
                    self.tabs.entry(tab).forget(key.thread());
                }
            }
            Output::Queued { connection, reference, position, .. } => {
                if let Some(socket) = self.oracle.model.connection_number(*connection) {
                    let tab = self.tabs.entry(self.sockets[socket].tab);
                    tab.queued(reference.as_deref().unwrap_or_default(), *position);
                }
            }
            Output::Refused { connection, thread, reference, .. } => {
                self.on_refused(*connection, thread.is_some(), reference.as_deref())
            }
            Output::Ping { connection, .. } => {
                if let Some(socket) = self.oracle.model.connection_number(*connection) {
                    self.on_ping(socket);
                }
            }
            Output::CloseSocket { connection, manner, .. } => {
                if let Some(socket) = self.oracle.model.connection_number(*connection) {
                    self.on_close(socket, *manner);
                }
            }
            Output::Connected { .. }
            | Output::Detached { .. }
            | Output::Limit { .. }
            | Output::Expiring { .. }
            | Output::Event(_)
            // The simulated gate counts alone.
            | Output::Wish(_) => {}
        }
    }

    fn on_opened(&mut self, connection: ConnectionId, thread: &ThreadId, reference: Option<&str>) {
        let Some(socket) = self.oracle.model.connection_number(connection) else {
            return;
        };
        let tab = self.tabs.entry(self.sockets[socket].tab);
        if tab.socket == Some(socket) {
            tab.opened(reference.unwrap_or_default(), thread);
        }
    }

    fn on_refused(&mut self, connection: ConnectionId, is_open: bool, reference: Option<&str>) {
        let Some(socket) = self.oracle.model.connection_number(connection) else {
            return;
        };
        let tab = self.tabs.entry(self.sockets[socket].tab);
        match is_open {
            true => tab.refused(reference.unwrap_or_default()),
            false => {
                self.sockets[socket].ended = true;
                tab.socket = tab.socket.filter(|it| *it != socket);
            }
        }
    }

    fn on_ping(&mut self, socket: usize) {
        if self.sockets[socket].ended {
            return;
        }
        let (user, connection) = self.sockets[socket].names();
        if self.sockets[socket].unwritable {
            let (outcome, backlog) = (PingOutcome::Failed, Backlog::default());
            self.at_once.push_back(Input::PingResult { user, connection, outcome, backlog });
            return;
        }
        let mut answer = |outcome| {
            self.at_once.push_back(Input::PingResult {
                user: user.clone(),
                connection,
                outcome,
                backlog: Backlog::default(),
            });
        };
        if self.sockets[socket].blocked {
            self.sockets[socket].pings_waiting += 1;
            answer(PingOutcome::Queued);
        } else if self.random.one_in(16) {
            // The kernel's buffer is full for a moment: it takes the ping a little later, from a dead peer's socket too.
            answer(PingOutcome::Queued);
            self.at_once.push_back(Input::Backlog { user, connection, progress: WriteProgress::Blocked });
            let after = self.millis(1, 50);
            self.later(after, Later::PingLeaves { socket });
        } else {
            self.ping_written(socket);
        }
    }

    /// The kernel took a ping; a peer that lives answers it.
    pub(super) fn ping_written(&mut self, socket: usize) {
        let (user, connection) = self.sockets[socket].names();
        self.at_once.push_back(Input::PingResult {
            user,
            connection,
            outcome: PingOutcome::Written,
            backlog: Backlog::default(),
        });
        if let Some(sign) = self.sockets[socket].answer() {
            let after = self.sockets[socket].latency;
            self.later(after, Later::Speak { socket, sign });
        }
    }

    fn on_close(&mut self, socket: usize, manner: Manner) {
        let it = &mut self.sockets[socket];
        it.ended = true;
        let tab = self.tabs.entry(it.tab);
        tab.socket = tab.socket.filter(|current| *current != socket);
        let after = match (manner, it.answers()) {
            (Manner::Abort | Manner::Bury(_), _) => Duration::from_millis(1),
            (Manner::Handshake, true) => it.latency,
            (Manner::Handshake, false) => CLOSE_HANDSHAKE,
        };
        match std::mem::take(&mut it.close_fault) {
            CloseFault::None => self.later(after, Later::Confirm { socket }),
            CloseFault::Fails => self.later(after, Later::Fail { socket }),
            CloseFault::Hangs => return,
        }
        if self.random.one_in(4) {
            self.later(after / 2, Later::NoticeEnd { socket });
        }
    }

    pub(super) fn happen(&mut self, what: Later) {
        match what {
            // The gate may have dropped the connection since: late words are fed all the same.
            Later::Speak { socket, sign } => {
                let it = &self.sockets[socket];
                if !it.ended {
                    let (user, connection) = it.names();
                    self.feed(Input::Heard { user, connection, sign });
                }
            }
            Later::PingLeaves { socket } => self.ping_leaves(socket),
            Later::Confirm { socket } => {
                let (user, connection) = self.sockets[socket].names();
                self.feed(Input::EvictionDone { user, connection });
            }
            Later::Fail { socket } => {
                let (user, connection) = self.sockets[socket].names();
                self.feed(Input::EvictionFailed { user, connection });
            }
            Later::NoticeEnd { socket } => {
                let (user, connection) = self.sockets[socket].names();
                let end = End::Lost;
                self.feed(Input::Disconnect { user, connection, end });
            }
        }
    }

    pub(super) fn ping_leaves(&mut self, socket: usize) {
        let it = &mut self.sockets[socket];
        if it.blocked {
            it.pings_waiting += 1;
        } else if !it.ended {
            let (user, connection) = it.names();
            self.at_once.push_back(Input::Backlog { user, connection, progress: WriteProgress::Cleared });
            self.ping_written(socket);
            self.flush();
        }
    }
}
