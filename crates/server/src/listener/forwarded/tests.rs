use super::*;
use crate::config::Config;
use http::HeaderValue;

fn server(header: &str) -> Server {
    let text = format!(
        "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\nserver.forwarded_header = \"{header}\"\n\
         server.trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.7\"]"
    );
    Config::from_toml(&text).unwrap().server
}

fn named(server: &Server, lines: &[(&'static str, &'static str)]) -> Option<String> {
    let mut headers = HeaderMap::new();
    for (name, line) in lines {
        headers.append(*name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    client(&headers, server).map(|address| address.to_string())
}

#[test]
fn the_rightmost_address_that_is_no_proxy_of_ours_is_the_client() {
    let server = server("x-forwarded-for");
    for (line, client) in [
        ("203.0.113.9", Some("203.0.113.9")),
        ("1.1.1.1, 203.0.113.9", Some("203.0.113.9")),
        ("1.1.1.1, 203.0.113.9, 10.1.2.3,fd00::1 , 192.0.2.7", Some("203.0.113.9")),
        ("203.0.113.9:4711", Some("203.0.113.9")),
        ("[2001:db8::1]:4711", Some("2001:db8::1")),
        ("::ffff:203.0.113.9", Some("203.0.113.9")),
        ("10.1.2.3, 10.1.2.4", Some("10.1.2.3")),
        ("203.0.113.9, nonsense, 10.1.2.3", Some("10.1.2.3")),
        ("203.0.113.9, unknown", None),
        ("", None),
    ] {
        assert_eq!(named(&server, &[("x-forwarded-for", line)]).as_deref(), client, "{line:?}");
    }
    assert_eq!(named(&server, &[]), None);
    let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9, 10.0.0.1")];
    assert_eq!(named(&server, &two).as_deref(), Some("203.0.113.9"));
}

#[test]
fn the_standard_header_is_read_where_it_is_configured_and_the_other_one_ignored() {
    let server = server("forwarded");
    for (line, client) in [
        ("for=203.0.113.9;proto=https", Some("203.0.113.9")),
        ("For=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
        ("for=1.1.1.1, proto=https; FOR=203.0.113.9;by=10.0.0.1, for=10.0.0.1", Some("203.0.113.9")),
        ("for=_hidden", None),
        ("for=unknown, for=10.0.0.1", Some("10.0.0.1")),
        ("", None),
    ] {
        assert_eq!(named(&server, &[("forwarded", line)]).as_deref(), client, "{line:?}");
    }
    assert_eq!(named(&server, &[("x-forwarded-for", "1.1.1.1")]), None, "whoever likes may have written it");
}

#[test]
fn whatever_the_client_wrote_before_it_the_word_of_the_proxy_is_read() {
    let hidden = |name: &'static str, before: &[u8], said: &str| {
        let line = [before, said.as_bytes()].concat();
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_bytes(&line).unwrap());
        client(&headers, &server(name)).map(|address| address.to_string())
    };
    for before in
        [&b"\x80, "[..], b"\xff\xfe,", b"\",", b"a\"b, ", b"\\, ", b",,,", b"for=\"1.1.1.1, ", b"for=\"x\\\", "]
    {
        let found = hidden("x-forwarded-for", before, "203.0.113.8, 10.0.0.1");
        assert_eq!(found.as_deref(), Some("203.0.113.8"), "{before:?}");
        let found = hidden("forwarded", before, "for=203.0.113.8;proto=https, for=\"10.0.0.1\"");
        assert_eq!(found.as_deref(), Some("203.0.113.8"), "{before:?}");
    }
}

#[test]
fn what_stands_in_a_quoted_string_names_nobody() {
    let server = server("forwarded");
    for (line, client) in [
        (r#"for=198.51.100.7;host="x,for=203.0.113.9""#, Some("198.51.100.7")),
        (r#"for=198.51.100.7;host="x;for=203.0.113.9;y""#, Some("198.51.100.7")),
        (r#"host="x;for=203.0.113.9";for=198.51.100.7"#, Some("198.51.100.7")),
        (r#"for=198.51.100.7;host="x\",for=203.0.113.9;y=\"""#, Some("198.51.100.7")),
        (r#"for=198.51.100.7;host="x\\", for=10.0.0.1"#, Some("198.51.100.7")),
        (r#"for=198.51.100.7;host="x,for=203.0.113.9", for="[fd00::1]:80";host="a,b""#, Some("198.51.100.7")),
        (r#"for=198.51.100.7, for=""#, None),
    ] {
        assert_eq!(named(&server, &[("forwarded", line)]).as_deref(), client, "{line:?}");
    }
}
