use lychgate_core::IdError;
use serde_json::{Value, json};

use super::*;
use crate::auth::claims::ProofIds;
use crate::auth::{Identity, Issuers};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What [`config`] lets in.
fn issuers() -> Issuers {
    Issuers::new(&[config().as_issuer()], &Issuers::default())
}

fn config() -> config::Jwt {
    config::Jwt {
        secret: SECRET.to_vec(),
        issuer: "lychgate".to_owned(),
        audience: "lychgate".to_owned(),
        leeway: Duration::from_secs(30),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a good token, with some replaced; null removes one.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": "ann", "iss": "lychgate", "aud": "lychgate", "exp": now() + 600 });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn token(changes: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(changes), &key).unwrap()
}

/// A token whose header is written by hand and whose signature is HS256 over it.
fn token_with_header(header: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(&claims(&json!({}))));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn verify(token: &str) -> Result<Identity, AuthError> {
    install_provider();
    issuers().verify(token, &ProofIds::default()).map_err(AuthError::from)
}

fn user(token: &str) -> String {
    verify(token).unwrap().user.as_str().to_owned()
}

#[test]
fn a_minted_token_proves_its_user_and_expiry() {
    let ann = UserId::parse("ann").unwrap();
    let before = now();
    let identity = verify(&mint(&config(), &ann, Duration::from_secs(3600)).unwrap()).unwrap();
    assert_eq!(identity.user, ann);
    let expires = identity.expires.unwrap();
    assert!((before + 3600..=now() + 3600).contains(&expires));
}

#[test]
fn a_subject_of_21_digits_with_colons_or_unicode_is_a_user() {
    for sub in ["105945141827451681156", "auth0|5f7c8ec7c33c6c004bbafe82", "org:team:ann", "zoë 🙂", "%3A"] {
        assert_eq!(user(&token(&json!({ "sub": sub }))), sub);
    }
}

#[test]
fn a_subject_that_is_no_id_is_refused() {
    let refused = |sub: &str| verify(&token(&json!({ "sub": sub }))).unwrap_err();
    assert_eq!(refused(""), AuthError::BadSubject(IdError::Empty));
    assert_eq!(refused(&"x".repeat(10_240)), AuthError::BadSubject(IdError::TooLong(10_240)));
    assert_eq!(refused("a\nb"), AuthError::BadSubject(IdError::ControlCharacter(1)));
}

#[test]
fn a_token_for_nobody_is_refused() {
    for sub in [Value::Null, json!(105_945)] {
        let error = verify(&token(&json!({ "sub": sub }))).unwrap_err();
        assert_eq!(error, AuthError::MissingClaim("sub".to_owned()), "{sub}");
    }
    for sub in [json!(["ann"]), json!({ "id": "ann" })] {
        let error = verify(&token(&json!({ "sub": sub }))).unwrap_err();
        assert!(matches!(error, AuthError::MissingClaim(_) | AuthError::Malformed(_)), "{sub}: {error}");
    }
}

#[test]
fn a_token_without_expiry_issuer_or_audience_is_refused() {
    for claim in ["exp", "iss", "aud"] {
        let error = verify(&token(&json!({ claim: null }))).unwrap_err();
        assert_eq!(error, AuthError::MissingClaim(claim.to_owned()));
    }
    let endless = verify(&token(&json!({ "exp": "tomorrow" }))).unwrap_err();
    assert_eq!(endless, AuthError::MissingClaim("exp".to_owned()));
}

#[test]
fn an_expired_token_is_refused_beyond_the_leeway() {
    assert!(verify(&token(&json!({ "exp": now() - 5 }))).is_ok());
    assert_eq!(verify(&token(&json!({ "exp": now() - 90 }))), Err(AuthError::Expired));
    assert_eq!(verify(&token(&json!({ "exp": 0 }))), Err(AuthError::Expired));
}

#[test]
fn an_expiry_with_a_fraction_is_one() {
    let exp = now() + 600;
    assert_eq!(verify(&token(&json!({ "exp": exp as f64 + 0.5 }))).unwrap().expires, Some(exp));
}

#[test]
fn a_token_of_tomorrow_is_refused() {
    assert_eq!(verify(&token(&json!({ "nbf": now() + 600 }))), Err(AuthError::NotYetValid));
}

#[test]
fn audience_and_issuer_must_be_ours() {
    assert_eq!(verify(&token(&json!({ "aud": "other" }))), Err(AuthError::WrongAudience));
    assert_eq!(verify(&token(&json!({ "aud": ["other"] }))), Err(AuthError::WrongAudience));
    assert_eq!(verify(&token(&json!({ "aud": [] }))), Err(AuthError::WrongAudience));
    assert_eq!(verify(&token(&json!({ "iss": "other" }))), Err(AuthError::WrongIssuer));
    assert_eq!(user(&token(&json!({ "aud": ["other", "lychgate"] }))), "ann");
}

#[test]
fn an_unsigned_token_is_refused_however_it_spells_none() {
    let payload = URL_SAFE_NO_PAD.encode(claims(&json!({})).to_string());
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
        assert_eq!(verify(&format!("{header}.{payload}.")), Err(AuthError::Unsigned), "{alg}");
    }
    assert_eq!(verify(&token_with_header(&json!({ "alg": "none" }))), Err(AuthError::Unsigned));
}

