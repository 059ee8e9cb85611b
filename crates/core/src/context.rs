//! Where the ids of a session come from: one constructor, used by every component.

use crate::id::{ClientId, ConnectionId, IdError, RequestId, RunId, SessionKey, ThreadId, UserId};

/// Who made a context, where and when: its audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What was being done, for example `open`.
    pub operation: &'static str,
    /// Which component did it, for example `ws`.
    pub component: &'static str,
    /// Wall clock in milliseconds since 1970, for people; nothing is decided by it.
    pub unix_ms: u64,
    /// Whether the thread id was made here because the client named none.
    pub thread_made_here: bool,
}

/// What a WebSocket request says about itself, before anything was checked but the user.
#[derive(Clone, Debug)]
pub struct WebSocketRequest<'a> {
    /// The verified user.
    pub user: &'a UserId,
    /// The thread that the client asked for; none for a new one.
    pub thread: Option<&'a str>,
    /// How the tab names itself.
    pub client: Option<&'a str>,
    /// The socket it came on.
    pub connection: ConnectionId,
    /// What is being done, for the audit trail.
    pub operation: &'static str,
    /// Who asks, for the audit trail.
    pub component: &'static str,
    /// Wall clock in milliseconds since 1970.
    pub unix_ms: u64,
}

/// Random numbers for one context; the caller draws them.
#[derive(Clone, Copy, Debug)]
pub struct Entropy {
    /// A number that rises with every context of this process: the `<n>` in a generated thread id.
    pub sequence: u64,
    /// Secure random bits.
    pub random: u128,
}

/// All ids of one request, made once and passed on by value: the socket, the event log, the agent and the logs of one
/// conversation see the same ones (M1, M2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionContext {
    key: SessionKey,
    client: Option<ClientId>,
    connection: ConnectionId,
    run: RunId,
    request: RequestId,
    origin: Origin,
}

impl SessionContext {
    /// Builds the ids of a request that came over a WebSocket.
    ///
    /// A missing thread gets an id of the form `thread_websocket_session_<n>_<random>`. The run id is the default for
    /// runs whose client names none.
    ///
    /// # Errors
    /// [`IdError`] when the thread or the client id breaks the rule of [`crate::id`].
    pub fn from_websocket_request(request: &WebSocketRequest<'_>, entropy: Entropy) -> Result<Self, IdError> {
        let high = (entropy.random >> 64) as u64;
        let low = entropy.random as u64;
        let thread = match request.thread {
            Some(thread) => ThreadId::parse(thread)?,
            None => ThreadId::generate(entropy.sequence, high),
        };
        Ok(Self {
            key: SessionKey::new(request.user.clone(), thread),
            client: request.client.map(ClientId::parse).transpose()?,
            connection: request.connection,
            run: RunId::generate(low),
            request: RequestId::from_random(entropy.random.rotate_left(32)),
            origin: Origin {
                operation: request.operation,
                component: request.component,
                unix_ms: request.unix_ms,
                thread_made_here: request.thread.is_none(),
            },
        })
    }

    /// The isolation key.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// The verified user.
    #[must_use]
    pub fn user(&self) -> &UserId {
        self.key.user()
    }

    /// The conversation.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        self.key.thread()
    }

    /// The tab, as it names itself.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }

    /// The socket.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The run id to use where the client names none.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The id of this request in logs and answers.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Who made this context, where and when.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same request on the connection that replaced its own.
    #[must_use]
    pub(crate) fn with_connection(mut self, connection: ConnectionId) -> Self {
        self.connection = connection;
        self
    }

    /// The same request, aimed at a thread that is known already: an `open` that was sent again with its `ref` is the
    /// same open and must not make a second thread.
    #[must_use]
    pub(crate) fn with_thread(mut self, thread: ThreadId) -> Self {
        self.key = SessionKey::new(self.key.user().clone(), thread);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_components_that_ask_for_one_context_get_the_same_key() {
        let user = UserId::parse("105945141827451681156").unwrap();
        let request = |component| WebSocketRequest {
            user: &user,
            thread: Some("t1"),
            client: None,
            connection: ConnectionId::from_random(1),
            operation: "open",
            component,
            unix_ms: 0,
        };
        let one = Entropy { sequence: 1, random: 10 };
        let two = Entropy { sequence: 2, random: 20 };
        let socket = SessionContext::from_websocket_request(&request("ws"), one).unwrap();
        let database = SessionContext::from_websocket_request(&request("journal"), two).unwrap();
        assert_eq!(socket.key(), database.key());
        assert_eq!(socket.key().to_string(), "105945141827451681156:t1");
    }

    #[test]
    fn a_thread_made_here_says_so_in_its_name() {
        let user = UserId::parse("ann").unwrap();
        let request = WebSocketRequest {
            user: &user,
            thread: None,
            client: Some("tab-1"),
            connection: ConnectionId::from_random(1),
            operation: "open",
            component: "ws",
            unix_ms: 0,
        };
        let entropy = Entropy { sequence: 5, random: 0xabcd << 64 };
        let context = SessionContext::from_websocket_request(&request, entropy).unwrap();
        assert_eq!(context.thread().as_str(), "thread_websocket_session_5_000000000000abcd");
        assert!(context.origin().thread_made_here);
    }
}
