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
fn a_change_by_cookie_alone_has_to_say_that_it_comes_from_a_page_of_ours() {
    let rules = rules("[\"https://console.example.org\"]");
    let may = |method, origin, host| rules.is_from_here(&method, &headers(origin, host), false);
    assert!(!may(Method::POST, None, "127.0.0.1:8788"), "a form on any page sends the cookie along");
    assert!(!may(Method::DELETE, None, "127.0.0.1:8788"));
    assert!(may(Method::GET, None, "127.0.0.1:8788"), "reading tells another page nothing");
    assert!(may(Method::POST, Some("https://console.example.org"), "ops.internal"));
    assert!(may(Method::POST, Some("https://ops.internal"), "ops.internal"), "our own page");
    for loopback in [
        ("http://127.0.0.1:8788", "127.0.0.1:8788"),
        ("http://localhost:8788", "localhost:8788"),
        ("http://[::1]:8788", "[::1]:8788"),
    ] {
        assert!(may(Method::POST, Some(loopback.0), loopback.1), "{loopback:?}");
    }
    for foreign in [
        ("https://attacker.example", "ops.internal"),
        ("http://ops.internal", "ops.internal"),
        ("null", "ops.internal"),
        ("https://console.example.org.attacker.example", "ops.internal"),
        ("http://127.0.0.1:8787", "127.0.0.1:8788"),
        ("", ""),
    ] {
        for method in [Method::GET, Method::POST] {
            assert!(!may(method, Some(foreign.0), foreign.1), "{foreign:?}");
        }
    }
}

#[test]
fn an_empty_list_of_origins_lets_no_page_act_by_a_cookie() {
    let rules = rules("[]");
    assert!(!rules.is_from_here(&Method::POST, &headers(Some("https://anywhere.example"), "ops.internal"), false));
    assert!(
        rules.is_from_here(&Method::POST, &headers(None, "ops.internal"), true),
        "a program with a token is no page"
    );
}

#[test]
fn who_somebody_is_is_said_without_doubt() {
    let user = |id: &str| Who::User(UserId::parse(id).unwrap()).to_string();
    assert_eq!(Who::Key("ops".into()).to_string(), "key:ops");
    assert_eq!(user("key:ops"), "user:key:ops", "nobody is taken for a key because he is called so");
    assert_eq!(user("105945141827451681156"), "user:105945141827451681156");
}
