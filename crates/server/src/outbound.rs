//! HTTP to others: a client that has certificates wherever it runs, and bodies that end.

use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Response, Url, redirect};

/// A client with the machine's certificates or, on a machine that has none, with the ones of Mozilla that are built in:
/// without this step even plain http to a neighbour would fail there. It follows no redirect, because that would lead to
/// an address that nobody configured. Reads files: call it off the runtime's threads.
///
/// # Errors
/// The TLS library cannot be set up.
pub(crate) fn client(
    url: &Url,
    connect_timeout: Duration,
    shape: impl Fn(ClientBuilder) -> ClientBuilder,
) -> reqwest::Result<Client> {
    let builder = || {
        let builder = Client::builder()
            .connect_timeout(connect_timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("lychgate/", env!("CARGO_PKG_VERSION")));
        match is_loopback(url) {
            true => shape(builder).no_proxy(),
            false => shape(builder),
        }
    };
    builder().build().or_else(|error| {
        tracing::info!(
            error = &error as &dyn std::error::Error,
            "no certificates on this machine, using the built-in ones"
        );
        builder().tls_certs_only(built_in_roots()?).build()
    })
}

fn built_in_roots() -> reqwest::Result<Vec<Certificate>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|certificate| Certificate::from_der(certificate)).collect()
}

/// Whether an address is our own machine's; a proxy of the environment cannot reach that.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        None => false,
    }
}

/// A body that was read to its end, or not.
pub(crate) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than was allowed.
    TooLong,
    /// The connection ended before the body did.
    Broken,
}

/// Reads a body of at most `limit` bytes; of one that says that it is longer, nothing.
pub(crate) async fn read_up_to(mut response: Response, limit: usize) -> Body {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Body::TooLong;
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > limit => return Body::TooLong,
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Body::Whole(bytes),
            Err(_) => return Body::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_never_asked_for_our_own_loopback() {
        let of = |text: &str| is_loopback(&Url::parse(text).unwrap());
        assert!(of("http://localhost:1/") && of("http://127.8.8.8/") && of("http://[::1]:80/x"));
        assert!(!of("http://10.0.0.1/") && !of("https://localhost.example/") && !of("http://127.0.0.1.example/"));
    }

    #[test]
    fn a_machine_without_certificates_uses_the_built_in_ones() {
        let roots = built_in_roots().unwrap();
        assert!(roots.len() > 50);
        Client::builder().tls_certs_only(roots).build().unwrap();
    }
}
