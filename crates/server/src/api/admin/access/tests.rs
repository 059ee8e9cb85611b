use super::*;

fn headers(origins: &[&'static str]) -> HeaderMap {
    let host = (http::header::HOST, HeaderValue::from_static("127.0.0.1:8788"));
    origins.iter().map(|origin| (ORIGIN, HeaderValue::from_static(origin))).chain([host]).collect()
}

#[test]
fn a_page_that_shows_a_token_has_to_be_one_of_ours() {
    let listed = ["https://console.example.org".to_owned()];
    let own = ["https://ops.example.org".to_owned()];
    let may = |origins: &[&'static str]| may_ask(&headers(origins), &own, &listed);
    assert!(may(&[]), "a program with a token is no page");
    assert!(
        may(&["https://ops.example.org"]) && may(&["https://console.example.org"]) && may(&["HTTPS://OPS.example.org"])
    );
    for foreign in [
        "https://attacker.example",
        "http://ops.example.org",
        "https://ops.example.org:8443",
        "https://console.example.org.attacker.example",
        // Whatever a page calls this listener, it is known by what the configuration says.
        "http://127.0.0.1:8788",
        "null",
        "",
    ] {
        assert!(!may(&[foreign]), "{foreign:?}");
        assert!(!may(&["https://ops.example.org", foreign]), "{foreign:?} as the second of two");
    }
    assert!(!may_ask(&headers(&["https://ops.example.org"]), &[], &[]), "no list is no leave");
}

#[test]
fn who_somebody_is_is_said_without_doubt() {
    let user = |id: &str| Who::User(UserId::parse(id).unwrap()).to_string();
    assert_eq!(Who::Key("ops".into()).to_string(), "key:ops");
    assert_eq!(user("key:ops"), "user:key:ops", "nobody is taken for a key because he is called so");
    assert_eq!(user("105945141827451681156"), "user:105945141827451681156");
}
