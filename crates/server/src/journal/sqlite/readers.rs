//! Connections that read, a few of them, each used by one question at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::condition::Condition;
use super::open;
use super::read::at_once;
use super::rows::Failure;
use crate::journal::JournalError;

/// Questions that are answered at the same time; the others wait in turn.
const AT_ONCE: usize = 4;

/// Answers questions on threads that may block.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    condition: Arc<Condition>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, condition: Arc<Condition>) -> Self {
        Self { path, turns: Arc::new(Semaphore::new(AT_ONCE)), idle: Arc::default(), condition }
    }

    /// Asks on one consistent view of the file. Whoever stops waiting leaves nothing behind.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, JournalError> {
        let closed = |_| JournalError::Unavailable("the journal is closed".to_owned());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        let (path, idle, condition) = (self.path.clone(), Arc::clone(&self.idle), Arc::clone(&self.condition));
        let answer = spawn_blocking(move || {
            let _turn = turn;
            let used = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let answer = used.map_or_else(|| open::reader(&path), Ok).map_err(Failure::from).and_then(|db| {
                let answer = at_once(&db, question);
                // A connection whose question panicked is not used again.
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
                answer
            });
            answer.inspect_err(|failure| condition.on_read(failure))
        });
        match answer.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(JournalError::Unavailable("a question to the journal failed unexpectedly".to_owned())),
        }
    }

    /// Lets go of the file.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
