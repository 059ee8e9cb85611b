//! A browser without a screen: it keeps cookies, and goes where it is sent when the test says so.

use std::collections::BTreeMap;

use crate::gateway::Doors;
use crate::http::client::{Answer, Ask};

/// The name of the login's cookie.
pub(crate) const LOGIN: &str = "__Host-lychgate";

/// The cookies of one browser.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Sends a request with all cookies, and keeps those of the answer.
    pub(crate) async fn send(&mut self, ask: Ask, doors: &Doors) -> Answer {
        let ask = match self.cookie_line() {
            line if line.is_empty() => ask,
            line => ask.header("cookie", line),
        };
        let answer = ask.send(doors).await;
        self.keep(&answer);
        answer
    }

    /// Goes to a page, as if its address had been typed in.
    pub(crate) async fn visit(&mut self, path: &str, doors: &Doors) -> Answer {
        self.send(Ask::get(path).header("accept", "text/html,*/*"), doors).await
    }

    /// What it sends as `Cookie`.
    pub(crate) fn cookie_line(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    fn keep(&mut self, answer: &Answer) {
        let headers = answer.head.lines().filter_map(|line| line.split_once(": "));
        for (_, line) in headers.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match line.contains("Max-Age=0;") || value.is_empty() {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

/// The path and query of an address, wherever it is.
pub(crate) fn path_of(address: &str) -> &str {
    match address.split_once("://") {
        None => address,
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
    }
}
