//! The answers of the journal, each from one consistent view of a thread.

use std::collections::HashMap;
use std::sync::Arc;

use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use redis::Value;

use super::error::Failure;
use super::link::{READ_WITHIN, WITHIN};
use super::thread::{Events, Thread, entries};
use super::{Inner, keys, scripts};
use crate::journal::{Entry, JournalError, MessagePage, Snapshot, ThreadPage, ThreadSummary, title};

/// Of an epoch, what tells one process of the server from another.
const SERVER_CHARS: usize = 8;

impl Inner {
    pub(super) async fn read(&self, key: &SessionKey, after: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        let of = self.keys.of(key);
        let mut asked = scripts::READ.prepare_invoke();
        asked.key(&of.thread).key(&of.stream).arg(after).arg(limit.max(1));
        let ((word, rest), _) = self.link.ask::<(String, Value)>(&asked, READ_WITHIN).await?;
        let damaged = |error: redis::ParsingError| Failure::Damaged(error.to_string());
        match word.as_str() {
            "trimmed" => Err(JournalError::Trimmed(redis::from_redis_value(rest).map_err(damaged)?)),
            _ => Ok(entries(redis::from_redis_value::<Events>(rest).map_err(damaged)?)?),
        }
    }

    pub(super) async fn snapshot(&self, key: &SessionKey) -> Result<Snapshot, JournalError> {
        let (past, server) = self.past(key).await?;
        let server = server.get(..SERVER_CHARS).unwrap_or(&server);
        let epoch: Arc<str> = format!("{}-{server}", past.epoch).into();
        let Some(thread) = past.thread else {
            let (messages, state, run) = (Vec::new(), None, None);
            return Ok(Snapshot { epoch, head: 0, run, messages, state, cut: 0, oldest: 0, more: false });
        };
        Ok(Snapshot {
            epoch,
            head: thread.head,
            cut: thread.cut(),
            oldest: thread.floor,
            run: thread.run,
            messages: past.history.messages,
            state: past.history.state,
            more: past.more,
        })
    }

    pub(super) async fn messages(
        &self,
        key: &SessionKey,
        before: Option<&str>,
        limit: usize,
    ) -> Result<MessagePage, JournalError> {
        let (past, _) = self.past(key).await?;
        Ok(MessagePage::of(past.history.messages, past.more, before, limit))
    }

    pub(super) async fn knows_run(&self, key: &SessionKey, run: &RunId) -> Result<bool, JournalError> {
        let mut known = redis::cmd("ZSCORE");
        known.arg(self.keys.of(key).runs).arg(run.as_str());
        Ok(self.link.command::<Option<String>>(&known).await?.is_some())
    }

