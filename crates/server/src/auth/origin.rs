//! Which pages may connect from a browser.

use thiserror::Error;

/// A browser says that the request comes from a page that is not on the list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the origin {0:?} is not in auth.origins")]
pub struct OriginError(pub String);

/// Checks the `Origin` header of a request against the configured list (`auth.origins`).
///
/// An empty list allows every page: with a token in hand a foreign page gains nothing. A missing header is fine, too:
/// browsers always send one with a WebSocket request, and whoever is no browser could send what he likes. A list is
/// compared as a whole, without regard to case; no entry matches a part or the text `null`.
///
/// # Errors
/// [`OriginError`] carries the origin, for the log; the request is answered with HTTP 403 (protocol.md, rule 1).
pub fn check_origin(allowed: &[String], origin: Option<&str>) -> Result<(), OriginError> {
    match origin {
        None => Ok(()),
        Some(_) if allowed.is_empty() => Ok(()),
        Some(origin) if allowed.iter().any(|known| known.eq_ignore_ascii_case(origin)) => Ok(()),
        Some(origin) => Err(OriginError(origin.chars().take(256).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<String> {
        vec!["https://chat.example.org".to_owned(), "http://localhost:5173".to_owned()]
    }

    #[test]
    fn a_page_on_the_list_may_connect_and_no_other() {
        let is_allowed = |origin| check_origin(&allowed(), Some(origin)).is_ok();
        assert!(is_allowed("https://chat.example.org"));
        assert!(is_allowed("HTTPS://Chat.Example.org"));
        assert!(is_allowed("http://localhost:5173"));
        for foreign in [
            "https://chat.example.org.attacker.net",
            "https://evil-chat.example.org",
            "http://chat.example.org",
            "http://localhost",
            "null",
            "",
        ] {
            assert!(!is_allowed(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_client_that_is_no_browser_sends_no_origin_and_may_connect() {
        assert_eq!(check_origin(&allowed(), None), Ok(()));
    }

    #[test]
    fn an_empty_list_allows_every_page() {
        assert_eq!(check_origin(&[], Some("https://anywhere.example")), Ok(()));
    }

    #[test]
    fn an_endless_origin_does_not_reach_the_log_whole() {
        let error = check_origin(&allowed(), Some(&"x".repeat(10_000))).unwrap_err();
        assert_eq!(error.0.len(), 256);
    }
}
