//! Tokens of several issuers, good and bad, at every door.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Call, Client, Gateway, SECRET, claims, token};
use crate::http::client::Ask;
use crate::ws::peer::Peer;

mod keys;
mod life;
mod provider;
mod published;

use keys::Pair;

/// The lines of an issuer, of `iss` `https://NAME.test`, less its key.
fn issuer(name: &str) -> Vec<String> {
    vec![
        format!(r#"auth.issuers.{name}.issuer = "https://{name}.test""#),
        format!(r#"auth.issuers.{name}.audience = ["chat", "other"]"#),
    ]
}

/// What a good token of this issuer says.
fn claims_of(name: &str, user: &str) -> Value {
    let mut claims = claims(user);
    claims["iss"] = json!(format!("https://{name}.test"));
    claims["aud"] = json!("chat");
    claims
}

async fn start(lines: &[Vec<String>]) -> Gateway {
    let lines: Vec<&str> = lines.iter().flatten().map(String::as_str).collect();
    Gateway::start(&lines).await
}

/// A client with this token, who has said hello.
async fn connect(gateway: &Gateway, token: &str) -> Client {
    let mut client = Call::with_token(token).dial(gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.hello = client.expect("hello").await;
    client
}

/// The token is refused for good, at the handshake, in `hello` and over HTTP.
async fn expect_refused(gateway: &Gateway, token: &str) {
    let handshake = Call::with_token(token).dial(gateway).await.unwrap();
    let mut by_hello = Call::without_token().dial(gateway).await.unwrap();
    by_hello.say(json!({"type": "hello", "token": token})).await;
    for mut client in [handshake, by_hello] {
        let error = client.expect_error("unauthorized").await;
        assert!(!error.to_string().contains(token), "a token is never told back");
        assert_eq!(client.expect_close(4501).await, json!({"reason": "unauthorized", "reconnect": false}));
    }
    let answer = Ask::get("/v1/threads").header("authorization", format!("Bearer {token}")).send(gateway).await;
    assert_eq!(answer.status, 401);
}

/// An issuer with a public key in a file, and what its tokens may be signed with.
fn public(name: &str, pair: &Pair, algorithms: &str) -> Vec<String> {
    let key = format!("auth.issuers.{name}.public_key_file");
    let mut lines = issuer(name);
    lines.push(keys::file(&key, &pair.public_file()));
    lines.push(format!("auth.issuers.{name}.algorithms = [{algorithms}]"));
    lines
}

#[tokio::test]
async fn a_token_of_every_algorithm_lets_its_user_in_and_no_other_issuers_key_does() {
    use Algorithm::{ES256, ES384, EdDSA, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    let [rsa, p256, p384, ed] = [keys::RSA, keys::P256, keys::P384, keys::ED25519].map(Pair::generate);
    let secret = "s".repeat(64);
    let mut shared = issuer("shared");
    shared.push(format!("auth.issuers.shared.secret = {secret:?}"));
    shared.push(r#"auth.issuers.shared.algorithms = ["HS384", "HS512"]"#.to_owned());
    let gateway = start(&[
        public("rsa", &rsa, r#""RS256", "RS384", "RS512", "PS256", "PS384", "PS512""#),
        public("small", &p256, r#""ES256""#),
        public("large", &p384, r#""ES384""#),
        public("ed", &ed, r#""EdDSA""#),
        shared,
    ])
    .await;
    let rsa_algorithms = [RS256, RS384, RS512, PS256, PS384, PS512].map(|algorithm| ("rsa", &rsa, algorithm));
    let others = [("small", &p256, ES256), ("large", &p384, ES384), ("ed", &ed, EdDSA)];
    for (name, pair, algorithm) in rsa_algorithms.into_iter().chain(others) {
        let token = pair.sign(algorithm, None, &claims_of(name, "ann"));
        assert_eq!(connect(&gateway, &token).await.hello["user"], "ann", "{algorithm:?}");
    }
    let hs512 = |claims: &Value, secret: &str| {
        jsonwebtoken::encode(&Header::new(HS512), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    connect(&gateway, &hs512(&claims_of("shared", "ann"), &secret)).await;
    connect(&gateway, &gateway.token("ann")).await;
    // Good signatures of the wrong one.
    for bad in [
        rsa.sign(RS256, None, &claims_of("small", "ann")),
        p256.sign(ES256, None, &claims_of("rsa", "ann")),
        hs512(&claims_of("rsa", "ann"), &secret),
        token(&claims_of("rsa", "ann")),
        hs512(&claims("ann"), SECRET),
        ed.sign(EdDSA, None, &claims("ann")),
    ] {
        expect_refused(&gateway, &bad).await;
    }
}

#[tokio::test]
async fn alg_none_and_an_hmac_signed_with_a_public_key_are_refused() {
    let rsa = Pair::generate(keys::RSA);
    let gateway = start(&[public("rsa", &rsa, r#""RS256""#)]).await;
    let good = rsa.sign(Algorithm::RS256, None, &claims_of("rsa", "ann"));
    connect(&gateway, &good).await;
    let part = |value: Value| {
        use base64::Engine;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let payload = good.split('.').nth(1).unwrap();
    for alg in ["none", "None", "NONE", ""] {
        expect_refused(&gateway, &format!("{}.{payload}.", part(json!({"alg": alg, "typ": "JWT"})))).await;
    }
    let pem = std::fs::read(rsa.public_file()).unwrap();
    let trimmed = pem.trim_ascii().to_vec();
    for secret in [pem, trimmed] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let key = EncodingKey::from_secret(&secret);
            let forged = jsonwebtoken::encode(&Header::new(algorithm), &claims_of("rsa", "root"), &key).unwrap();
            expect_refused(&gateway, &forged).await;
        }
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_token_without_exp_or_aud_or_with_a_wrong_issuer_is_refused() {
    let ed = Pair::generate(keys::ED25519);
    let gateway = start(&[public("ed", &ed, r#""EdDSA""#)]).await;
    let signed = |key: &str, value: Value| {
        let mut claims = claims_of("ed", "ann");
        claims[key] = value;
        if claims[key].is_null() {
            claims.as_object_mut().unwrap().remove(key);
        }
        ed.sign(Algorithm::EdDSA, None, &claims)
    };
    connect(&gateway, &signed("aud", json!(["nobody", "other"]))).await;
    for (key, value) in [
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("aud", Value::Null),
        ("aud", json!("lychgate")),
        ("aud", json!([])),
        ("iss", Value::Null),
        ("iss", json!("https://ed.test/")),
        ("iss", json!("lychgate")),
        ("iss", json!(["https://ed.test"])),
        ("sub", Value::Null),
        ("nbf", json!(32_503_680_000_u64)),
    ] {
        println!("{key} is {value}");
        expect_refused(&gateway, &signed(key, value)).await;
    }
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_refused_as_header_as_subprotocol_and_in_hello() {
    let gateway = Gateway::start(&[]).await;
    let token = "x".repeat(1_000_000);
    let protocols = format!("lychgate.v1, lychgate.bearer.{token}");
    for header in [("Authorization", format!("Bearer {token}")), ("Sec-WebSocket-Protocol", protocols)] {
        let answer =
            Peer::connect(gateway.address).await.request("GET /v1/ws HTTP/1.1", &[(header.0, &header.1)]).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let mut client = Call::without_token().dial(&gateway).await.unwrap();
    // It may hang up in the middle.
    let _ = client.send(json!({"type": "hello", "token": token}).to_string().into()).await;
    client.expect_error("too_large").await;
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_and_not_logged() {
    let mut gateway = Gateway::start(&[r#"log.level = "trace""#]).await;
    let good = gateway.token("ann");
    for name in ["token", "access_token", "jwt", "id_token", "bearer", "Authorization"] {
        let query = format!("a=b&{name}={good}");
        for call in [Call::with_token(&good), Call::without_token()] {
            let mut client = call.query(&query).dial(&gateway).await.unwrap();
            let error = client.expect_error("unauthorized").await;
            assert!(error["message"].as_str().unwrap().contains("must not stand in an address"), "{error}");
            client.expect_close(4501).await;
        }
        let mut answer = Ask::get(format!("/v1/threads?{query}")).by(&gateway, "ann").send(&gateway).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.json().await.to_string().contains(&good));
    }
    Ask::get(format!("/nothing/here?token={good}")).send(&gateway).await;
    // Neither do the doors where a token belongs.
    connect(&gateway, &good).await;
    let protocols = format!("lychgate.v1, lychgate.bearer.{good}");
    let mut client = Call::without_token().header("sec-websocket-protocol", &protocols).dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    client.say(json!({"type": "hello", "token": good})).await;
    client.open("t1").await;
    let mut client = Call::without_token().dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello", "token": good})).await;
    client.expect("hello").await;
    let forged = format!("{}x", &good[..good.len() - 1]);
    expect_refused(&gateway, &forged).await;
    gateway.process.signal(Signal::TERM);
    let (_, log) = gateway.process.end().await;
    assert!(log.contains("token refused"), "the log was written at this level");
    let signature = good.rsplit('.').next().unwrap();
    for part in [good.as_str(), signature, &signature[..20], "access_token="] {
        assert!(!log.contains(part), "the log holds {part}");
    }
}

#[tokio::test]
async fn user_ids_with_colons_google_digits_and_look_alikes_are_users_of_their_own() {
    let ed = Pair::generate(keys::ED25519);
    let gateway = start(&[public("ed", &ed, r#""EdDSA""#)]).await;
    let token = |user: &str| ed.sign(Algorithm::EdDSA, None, &claims_of("ed", user));
    let longest = "x".repeat(256);
    // A Latin and a Cyrillic a; an e with an accent in one piece and in two.
    let users = ["105945141827451681156", "a:b", "a%3Ab", "anna", "\u{430}nna", "ren\u{e9}", "rene\u{301}", &longest];
    let mut clients = Vec::new();
    for user in users {
        let mut client = connect(&gateway, &token(user)).await;
        assert_eq!(client.hello["user"], user);
        assert_eq!(client.open("t1").await["limits"]["used"], 1, "{user} shares nothing with anybody");
        clients.push(client);
    }
    for user in ["", "a\nb", "\u{0}", "a\u{7f}", "\u{85}", &"x".repeat(257), &"x".repeat(10_240)] {
        let mut client = Call::with_token(&token(user)).dial(&gateway).await.unwrap();
        let error = client.expect_error("unauthorized").await;
        assert!(error["message"].as_str().unwrap().contains("user id"), "{error}");
        client.expect_close(4501).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_named_by_check_and_never_shown() {
    let [rsa, weak, p521] = [keys::RSA, keys::WEAK_RSA, keys::P521].map(Pair::generate);
    let with = |key: String| -> Vec<String> { issuer("x").into_iter().chain([key]).collect() };
    let file = |path: &std::path::Path| with(keys::file("auth.issuers.x.public_key_file", path));
    let mut hmac_of_public = file(&rsa.public_file());
    hmac_of_public.push(r#"auth.issuers.x.algorithms = ["HS256"]"#.to_owned());
    for (lines, says) in [
        (file(&weak.public_file()), "fewer than 2048 bits"),
        (file(&p521.public_file()), "neither on P-256 nor on P-384"),
        (file(&rsa.private_file()), "a private key"),
        (hmac_of_public, "names HS256, which its key cannot be used with"),
    ] {
        let text = lines.join("\n") + "\nauth.jwt.secret = \"0123456789abcdef0123456789abcdef\"";
        let error = lychgate::config::Config::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("auth.issuers.x."), "{error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
}
