//! What nodes say to each other: hints over pub/sub, in bounded queues, that whoever misses them does without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lychgate_core::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Shared;
use crate::cluster::lease::{Report, Told};
use crate::cluster::node::{Audience, Incarnation, Question};

/// How long a question waits for its answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// What waits to be published at most; what is said beyond it is lost. Hints take half of it.
pub(super) const MAX_UNSAID: usize = 1_024;
/// Questions that wait for their answer at most; one more is not asked.
const MAX_QUESTIONS: usize = 4_096;
/// A longer message is not one of ours.
const MAX_BYTES: usize = 256 * 1_024;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Message {
    /// There is a letter for this node: a lease of it is over. It reads which at its next beat, which is now.
    Mail,
    /// There is a note on the board.
    Note,
    Ask {
        from: Incarnation,
        number: u64,
        user: String,
    },
    Reply {
        number: u64,
        reports: Vec<Report>,
    },
    Tell {
        from: Incarnation,
        what: Value,
    },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Waits,
    Dropped,
}

/// What is to be published.
#[derive(Debug)]
pub(super) struct Unsaid {
    channel: String,
    text: String,
    /// The number of the question that it is.
    question: Option<u64>,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Vec<Report>>,
    /// Whether the question left this node.
    has_left: bool,
}

/// Questions of this node on their way.
#[derive(Debug, Default)]
pub(super) struct Questions {
    number: AtomicU64,
    waiting: std::sync::Mutex<BTreeMap<u64, Waiting>>,
}

impl Questions {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn leaves(&self, number: u64) {
        if let Some(waiting) = self.waiting().get_mut(&number) {
            waiting.has_left = true;
        }
    }

    fn has_left(&self, number: u64) -> bool {
        self.waiting().get(&number).is_some_and(|waiting| waiting.has_left)
    }
}

/// A question that is forgotten when nobody waits for it any more.
struct Asked<'a> {
    questions: &'a Questions,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.number);
    }
}

impl Shared {
    /// What the node answers within a second.
    pub(super) async fn question(self: Arc<Self>, user: UserId, of: Incarnation) -> Told {
        let Some(from) = self.state.borrow().term.as_ref().map(|term| term.me) else {
            return Told::NotAsked;
        };
        let number = self.questions.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.questions.waiting();
            if waiting.len() >= MAX_QUESTIONS {
                return Told::NotAsked;
            }
            waiting.insert(number, Waiting { answer, has_left: false });
        }
        let _asked = Asked { questions: &self.questions, number };
        let ask = Message::Ask { from, number, user: user.as_str().to_owned() };
        if self.say(self.keys.channel(of), &ask, Some(number)) == Said::Dropped {
            return Told::NotAsked;
        }
        let asked = Instant::now();
        let answer = timeout(ANSWER_WITHIN, answered).await;
        let was_asked = self.questions.has_left(number) && self.state.borrow().could_hear(from, asked);
        match answer {
            Ok(Ok(reports)) => Told::Reports(reports),
            Ok(Err(_)) | Err(_) if was_asked => Told::Silence,
            // It did not leave, or its answer was not heard, even if all is well by now.
            Ok(Err(_)) | Err(_) => Told::NotAsked,
        }
    }

    pub(super) fn answer(&self, question: Question, reports: Vec<Report>) {
        let message = Message::Reply { number: question.number, reports };
        self.say(self.keys.channel(question.from), &message, None);
    }

    pub(super) fn say_to(&self, audience: Audience, what: Value) {
        let Some(from) = self.state.borrow().term.as_ref().map(|term| term.me) else {
            return;
        };
        // After a restart every tab of a node comes back in one moment, each with a hint: questions decide who has to go.
        if self.unsaid.capacity() <= MAX_UNSAID / 2 {
            tracing::debug!("a hint to other nodes was dropped: too many messages wait");
            return;
        }
        let channel = match audience {
            Audience::One(node) => self.keys.channel(node),
            Audience::All => self.keys.everybody(),
        };
        self.say(channel, &Message::Tell { from, what }, None);
    }

    pub(super) fn say_posted(&self) {
        self.say(self.keys.everybody(), &Message::Note, None);
    }

    fn say(&self, channel: String, message: &Message, question: Option<u64>) -> Said {
        let text = serde_json::to_string(message).expect("text and numbers always serialise");
        match self.unsaid.try_send(Unsaid { channel, text, question }) {
            Ok(()) => Said::Waits,
            Err(_) => {
                tracing::debug!("a message to other nodes was dropped: too many wait");
                Said::Dropped
            }
        }
    }

    /// Somebody said something.
    pub(super) fn hear(&self, bytes: &[u8]) {
        if bytes.len() > MAX_BYTES {
            return;
        }
        let Ok(message) = serde_json::from_slice(bytes) else {
            return;
        };
        let follower = self.follower.get();
        match message {
            Message::Mail => self.wake.notify_one(),
            Message::Note => self.pin.notify_one(),
            Message::Reply { number, reports } => {
                if let Some(waiting) = self.questions.waiting().remove(&number) {
                    let _ = waiting.answer.send(reports);
                }
            }
            Message::Ask { from, number, user } => {
                if let (Some(follower), Ok(user)) = (follower, UserId::parse(&user)) {
                    follower.asked(&user, Question { from, number });
                }
            }
            Message::Tell { from, what } => {
                let is_own = self.state.borrow().term.as_ref().is_some_and(|term| term.me == from);
                if let (Some(follower), false) = (follower, is_own) {
                    follower.told(from, what);
                }
            }
        }
    }
}

/// Publishes what is said, as long as the store can be asked; what is said meanwhile is lost, for nobody is there to hear.
pub(super) async fn run(shared: Arc<Shared>, mut unsaid: mpsc::Receiver<Unsaid>) {
    while let Some(Unsaid { channel, text, question }) = unsaid.recv().await {
        let link = {
            let state = shared.state.borrow();
            state.trouble.is_none().then(|| state.link.clone()).flatten()
        };
        let Some(link) = link else {
            continue;
        };
        if let Some(question) = question {
            shared.questions.leaves(question);
        }
        let mut command = ::redis::cmd("PUBLISH");
        command.arg(channel).arg(text);
        if let Err(trouble) = link.send::<u64>(&command).await {
            shared.suspect(trouble);
        }
    }
}
