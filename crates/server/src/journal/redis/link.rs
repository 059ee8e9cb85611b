//! The way to the server: one connection that everybody shares, checked whenever it is made anew, wherever the server is by
//! then.
//!
//! ```text
//! ask -> connected? --no--> find the server, connect, check it         failed --> nobody tries for 100 ms
//!            '--yes--> script --answered in time--> answer
//!                         '--not--> unknown; the connection is let go, the next one who asks makes another
//! ```

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, Cmd, FromRedisValue, Pipeline, RedisResult, ScriptInvocation};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep, timeout};

use super::error::{Failure, OpenError};
use super::server;
use crate::config::RedisUrl;
use crate::journal::{Anew, Follower};
use crate::whereabouts::{Found, Server, Whereabouts, listen};

/// For an answer to what writes, for a connection, and for the check of a server, each.
pub(super) const WITHIN: Duration = Duration::from_millis(500);
/// For an answer that may hold a long history.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(2);
/// Nobody tries to connect so soon after it failed.
const PAUSE: Duration = Duration::from_millis(100);
/// A server that cannot be reached when we start may be failing over, or start with us: it has so long.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Where the follower stands once there is one.
pub(super) type Followed = Arc<OnceLock<Arc<dyn Follower>>>;

/// A connection, and who answers on it.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    client: Client,
    server: Arc<str>,
    number: u64,
}

/// What is asked of the server.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    connected: u64,
    /// Who answered last.
    last: Option<Arc<str>>,
    failed: Option<(Instant, Failure)>,
}

/// The way to the server.
pub(super) struct Link {
    whereabouts: Whereabouts,
    journal_key: String,
    state: AsyncMutex<State>,
    trouble: Mutex<Option<String>>,
    follower: Followed,
}

impl Link {
    /// Nothing is connected yet.
    pub(super) fn new(url: &RedisUrl, journal_key: String, follower: Followed) -> Result<Self, OpenError> {
        let whereabouts = Whereabouts::new(url, &journal_key, WITHIN).map_err(|_| OpenError::Address)?;
        let (state, trouble) = (AsyncMutex::default(), Mutex::default());
        Ok(Self { whereabouts, journal_key, state, trouble, follower })
    }

