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
/// What waits to be published at most; what is said beyond it is lost.
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
pub(super) type Unsaid = (String, String);

/// Questions of this node on their way.
#[derive(Debug, Default)]
pub(super) struct Questions {
    number: AtomicU64,
    waiting: std::sync::Mutex<BTreeMap<u64, oneshot::Sender<Vec<Report>>>>,
}

impl Questions {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Vec<Report>>>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
            waiting.insert(number, answer);
        }
        let _asked = Asked { questions: &self.questions, number };
        let ask = Message::Ask { from, number, user: user.as_str().to_owned() };
        if self.say(self.keys.channel(of), &ask) == Said::Dropped {
            return Told::NotAsked;
        }
        let asked = Instant::now();
        match timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(reports)) => Told::Reports(reports),
            Ok(Err(_)) | Err(_) if self.state.borrow().could_hear(from, asked) => Told::Silence,
            // It may not have left, or its answer was not heard, even if all is well by now.
            Ok(Err(_)) | Err(_) => Told::NotAsked,
        }
    }

    pub(super) fn answer(&self, question: Question, reports: Vec<Report>) {
        let message = Message::Reply { number: question.number, reports };
        self.say(self.keys.channel(question.from), &message);
    }

    pub(super) fn say_to(&self, audience: Audience, what: Value) {
        let Some(from) = self.state.borrow().term.as_ref().map(|term| term.me) else {
            return;
        };
        let channel = match audience {
            Audience::One(node) => self.keys.channel(node),
            Audience::All => self.keys.everybody(),
        };
        self.say(channel, &Message::Tell { from, what });
    }

    fn say(&self, channel: String, message: &Message) -> Said {
        let text = serde_json::to_string(message).expect("text and numbers always serialise");
        match self.unsaid.try_send((channel, text)) {
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
            Message::Reply { number, reports } => {
                if let Some(answer) = self.questions.waiting().remove(&number) {
                    let _ = answer.send(reports);
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
    while let Some((channel, text)) = unsaid.recv().await {
        let link = {
            let state = shared.state.borrow();
            state.trouble.is_none().then(|| state.link.clone()).flatten()
        };
        let Some(link) = link else {
            continue;
        };
        let mut command = ::redis::cmd("PUBLISH");
        command.arg(channel).arg(text);
        if let Err(trouble) = link.send::<u64>(&command).await {
            shared.suspect(trouble);
        }
    }
}
