//! Issuers that publish their keys, and do not always answer.

use std::sync::Arc;

use http::HeaderMap;
use jsonwebtoken::Algorithm::{self, EdDSA, RS256};
use lychgate::auth::{Access, AuthError, Doorkeeper, Shown};
use lychgate::config::Config;
use lychgate::store::Store;
use serde_json::Value;

use super::keys::{self, Pair, set};
use super::provider::{Answer, Provider};
use super::{claims_of, connect, expect_refused, issuer, start};
use crate::gateway::{Call, Gateway, soon};
use crate::http::client::Ask;

/// An issuer of the name `web` that publishes its keys there.
fn published(provider: &Provider) -> Vec<String> {
    issuer("web").into_iter().chain([provider.line("web")]).collect()
}

/// A gateway whose keys are there.
async fn ready(provider: &Provider) -> Gateway {
    let gateway = start(&[published(provider)]).await;
    gateway.process.line_with("the keys of an issuer are there").await;
    gateway
}

/// Nobody can know about this token yet: its bearer is told to come back, and when.
async fn expect_to_come_back(gateway: &Gateway, token: &str) {
    let mut client = Call::without_token().dial(gateway).await.unwrap();
    client.say(serde_json::json!({"type": "hello", "token": token})).await;
    let error = client.expect_error("internal").await;
    let close = client.expect_close(4000).await;
    assert_eq!((&close["reconnect"], &close["retry_in"]), (&Value::from(true), &error["retry_in"]));
    let retry_in = close["retry_in"].as_u64().unwrap();
    assert!((1_000..=15_000).contains(&retry_in), "{close}");
}

/// A doorkeeper of this process, for what needs many questions.
fn doorkeeper(provider: &Provider) -> Arc<Doorkeeper> {
    lychgate::auth::jwt::install_provider();
    Doorkeeper::new(&config(provider).auth, Store::open(None).unwrap(), None).unwrap()
}

fn config(provider: &Provider) -> Config {
    Config::from_toml(&published(provider).join("\n")).unwrap()
}

#[tokio::test]
async fn tokens_of_published_keys_are_taken_by_kid_and_without_one() {
    let [rsa, ed] = [keys::RSA, keys::ED25519].map(Pair::generate);
    let provider = Provider::start(Answer::Keys(set(&[rsa.jwk(RS256, "one"), ed.jwk(EdDSA, "two")]))).await;
    let gateway = ready(&provider).await;
    for (pair, algorithm, kid) in
        [(&rsa, RS256, Some("one")), (&ed, EdDSA, Some("two")), (&rsa, RS256, None), (&ed, EdDSA, None)]
    {
        connect(&gateway, &pair.sign(algorithm, kid, &claims_of("web", "ann"))).await;
    }
    // The key says what it is for.
    expect_refused(&gateway, &rsa.sign(Algorithm::PS256, Some("one"), &claims_of("web", "ann"))).await;
    expect_refused(&gateway, &rsa.sign(RS256, Some("two"), &claims_of("web", "ann"))).await;
    // A published key is no secret that anybody could sign with.
    let text = rsa.jwk(RS256, "one")["n"].as_str().unwrap().to_owned();
    let header = jsonwebtoken::Header { kid: Some("one".to_owned()), ..Default::default() };
    let secret = jsonwebtoken::EncodingKey::from_secret(text.as_bytes());
    expect_refused(&gateway, &jsonwebtoken::encode(&header, &claims_of("web", "root"), &secret).unwrap()).await;
    provider.was_left_in_peace();
}

#[tokio::test]
async fn a_token_with_a_kid_is_taken_by_a_published_key_that_has_none_and_signed_it() {
    let [named, nameless, other] = [keys::ED25519, keys::ED25519, keys::ED25519].map(Pair::generate);
    let mut without = nameless.jwk(EdDSA, "");
    without.as_object_mut().unwrap().remove("kid");
    let provider = Provider::start(Answer::Keys(set(&[named.jwk(EdDSA, "named"), without]))).await;
    let gateway = ready(&provider).await;
    for (pair, kid) in [(&named, Some("named")), (&nameless, Some("any")), (&nameless, None)] {
        connect(&gateway, &pair.sign(EdDSA, kid, &claims_of("web", "ann"))).await;
    }
    expect_refused(&gateway, &nameless.sign(EdDSA, Some("named"), &claims_of("web", "ann"))).await;
    expect_to_come_back(&gateway, &other.sign(EdDSA, Some("any"), &claims_of("web", "ann"))).await;
    expect_to_come_back(&gateway, &named.sign(EdDSA, Some("any"), &claims_of("web", "ann"))).await;
}