    /// Connects and checks the server; gives the generation of its data. Tries again while it cannot be reached, for
    /// [`START_WITHIN`].
    pub(super) async fn open(&self) -> Result<String, OpenError> {
        let deadline = Instant::now() + START_WITHIN;
        let mut is_told = false;
        loop {
            match self.connect().await {
                Err(OpenError::Unreachable(why)) if Instant::now() < deadline => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(%why, "the journal's Redis cannot be reached: trying for {START_WITHIN:?}");
                    }
                    sleep(PAUSE).await;
                }
                connected => return connected.map(|(_, generation)| generation),
            }
        }
    }

    /// A connection of its own for whoever waits for messages, and whom it goes to; nothing is asked on it but what to
    /// listen to.
    pub(super) async fn subscriber(&self) -> Option<(PubSub, Arc<str>)> {
        let live = self.live().await.ok()?;
        let subscriber = timeout(WITHIN, listen(&live.client)).await.ok()?.ok()?;
        Some((subscriber, live.server))
    }

    /// Whether it was this server that answered last, as far as can be told without waiting.
    pub(super) fn is_asked(&self, server: &Arc<str>) -> bool {
        self.state.try_lock().map_or(true, |state| state.last.as_ref() == Some(server))
    }

    async fn connect(&self) -> Result<(Found, String), OpenError> {
        let mut found = self.whereabouts.open().await?;
        let generation = server::check(&mut found, &self.journal_key).await?;
        Ok((found, generation))
    }

    async fn live(&self) -> Result<Live, Failure> {
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live {
            return Ok(live.clone());
        }
        if let Some((at, failure)) = &state.failed
            && at.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        match self.connect().await {
            Ok((Found { connection, server, client }, _)) => {
                state.connected += 1;
                state.failed = None;
                let live = Live { connection, client, server: server.run, number: state.connected };
                let before = state.last.replace(Arc::clone(&live.server));
                state.live = Some(live.clone());
                // Another process answers: what it has may end before what the former one acknowledged (R19).
                if before.is_some_and(|before| before != live.server) {
                    self.begun_anew();
                }
                Ok(live)
            }
            Err(error) => {
                let failure = Failure::from(error);
                state.failed = Some((Instant::now(), failure.clone()));
                drop(state);
                self.on_failure(&failure);
                Err(failure)
            }
        }
    }

    /// Everything that was read may stand in another log now.
    pub(super) fn begun_anew(&self) {
        tracing::warn!("the journal's Redis is another one than before: every reader starts over");
        if let Some(follower) = self.follower.get() {
            follower.begun_anew(Anew::Everything);
        }
    }

    /// Runs a script. With the answer comes who gave it.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        within: Duration,
    ) -> Result<(T, Arc<str>), Failure> {
        self.twice(Asked::Script(script), within).await
    }

    /// Runs one command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        Ok(self.twice(Asked::Command(command), WITHIN).await?.0)
    }

    /// What the server says of itself. Where its data became others under the connection (it was a replica meanwhile), the
    /// connection is let go, and whoever asks next finds that out.
    pub(super) async fn look(&self) -> Result<String, Failure> {
        let info = redis::cmd("INFO");
        let (said, server) = self.twice::<String>(Asked::Command(&info), WITHIN).await?;
        if Server::read(&said).run != server {
            self.state.lock().await.live.take_if(|live| live.server == server);
        }
        Ok(said)
    }

    /// Runs several commands.
    pub(super) async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Failure> {
        Ok(self.twice(Asked::Pipeline(commands), WITHIN).await?.0)
    }

    /// A connection that was dead already says so at once: then the same is asked on a new one. Everything here may be done
    /// twice.
    async fn twice<T: FromRedisValue>(&self, asked: Asked<'_>, within: Duration) -> Result<(T, Arc<str>), Failure> {
        let began = Instant::now();
        match self.once(asked, within).await {
            Err(Failure::Unknown(_)) if began.elapsed() < PAUSE => self.once(asked, within).await,
            answer => answer,
        }
    }

    async fn once<T: FromRedisValue>(&self, asked: Asked<'_>, within: Duration) -> Result<(T, Arc<str>), Failure> {
        let mut live = self.live().await?;
        let connection = &mut live.connection;
        connection.set_response_timeout(within);
        let answer = async {
            match asked {
                Asked::Script(script) => script.invoke_async(connection).await,
                Asked::Command(command) => command.query_async(connection).await,
                Asked::Pipeline(commands) => commands.query_async(connection).await,
            }
        };
        let answer = timeout(within, answer).await;
        Ok((self.answered(&live, answer).await?, live.server))
    }

    async fn answered<T>(
        &self,
        live: &Live,
        answer: Result<RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, Failure> {
        let failure = match answer {
            Ok(Ok(answer)) => {
                self.on_answer();
                return Ok(answer);
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::Unknown("no answer in time".to_owned()),
        };
        if let Failure::Unknown(_) = failure {
            let mut state = self.state.lock().await;
            if state.live.as_ref().is_some_and(|now| now.number == live.number) {
                state.live = None;
            }
        }
        self.on_failure(&failure);
        Err(failure)
    }

    fn on_answer(&self) {
        if self.trouble_now().take().is_some() {
            tracing::warn!("the journal's Redis answers again");
        }
    }

    fn on_failure(&self, failure: &Failure) {
        let before = self.trouble_now().replace(failure.text().to_owned());
        if before.is_none() {
            tracing::error!(why = failure.text(), "the journal's Redis does not do what it is asked for");
        }
    }

    /// Why the last thing that was asked for was not done.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble_now().as_ref().map(|why| format!("journal: Redis: {why}"))
    }

    fn trouble_now(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Each change is one assignment: a panic elsewhere leaves it whole.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
