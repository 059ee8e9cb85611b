//! The board: notes that every node has to read, whenever it comes. A stream that nobody takes anything from.
//!
//! ```text
//! post --> unposted --XADD, and a hint to all--> P:{cluster}:board --XRANGE behind the last one--> Follower::posted
//! ```
//!
//! A node reads it once a second and at every hint, from the beginning in each data set.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::UserId;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::link::Link;
use super::state::Term;
use crate::cluster::lease::{Holders, Trouble};

/// Notes that are read at once.
const BATCH: usize = 256;
/// Notes that the board holds, about; the oldest go.
const MAX_NOTES: usize = 100_000;
/// Notes that wait for the store at most; one more is lost, aloud. A node says all its revocations again after a loss, and keeps
/// 100,000 of them; and 8,192 orders about limits.
const MAX_UNPOSTED: usize = 110_000;
/// Texts that are remembered at most: more than the board holds. What is forgotten may be posted twice.
const MAX_KNOWN: usize = 2 * MAX_NOTES;
/// After trouble.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two looks for somebody to read to.
const BEFORE_ANYBODY_FOLLOWS: Duration = Duration::from_millis(50);

/// What this node is about to post, and what it need not post.
#[derive(Debug, Default)]
pub(super) struct Board {
    unposted: VecDeque<Arc<str>>,
    /// Of the texts that were read in this data set.
    known: HashSet<u64>,
    hasher: RandomState,
}

impl Board {
    /// Whether there is room for one more.
    fn pin(&mut self, text: &str) -> bool {
        if self.known.contains(&self.hasher.hash_one(text)) {
            return true;
        }
        let has_room = self.unposted.len() < MAX_UNPOSTED;
        if has_room {
            self.unposted.push_back(text.into());
        }
        has_room
    }

    /// The next one that is not on the board yet.
    fn next(&mut self) -> Option<Arc<str>> {
        while let Some(text) = self.unposted.front() {
            if !self.known.contains(&self.hasher.hash_one(&**text)) {
                return Some(Arc::clone(text));
            }
            self.unposted.pop_front();
        }
        None
    }

    fn note(&mut self, text: &str) {
        if self.known.len() == MAX_KNOWN {
            self.known.clear();
        }
        let hash = self.hasher.hash_one(text);
        self.known.insert(hash);
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(&self, note: &Value) {
        if self.board().pin(&note.to_string()) {
            self.pin.notify_one();
        } else {
            tracing::error!(
                "a note to the other nodes is lost: {MAX_UNPOSTED} wait for Redis; say it to them again when it answers"
            );
        }
    }

    /// The leases of a user as the store has them. Where its data was lost this waits, as a newcomer does, until all nodes have
    /// said what they hold.
    pub(super) async fn holders(self: Arc<Self>, user: UserId) -> Holders {
        let until = Instant::now() + self.patience();
        let mut after = None;
        loop {
            let is_all = self.ready(after, until).await.is_ok();
            let Some((link, term)) = self.link_now() else { return Holders::default() };
            match self.scripts.holders(&link, &term, &user).await {
                Ok(Some(known)) => return Holders { known, is_all },
                // It was lost just now: a beat learns it, and who has to say what he holds.
                Ok(None) if after.is_none() => after = Some(Instant::now()),
                Ok(None) => return Holders::default(),
                Err(trouble) => {
                    self.suspect(trouble);
                    return Holders::default();
                }
            }
        }
    }

    fn link_now(&self) -> Option<(Link, Arc<Term>)> {
        let state = self.state.borrow();
        state.link.clone().zip(state.term.clone()).filter(|_| state.trouble.is_none())
    }
}

/// Reads and posts until the task is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut reader = Reader::new(String::new());
    loop {
        let (link, term) = shared.linked().await;
        if reader.generation != term.generation {
            reader = Reader::new(term.generation.clone());
            shared.board().known.clear();
        }
        if shared.follower.get().is_none() {
            sleep(BEFORE_ANYBODY_FOLLOWS).await;
            continue;
        }
        match reader.work(&shared, &link).await {
            Ok(()) => {
                tokio::select! {
                    () = shared.pin.notified() => {}
                    () = sleep(shared.interval()) => {}
                }
            }
            Err(trouble) => {
                shared.suspect(trouble);
                sleep(PAUSE).await;
            }
        }
    }
}

/// How far this node has read in one data set.
struct Reader {
    generation: String,
    after: String,
    is_caught_up: bool,
}

impl Reader {
    fn new(generation: String) -> Self {
        Self { generation, after: "0-0".to_owned(), is_caught_up: false }
    }

    async fn work(&mut self, shared: &Shared, link: &Link) -> Result<(), Trouble> {
        while self.read(shared, link).await? == BATCH {}
        if let (false, Some(follower)) = (self.is_caught_up, shared.follower.get()) {
            self.is_caught_up = true;
            follower.caught_up();
        }
        self.post(shared, link).await
    }

    /// How many notes there were.
    async fn read(&mut self, shared: &Shared, link: &Link) -> Result<usize, Trouble> {
        let mut command = ::redis::cmd("XRANGE");
        command.arg(shared.keys.board()).arg(format!("({}", self.after)).arg("+").arg("COUNT").arg(BATCH);
        let notes: Vec<(String, Vec<String>)> = link.send(&command).await?;
        let count = notes.len();
        for (id, fields) in notes {
            if let [_, text] = fields.as_slice() {
                shared.board().note(text);
                if let (Some(follower), Ok(note)) = (shared.follower.get(), serde_json::from_str(text)) {
                    follower.posted(note).wait().await;
                }
            }
            self.after = id;
        }
        Ok(count)
    }

    /// One whose answer was lost may stand there twice.
    async fn post(&self, shared: &Shared, link: &Link) -> Result<(), Trouble> {
        loop {
            let next = shared.board().next();
            let Some(text) = next else { return Ok(()) };
            let mut command = ::redis::cmd("XADD");
            command.arg(shared.keys.board()).arg("MAXLEN").arg("~").arg(MAX_NOTES).arg("*").arg("note").arg(&*text);
            link.send::<String>(&command).await?;
            shared.board().note(&text);
            shared.say_posted();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_posted_and_what_waits_beyond_the_bound_is_refused() {
        let mut board = Board::default();
        board.note("known");
        assert!(board.pin("known") && board.next().is_none());
        assert!((0..MAX_UNPOSTED).all(|n| board.pin(&n.to_string())));
        assert!(!board.pin("one more"));
        board.note("0");
        assert_eq!(board.next().as_deref(), Some("1"), "another node was quicker with the first");
        assert!(board.pin("one more"));
    }

    #[test]
    fn what_is_remembered_of_a_board_is_bounded() {
        let mut board = Board::default();
        (0..=MAX_KNOWN).for_each(|n| board.note(&n.to_string()));
        assert_eq!(board.known.len(), 1);
    }
}