#[tokio::test]
async fn a_storm_of_unknown_kids_asks_the_provider_at_most_once_in_ten_seconds() {
    let ed = Pair::generate(keys::ED25519);
    let provider = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "good")]))).await;
    let doorkeeper = doorkeeper(&provider);
    let good = ed.sign(EdDSA, Some("good"), &claims_of("web", "ann"));
    soon(async {
        while doorkeeper.verify(&good).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One signature for all: who has no key checks none.
    let (body, signature) = good.rsplit_once('.').unwrap();
    let payload = body.split('.').nth(1).unwrap();
    let storm = (0..10_000).map(|n| {
        use base64::Engine;
        let header = serde_json::json!({"alg": "EdDSA", "kid": format!("k{n}")}).to_string();
        format!("{}.{payload}.{signature}", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(header))
    });
    for (n, token) in storm.enumerate() {
        let error = doorkeeper.verify(&token).unwrap_err();
        assert!(matches!(error, AuthError::KeysPending { .. } | AuthError::UnknownKey), "{error}");
        if n % 1_000 == 0 {
            assert!(doorkeeper.verify(&good).is_ok(), "whose key is known is not kept waiting");
            tokio::task::yield_now().await;
        }
    }
    provider.was_left_in_peace();
}

#[tokio::test]
async fn a_kid_with_a_path_or_of_any_length_is_an_unknown_kid_and_lets_nobody_in() {
    let ed = Pair::generate(keys::ED25519);
    let provider = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "good")]))).await;
    let elsewhere = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "evil")]))).await;
    let gateway = ready(&provider).await;
    let evil = format!("http://{}/jwks.json", elsewhere.address);
    let long = "k".repeat(4_000);
    let kids = ["../../etc/passwd", "%2e%2e/good", "\0", "' OR 1=1 --", &evil, &long];
    let tokens = kids.map(|kid| ed.sign(EdDSA, Some(kid), &claims_of("web", "ann")));
    for token in &tokens {
        expect_to_come_back(&gateway, token).await;
    }
    let answer = Ask::get("/v1/threads").header("authorization", format!("Bearer {}", tokens[0])).send(&gateway).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() <= 15);
    // The next round is allowed 10 s after the first; refused for good is who is still not known after minutes.
    provider.asked(2).await;
    for token in &tokens {
        expect_to_come_back(&gateway, token).await;
    }
    connect(&gateway, &ed.sign(EdDSA, Some("good"), &claims_of("web", "ann"))).await;
    assert!(
        provider.requests().iter().all(|request| request == "GET /jwks.json HTTP/1.1"),
        "{:?}",
        provider.requests()
    );
    assert!(elsewhere.requests().is_empty(), "no token names an address to us");
    provider.was_left_in_peace();
}

#[tokio::test]
async fn a_key_that_the_provider_rotated_to_is_taken_without_a_restart_and_nobody_is_turned_away() {
    let [old, new] = [keys::ED25519, keys::ED25519].map(Pair::generate);
    let provider = Provider::start(Answer::Keys(set(&[old.jwk(EdDSA, "old")]))).await;
    let gateway = ready(&provider).await;
    provider.now(Answer::Keys(set(&[old.jwk(EdDSA, "old"), new.jwk(EdDSA, "new")])));
    let token = new.sign(EdDSA, Some("new"), &claims_of("web", "ann"));
    // An open connection may bring it as well: it keeps what it has, and is told when to try again.
    let mut open = connect(&gateway, &old.sign(EdDSA, Some("old"), &claims_of("web", "ann"))).await;
    open.say(serde_json::json!({"type": "hello", "token": token})).await;
    assert!(open.expect_error("internal").await["retry_in"].is_u64());
    open.open("t1").await;
    soon(async {
        loop {
            let mut client = Call::without_token().dial(&gateway).await.unwrap();
            client.say(serde_json::json!({"type": "hello", "token": token})).await;
            match client.expect_one_of(&["hello", "error"]).await["type"].as_str().unwrap() {
                "hello" => return,
                _ => drop(client.expect_close(4000).await),
            }
        }
    })
    .await;
    open.say(serde_json::json!({"type": "hello", "token": token})).await;
    open.open("t2").await;
    provider.was_left_in_peace();
}