#[test]
fn the_algorithm_comes_from_the_configuration_and_not_from_the_token() {
    // Key confusion: a header that names another algorithm, over a signature that is a valid HMAC of our secret.
    for alg in ["RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512"] {
        assert_eq!(verify(&token_with_header(&json!({ "alg": alg }))), Err(AuthError::WrongAlgorithm), "{alg}");
    }
    let key = EncodingKey::from_secret(SECRET);
    let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims(&json!({})), &key).unwrap();
    assert_eq!(verify(&hs512), Err(AuthError::WrongAlgorithm));
}

#[test]
fn a_token_of_another_secret_or_changed_afterwards_is_refused() {
    let key = EncodingKey::from_secret(b"another secret of at least 32 bytes");
    let foreign = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(&json!({})), &key).unwrap();
    assert_eq!(verify(&foreign), Err(AuthError::BadSignature));
    let good = token(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let payload = URL_SAFE_NO_PAD.encode(claims(&json!({ "sub": "bob" })).to_string());
    assert_eq!(verify(&format!("{}.{payload}.{}", parts[0], parts[2])), Err(AuthError::BadSignature));
    assert_eq!(verify(&format!("{}.{}.", parts[0], parts[1])), Err(AuthError::BadSignature));
}

#[test]
fn a_critical_extension_that_we_do_not_know_is_refused() {
    let header = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    assert_eq!(verify(&token_with_header(&header)), Err(AuthError::UnknownExtension));
}

#[test]
fn what_is_no_token_is_malformed_and_never_a_panic() {
    for text in ["", ".", "..", "...", "a.b.c", "not a token", "eyJhbGciOiJIUzI1NiJ9", "🙂.🙂.🙂", "e30.e30.e30"]
    {
        assert!(matches!(verify(text), Err(AuthError::Malformed(_))), "{text:?}: {:?}", verify(text));
    }
    assert_eq!(verify(&"x".repeat(20_000)), Err(AuthError::TooLong(20_000)));
}

#[test]
fn what_the_client_hears_holds_no_detail_and_the_log_no_token() {
    let bad = token_with_header(&json!({ "alg": "RS256" }));
    let error = verify(&bad).unwrap_err();
    assert_eq!(error.sentence(), AuthError::BadSignature.sentence());
    assert!(!error.to_string().contains(&bad[..20]));
    let debug = format!("{:?} {:?}", issuers(), config());
    assert!(!debug.contains("0123456789"), "{debug}");
}

#[test]
fn the_plan_of_a_token_is_a_short_text_and_anything_else_is_none() {
    let plan_of = |plan: Value| verify(&token(&json!({ "plan": plan }))).unwrap().plan;
    assert_eq!(plan_of(json!("pro")).as_deref(), Some("pro"));
    assert_eq!(plan_of(json!(7)), None);
    assert_eq!(plan_of(json!("x".repeat(65))), None);
    let minted = mint_on_plan(&config(), &UserId::parse("ann").unwrap(), Some("pro"), Duration::from_secs(60));
    assert_eq!(verify(&minted.unwrap()).unwrap().plan.as_deref(), Some("pro"));
}
