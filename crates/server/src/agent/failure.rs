//! What can go wrong with a backend, and the one table that turns it into a code and a sentence for people.

use std::time::Duration;

use super::AgentError;

/// How a backend failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody listens there, the name is unknown, or TLS failed.
    Unreachable,
    /// It took the request and closed the connection without an answer.
    HungUp,
    /// It did not answer in time.
    Late(Late),
    /// It answered with a status that is no success.
    Status {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
        /// Its own words, already cleaned by [`super::secrets::Secrets::plain`].
        said: Option<String>,
    },
    /// It answers as many runs as it may; it was not asked.
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// It counts as down; it was not asked.
    Down {
        /// When it is asked again.
        retry_after: Duration,
    },
    /// It answered, but not in its protocol; the text ends the sentence "the agent's answer ...".
    BadStream(&'static str),
    /// Its answer stopped in the middle.
    Cut,
    /// It reported an error instead of, or in the middle of, an answer.
    Reported {
        /// Its own words, already cleaned by [`super::secrets::Secrets::plain`].
        said: Option<String>,
    },
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// The connection.
    Connect,
    /// The first event.
    First,
    /// The next event.
    Next,
}

impl From<Failure> for AgentError {
    fn from(failure: Failure) -> Self {
        let (code, message) = match &failure {
            Failure::Unreachable => ("agent_unavailable".to_owned(), "The agent cannot be reached.".to_owned()),
            Failure::HungUp => {
                ("agent_unavailable".to_owned(), "The agent closed the connection without an answer.".to_owned())
            }
            Failure::Late(late) => ("agent_timeout".to_owned(), late.sentence().to_owned()),
            Failure::Status { status, said, .. } => (format!("agent_http_{status}"), refused(*status, said.as_deref())),
            Failure::Busy { .. } => {
                ("agent_busy".to_owned(), "The agent is answering as many people as it can.".to_owned())
            }
            Failure::Down { .. } => {
                ("agent_unavailable".to_owned(), "The agent does not answer at the moment.".to_owned())
            }
            Failure::BadStream(what) => ("agent_bad_stream".to_owned(), format!("The agent's answer {what}.")),
            Failure::Cut => ("agent_eof".to_owned(), "The agent's answer stopped before it was complete.".to_owned()),
            Failure::Reported { said } => {
                ("agent_error".to_owned(), with_words("The agent reported an error", said.as_deref()))
            }
        };
        let retry_after = match failure {
            Failure::Status { retry_after, .. } => retry_after,
            Failure::Busy { retry_after } | Failure::Down { retry_after } => Some(retry_after),
            Failure::Unreachable
            | Failure::HungUp
            | Failure::Late(_)
            | Failure::BadStream(_)
            | Failure::Cut
            | Failure::Reported { .. } => None,
        };
        Self { code, message, retry_after }
    }
}

impl Late {
    fn sentence(self) -> &'static str {
        match self {
            Self::Connect => "The agent did not accept the connection in time.",
            Self::First => "The agent did not begin to answer in time.",
            Self::Next => "The agent went quiet in the middle of its answer.",
        }
    }
}

/// The sentence for a status. A backend's own words reach people only where they are about the people's request; what it
/// says about keys, organisations and its own faults is for the log.
fn refused(status: u16, said: Option<&str>) -> String {
    match status {
        300..=399 => "The agent points to another address, which the gateway does not follow.".to_owned(),
        401 | 403 => "The agent does not accept the gateway's credentials.".to_owned(),
        404 => "The agent's address or model does not exist.".to_owned(),
        408 | 504 => "The agent took too long.".to_owned(),
        429 => "The agent is asked too much at the moment.".to_owned(),
        500..=599 => format!("The agent has a fault of its own ({status})."),
        _ => with_words(&format!("The agent refused the request ({status})"), said),
    }
}

fn with_words(sentence: &str, said: Option<&str>) -> String {
    match said {
        Some(said) => format!("{sentence}: {said}"),
        None => format!("{sentence}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_says_about_credentials_never_reaches_people() {
        for status in [401, 403, 404, 429, 500, 503] {
            let error = AgentError::from(Failure::Status {
                status,
                retry_after: None,
                said: Some("organisation org-4711".to_owned()),
            });
            assert_eq!(error.code, format!("agent_http_{status}"));
            assert!(!error.message.contains("org-4711"), "{error}");
        }
    }
}