#[tokio::test]
async fn known_keys_go_on_working_while_their_provider_hangs_or_is_down() {
    let ed = Pair::generate(keys::ED25519);
    let provider = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "good")]))).await;
    let gateway = ready(&provider).await;
    let good = || ed.sign(EdDSA, Some("good"), &claims_of("web", "ann"));
    let unknown = ed.sign(EdDSA, Some("unknown"), &claims_of("web", "bob"));
    for answer in [Answer::Silence, Answer::HangUp] {
        provider.now(answer);
        expect_to_come_back(&gateway, &unknown).await;
        provider.asked(2).await;
        connect(&gateway, &good()).await.open("t1").await;
        // Never for good: nobody could know.
        expect_to_come_back(&gateway, &unknown).await;
    }
    gateway.process.line_with("the keys of an issuer cannot be fetched").await;
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_provider_that_is_down_at_start_stops_nobody_else_and_its_users_are_told_to_come_back() {
    let ed = Pair::generate(keys::ED25519);
    let provider = Provider::start(Answer::HangUp).await;
    let gateway = start(&[published(&provider)]).await;
    let said = gateway.process.line_with("the keys of an issuer cannot be fetched").await;
    assert!(said.contains("WARN") && said.contains("web"), "{said}");
    gateway.serves_others().await;
    expect_to_come_back(&gateway, &ed.sign(EdDSA, Some("good"), &claims_of("web", "ann"))).await;
    expect_to_come_back(&gateway, &ed.sign(EdDSA, None, &claims_of("web", "ann"))).await;
}

#[tokio::test]
async fn a_jwks_of_ten_megabytes_is_refused_without_being_read() {
    for announced in [true, false] {
        let provider = Provider::start(Answer::Bytes { count: 10_000_000, announced }).await;
        let gateway = start(&[published(&provider)]).await;
        gateway.process.line_with("its answer is longer than 64 KiB").await;
        // What the kernels of both sides take is not in our hands; most of it was never sent.
        assert!(provider.taken() < 9_000_000, "{} bytes were taken", provider.taken());
        gateway.serves_others().await;
    }
}

#[tokio::test]
async fn a_redirect_of_the_provider_is_not_followed_and_a_document_without_keys_replaces_none() {
    let ed = Pair::generate(keys::ED25519);
    let elsewhere = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "good")]))).await;
    let provider = Provider::start(Answer::Elsewhere(format!("http://{}/", elsewhere.address))).await;
    let gateway = start(&[published(&provider)]).await;
    gateway.process.line_with("answers with status 302").await;
    assert!(elsewhere.requests().is_empty());
    for (document, says) in [
        ("[]", "is no JWK set"),
        ("<html>", "is no JWK set"),
        (r#"{"keys":[]}"#, "holds no key"),
        (
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"x"},{"kty":"RSA","n":"AQAB","e":"AQAB"},7,{}]}"#,
            "holds no key",
        ),
    ] {
        let provider = Provider::start(Answer::Keys(document.to_owned())).await;
        let gateway = start(&[published(&provider)]).await;
        let said = gateway.process.line_with("the keys of an issuer cannot be fetched").await;
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_an_issuer_that_stayed_and_forgets_one_that_went() {
    let ed = Pair::generate(keys::ED25519);
    let provider = Provider::start(Answer::Keys(set(&[ed.jwk(EdDSA, "good")]))).await;
    let doorkeeper = doorkeeper(&provider);
    let token = ed.sign(EdDSA, Some("good"), &claims_of("web", "ann"));
    // Waits for the first round, which has begun already.
    let header = format!("Bearer {token}").parse().unwrap();
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, header)]);
    let shown = Shown { access: Access::Read, headers: &headers, query: None, subprotocol: None };
    let identity = soon(async {
        loop {
            match doorkeeper.identify(shown).await {
                Err(AuthError::KeysPending { .. }) => {}
                other => return other,
            }
        }
    });
    assert_eq!(identity.await.unwrap().unwrap().user.as_str(), "ann");
    provider.now(Answer::HangUp);
    doorkeeper.reload(&config(&provider).auth);
    assert!(doorkeeper.verify(&token).is_ok());
    let other = r#"auth.jwt.secret = "0123456789abcdef0123456789abcdef""#;
    doorkeeper.reload(&Config::from_toml(other).unwrap().auth);
    assert_eq!(doorkeeper.verify(&token), Err(AuthError::WrongIssuer));
    assert_eq!(provider.requests().len(), 1, "a reload is no reason to ask again");
}
