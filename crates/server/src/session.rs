//! Sessions: which connections are attached to a thread, and what each of them has been given of its log.
//!
//! ```text
//! journal --appended--> live attachments: one frame, encoded once, to every sink
//!    ^                  behind ones: marked, nothing kept for them
//!    '------read------- catch-up task, when an ack opens the window or the sink has room again
//! ```
//!
//! An attachment is in one state at a time, and every change of it is made under the lock of its session:
//!
//! ```text
//! attach --> Reading --caught up--> Live --window closed--> AwaitsAck --ack-----.
//!               ^                     '----sink full------> AwaitsRoom --drained-|
//!               '----------------------------------------------------------------'
//! ```
//!
//! Exactly once, in order: a frame is sent and `position` moved under one lock, and what is not above `position` is
//! skipped. Without a gap: an append that comes while a task reads marks it `again`, and only a task that read the end of
//! the log and was not marked becomes `Live`. Nothing that waits is buffered here; the journal has it (R24).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lychgate_core::{ConnectionId, Heartbeat, Resume, SessionKey, Usage, UserId};
use smallvec::SmallVec;
use tokio::runtime::Handle;

use self::frames::Frames;
pub use self::replay::RunInLog;
use crate::journal::{Anew, Entry, Follower, Journal, JournalError, MessagePage, ThreadPage};
use crate::outbox::{Frame, Sent};
use crate::sink::Sink;

mod catch_up;
mod frames;
mod replay;
#[cfg(test)]
mod tests;

/// Locks that sessions are spread over. They are held to look a session up, never while frames are sent.
const SHARDS: usize = 64;

/// A connection that joins a session.
pub struct Attach {
    /// Which session.
    pub key: SessionKey,
    /// Which connection.
    pub connection: ConnectionId,
    /// Where its frames go.
    pub sink: Arc<dyn Sink>,
    /// With [`Heartbeat::Application`] the client acknowledges events and at most `window` are unacknowledged; with
    /// [`Heartbeat::Protocol`] it knows nothing of `ack`, and the room of the sink is its window.
    pub heartbeat: Heartbeat,
    /// Where the client left off; none for a first open.
    pub resume: Option<Resume>,
    /// The client's name for this open, echoed in `opened`.
    pub reference: Option<Box<str>>,
    /// Told in `opened`.
    pub usage: Usage,
}

/// What an attachment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A task reads the journal for it; `again` when something was appended since the task last looked.
    Reading { again: bool },
    /// It has been given everything; it gets the next event as it is appended.
    Live,
    /// Behind; its window is closed.
    AwaitsAck,
    /// Behind; its sink is full.
    AwaitsRoom,
    /// Not told `opened` yet, because its sink is full.
    AwaitsRoomToOpen,
    /// The journal failed. Anything that happens on the session makes it start over.
    AwaitsJournal,
    /// Its sink is closed; it is given nothing more and waits to be detached.
    Gone,
}

/// One connection on a session. Kept small: there is one per open tab, most of them idle.
struct Attachment {
    connection: ConnectionId,
    sink: Arc<dyn Sink>,
    usage: Usage,
    /// A task of an earlier attachment of the same connection finds another number here and stops.
    generation: u64,
    /// The last offset that the sink has taken.
    position: u64,
    /// The last offset that the client has acknowledged; at most `position`.
    acked: u64,
    heartbeat: Heartbeat,
    state: State,
    /// What is still to be answered, while the state is [`State::AwaitsRoomToOpen`].
    opening: Option<Box<catch_up::Opening>>,
}

impl Attachment {
    fn is_window_open(&self, window: u64) -> bool {
        match self.heartbeat {
            Heartbeat::Application => self.position - self.acked < window,
            Heartbeat::Protocol => true,
        }
    }

    fn place(&self, key: &SessionKey) -> catch_up::Place {
        catch_up::Place { key: key.clone(), connection: self.connection, generation: self.generation }
    }

