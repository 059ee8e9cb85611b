use http::HeaderValue;

use super::*;

fn rules(origins: &str) -> Rules {
    let secret = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"";
    Rules::of(&Config::from_toml(&format!("{secret}\nauth.origins = {origins}")).unwrap())
}

fn headers(origin: Option<&'static str>, host: &'static str) -> HeaderMap {
    let origin = origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin)));
    origin.into_iter().chain([(HOST, HeaderValue::from_static(host))]).collect()
}

#[test]
fn a_page_that_shows_a_token_has_to_be_one_of_ours() {
    let rules = rules("[\"https://console.example.org\"]");
    let may = |origin, host| rules.is_from_here(&headers(origin, host));
    assert!(may(None, "ops.internal"), "a program with a token is no page");
    assert!(may(Some("https://console.example.org"), "ops.internal"));
    assert!(may(Some("https://ops.internal"), "ops.internal"), "our own page");
    for loopback in [
        ("http://127.0.0.1:8788", "127.0.0.1:8788"),
        ("http://localhost:8788", "localhost:8788"),
        ("http://[::1]:8788", "[::1]:8788"),
    ] {
        assert!(may(Some(loopback.0), loopback.1), "{loopback:?}");
    }
    for foreign in [
        ("https://attacker.example", "ops.internal"),
        ("http://ops.internal", "ops.internal"),
        ("null", "ops.internal"),
        ("https://console.example.org.attacker.example", "ops.internal"),
        ("http://127.0.0.1:8787", "127.0.0.1:8788"),
        ("", ""),
    ] {
        assert!(!may(Some(foreign.0), foreign.1), "{foreign:?}");
    }
}

#[test]
fn who_somebody_is_is_said_without_doubt() {
    let user = |id: &str| Who::User(UserId::parse(id).unwrap()).to_string();
    assert_eq!(Who::Key("ops".into()).to_string(), "key:ops");
    assert_eq!(user("key:ops"), "user:key:ops", "nobody is taken for a key because he is called so");
    assert_eq!(user("105945141827451681156"), "user:105945141827451681156");
}