    pub(super) async fn threads(
        &self,
        user: &UserId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<ThreadPage, JournalError> {
        let mut threads = Vec::new();
        let mut below = before.map_or_else(|| "+inf".to_owned(), |before| format!("({before}"));
        loop {
            let wanted = limit.saturating_add(1) - threads.len();
            let mut ranks = redis::cmd("ZREVRANGEBYSCORE");
            ranks.arg(self.keys.index(user)).arg(&below).arg("-inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(wanted);
            let ranked: Vec<(String, String)> = self.link.command(&ranks).await?;
            let is_end = ranked.len() < wanted;
            for (name, rank) in ranked {
                below = format!("({rank}");
                let parsed = ThreadId::parse(&name);
                let name = parsed.map_err(|error| Failure::Damaged(format!("the name of a thread {error}")))?;
                match self.summary(user, name.clone()).await? {
                    Some(summary) => threads.push(summary),
                    // Its time is over; it has left its name.
                    None => self.bury(&SessionKey::new(user.clone(), name)).await?,
                }
            }
            if is_end || threads.len() > limit {
                let more = threads.len() > limit;
                threads.truncate(limit);
                return Ok(ThreadPage { threads, more });
            }
        }
    }

    async fn bury(&self, key: &SessionKey) -> Result<(), Failure> {
        let of = self.keys.of(key);
        let mut asked = scripts::BURY.prepare_invoke();
        asked.key(&of.user).key(&of.thread).key(&of.index).arg(key.thread().as_str());
        self.link.ask::<u64>(&asked, WITHIN).await.map(drop)
    }

    async fn summary(&self, user: &UserId, name: ThreadId) -> Result<Option<ThreadSummary>, Failure> {
        let Some(thread) = self.thread(&self.keys.thread(user, &name)).await? else { return Ok(None) };
        let (messages, title) = match thread.is_behind() {
            true => {
                let (past, _) = self.past(&SessionKey::new(user.clone(), name.clone())).await?;
                (past.history.messages.len() as u64, title(&past.history.messages))
            }
            false => (thread.messages, thread.title),
        };
        Ok(Some(ThreadSummary {
            thread: name,
            rank: thread.rank,
            created: thread.created,
            written: thread.written,
            head: thread.head,
            messages,
            run: thread.run.map(|(run, _)| run),
            title,
        }))
    }

    async fn thread(&self, key: &str) -> Result<Option<Thread>, Failure> {
        let mut fields = redis::cmd("HGETALL");
        fields.arg(key);
        Thread::parse(self.link.command::<HashMap<String, String>>(&fields).await?)
    }

    /// The run in flight of a thread, and where it started.
    pub(super) async fn flight_of(&self, key: &SessionKey) -> Result<Option<(RunId, u64)>, Failure> {
        Ok(self.thread(&self.keys.of(key).thread).await?.and_then(|thread| thread.run))
    }

    /// Whether a node still says that it lives.
    pub(super) async fn is_alive(&self, writer: &str) -> Result<bool, Failure> {
        let mut alive = redis::cmd("EXISTS");
        alive.arg(self.keys.lease(writer));
        Ok(self.link.command::<u64>(&alive).await? == 1)
    }

    /// Runs of this node, and of nodes that are gone.
    pub(super) async fn unfinished(&self, limit: usize) -> Result<Vec<(SessionKey, RunId)>, Failure> {
        let mut open = self.open_runs(&self.writer, limit).await?;
        open.extend(self.abandoned(limit - open.len().min(limit)).await?);
        Ok(open)
    }

    /// Runs of nodes that are gone; who appends to one of them afterwards appends to that run or to nothing.
    pub(super) async fn abandoned(&self, limit: usize) -> Result<Vec<(SessionKey, RunId)>, Failure> {
        let mut writers = redis::cmd("SMEMBERS");
        writers.arg(self.keys.writers());
        let mut abandoned = Vec::new();
        for writer in self.link.command::<Vec<String>>(&writers).await? {
            if abandoned.len() >= limit {
                break;
            }
            if writer == self.writer || self.is_alive(&writer).await? {
                continue;
            }
            let open = self.open_runs(&writer, limit - abandoned.len()).await?;
            if open.is_empty() {
                let mut forget = redis::cmd("SREM");
                forget.arg(self.keys.writers()).arg(&writer);
                self.link.command::<Value>(&forget).await?;
            }
            abandoned.extend(open);
        }
        Ok(abandoned)
    }

    /// Runs in flight of one writer, at most `limit`; what is noted and is none any more is no longer noted then.
    async fn open_runs(&self, writer: &str, limit: usize) -> Result<Vec<(SessionKey, RunId)>, Failure> {
        let noted = self.keys.open(writer);
        let (mut open, mut cursor) = (Vec::new(), 0_u64);
        loop {
            let mut scan = redis::cmd("SSCAN");
            scan.arg(&noted).arg(cursor).arg("COUNT").arg(256);
            let (next, members): (u64, Vec<String>) = self.link.command(&scan).await?;
            for member in members {
                let key = keys::parse_member(&member);
                let flight = match &key {
                    Some(key) => self.thread(&self.keys.of(key).thread).await?.filter(|thread| thread.owner == writer),
                    None => None,
                };
                match (key, flight.and_then(|thread| thread.run)) {
                    (Some(key), Some((run, start))) if open.len() < limit => {
                        self.flights.found(&key, start);
                        open.push((key, run));
                    }
                    (Some(_), Some(_)) => return Ok(open),
                    // A writer that lives notes a run before it is in the log: only the gone ones are tidied up after.
                    (_, _) if writer == self.writer => {}
                    (_, _) => {
                        let mut forget = redis::cmd("SREM");
                        forget.arg(&noted).arg(&member);
                        self.link.command::<Value>(&forget).await?;
                    }
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(open);
            }
        }
    }
}
