//! Whether a page that holds a key was served by this very listener.
//!
//! ```text
//!  Origin: http://127.0.0.1:8788      Host: 127.0.0.1:8788          the same, and an address: ours
//!  Origin: http://ops.internal:8788   Host: ops.internal:8788       the same, and a name: only as admin.public_url
//! ```
//!
//! A browser takes the name in `Host` from the page's own address, so the two agree for every page that was loaded from here.
//! They agree as well for a page of an attacker who has his name lead to this machine (DNS rebinding); an address has no name
//! that could be led anywhere.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, ORIGIN};

/// Whether exactly one page asks, and it is one of this listener, which was reached by an address or as `localhost`.
pub(super) fn is_own_page(scheme: &str, headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let (Some(origin), Some(host)) = (only(ORIGIN), only(HOST)) else { return false };
    let Some((spoken, authority)) = origin.split_once("://") else { return false };
    spoken.eq_ignore_ascii_case(scheme) && authority.eq_ignore_ascii_case(host) && is_address(host)
}

/// Whether nobody can have another machine answer to it.
fn is_address(authority: &str) -> bool {
    let has_port = |port: &str| port.parse::<u16>().is_ok();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if has_port(port) => host,
        Some(_) | None => authority,
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || v6.map_or_else(
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_ipv4()),
            |host| host.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6()),
        )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_own(scheme: &str, origins: &[&'static str], hosts: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        is_own_page(scheme, &headers)
    }

    #[test]
    fn a_page_of_this_listener_is_known_by_the_address_that_it_was_loaded_from() {
        for host in
            ["127.0.0.1:8788", "10.1.2.3:8788", "localhost:8788", "LOCALHOST:8788", "[::1]:8788", "127.0.0.1", "[::1]"]
        {
            let origin: &'static str = format!("http://{host}").leak();
            assert!(is_own("http", &[origin], &[host]), "{host}");
            assert!(!is_own("https", &[origin], &[host]), "another scheme is another page: {host}");
        }
        assert!(is_own("https", &["https://10.1.2.3:8788"], &["10.1.2.3:8788"]));
    }

    #[test]
    fn a_page_of_anybody_else_is_none_of_ours() {
        let host = "127.0.0.1:8788";
        for foreign in [
            "null",
            "",
            "http://",
            "127.0.0.1:8788",
            "https://attacker.example",
            "http://127.0.0.1",
            "http://127.0.0.1:8787",
            "http://127.0.0.1:8788/",
            "http://127.0.0.1:8788.attacker.example",
            "http://user@127.0.0.1:8788",
            "http://localhost:8788",
            "http://127.0.0.2:8788",
            "http://[::ffff:127.0.0.1]:8788",
        ] {
            assert!(!is_own("http", &[foreign], &[host]), "{foreign:?}");
        }
        assert!(!is_own("http", &["http://127.0.0.1:8788", "https://attacker.example"], &[host]), "two pages");
        assert!(!is_own("http", &["http://127.0.0.1:8788"], &[host, host]), "two hosts");
        assert!(!is_own("http", &["http://127.0.0.1:8788"], &[]) && !is_own("http", &[], &[host]));
    }

    #[test]
    fn a_name_that_an_attacker_leads_to_this_machine_is_no_address_of_it() {
        for name in [
            "attacker.example:8788",
            "attacker.example",
            "localhost.attacker.example:8788",
            "127.0.0.1.attacker.example:8788",
            "127.1:8788",
            "0x7f.1:8788",
            "2130706433:8788",
            "::1",
            "[127.0.0.1]:8788",
            "gateway:8788",
        ] {
            let origin: &'static str = format!("http://{name}").leak();
            assert!(!is_own("http", &[origin], &[name]), "{name}");
        }
    }
}
