//! The admin listener of a running gateway, asked from the command line.
//!
//! ```text
//!  --admin URL, key of --key-file or the variable of --key-env --get--> body | Failure, which names the way out
//! ```
//!
//! The key is no argument: arguments are in the list of processes and in the history of the shell.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::error::Error;
use crate::outbound::{self, Body, read_up_to};

/// From a request to the end of its answer, beside what the gateway was asked to wait for.
const WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The longest page of a gateway has a thousand decisions.
const MAX_BYTES: usize = 16 * 1_024 * 1_024;
/// The variable that is looked at where no key is named.
const USUAL_VARIABLE: &str = "LYCHGATE_KEY";

#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    /// Address of the admin listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8788")]
    pub(super) admin: String,
    /// Environment variable that holds the key [default: LYCHGATE_KEY if it is set]
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// File that holds the key
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers; says why.
    Unreachable(String),
    /// No key was shown, or one that is unknown there: what the gateway says.
    Unauthorized(String),
    /// The key may not do this: what the gateway says.
    Forbidden(String),
    /// Another status, and what was said.
    Status(u16, String),
    /// What answers is no gateway of ours.
    Foreign(String),
}

/// A gateway's admin listener.
pub(super) struct Operator {
    base: Url,
    key: Option<String>,
    client: Client,
}

impl fmt::Debug for Operator {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// An answer: its status and its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// The `Date` of the answer.
    pub(super) date: Option<String>,
}

/// The `error` frame.
#[derive(Deserialize)]
struct Said {
    message: String,
}

impl OperatorArgs {
    /// # Errors
    /// [`Error::Usage`] where the address is none, or the key cannot be read.
    pub(super) fn connect(&self) -> Result<Operator, Error> {
        let base =
            Url::parse(&self.admin).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            Error::Usage("--admin is no address; write scheme, host and port, such as http://127.0.0.1:8788".to_owned())
        })?;
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            let why = "--admin holds more than scheme, host and port; a key is shown with --key-env or --key-file";
            return Err(Error::Usage(why.to_owned()));
        }
        let client = outbound::client(&base, CONNECT_WITHIN, |builder| builder)
            .map_err(|error| Error::Failed(format!("no client could be made: {error}")))?;
        Ok(Operator { base, key: self.key()?, client })
    }

    fn key(&self) -> Result<Option<String>, Error> {
        let key = match (&self.key_file, &self.key_env) {
            (Some(path), _) => {
                let unreadable = |error| Error::Usage(format!("--key-file {}: {error}", path.display()));
                Some(std::fs::read_to_string(path).map_err(unreadable)?)
            }
            (None, Some(name)) => {
                let missing = |_| Error::Usage(format!("--key-env {name}: there is no such variable with text in it"));
                Some(std::env::var(name).map_err(missing)?)
            }
            (None, None) => std::env::var(USUAL_VARIABLE).ok(),
        };
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        match key {
            Some(key) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(Error::Usage("the key holds characters that no key has; a key is one word".to_owned()))
            }
            key => Ok(key),
        }
    }
}

impl Operator {
    /// Where it asks.
    pub(super) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether it has a key to show.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// `GET` of a path whose parts need no encoding beyond what `segments` and `query` get; any status is an answer.
    pub(super) async fn get(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
        longer: Duration,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url).timeout(WITHIN + longer);
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.map_err(|error| Failure::Unreachable(why(&error)))?;
        let status = response.status().as_u16();
        let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        match read_up_to(response, MAX_BYTES).await {
            Body::Whole(body) => Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), date }),
            Body::TooLong => Err(Failure::Foreign("its answer is longer than 16 MiB".to_owned())),
            Body::Broken => Err(Failure::Unreachable("the connection ended in the middle of its answer".to_owned())),
        }
    }

    /// The same for JSON; only success is an answer.
    pub(super) async fn json(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
        longer: Duration,
    ) -> Result<serde_json::Value, Failure> {
        let Answer { status, body, .. } = self.get(segments, query, longer).await?;
        let said = || match serde_json::from_str::<Said>(&body) {
            Ok(said) => printable(&said.message),
            Err(_) => "it says nothing that a gateway would".to_owned(),
        };
        match status {
            200 => serde_json::from_str(&body)
                .map_err(|_| Failure::Foreign("its answer is not what a gateway of this version answers".to_owned())),
            401 => Err(Failure::Unauthorized(said())),
            403 => Err(Failure::Forbidden(said())),
            status => Err(Failure::Status(status, said())),
        }
    }

    /// What a person reads, with the way out.
    pub(super) fn error(&self, failure: &Failure) -> Error {
        let base = self.base();
        Error::Failed(match failure {
            Failure::Unreachable(why) => format!(
                "{base} does not answer: {why}.\n  Is the gateway running? This is its admin listener (server.admin_listen, \
                 127.0.0.1:8788 by default); name another one with --admin URL."
            ),
            Failure::Unauthorized(said) if self.has_key() => format!(
                "{base} does not know this key. {said}\n  `lychgate admin-key NAME` makes one; its lines go into the \
                 configuration of that gateway, which reads it again at SIGHUP."
            ),
            Failure::Unauthorized(_) => format!(
                "{base} wants a key.\n  Put it into the variable {USUAL_VARIABLE}, or name one with --key-env NAME, or a file \
                 with --key-file PATH. `lychgate admin-key NAME` makes a key."
            ),
            Failure::Forbidden(said) => {
                format!("{base} does not let this key look. {said}\n  A key with the role `read` may.")
            }
            Failure::Status(404, _) => format!(
                "{base} does not know this address.\n  Is it the admin listener (server.admin_listen) of a gateway of \
                 version {}?",
                env!("CARGO_PKG_VERSION")
            ),
            Failure::Status(status, said) => format!("{base} answers with status {status}: {said}"),
            Failure::Foreign(why) => format!("{base}: {why}.\n  Is it the admin listener (server.admin_listen)?"),
        })
    }
}

/// The innermost reason, which is the one that a person can do something about.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it takes longer than it may".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match error.source() {
        Some(_) => printable(&cause.to_string()),
        None => "the request could not be sent".to_owned(),
    }
}

/// Text of others, without what a terminal would take for an order.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(admin: &str) -> OperatorArgs {
        OperatorArgs { admin: admin.to_owned(), key_env: None, key_file: None }
    }

    #[test]
    fn an_address_that_is_none_and_one_that_holds_a_password_are_refused_and_not_repeated() {
        for admin in ["127.0.0.1:8788", "ftp://h/", "http://ops:geheim@h:1/", "http://h/?key=geheim"] {
            let error = args(admin).connect().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("--admin") && !error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_key_comes_from_a_file_without_its_line_break_and_is_in_no_debug_text() {
        let path = std::env::temp_dir().join(format!("lychgate-key-{}", std::process::id()));
        std::fs::write(&path, "lychgate_abc\n").unwrap();
        let operator = OperatorArgs { key_file: Some(path.clone()), ..args("http://127.0.0.1:1") }.connect().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(operator.key.as_deref(), Some("lychgate_abc"));
        assert!(!format!("{operator:?}").contains("abc"));
    }

    #[tokio::test]
    async fn nobody_who_listens_is_told_with_the_key_of_the_configuration() {
        let operator = args("http://127.0.0.1:9").connect().unwrap();
        let failure = operator.json(&["readyz"], &[], Duration::ZERO).await.unwrap_err();
        let text = operator.error(&failure).to_string();
        assert!(text.contains("does not answer") && text.contains("server.admin_listen"), "{text}");
        assert!(text.lines().count() <= 3, "{text}");
    }
}
