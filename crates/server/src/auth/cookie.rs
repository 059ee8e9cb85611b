//! The login's cookie, and what a request must show besides before the cookie counts.
//!
//! ```text
//!  is there an Origin? --yes--> ours, or on the list auth.origins: the cookie counts; any other: it does not
//!        | no
//!        v
//!  a WebSocket: it does not        (browsers always send an Origin there)
//!  GET, HEAD:   it does, unless Sec-Fetch-Site names another page
//!  the others:  only with Sec-Fetch-Site: same-origin
//! ```
//!
//! A browser sends cookies with whatever a page of another origin asks for; the cookie's own `SameSite=Lax` leaves
//! sibling domains of ours.

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::opaque::Opaque;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To open a WebSocket.
    Socket,
    /// To read, which changes nothing (GET, HEAD).
    Read,
    /// To change something (every other method).
    Change,
}

impl From<&http::Method> for Access {
    fn from(method: &http::Method) -> Self {
        match method.is_safe() {
            true => Self::Read,
            false => Self::Change,
        }
    }
}

/// The token in the cookie of this name, if it can be one of ours.
#[must_use]
pub fn read_cookie(headers: &HeaderMap, name: &str) -> Option<Opaque> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(found, _)| *found == name);
    values.find_map(|(_, value)| Opaque::parse(value))
}

/// `Set-Cookie` that gives a browser a token for so long. No script reads it, it goes to this origin alone, and never in
/// the clear (RFC 6265bis, sections 4.1.2 and 4.1.3).
///
/// # Panics
/// Never: names and tokens are plain text.
#[must_use]
pub fn set_cookie(name: &str, token: &Opaque, lifetime: Duration) -> HeaderValue {
    cookie(name, token.as_str(), lifetime.as_secs())
}

/// `Set-Cookie` that takes the token from the browser.
///
/// # Panics
/// Never: names are plain text.
#[must_use]
pub fn clear_cookie(name: &str) -> HeaderValue {
    cookie(name, "", 0)
}

fn cookie(name: &str, value: &str, seconds: u64) -> HeaderValue {
    let text = format!("{name}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).expect("names of cookies and tokens are plain text")
}

/// Whether the page behind a request may use the browser's login: one of `own` origin, or of one that is `listed`.
#[must_use]
pub fn is_own_page(headers: &HeaderMap, access: Access, own: &[String], listed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let is = |known: &String| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
            own.iter().chain(listed).any(is)
        }
        (Some(_), Some(_)) => false,
        (None, _) => match access {
            Access::Socket => false,
            Access::Read => matches!(site, None | Some(b"same-origin" | b"none")),
            Access::Change => site == Some(b"same-origin"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn counts(access: Access, pairs: &[(&'static str, &str)]) -> bool {
        let own = ["https://chat.example.org".to_owned()];
        is_own_page(&headers(pairs), access, &own, &["https://partner.example".to_owned()])
    }

    #[test]
    fn the_cookie_counts_for_pages_of_this_origin_and_for_those_on_the_list() {
        for access in [Access::Socket, Access::Read, Access::Change] {
            assert!(counts(access, &[("origin", "https://chat.example.org")]));
            assert!(counts(access, &[("origin", "https://partner.example"), ("sec-fetch-site", "cross-site")]));
        }
    }

    #[test]
    fn a_foreign_missing_or_look_alike_origin_makes_the_cookie_worth_nothing() {
        for foreign in [
            "https://evil.example",
            "null",
            "",
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "https://chat.example.org/",
            "https://sub.chat.example.org",
            "https://chat.example.org.evil.example",
            "https://chat-example.org",
            "https://ch\u{430}t.example.org",
            "https://chat.example.org, https://evil.example",
        ] {
            for access in [Access::Socket, Access::Read, Access::Change] {
                assert!(!counts(access, &[("origin", foreign)]), "{foreign}");
                assert!(!counts(access, &[("origin", foreign), ("sec-fetch-site", "same-origin")]), "{foreign}");
            }
        }
        let two = [("origin", "https://chat.example.org"), ("origin", "https://evil.example")];
        assert!(!counts(Access::Change, &two));
    }

    #[test]
    fn without_an_origin_a_page_may_read_what_is_its_own_and_change_only_what_the_browser_vouches_for() {
        for (site, read, change) in [
            (None, true, false),
            (Some("same-origin"), true, true),
            (Some("none"), true, false),
            (Some("same-site"), false, false),
            (Some("cross-site"), false, false),
        ] {
            let pairs: Vec<_> = site.map(|site| ("sec-fetch-site", site)).into_iter().collect();
            assert_eq!(counts(Access::Read, &pairs), read, "{site:?}");
            assert_eq!(counts(Access::Change, &pairs), change, "{site:?}");
            assert!(!counts(Access::Socket, &pairs), "{site:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_read_by_nobody_else() {
        let token = Opaque::random();
        let line = format!("a=b; __Host-x-other=1; __Host-x={}; c", token.as_str());
        assert_eq!(read_cookie(&headers(&[("cookie", &line)]), "__Host-x"), Some(token.clone()));
        assert_eq!(read_cookie(&headers(&[("cookie", &line)]), "__Host"), None);
        assert_eq!(read_cookie(&headers(&[("cookie", "__Host-x=short")]), "__Host-x"), None);
        let set = set_cookie("__Host-x", &token, Duration::from_secs(60));
        let text = set.to_str().unwrap();
        assert!(text.ends_with("; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"), "{text}");
        assert_eq!(clear_cookie("__Host-x"), "__Host-x=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax");
    }
}
