//! `lychgate demo` as people run it, for what needs no provider: a name logs in.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::task::spawn_blocking;

use super::browser::Browser;
use crate::gateway::{Doors, soon};
use crate::http::client::Ask;

/// The running program, ended by its process id.
pub(crate) struct Demo {
    child: Child,
    pub(crate) doors: Doors,
    /// A token of the user `demo`.
    pub(crate) token: String,
    /// Everything that it printed before the token.
    pub(crate) said: String,
}

impl Demo {
    pub(crate) async fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lychgate"))
            .args(["demo", "--port", "0"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let read = move || {
            let mut said = String::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(token) = line.strip_prefix("export TOKEN=") {
                    return (token.to_owned(), said);
                }
                said.push_str(&line);
                said.push('\n');
            }
            panic!("the demo ended: {said}");
        };
        let (token, said) = soon(spawn_blocking(read)).await.unwrap();
        let address = |scheme: &str| said.split(scheme).nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { child, doors: Doors { address: address("ws://"), admin: address("metrics: http://") }, token, said }
    }

    /// The origin of its own page.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.doors.address)
    }

    /// A browser in which this user has logged in.
    pub(crate) async fn browser(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        self.log_in(&mut browser, user).await;
        browser
    }

    /// Logs somebody in, with whatever cookies the browser has.
    pub(crate) async fn log_in(&self, browser: &mut Browser, user: &str) {
        let form = Ask::new("POST", "/v1/login/demo")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header("origin", self.origin())
            .body(format!("name={user}"));
        let answer = browser.send(form, &self.doors).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{}", answer.head);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }
}