    /// The sink has taken the event at `offset`.
    fn advance(&mut self, offset: u64) {
        if self.acked == self.position {
            // Nothing is unacknowledged, so the offsets skipped here (gaps are legal) do not use up the window.
            self.acked = offset - 1;
        }
        self.position = offset;
    }
}

type Session = SmallVec<[Attachment; 1]>;
/// Who waits for room, by connection.
type FullMap = HashMap<ConnectionId, Vec<SessionKey>>;
type SessionMap = HashMap<SessionKey, Arc<Mutex<Session>>>;

/// All sessions of this node that have a connection.
pub struct Sessions {
    /// For the tasks that work on it.
    me: Weak<Self>,
    journal: Arc<dyn Journal>,
    runtime: Handle,
    window: u64,
    shards: Box<[Mutex<SessionMap>]>,
    /// Sessions to wake when a connection has room again; only connections with an attachment that awaits room are here.
    full: Box<[Mutex<FullMap>]>,
    hasher: RandomState,
    generations: AtomicU64,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("window", &self.window).finish_non_exhaustive()
    }
}

/// A poisoned lock guards attachments that are whole all the same: each is changed after its frame was taken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// No sessions yet. Make it the follower of `journal` before anything is appended. `window` is
    /// [`crate::config::WebSocket::window`], at least 1; catch-up tasks run on `runtime`.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, runtime: Handle, window: u64) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            journal,
            runtime,
            window: window.max(1),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            full: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            generations: AtomicU64::new(1),
        })
    }

    /// Attaches a connection and answers `opened` on its sink, then the events that follow, then what comes. Does not
    /// block. A connection that is attached already starts anew, from where this open says, with an `opened` of its own:
    /// what it is sent before that still belongs to the open before.
    pub fn attach(&self, attach: Attach) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let attachment = Attachment {
            connection: attach.connection,
            sink: attach.sink,
            usage: attach.usage,
            generation,
            position: 0,
            acked: 0,
            heartbeat: attach.heartbeat,
            state: State::Reading { again: false },
            opening: None,
        };
        let place = attachment.place(&attach.key);
        {
            let mut shard = lock(self.shard(&attach.key));
            let is_first = !shard.contains_key(&attach.key);
            if is_first {
                self.journal.attend(&attach.key);
            }
            let session = shard.entry(attach.key).or_default();
            let mut session = lock(session);
            match session.iter_mut().find(|known| known.connection == attach.connection) {
                Some(known) => *known = attachment,
                None => session.push(attachment),
            }
        }
        let opening = catch_up::Opening { resume: attach.resume, reference: attach.reference };
        self.open(place, opening);
    }

    /// Takes a connection off a session; nothing is sent. Unknown ones are ignored.
    pub fn detach(&self, key: &SessionKey, connection: ConnectionId) {
        let mut shard = lock(self.shard(key));
        if let Some(session) = shard.get(key) {
            let mut session = lock(session);
            session.retain(|attachment| attachment.connection != connection);
            let is_empty = session.is_empty();
            drop(session);
            if is_empty {
                shard.remove(key);
                self.journal.leave(key);
            }
        }
        drop(shard);
        let mut full = lock(self.full_shard(connection));
        if let Some(keys) = full.get_mut(&connection) {
            keys.retain(|waiting| waiting != key);
            if keys.is_empty() {
                full.remove(&connection);
            }
        }
    }

    /// The client has processed everything up to `offset`. An offset that it was not given, or that is not above the one
    /// before, is ignored.
    pub fn ack(&self, key: &SessionKey, connection: ConnectionId, offset: u64) {
        self.with(key, connection, |attachment| {
            if offset <= attachment.acked || offset > attachment.position {
                return;
            }
            attachment.acked = offset;
            match attachment.state {
                State::AwaitsAck => self.read_on(key, attachment),
                State::AwaitsJournal => self.start_over(key, attachment),
                State::Reading { .. } | State::Live | State::AwaitsRoom | State::AwaitsRoomToOpen | State::Gone => {}
            }
        });
    }

    /// The sink of this connection has room again after it answered [`Sent::Full`]. Cheap where nothing waited.
    pub fn drained(&self, connection: ConnectionId) {
        let keys = lock(self.full_shard(connection)).remove(&connection);
        for key in keys.unwrap_or_default() {
            self.with(&key, connection, |attachment| match attachment.state {
                State::AwaitsRoom => self.read_on(&key, attachment),
                State::AwaitsRoomToOpen => self.open_at_last(&key, attachment),
                State::AwaitsJournal => self.start_over(&key, attachment),
                State::Reading { .. } | State::Live | State::AwaitsAck | State::Gone => {}
            });
        }
    }

    /// The user's threads with ranks below `before` (none: from the top), the one that was active last first.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the journal cannot be read.
    pub async fn threads(&self, user: &UserId, before: Option<u64>, limit: usize) -> Result<ThreadPage, JournalError> {
        self.journal.threads(user, before, limit).await
    }

    /// The last `limit` messages before the one with the id `before` (none: before the run in flight).
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the journal cannot be read.
    pub async fn messages(
        &self,
        key: &SessionKey,
        before: Option<&str>,
        limit: usize,
    ) -> Result<MessagePage, JournalError> {
        self.journal.messages(key, before, limit).await
    }

    /// Whether any connection is attached to the session.
    #[must_use]
    pub fn is_attended(&self, key: &SessionKey) -> bool {
        lock(self.shard(key)).contains_key(key)
    }

    /// Sends a control frame to every connection that is attached to the session.
    pub fn tell(&self, key: &SessionKey, frame: &Frame) {
        if let Some(session) = self.find(key) {
            for attachment in lock(&session).iter() {
                attachment.sink.send_control(frame);
            }
        }
    }

    /// Whether the connection is attached to the session.
    #[must_use]
    pub fn is_attached(&self, key: &SessionKey, connection: ConnectionId) -> bool {
        self.find(key).is_some_and(|session| lock(&session).iter().any(|a| a.connection == connection))
    }

    fn shard(&self, key: &SessionKey) -> &Mutex<SessionMap> {
        &self.shards[spread(self.hasher.hash_one(key))]
    }

    fn full_shard(&self, connection: ConnectionId) -> &Mutex<HashMap<ConnectionId, Vec<SessionKey>>> {
        &self.full[spread(self.hasher.hash_one(connection))]
    }

    fn find(&self, key: &SessionKey) -> Option<Arc<Mutex<Session>>> {
        lock(self.shard(key)).get(key).cloned()
    }

    /// Runs `change` on the attachment, under the lock of its session.
    fn with<T>(
        &self,
        key: &SessionKey,
        connection: ConnectionId,
        change: impl FnOnce(&mut Attachment) -> T,
    ) -> Option<T> {
        let session = self.find(key)?;
        let mut session = lock(&session);
        let attachment = session.iter_mut().find(|attachment| attachment.connection == connection)?;
        Some(change(attachment))
    }

    fn open(&self, place: catch_up::Place, opening: catch_up::Opening) {
        if let Some(me) = self.me.upgrade() {
            self.runtime.spawn(catch_up::open(me, place, opening));
        }
    }

    fn read_on(&self, key: &SessionKey, attachment: &mut Attachment) {
        attachment.state = State::Reading { again: false };
        if let Some(me) = self.me.upgrade() {
            self.runtime.spawn(catch_up::catch_up(me, attachment.place(key)));
        }
    }

    /// There is room for the `opened` that is owed.
    fn open_at_last(&self, key: &SessionKey, attachment: &mut Attachment) {
        attachment.state = State::Reading { again: false };
        let opening = attachment.opening.take().map_or_else(catch_up::Opening::default, |opening| *opening);
        self.open(attachment.place(key), opening);
    }

    /// The journal failed, maybe before the client was told where it stands: it is told anew.
    fn start_over(&self, key: &SessionKey, attachment: &mut Attachment) {
        attachment.state = State::Reading { again: false };
        self.open(attachment.place(key), catch_up::Opening::default());
    }

    /// Has the attachments that `of_former` says are of a former log start over; what a task still reads for one of them is
    /// not given to it.
    fn restart(&self, key: &SessionKey, session: &Mutex<Session>, of_former: impl Fn(&Attachment) -> bool) {
        for attachment in lock(session).iter_mut().filter(|attachment| of_former(attachment)) {
            match attachment.state {
                // Told nothing yet, or nothing more.
                State::AwaitsRoomToOpen | State::Gone => {}
                State::Reading { .. } | State::Live | State::AwaitsAck | State::AwaitsRoom | State::AwaitsJournal => {
                    attachment.generation = self.generations.fetch_add(1, Ordering::Relaxed);
                    self.start_over(key, attachment);
                }
            }
        }
    }

    /// Gives the attachment what is new to it, as far as window and sink allow. The answer says what it waits for;
    /// `Live` means that all of it was taken.
    fn hand_over(&self, key: &SessionKey, attachment: &mut Attachment, frames: &mut Frames<'_>) -> State {
        let sink = Arc::clone(&attachment.sink);
        let _cork = (frames.len() > 1).then(|| sink.cork());
        for index in 0..frames.len() {
            let offset = frames.offset(index);
            if offset <= attachment.position {
                continue;
            }
            if !attachment.is_window_open(self.window) {
                return State::AwaitsAck;
            }
            let sent = match attachment.sink.send(frames.frame(index)) {
                Sent::Full => {
                    // Room may have come back before anybody could know that we wait for it: say so, then try again.
                    self.await_room(key, attachment.connection);
                    attachment.sink.send(frames.frame(index))
                }
                sent @ (Sent::Accepted | Sent::Closed) => sent,
            };
            match sent {
                Sent::Accepted => attachment.advance(offset),
                Sent::Full => return State::AwaitsRoom,
                Sent::Closed => return State::Gone,
            }
        }
        State::Live
    }

    fn await_room(&self, key: &SessionKey, connection: ConnectionId) {
        let mut full = lock(self.full_shard(connection));
        let keys = full.entry(connection).or_default();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
}

