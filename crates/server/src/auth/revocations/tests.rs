use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::auth::{AuthError, Doorkeeper, Identity, jwt};
use crate::config::Config;

const OWN: &str = "auth.shared_users = true\nauth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n";
const OTHER: &str = "auth.issuers.other.issuer = \"other\"\nauth.issuers.other.audience = \"lychgate\"\n\
     auth.issuers.other.secret = \"fedcba9876543210fedcba9876543210\"\n";

/// A folder for one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lychgate-revocations-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(text: &str) -> config::Auth {
    Config::from_toml(text).unwrap().auth
}

fn doorkeeper(text: &str) -> Arc<Doorkeeper> {
    Doorkeeper::new(&config(text), Store::open(None).unwrap(), None).unwrap()
}

fn sign(issuer: &str, secret: &str, user: &str, jti: &str, issued: u64) -> String {
    jwt::install_provider();
    let claims = json!({"sub": user, "iss": issuer, "aud": "lychgate", "jti": jti, "iat": issued, "exp": now() + 600});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A token of our own secret.
fn token(user: &str, jti: &str, issued: u64) -> String {
    sign("lychgate", "0123456789abcdef0123456789abcdef", user, jti, issued)
}

fn of_other(user: &str, jti: &str) -> String {
    sign("other", "fedcba9876543210fedcba9876543210", user, jti, now())
}

fn is_in(checked: &Result<Identity, AuthError>) -> bool {
    match checked {
        Ok(_) => true,
        Err(AuthError::Revoked | AuthError::JustRevoked { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn of_token(jti: &str, issuer: Option<&str>) -> Revocation {
    let what = Revoked::Token { jti: jti.to_owned(), issuer: issuer.map(str::to_owned) };
    Revocation { what, issued_before: None, until: None }
}

fn of_user(user: &str, issued_before: Option<u64>) -> Revocation {
    Revocation { what: Revoked::User(UserId::parse(user).unwrap()), issued_before, until: None }
}

#[tokio::test]
async fn a_token_is_revoked_by_its_jti_and_no_other_one_is() {
    let doorkeeper = doorkeeper(OWN);
    let (one, two, none) = (token("ann", "1", now()), token("ann", "2", now()), token("ann", "", now()));
    assert!(is_in(&doorkeeper.verify(&one)));
    doorkeeper.revoke(of_token("1", None)).await.unwrap();
    assert!(!is_in(&doorkeeper.verify(&one)));
    assert!(is_in(&doorkeeper.verify(&two)) && is_in(&doorkeeper.verify(&none)));
    let Err(error) = doorkeeper.verify(&one) else { panic!("revoked") };
    assert_eq!((error.as_str(), error.closing().code), ("revoked", 4501));
}

#[tokio::test]
async fn a_jti_is_revoked_of_one_issuer_or_of_all_those_too_that_a_reload_brings() {
    let doorkeeper = doorkeeper(&format!("{OWN}{OTHER}"));
    doorkeeper.revoke(of_token("1", Some("lychgate"))).await.unwrap();
    assert!(!is_in(&doorkeeper.verify(&token("ann", "1", now()))));
    assert!(is_in(&doorkeeper.verify(&of_other("ann", "1"))));
    doorkeeper.reload(&config(OWN));
    doorkeeper.revoke(of_token("2", None)).await.unwrap();
    doorkeeper.reload(&config(&format!("{OWN}{OTHER}")));
    assert!(!is_in(&doorkeeper.verify(&of_other("ann", "2"))));
    assert!(!is_in(&doorkeeper.verify(&token("ann", "1", now()))));
}

#[tokio::test]
async fn a_user_or_everybody_is_revoked_by_time_and_who_logs_in_again_is_let_in() {
    let doorkeeper = doorkeeper(OWN);
    let (old, new) = (now() - 100, now() - 10);
    doorkeeper.revoke(of_user("ann", Some(now() - 50))).await.unwrap();
    assert!(!is_in(&doorkeeper.verify(&token("ann", "1", old))));
    assert!(is_in(&doorkeeper.verify(&token("ann", "2", new))) && is_in(&doorkeeper.verify(&token("bob", "1", old))));
    // An earlier time takes nothing back.
    doorkeeper.revoke(of_user("ann", Some(1))).await.unwrap();
    assert!(!is_in(&doorkeeper.verify(&token("ann", "1", old))));
    let everybody = Revocation { what: Revoked::Everybody, issued_before: None, until: None };
    doorkeeper.revoke(everybody).await.unwrap();
    assert!(!is_in(&doorkeeper.verify(&token("bob", "2", new))));
    // A clock that is ahead, within what is tolerated.
    assert!(is_in(&doorkeeper.verify(&token("bob", "3", now() + 5))));
}

#[tokio::test]
async fn a_token_of_the_moment_of_a_revocation_is_not_let_in_and_told_to_fetch_the_next_one() {
    let doorkeeper = doorkeeper(OWN);
    doorkeeper.revoke(of_user("ann", None)).await.unwrap();
    // Made right after it, in the same second or by a clock that is some seconds slow: nobody can tell.
    for issued in [now(), now() - 20] {
        let error = doorkeeper.verify(&token("ann", "1", issued)).unwrap_err();
        let closing = error.closing();
        assert_eq!((error.as_str(), closing.code, closing.http), ("just_revoked", 4004, 401));
        assert!(closing.retry_in.is_some_and(|wait| (1..=2).contains(&wait.as_secs())), "{closing:?}");
        assert!(!error.is_final());
    }
    for issued in [now() - 60, 0] {
        assert_eq!(doorkeeper.verify(&token("ann", "1", issued)), Err(AuthError::Revoked), "{issued} is long before");
    }
    // So is everything, once a clock as slow as is tolerated has passed that moment.
    doorkeeper.revoke(of_user("bob", Some(now() - 40))).await.unwrap();
    assert_eq!(doorkeeper.verify(&token("bob", "1", now() - 45)), Err(AuthError::Revoked));
    // A token that was revoked by its id was there already.
    doorkeeper.revoke(of_token("2", None)).await.unwrap();
    assert_eq!(doorkeeper.verify(&token("cleo", "2", now())), Err(AuthError::Revoked));
}

#[tokio::test]
async fn a_revocation_that_cannot_be_read_stops_the_start_with_a_sentence_that_names_the_file() {
    for (kind, subject) in [("group", "staff"), ("user", "")] {
        let store = Store::open(None).unwrap();
        let (kind, subject) = (kind.to_owned(), subject.to_owned());
        let row = Row { kind, subject, issuer: String::new(), issued_before: 1, until: now() + 600 };
        store.add_revocation(&row).unwrap();
        let said = Doorkeeper::new(&config(OWN), store, None).unwrap_err().to_string();
        assert!(said.contains("doors.db") && said.contains("a revocation in it cannot be read"), "{said}");
    }
}

#[tokio::test]
async fn what_was_revoked_stays_so_over_a_restart_until_nothing_of_it_can_be_valid() {
    let folder = Folder::new("restart");
    let open = || Doorkeeper::new(&config(OWN), Store::open(Some(&folder.0)).unwrap(), None).unwrap();
    let doorkeeper = open();
    doorkeeper.revoke(of_token("1", None)).await.unwrap();
    doorkeeper.revoke(of_user("bob", None)).await.unwrap();
    doorkeeper.revoke(Revocation { until: Some(now()), ..of_token("2", None) }).await.unwrap();
    assert!(is_in(&doorkeeper.verify(&token("ann", "2", now()))), "it has ended");
    drop(doorkeeper);
    let doorkeeper = open();
    assert!(!is_in(&doorkeeper.verify(&token("ann", "1", now()))));
    assert!(!is_in(&doorkeeper.verify(&token("bob", "3", now() - 5))));
    assert!(is_in(&doorkeeper.verify(&token("ann", "2", now()))));
    drop(doorkeeper);
    let rows = Store::open(Some(&folder.0)).unwrap().revocations().unwrap();
    assert_eq!(rows.len(), 2, "what has ended is forgotten: {rows:?}");
}

#[tokio::test]
async fn a_full_memory_refuses_the_next_one_and_forgets_none() {
    let store = Store::open(None).unwrap();
    let revocations = Revocations::restore(Arc::clone(&store)).unwrap();
    let config = config(OWN);
    let term = Term { issued_before: 1, until: now() + 600 };
    let full = (0..MAX_REVOCATIONS).map(|n| (of_token(&n.to_string(), None).what, term));
    revocations.kept.write().unwrap().terms = full.collect();
    assert!(matches!(revocations.add(&of_token("more", None), &config), Err(RevokeError::Full)));
    revocations.add(&of_token("7", None), &config).unwrap();
    let long = "j".repeat(257);
    assert!(matches!(revocations.add(&of_token(&long, None), &config), Err(RevokeError::TooLong(257))));
    assert_eq!(store.revocations().unwrap().len(), 1);
}

#[tokio::test]
async fn what_hits_nothing_that_was_not_hit_before_is_not_new() {
    let doorkeeper = Doorkeeper::new(&config(OWN), Store::open(None).unwrap(), None).unwrap();
    let first = doorkeeper.revoke(of_user("ann", None)).await.unwrap();
    assert!(first.is_new);
    let again = doorkeeper.revoke(first.revocation.clone()).await.unwrap();
    assert_eq!((again.is_new, &again.revocation), (false, &first.revocation));
    let longer = Revocation { until: first.revocation.until.map(|until| until + 1), ..first.revocation };
    assert!(doorkeeper.revoke(longer.clone()).await.unwrap().is_new);
    let over = Revocation { until: Some(now()), ..of_token("2", None) };
    assert!(!doorkeeper.revoke(over).await.unwrap().is_new);
    assert_eq!(doorkeeper.revocations(), [longer]);
}