/// The live path: the run appends, and every attachment that is up to date gets the same frames.
impl Follower for Sessions {
    fn appended(&self, key: &SessionKey, entries: &[Entry]) {
        let Some(session) = self.find(key) else { return };
        let mut frames = Frames::new(key, entries);
        let mut session = lock(&session);
        for attachment in session.iter_mut() {
            match attachment.state {
                State::Live => attachment.state = self.hand_over(key, attachment, &mut frames),
                State::Reading { .. } => attachment.state = State::Reading { again: true },
                State::AwaitsJournal => self.start_over(key, attachment),
                State::AwaitsAck | State::AwaitsRoom | State::AwaitsRoomToOpen | State::Gone => {}
            }
        }
    }

    fn behind(&self, key: &SessionKey) {
        let Some(session) = self.find(key) else { return };
        for attachment in lock(&session).iter_mut() {
            match attachment.state {
                State::Live => self.read_on(key, attachment),
                State::Reading { .. } => attachment.state = State::Reading { again: true },
                State::AwaitsJournal => self.start_over(key, attachment),
                State::AwaitsAck | State::AwaitsRoom | State::AwaitsRoomToOpen | State::Gone => {}
            }
        }
    }

    /// Whoever was given some of a log that is gone is told where he stands in the one that took its place.
    fn begun_anew(&self, what: Anew<'_>) {
        match what {
            Anew::Thread(key) => {
                if let Some(session) = self.find(key) {
                    self.restart(key, &session, |attachment| attachment.position > 0);
                }
            }
            Anew::Everything => {
                for shard in &self.shards {
                    let sessions: Vec<_> = lock(shard).iter().map(|(key, of)| (key.clone(), Arc::clone(of))).collect();
                    sessions.iter().for_each(|(key, session)| self.restart(key, session, |_| true));
                }
            }
        }
    }
}

fn spread(hash: u64) -> usize {
    usize::try_from(hash % SHARDS as u64).unwrap_or(0)
}
